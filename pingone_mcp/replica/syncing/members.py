"""Members of whole groups: read, held against the provider's counts, and looked for again where they are missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from pingone_mcp.directory.models import Group, MembershipType
from pingone_mcp.replica.source import KINDS, ShortList
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.syncing.gone import find_hidden
from pingone_mcp.replica.syncing.task import AT_ONCE, ONE_FAILS, EnvironmentSync
from pingone_mcp.tasks import each


async def read_members(here: EnvironmentSync, groups: Sequence[Group]) -> None:
    """Stage all members of some groups, several groups at a time; of whom a list lacks nothing is concluded yet."""
    done = 0
    opaque = here.found.opaque | {group.id for group in groups if group.user_filter is not None}

    async def read(group: Group) -> None:
        nonlocal done
        try:
            await _read_group(here, group, of_all_kinds=group.id in opaque)
        except ShortList as short:
            is_theirs = here.is_narrowed or group.member_count is None
            counted = short.counted if is_theirs else group.member_count
            here.fall_short(group.id, counted=counted, found=short.found)
        except ONE_FAILS as problem:
            here.fall_short(group.id, counted=group.member_count, why=problem.code)
        done += 1
        here.report("memberships", done, len(groups))

    await each(read, sorted(groups, key=_expected, reverse=True), at_once=AT_ONCE)


def _expected(group: Group) -> float:
    """Return how many members may be expected: the largest groups take longest, so that they begin first."""
    return math.inf if group.user_filter is not None else group.member_count or 0


async def read_further_members(here: EnvironmentSync, groups: Sequence[Group]) -> None:
    """Stage who is in these groups though not directly, where the direct members are staged."""

    async def read(group: Group) -> None:
        try:
            await _read_indirect(here, group.id)
        except ShortList as short:
            here.fall_short(group.id, counted=short.counted, found=short.found)
        except ONE_FAILS as problem:
            here.fall_short(group.id, counted=group.member_count, why=problem.code)

    await each(read, groups, at_once=AT_ONCE)


async def _read_group(here: EnvironmentSync, group: Group, *, of_all_kinds: bool) -> None:
    counted, found = await _members_of(here, group, of_all_kinds=of_all_kinds)
    if counted is None or found >= counted:
        return
    fresh = await here.source.group(group.id)  # somebody may have left meanwhile: both once more
    counted, found = await _members_of(here, fresh if fresh is not None else group, of_all_kinds=of_all_kinds)
    if counted is not None and found < counted:
        total = fresh.total_member_count if fresh is not None else None
        here.fall_short(group.id, counted=counted, found=found, total=total)


async def _members_of(here: EnvironmentSync, group: Group, *, of_all_kinds: bool) -> tuple[int | None, int]:
    """Stage the members of one group; return how many direct ones are counted, and how many of these came."""
    staging = here.task.staging
    await staging.forget_members(group.id)
    if group.member_count != 0:
        await here.source.members(group.id, "direct", partial(staging.put_members, group.id, "direct"))
    found = await staging.count_members(group.id)
    if of_all_kinds:
        await _read_indirect(here, group.id)
    return (None if here.is_narrowed else group.member_count), found


async def _read_indirect(here: EnvironmentSync, group: str) -> None:
    await here.source.members(group, "indirect", partial(here.task.staging.put_members, group, "indirect"))


async def look_for_lost(here: EnvironmentSync, groups: Sequence[Group]) -> None:
    """Look again at memberships that would end because a group's list lacks the user.

    For after the events are read and all who are gone are known: those memberships have ended.
    """
    found = here.found
    whole = found.reread & here.listed - found.short_of_members
    opaque = found.opaque & whole
    lost = await here.task.look(looks.lost_memberships, whole, opaque)
    gone = found.gone.keys() | found.unseen
    ended = {pair for pair, kind in lost.items() if kind == "direct" and found.wanted.left_group(*pair)}
    doubtful = {pair for pair in lost.keys() - ended if pair.user not in gone}
    in_doubt = {pair.group for pair in doubtful} & opaque
    counted = await _well_counted(here, groups, in_doubt)
    for kind in KINDS:
        pairs = {
            pair
            for pair in doubtful
            # Of a group that has both kinds, one may have turned into the other between its two lists.
            if pair.group not in (counted[kind] if lost[pair] == kind else counted["indirect"] | (whole - opaque))
        }
        holding, unsure = await here.source.holding(pairs, kind)
        for pair in holding | unsure:
            await here.task.staging.put_members(pair.group, kind, (pair.user,))
        for group in {pair.group for pair in unsure}:
            here.fall_short(group, why="MEMBERS_UNSURE")
        doubtful -= holding | unsure
    for group in in_doubt - counted["indirect"] - found.short_of_members:
        await _look_at_total(here, group)
    await find_hidden(here, {pair.user for pair in doubtful})


async def _look_at_total(here: EnvironmentSync, group: str) -> None:
    """Note that a group is short where more are counted in all than were found, and than were asked for one by one."""
    total = None if here.is_narrowed else await _counted_in_all(here, group)
    if total is not None and await here.task.staging.count_members(group) < total:
        here.fall_short(group, total=total)


async def _well_counted(
    here: EnvironmentSync, groups: Sequence[Group], in_doubt: set[str]
) -> Mapping[MembershipType, set[str]]:
    """Return the groups whose own counts say that their lists were whole, by kind of membership."""
    if here.is_narrowed:
        return {"direct": set(), "indirect": set()}
    return {
        "direct": {group.id for group in groups if group.member_count is not None},
        "indirect": {group for group in in_doubt if await _is_whole(here, group)},
    }


async def _is_whole(here: EnvironmentSync, group: str) -> bool:
    """Say whether as many members of a group were read, directly in it or not, as are counted in all."""
    total = await _counted_in_all(here, group)
    return total is not None and await here.task.staging.count_members(group) >= total


async def _counted_in_all(here: EnvironmentSync, group: str) -> int | None:
    """Return how many members of any kind are counted; None where that is not said."""
    try:
        fresh = await here.source.group(group)
    except ONE_FAILS:
        return None
    return fresh.total_member_count if fresh is not None else None


async def miscounted_groups(here: EnvironmentSync, groups: Sequence[Group]) -> set[str]:
    """Return the groups of which more or fewer direct members are counted than there would be in the copy.

    Where the same number was missing the last time, reading them once more would say nothing new.
    """
    if here.is_narrowed:
        return set()

    def is_known(group: Group, held: int) -> bool:
        known = here.short_before.get(group.id)
        return known is not None and (known.shortfall.counted, known.in_copy) == (group.member_count, held)

    counts = await here.task.look(looks.direct_counts, list(here.found.gone))
    return {
        group.id
        for group in groups
        if group.member_count is not None
        and group.id not in here.found.reread
        and group.member_count != counts.get(group.id, 0)
        and not is_known(group, counts.get(group.id, 0))
    }
