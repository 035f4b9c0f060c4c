"""Groups: which there are, and how they are nested; what cannot be read of them stays as it was."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from pingone_mcp.directory.models import Group
from pingone_mcp.directory.nesting import Nesting, above_each
from pingone_mcp.directory.rights import GROUPS
from pingone_mcp.replica.evidence import NESTED_GROUPS
from pingone_mcp.replica.source import GroupList
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.noted import UNREADABLE
from pingone_mcp.replica.store.rows import group_row
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.syncing.task import AT_ONCE, ONE_FAILS, EnvironmentSync, why_unread
from pingone_mcp.tasks import each


async def read_groups(here: EnvironmentSync) -> GroupList | None:
    """Return the groups that can be seen; None, and a note, where there is no list."""
    here.report("groups", 0, None)
    try:
        listed = await here.source.groups()
    except ONE_FAILS as problem:
        here.found.with_groups = False
        here.coverage.memberships = UNREADABLE
        here.notes.append(f"The groups of {here.id} {why_unread(problem, GROUPS)}; they stay as they were.")
        return None
    here.remember(await here.task.look(looks.shortfalls_known, here.id))
    return listed


async def settle_groups(here: EnvironmentSync, listed: GroupList) -> list[Group]:
    """Note which groups there are, those that stay as they were included; return those that can be seen.

    For after the events are read: a group that they call deleted is not looked for.
    """
    old = await here.task.look(looks.groups_known, here.id)
    here.found.nested_before = await here.task.look(looks.nestings_known, here.id)
    missing = old.keys() - {group.id for group in listed.groups} - here.found.wanted.removed_groups
    there, kept = await _settle_missing(here, missing, old, listed.groups)
    groups = [*listed.groups, *there]
    here.listed = {group.id for group in groups}
    here.found.groups = [group_row(group, here.id) for group in groups]
    here.found.groups += [old[group] for group in sorted(kept)]
    for group in kept:
        here.fall_short(group, why="NOT_LISTED")
    here.coverage.groups_short = not listed.is_whole
    return groups


async def _settle_missing(
    here: EnvironmentSync, missing: set[str], known: Mapping[str, GroupRow], listed: Sequence[Group]
) -> tuple[list[Group], set[str]]:
    """Return the groups that are there although they were not listed, and those of which nothing is known."""
    there: list[Group] = []
    absent: set[str] = set()
    kept: set[str] = set()
    scope = here.task.source.scope

    async def ask(identity: str) -> None:
        try:
            group = await here.source.group(identity)
        except ONE_FAILS:
            kept.add(identity)
            return
        if group is None:
            absent.add(identity)
        elif scope.has_group_of(group.workspace.id if group.workspace is not None else None):
            there.append(group)

    await each(ask, sorted(missing), at_once=AT_ONCE)
    doubtful = absent - here.task.accepted
    here.hold([here.counts_vanished("groups", doubtful, len(known))], doubtful)
    unseen = await _unseen_groups(here, {group: known[group].population_id for group in doubtful}, listed)
    here.coverage.unseen_groups = sorted(unseen)
    return there, kept | unseen


async def _unseen_groups(here: EnvironmentSync, absent: Mapping[str, str | None], listed: Sequence[Group]) -> set[str]:
    """Return which of these groups, with their populations, may be hidden.

    A 404 is believed while another group of the same population, or of the environment, can be read.
    """
    controls = {group.workspace.id if group.workspace is not None else None: group.id for group in listed}
    visible: set[str | None] = set()
    for place in set(absent.values()) & controls.keys():
        with suppress(*ONE_FAILS):
            if await here.source.group(controls[place]) is not None:
                visible.add(place)
    return {group for group, place in absent.items() if place not in visible}


# Nestings


class Children(NamedTuple):
    """The groups found to be nested in one, and whether those are all."""

    groups: set[str]
    is_whole: bool = True


async def read_children(here: EnvironmentSync, groups: Iterable[Group]) -> dict[str, Children]:
    """Return what is nested in each of these groups."""
    found: dict[str, Children] = {}

    async def read(group: Group) -> None:
        try:
            found[group.id] = await _children(here, group)
        except ONE_FAILS:
            found[group.id] = Children(set(), is_whole=False)

    await each(read, (group for group in groups if group.group_count != 0), at_once=AT_ONCE)
    return found


def renew_nestings(here: EnvironmentSync, children: Mapping[str, Children]) -> None:
    """Note all nestings, where the children of all groups that have any were read."""
    found, old = here.found, here.found.nested_before
    present = {group.id for group in found.groups}
    # Those in groups that were not listed stay as they were.
    found.nestings = {one for one in old.pairs if one.group in present and one.parent in present - here.listed}
    found.partly_nested = old.partly & present - here.listed
    _put_children(here, children)


async def reread_nestings(here: EnvironmentSync, groups: Sequence[Group], named: set[str]) -> None:
    """Find the nestings: of groups that are named, and in groups that hold another number of groups than before."""
    keep_nestings(here, {group.id: group for group in groups})
    recounted = _recounted(here, groups)
    if len(named) + len(recounted) >= sum(group.group_count != 0 for group in groups):
        renew_nestings(here, await read_children(here, groups))
        return
    await reread_some_nestings(here, {group.id: group for group in groups}, named)


def keep_nestings(here: EnvironmentSync, there: Mapping[str, Group]) -> None:
    """Note the nestings of before, of the groups that there are still; in those that hold none by now there is none."""
    found, old = here.found, here.found.nested_before
    present = {group.id for group in found.groups}
    found.nestings = {one for one in old.pairs if one.group in present and one.parent in present}
    found.partly_nested = old.partly & present - {group for group, one in there.items() if one.group_count == 0}


async def reread_some_nestings(here: EnvironmentSync, there: Mapping[str, Group], named: set[str]) -> None:
    """Find the nestings of groups that are named, and in groups that hold another number of groups; others stay.

    Of the groups that are `there` it is known how many they hold. A group in which one is not nested any more may hold
    another one in its place, that cannot be seen.
    """
    read = _recounted(here, there.values())
    _put_children(here, await read_children(here, read))
    await _parents_of(here, named)
    lost = {one.parent for one in here.found.nested_before.pairs - here.found.nestings} & here.listed
    asked = {group: there[group] for group in there.keys() - {one.id for one in read}}
    for group in sorted(lost - there.keys()):
        with suppress(*ONE_FAILS):
            if (one := await here.source.group(group)) is not None:
                asked[group] = one
    _put_children(here, await read_children(here, _recounted(here, asked.values())))


def _recounted(here: EnvironmentSync, groups: Iterable[Group]) -> list[Group]:
    """Return the groups that hold another number of groups than is known, and those known in part."""
    children = Counter(one.parent for one in here.found.nestings)
    partly = here.found.partly_nested
    return [one for one in groups if one.id in partly or one.group_count not in (None, children[one.id])]


async def _parents_of(here: EnvironmentSync, groups: set[str]) -> None:
    found, old = here.found, here.found.nested_before
    present = {group.id for group in found.groups}

    async def read(group: str) -> None:
        try:
            parents = await here.source.parents(group)
        except ONE_FAILS as problem:
            here.fall_short(group, why=problem.code)
            return
        parents |= {one.parent for one in old.pairs if one.group == group} - here.listed  # not seen here either
        found.nestings = {one for one in found.nestings if one.group != group}
        found.nestings |= {Nesting(group, parent) for parent in parents & present}

    await each(read, sorted(groups), at_once=AT_ONCE)


def _put_children(here: EnvironmentSync, children: Mapping[str, Children]) -> None:
    """Note what is nested in some groups; where some could not be found, those of before stay nested too."""
    found = here.found
    present = {group.id for group in found.groups}
    before = defaultdict[str, set[str]](set)
    for one in found.nested_before.pairs:
        before[one.parent].add(one.group)
    found.nestings = {one for one in found.nestings if one.parent not in children}
    for parent, read in children.items():
        if not read.is_whole and parent not in found.short:
            here.fall_short(parent, why=NESTED_GROUPS)
        # A group that is not listed is not seen here either.
        inside = read.groups | (before[parent] - here.listed if read.is_whole else before[parent])
        found.nestings |= {Nesting(child, parent) for child in inside & present}
        if read.is_whole and inside <= present:
            found.partly_nested.discard(parent)
        else:
            found.partly_nested.add(parent)


async def _children(here: EnvironmentSync, group: Group) -> Children:
    """Return the groups nested in one, and whether they are fewer than the provider counts."""
    children = await here.source.children(group.id)
    if group.group_count is None or len(children) >= group.group_count:
        return Children(children)
    fresh = await here.source.group(group.id)
    children = await here.source.children(group.id)
    is_whole = fresh is None or fresh.group_count is None or len(children) >= fresh.group_count
    return Children(children, is_whole)


def work_out_whole(here: EnvironmentSync, *, deleted: set[str], alone: set[str]) -> None:
    """Note the groups whose effective members may have changed: those read again, and all above them, now or before.

    Those that were read `alone`, because that is less than to ask of each user who was changed, move no others. Any
    other group may be nested in one that cannot be seen, and what happened to it may concern all above that. Where no
    known nesting leads to all members any more, they are read now.
    """
    found, old = here.found, here.found.nested_before
    moved = {one.parent for one in old.pairs ^ found.nestings}
    seeds = (found.reread - alone) | moved | deleted | (old.partly ^ found.partly_nested)
    if seeds or found.wanted.groups:
        seeds |= found.partly_nested
    above, above_before = above_each(found.nestings), above_each(old.pairs)
    found.whole = alone.union(seeds, *(above.get(seed, set()) | above_before.get(seed, set()) for seed in seeds))
    found.reread |= (found.whole - alone) & found.opaque & here.listed
    note_newly_veiled(here)


def note_newly_veiled(here: EnvironmentSync) -> set[str]:
    """Note that groups are to be read to all of whose members no known nesting leads any more; return these."""
    found = here.found
    new = (found.veiled & here.listed) - found.nested_before.read - found.reread - here.short_before.keys()
    found.whole |= new
    found.reread |= new
    return new
