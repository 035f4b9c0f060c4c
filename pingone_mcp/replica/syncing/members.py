"""Members of whole groups: read, held against the provider's counts, and looked for again where they are missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from pingone_mcp.directory.models import Group, MembershipType
from pingone_mcp.replica.source import KINDS, Pair, ShortList
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.syncing.gone import find_hidden
from pingone_mcp.replica.syncing.task import AT_ONCE, ONE_FAILS, EnvironmentSync
from pingone_mcp.tasks import each

_ROUNDS = 3  # of reading again what others were read beside; a sync ends, however much happens


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
    """Stage who is in groups not directly, and not by what is nested in them; the direct members are staged."""
    further = here.found.veiled - here.found.read_through

    async def read(group: Group) -> None:
        try:
            await _read_indirect(here, group.id)
        except ShortList as short:
            here.fall_short(group.id, counted=short.counted, found=short.found)
        except ONE_FAILS as problem:
            here.fall_short(group.id, counted=group.member_count, why=problem.code)

    await each(read, (group for group in groups if group.id in further), at_once=AT_ONCE)


async def read_new_again(here: EnvironmentSync, groups: Sequence[Group]) -> None:
    """Stage once more who is in groups that the copy does not have yet, and to whose members no known nesting leads.

    Users who were read again beside this sync, and joined or left these by what has changed of them, were not asked
    about: nobody knew of the groups then.
    """
    known = await here.task.look(looks.groups_known, here.id)
    unknown = here.found.opaque - known.keys()
    seen = set[str]()
    for _ in range(_ROUNDS if unknown else 0):
        again = await here.task.look(looks.users_read_again, here.id)
        if again <= seen:
            break
        seen = again
        await read_members(here, [group for group in groups if group.id in unknown])


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
    here.found.read_through.add(group)


async def look_for_lost(here: EnvironmentSync, groups: Sequence[Group]) -> None:
    """Look again at memberships that would end because a group's list lacks the user.

    For after the events are read and all who are gone are known: those memberships have ended.
    """
    doubtful = await _doubtful(here)
    totals = await _totals(here, doubtful)
    if lacking := await _lacking(here, totals):  # somebody may have joined meanwhile: these lists once more
        await read_members(here, [group for group in groups if group.id in lacking])
        doubtful = await _doubtful(here)
        totals = await _totals(here, doubtful)
    well_counted = {
        "direct": {group.id for group in groups if group.member_count is not None and not here.is_narrowed},
        "indirect": totals.keys() - await _lacking(here, totals),
    }

    # Of a group that has both kinds, one may have turned into the other between its two lists.
    may_turn = here.found.opaque - well_counted["indirect"]

    def may_be(pair: Pair, kind: MembershipType) -> bool:
        """Say whether a user may be in a group all the same, in this way: no count says that the lists are whole."""
        return pair.group not in well_counted[kind] if doubtful[pair] == kind else pair.group in may_turn

    for kind in KINDS:
        holding, unsure = await here.source.holding({pair for pair in doubtful if may_be(pair, kind)}, kind)
        for pair in holding | unsure:
            await here.task.staging.put_members(pair.group, kind, (pair.user,))
            del doubtful[pair]
        for group in {pair.group for pair in unsure}:
            here.fall_short(group, why="MEMBERS_UNSURE")
    for group in await _lacking(here, totals) - here.found.short_of_members:
        here.fall_short(group, total=totals[group])
    await find_hidden(here, {pair.user for pair in doubtful})


async def _doubtful(here: EnvironmentSync) -> dict[Pair, MembershipType]:
    """Return the memberships in the copy that lists now lack, although nothing says that they have ended."""
    found = here.found
    whole = found.reread & here.listed - found.short_of_members
    lost = await here.task.look(looks.lost_memberships, whole, found.opaque & whole)
    gone = found.gone.keys() | found.unseen

    def has_ended(pair: Pair) -> bool:
        return pair.user in gone or (lost[pair] == "direct" and found.wanted.left_group(*pair))

    return {pair: kind for pair, kind in lost.items() if not has_ended(pair)}


async def _totals(here: EnvironmentSync, doubtful: Iterable[Pair]) -> dict[str, int]:
    """Return how many members are counted in all in the groups in question with members to whom no nesting leads.

    Left out are those of which that is not said.
    """
    totals: dict[str, int] = {}
    for group in set() if here.is_narrowed else {pair.group for pair in doubtful} & here.found.opaque:
        with suppress(*ONE_FAILS):
            fresh = await here.source.group(group)
            if fresh is not None and fresh.total_member_count is not None:
                totals[group] = fresh.total_member_count
    return totals


async def _lacking(here: EnvironmentSync, totals: Mapping[str, int]) -> set[str]:
    """Return the groups of which more members are counted in all than were found by lists, or one by one."""
    return {group for group, total in totals.items() if await here.task.staging.count_members(group) < total}


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
