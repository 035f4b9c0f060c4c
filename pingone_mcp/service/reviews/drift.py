"""Drift: the accounts of an application against the local copy, and what is new since the last check of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import Gap, OnlyServedPopulations
from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.replica.asking.people import everybody, named, number_of_users, others
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.state import State
from pingone_mcp.reports.drift import KEPT_UNEXPECTED, Comparison, Drift, check
from pingone_mcp.reports.matching import MATCH_ON
from pingone_mcp.reports.rosters.roster import Roster
from pingone_mcp.reports.since_last import Changes
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.tasks import in_thread

# Up to so many accounts, their users are looked up one by one; beyond, it costs less to pass by everybody.
LOOKED_UP = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCheck:
    """What a check found, what is new since the last one of the same roster, and the state of the copy.

    `since_last` is None where there was no check before, none that can be compared, or nothing to remember it by.
    """

    found: Drift
    since_last: Changes | None
    state: State


async def check_drift(
    backend: Backend,
    accounts: Accounts,
    *,
    match_on: Sequence[IdentityKind] = MATCH_ON,
    keep: int = KEPT_UNEXPECTED,
    progress: JobProgress | None = None,
) -> DriftCheck:
    """Compare accounts with the copy, and remember what was found; `keep` bounds the unexpected users that are kept.

    Raises NoReplica, and Refused for accounts that cannot be read.
    """
    now = backend.replica.now()

    def compare(copy: Snapshot) -> Drift:
        return compared(copy, accounts.read(), now, match_on=match_on, keep=keep, progress=progress)

    found, state = await backend.replica.read(compare)
    news = await in_thread(backend.rosters.since_last, accounts, found, pool="copy")
    return DriftCheck(found=found, since_last=news, state=state)


def compared(
    copy: Snapshot,
    roster: Roster,
    now: datetime,
    *,
    match_on: Sequence[IdentityKind] = MATCH_ON,
    keep: int = KEPT_UNEXPECTED,
    progress: JobProgress | None = None,
    looked_up: int = LOOKED_UP,
) -> Drift:
    """Compare a roster with the users of the copy that are served; blocks.

    The outcome is the same whether they are looked up (of at most `looked_up` accounts) or all are passed by.
    """
    progress, gaps = progress or JobProgress(), gaps_of(copy)
    if len(roster.entries) > looked_up:
        progress.expect(number_of_users(copy, removed=True))
        users = progress.of(everybody(copy, removed=True))
        return check(roster, users, now=now, match_on=match_on, keep=keep, gaps=gaps)
    comparison = Comparison(roster, match_on=match_on, keep=keep)
    known = named(copy, comparison.keys())
    for user in progress.of(known):
        comparison.see(user)
    number, expected, first = others(copy, known, keep=keep)
    comparison.see_rest(users=number, expected=expected, first=first)
    return comparison.drift(now, gaps)


def gaps_of(copy: Snapshot) -> tuple[Gap, ...]:
    """Return what of the directory was not read, and that a missing user may be where nobody looks."""
    narrowed = (OnlyServedPopulations(),) if copy.places.scope.populations else ()
    return (*copy.gaps(None), *narrowed)
