"""What a reread reads of one environment: what events name and nothing else, by the code that syncs read it with.

There is no list of everything here that something could be missing from. So whatever answers 404 without an event that
says it was deleted, and no control confirms it, stays as it was; the next sync, which reads the same events, finds out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from pingone_mcp.directory.models import Group
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.findings import GoneUser
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.noted import UNREADABLE
from pingone_mcp.replica.store.rows import group_row
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.syncing.gone import settle_absent, settle_missing
from pingone_mcp.replica.syncing.groups import (
    keep_nestings,
    note_newly_veiled,
    reread_some_nestings,
    work_out_whole,
)
from pingone_mcp.replica.syncing.members import look_for_lost, read_members
from pingone_mcp.replica.syncing.roles import read_roles
from pingone_mcp.replica.syncing.task import AT_ONCE, ONE_FAILS, EnvironmentSync
from pingone_mcp.replica.syncing.verifying import verify_memberships
from pingone_mcp.tasks import each

One = TypeVar("One")
# So many users are asked for one by one, which shows them as they are now; of more, lists show some dozens at once.
_ONE_BY_ONE = 50


async def read_wanted(here: EnvironmentSync, since: datetime) -> None:
    """Stage whom and what events name as they are now; `since` is when the last sync began. Raises UpstreamProblem."""
    here.found.with_groups = here.known.memberships != UNREADABLE
    if not here.found.with_groups:
        await _read_users(here)
    else:
        known = await here.task.look(looks.groups_known, here.id)
        here.found.nested_before = await here.task.look(looks.nestings_known, here.id)
        there = await _read_groups(here, known)
        await _read_users(here)
        keep_nestings(here, there)
        await reread_some_nestings(here, there, here.found.renewed & here.listed)
        await _read_memberships(here, there, since)
    await read_roles(here, everybody=False)
    _let_nobody_vanish(here)


# Groups


async def _read_groups(here: EnvironmentSync, known: Mapping[str, GroupRow]) -> dict[str, Group]:
    """Read the groups that events name, or that the copy lacks beside a membership; return those that are there."""
    found, wanted = here.found, here.found.wanted
    here.remember(await here.task.look(looks.shortfalls_known, here.id))
    beside = {pair.group for pair in wanted.memberships} - known.keys()
    # A group that the copy never had is asked for, too: a sync under way may have seen it before it was deleted.
    named = wanted.groups | beside | wanted.removed_groups
    there, absent, _ = await _asked_one_by_one(here.source.group, named)  # one that may not be read stays as it was
    for group in there:
        wanted.removed_groups.discard(group)  # an event about one that is there is none
    served = {group: one for group, one in there.items() if _serves(here, one)}
    gone = (absent & wanted.removed_groups) | (there.keys() - served.keys())
    stays = {group: row for group, row in known.items() if group not in gone and group not in served}
    found.groups = [*stays.values(), *(group_row(one, here.id) for one in served.values())]
    found.renewed = served.keys() | gone
    here.listed = ({row.id for row in found.groups} - _not_seen(here) - named) | served.keys()
    for group, one in served.items():
        before = known.get(group)
        if one.member_count != 0 if before is None else one.user_filter != before.user_filter:
            found.reread.add(group)
    return served


async def _asked_one_by_one(
    ask: Callable[[str], Awaitable[One | None]], identities: Iterable[str]
) -> tuple[dict[str, One], set[str], set[str]]:
    """Ask for each; return those that are there, those that answer 404, and those that may not be read."""
    there: dict[str, One] = {}
    absent, unseen = set[str](), set[str]()

    async def ask_for(identity: str) -> None:
        try:
            found = await ask(identity)
        except ONE_FAILS:
            unseen.add(identity)
            return
        if found is None:
            absent.add(identity)
        else:
            there[identity] = found

    await each(ask_for, sorted(identities), at_once=AT_ONCE)
    return there, absent, unseen


def _serves(here: EnvironmentSync, group: Group) -> bool:
    return here.task.source.scope.has_group_of(group.workspace.id if group.workspace is not None else None)


def _not_seen(here: EnvironmentSync) -> set[str]:
    """Return the groups of which the last sync could not ask anything."""
    return set(here.known.unseen_groups) | {
        group for group, known in here.short_before.items() if known.shortfall.why == "NOT_LISTED"
    }


# Users


async def _read_users(here: EnvironmentSync) -> None:
    """Stage whom events name; note who is gone, or has left the populations served."""
    found, wanted = here.found, here.found.wanted
    in_groups = {pair.user for pair in wanted.memberships}
    known = await here.task.look(looks.existing, wanted.users | in_groups | wanted.removed.keys())
    deleted = wanted.removed.keys() & known
    others = (wanted.users | (in_groups - known)) - wanted.removed.keys()  # who came and went since was never here
    if len(others) <= _ONE_BY_ONE:
        deleted, others = deleted | others, set[str]()
    there, absent, unseen = await _asked_one_by_one(here.source.user, deleted)
    found.unseen |= unseen
    there |= await here.source.users_by_id(others) if others else {}
    await here.task.staging.put_users([row for row in there.values() if here.serves(row)])
    now = timestamp(here.task.now())
    elsewhere = {user for user, row in there.items() if user in known and not here.serves(row)}
    found.gone.update((user, GoneUser(at=now, evidence="read", left=True)) for user in elsewhere)
    await settle_absent(here, sorted(absent & known))
    await settle_missing(here, sorted((others - there.keys()) & known))


def _let_nobody_vanish(here: EnvironmentSync) -> None:
    """Leave those who are too many to be gone without an event as they were: the next sync asks a person."""
    for user in here.held:
        here.found.gone.pop(user, None)
        here.found.unseen.add(user)


# Memberships


async def _read_memberships(here: EnvironmentSync, there: Mapping[str, Group], since: datetime) -> None:
    """Verify the memberships in question, and read those groups whole for which that is less, or the only way."""
    found = here.found
    alone = await verify_memberships(here, since)
    work_out_whole(here, deleted=found.renewed - here.listed, alone=alone)
    present = {row.id for row in found.groups}
    still = {group: known.shortfall for group, known in here.short_before.items() if group in present - found.reread}
    found.short = still | found.short
    groups = await _read_whole(here, found.reread, there)
    groups += await _read_whole(here, note_newly_veiled(here), there)  # above those whose own lists came short
    await look_for_lost(here, groups)


async def _read_whole(here: EnvironmentSync, wanted: set[str], there: Mapping[str, Group]) -> list[Group]:
    """Stage all members of some groups; return those that can be asked about, some of which are `there`."""
    fresh, _, _ = await _asked_one_by_one(here.source.group, wanted - there.keys())
    for group in wanted - there.keys() - fresh.keys():
        here.fall_short(group, why="NOT_LISTED")
    groups = [one for group, one in {**there, **fresh}.items() if group in wanted]
    await read_members(here, groups)
    return groups
