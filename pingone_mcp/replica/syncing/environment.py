"""The order in which one environment is read for one sync, fully or what has changed.

One thing that cannot be read (a user, a group, a list) is left out, stays as it was, and is noted in the coverage; what
ends the reading is only what concerns everything.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import NamedTuple

from pingone_mcp.ahead import ahead
from pingone_mcp.directory.models import Group
from pingone_mcp.replica.evidence import TRIES
from pingone_mcp.replica.source import GroupList
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.noted import NAMED, EnvironmentCoverage
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.syncing.gone import find_missing
from pingone_mcp.replica.syncing.groups import (
    Children,
    note_newly_veiled,
    read_children,
    read_groups,
    renew_nestings,
    reread_nestings,
    settle_groups,
    work_out_whole,
)
from pingone_mcp.replica.syncing.happened import next_watermark, read_events
from pingone_mcp.replica.syncing.members import (
    look_for_lost,
    miscounted_groups,
    read_further_members,
    read_members,
    read_new_again,
)
from pingone_mcp.replica.syncing.populations import compare_counts, read_populations
from pingone_mcp.replica.syncing.roles import are_roles_due, read_roles
from pingone_mcp.replica.syncing.task import EnvironmentSync, longest_gap
from pingone_mcp.replica.syncing.users import (
    begin,
    drop_deleted,
    note_shortage,
    note_unseen,
    read_changed,
    read_everybody,
    read_named,
)
from pingone_mcp.replica.syncing.verifying import verify_memberships
from pingone_mcp.replica.watermark import Watermark

_RETRIED_GROUPS = 20


def coverage_before(known: EnvironmentCoverage) -> EnvironmentCoverage:
    """Return the coverage of a sync that has met no problem yet, after one that noted what is `known`."""
    return EnvironmentCoverage(
        memberships="all", roles=known.roles or NAMED, events=True, audited_since=known.audited_since
    )


async def read_fully(here: EnvironmentSync, mark: Watermark | None) -> Watermark:
    """Stage everybody who is there and every membership; find out who is gone. Raises Incomplete.

    Users, groups with their members, and populations are read side by side. That proves nothing yet: only then are the
    events read, and after them it is decided who is gone, which groups are, and which memberships have ended.

    Members may have been read before a user or after. So what happens meanwhile may be in one and not in the other, and
    is all found by the next sync, which begins where this one began: by users changed since, whose memberships are
    verified again, and by events since, of which none counts as seen for having been read here.
    """
    opened = here.task.source.clock.monotonic()
    begun = await begin(here)
    async with ahead() as beside:
        counted = beside.ask(partial(read_populations, here))
        reading = beside.ask(partial(_read_groups, here))
        past = beside.ask(partial(here.source.past, begun.at)) if mark is None else None
        here.walking = True
        walked = await read_everybody(here, begun, counted)
        here.walking = False
        here.report("groups", 0, None)
        counts, read = await counted.taken(), await reading.taken()
        await read_events(here, mark, begun.at, past)
    await drop_deleted(here)
    await find_missing(here)
    await note_shortage(here, walked.counted)
    groups = await _settle_groups(here, read) if read is not None else []
    if mark is None or begun.at - datetime.fromisoformat(mark.events) > longest_gap(here.task.source):
        here.coverage.roles = NAMED  # nobody knows who has got a role before the audit begins
    await read_roles(here, everybody=here.task.options.roles)
    note_unseen(here, walked.left_out)
    await compare_counts(here, counts)
    await read_new_again(here, groups)
    return next_watermark(here, mark, begun.at, opened, events_first=False)


async def read_what_changed(here: EnvironmentSync, mark: Watermark) -> Watermark:
    """Stage who has changed since the last sync, and verify the memberships that may have changed.

    Raises FilterRefused where the provider cannot tell who was changed.
    """
    opened = here.task.source.clock.monotonic()
    await here.task.begin_anew(here.id)
    counts = await read_populations(here)
    began = here.task.now()
    here.report("users", 0, None)
    await read_changed(here, datetime.fromisoformat(mark.updated))
    await read_events(here, mark, began)
    await drop_deleted(here)
    await read_named(here)
    groups = await _reread_groups(here, datetime.fromisoformat(mark.updated))
    here.coverage.roles_missed = here.known.roles_missed
    await read_roles(here, everybody=are_roles_due(here))
    note_unseen(here, left_out=0)
    await compare_counts(here, counts)
    await read_new_again(here, groups)
    here.coverage.users_short = here.known.users_short
    return next_watermark(here, mark, began, opened, events_first=True)


class _ReadGroups(NamedTuple):
    """The groups that were listed, and what is nested in each; their members are staged."""

    listed: GroupList
    children: dict[str, Children]


async def _read_groups(here: EnvironmentSync) -> _ReadGroups | None:
    """Read all groups, how they are nested and who is in them; None where there is no list of groups."""
    listed = await read_groups(here)
    if listed is None:
        return None
    async with ahead() as beside:
        children = beside.ask(partial(read_children, here, listed.groups))
        await read_members(here, listed.groups)
        return _ReadGroups(listed, await children.taken())


async def _settle_groups(here: EnvironmentSync, read: _ReadGroups) -> list[Group]:
    """Note the groups and their nestings as they were read, and find out which memberships have ended.

    Return the groups that can be seen.
    """
    groups = await settle_groups(here, read.listed)
    found = here.found
    if further := groups[len(read.listed.groups) :]:  # they are there, although they were not listed
        read.children.update(await read_children(here, further))
        await read_members(here, further)
    renew_nestings(here, read.children)
    await read_further_members(here, groups)
    found.reread = {group.id for group in groups}
    old = await here.task.look(looks.groups_known, here.id)
    found.whole = {group.id for group in found.groups} | old.keys()
    await look_for_lost(here, groups)
    return groups


async def _reread_groups(here: EnvironmentSync, since: datetime) -> list[Group]:
    """Find the groups, nestings and memberships that may have changed since then, and read them again.

    Return the groups that can be seen.
    """
    old = await here.task.look(looks.groups_known, here.id)
    listed = await read_groups(here)
    if listed is None:
        return []
    groups = await settle_groups(here, listed)
    found = here.found
    now = {group.id: group for group in found.groups}
    created = here.listed - old.keys()
    await reread_nestings(here, groups, _named(here, old, now) | created)
    found.reread |= {group for group in here.listed & old.keys() if now[group].user_filter != old[group].user_filter}
    found.reread |= {group.id for group in groups if group.id in created and group.member_count != 0}
    found.reread |= _to_try_again(here)
    alone = await verify_memberships(here, since)
    found.reread |= await miscounted_groups(here, groups)
    work_out_whole(here, deleted=old.keys() - now.keys(), alone=alone)
    still = {group: known.shortfall for group, known in here.short_before.items() if group in now.keys() - found.reread}
    found.short = still | found.short
    await read_members(here, [group for group in groups if group.id in found.reread])
    newly = note_newly_veiled(here)  # above those whose own lists came short
    await read_members(here, [group for group in groups if group.id in newly])
    await look_for_lost(here, groups)
    return groups


def _named(here: EnvironmentSync, old: dict[str, GroupRow], now: dict[str, GroupRow]) -> set[str]:
    """Return the groups that were changed: as events say, or, without any, as their `updatedAt` does."""
    if here.coverage.events:
        return here.found.wanted.groups & here.listed
    changed = {group for group in here.listed & old.keys() if now[group].updated_at != old[group].updated_at}
    here.found.reread |= changed
    return changed


def _to_try_again(here: EnvironmentSync) -> set[str]:
    """Return some of the groups whose own lists came back short before, and are not given up yet."""
    known = ((group, one.shortfall) for group, one in here.short_before.items() if group in here.listed)
    return set(sorted(group for group, short in known if short.of_members and short.tries < TRIES)[:_RETRIED_GROUPS])
