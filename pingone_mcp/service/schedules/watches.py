"""The checks that a schedule makes of a roster, by themselves: what a person looks at in between changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

from pydantic import Field

from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.heavy_work import heavy_work
from pingone_mcp.replica.state import State
from pingone_mcp.reports.drift import KINDS
from pingone_mcp.reports.matching import MATCH_ON
from pingone_mcp.reports.role_drift import RoleDrift
from pingone_mcp.reports.since.role_drift import ROLE_KINDS, kept_roles, role_findings, roles_since
from pingone_mcp.reports.since_last import kept, since
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.reviews.drift import DriftCheck, DriftQuestion, check_drift
from pingone_mcp.service.reviews.roles import compare_roles
from pingone_mcp.service.reviews.rules import read_rules
from pingone_mcp.service.schedules.arguments import RosterName, ScheduleArguments
from pingone_mcp.service.schedules.news import Look, news_of
from pingone_mcp.service.schedules.runs import Ran, ScheduledRun
from pingone_mcp.tasks import in_thread

KNOWN_UNEXPECTED = 20_000
"""Users without an account whom a check knows: beyond, who is new among them is not known."""
TellFirst = Annotated[bool, Field(description="Send an event of all that the first check finds, too.")]


class WatchDrift(ScheduleArguments):
    """Compare a roster with the directory."""

    roster: RosterName
    match_on: Annotated[list[IdentityKind] | None, Field(min_length=1, description="By which identities.")] = None
    expected_group: Annotated[
        str | None, Field(min_length=1, max_length=256, description="Whose members ought to have an account.")
    ] = None
    compare: Annotated[
        list[Annotated[str, Field(max_length=256)]] | None,
        Field(max_length=100, description="Which attributes; none: an empty list."),
    ] = None
    tell_first: TellFirst = False


class WatchRoles(ScheduleArguments):
    """Compare the roles in a roster with those that the role rules give."""

    roster: RosterName
    tell_first: TellFirst = False


async def watch_drift(run: ScheduledRun, asked: WatchDrift) -> Ran:
    """Check a roster, and say what is new. Raises NoReplica, and Refused as `check_drift` does."""
    question = DriftQuestion(
        match_on=tuple(asked.match_on or MATCH_ON),
        expected_group=asked.expected_group,
        compare=asked.compare,
        keep=KNOWN_UNEXPECTED,
    )
    accounts = await _accounts(run, asked.roster)
    with heavy_work():
        look = _of_drift(await check_drift(run.backend, accounts, question), accounts.at)
        return await _news(run, look, asked)


async def watch_roles(run: ScheduledRun, asked: WatchRoles) -> Ran:
    """Check the roles in a roster, and say what is new. Raises what `read_rules` and `compare_roles` raise."""
    backend = run.backend
    rules = await read_rules(backend.rules)
    accounts = await _accounts(run, asked.roster)
    now = backend.replica.now()
    with heavy_work():
        drift, state = await compare_roles(backend, rules, accounts)
        return await _news(run, _of_roles(drift, now, state, accounts.at), asked)


def _of_roles(drift: RoleDrift, now: datetime, state: State, roster_at: datetime | None) -> Look:
    findings = tuple(role_findings(drift))
    compared = drift.counts["compared"] + drift.counts["ambiguous"] + drift.counts["inactive_accounts"]
    return Look(
        kind="role_drift",
        roster_at=roster_at,
        checked_at=now,
        counts=drift.counts,
        total=len(findings) + _beyond(drift.counts["without_account"], drift.without_account),
        beyond=_beyond(drift.counts["without_account"], drift.without_account),
        kinds=ROLE_KINDS,
        findings=findings,
        gaps=drift.gaps,
        notes=drift.notes,
        nobody=_nobody(drift.counts) if drift.compared_nobody or not compared else None,
        expected=None,
        lines=partial(kept_roles, drift, now),
        since=partial(roles_since, now=drift, checked_at=now),
        state=state,
    )


def _of_drift(check: DriftCheck, roster_at: datetime | None) -> Look:
    found = check.found
    unexpected = found.of("unexpected")
    return Look(
        kind="drift",
        roster_at=roster_at,
        checked_at=found.checked_at,
        counts=found.counts,
        total=sum(found.counts[kind] for kind in KINDS),
        beyond=_beyond(found.counts["unexpected"], unexpected),
        kinds=KINDS,
        findings=found.findings,
        gaps=found.gaps,
        notes=found.notes,
        nobody=_nobody(found.counts) if found.compared_nobody or found.matched_nobody else None,
        expected=found.expected_group.id if found.expected_group is not None else None,
        lines=partial(kept, found),
        since=partial(since, now=found),
        state=check.state,
    )


async def _news(run: ScheduledRun, look: Look, asked: WatchDrift | WatchRoles) -> Ran:
    made = partial(news_of, run, look, roster=asked.roster, tell_first=asked.tell_first)
    return await in_thread(made, pool="copy")


async def _accounts(run: ScheduledRun, roster: str) -> Accounts:
    """Return the accounts of a roster, of whose checks nothing is kept in a file. Raises Refused."""
    found = await in_thread(run.backend.rosters.find, roster, pool="disk")
    return dataclasses.replace(found, memory=None)


def _beyond(count: int, known: Sequence[object]) -> int:
    return max(0, count - len(known))


def _nobody(counts: Mapping[str, int]) -> str:
    entries, unidentified = counts["entries"], counts["unidentified"]
    if not entries:
        return "the roster is empty."
    if entries == unidentified:
        return f"none of its {entries:,} accounts has an identity to look for."
    return f"none of its {entries - unidentified:,} accounts fits anybody, as if the wrong columns were compared."
