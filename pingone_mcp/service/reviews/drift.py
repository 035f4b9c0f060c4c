"""Drift: the accounts of an application against the local copy, and what is new since the last check of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import Gap, OnlyServedPopulations
from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.directory.models import Named, Reviewed
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.people import everybody, members_of, named, number_of_users, others
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.state import State
from pingone_mcp.reports.drift import KEPT_UNEXPECTED, Comparison, Drift
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftQuestion:
    """How accounts and users are compared.

    `match_on`: by which identities. `expected_group`: id or name of the group whose members ought to have an account.
    `compare`: which attributes (None: all that both sides carry). `keep`: so many unexpected users are kept.
    """

    match_on: Sequence[IdentityKind] = MATCH_ON
    expected_group: str | None = None
    compare: Sequence[str] | None = None
    keep: int = KEPT_UNEXPECTED


_USUAL = DriftQuestion()


async def check_drift(
    backend: Backend,
    accounts: Accounts,
    question: DriftQuestion = _USUAL,
    *,
    progress: JobProgress | None = None,
) -> DriftCheck:
    """Compare accounts with the copy, and remember what was found.

    Raises NoReplica, and Refused for accounts that cannot be read, or a group that is not there.
    """
    now = backend.replica.now()

    def compare(copy: Snapshot) -> Drift:
        return compared(copy, accounts.read(), now, question, progress=progress)

    found, state = await backend.replica.read(compare)
    news = await in_thread(backend.rosters.since_last, accounts, found, pool="copy")
    return DriftCheck(found=found, since_last=news, state=state)


def compared(
    copy: Snapshot,
    roster: Roster,
    now: datetime,
    question: DriftQuestion = _USUAL,
    *,
    progress: JobProgress | None = None,
    looked_up: int = LOOKED_UP,
) -> Drift:
    """Compare a roster with the users of the copy that are served; blocks.

    The outcome is the same whether they are looked up (of at most `looked_up` accounts) or all are passed by. Raises
    Refused for a group that is not there.
    """
    progress, gaps = progress or JobProgress(), gaps_of(copy)
    group = _group(copy, question.expected_group) if question.expected_group is not None else None
    comparison = Comparison(
        roster,
        match_on=question.match_on,
        expected=_is_active if group is None else _is_active_in(members_of(copy, group.id)),
        compare=question.compare,
        keep=question.keep,
        expected_group=group,
    )
    if len(roster.entries) > looked_up:
        progress.expect(number_of_users(copy, removed=True))
        for user in progress.of(everybody(copy, removed=True)):
            comparison.see(user)
        return comparison.drift(now, gaps)
    known = named(copy, comparison.keys())
    for user in progress.of(known):
        comparison.see(user)
    number, expected, first = others(copy, known, keep=question.keep, group=group.id if group else None)
    comparison.see_rest(users=number, expected=expected, first=first)
    return comparison.drift(now, gaps)


def _is_active(user: Reviewed) -> bool:
    return user.status == "active"


def _is_active_in(members: Collection[str]) -> Callable[[Reviewed], bool]:
    return lambda user: user.status == "active" and user.id in members


def _group(copy: Snapshot, reference: str) -> Named:
    """Return the group that an id or a name means. Raises Refused."""
    copy.need_memberships()
    try:
        found = copy.places.find_group(None, reference)
    except Refused as refused:
        step = "Give its id, or another name, as `expected_group`."
        raise Refused(refused.what, step, code=refused.code) from None
    (name,) = copy.database.execute("SELECT name FROM groups_ WHERE id = ?", (found.id,)).fetchone()
    return Named(id=found.id, name=name)


def gaps_of(copy: Snapshot) -> tuple[Gap, ...]:
    """Return what of the directory was not read, and that a missing user may be where nobody looks."""
    narrowed = (OnlyServedPopulations(),) if copy.places.scope.populations else ()
    return (*copy.gaps(None), *narrowed)
