"""Groups: which there are, and how they are nested; what cannot be read of them stays as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pingone_mcp.directory.models import Group
from pingone_mcp.directory.nesting import Nesting
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.noted import UNREADABLE
from pingone_mcp.replica.store.rows import group_row
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.syncing.task import ONE_FAILS, EnvironmentSync
from pingone_mcp.tasks import each


async def list_groups(here: EnvironmentSync) -> list[Group] | None:
    """Return the groups that can be seen, and note those that stay as they were; None where there is no list."""
    here.task.report("groups", 0, None)
    try:
        groups, is_whole = await here.source.groups()
    except ONE_FAILS as problem:
        here.found.with_groups = False
        here.coverage.memberships = UNREADABLE
        here.notes.append(f"The groups of {here.id} could not be read ({problem.code}); they stay as they were.")
        return None
    here.short_before = await here.task.look(looks.shortfalls_known, here.id)
    old = await here.task.look(looks.groups_known, here.id)
    missing = old.keys() - {group.id for group in groups} - here.found.wanted.removed_groups
    there, kept = await _settle_groups(here, missing, old, groups)
    groups += there
    here.listed = {group.id for group in groups}
    here.found.groups = [group_row(group, here.id) for group in groups]
    here.found.groups += [old[group] for group in sorted(kept)]
    for group in kept:
        here.fall_short(group, why="NOT_LISTED")
    here.coverage.groups_short = not is_whole
    return groups


async def _settle_groups(
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

    await each(ask, sorted(missing))
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


async def read_nestings(here: EnvironmentSync, groups: Sequence[Group], old: set[Nesting]) -> None:
    """Find all nestings."""
    present = {group.id for group in here.found.groups}
    # Those in groups that were not listed stay as they were.
    here.found.nestings = {one for one in old if one.group in present and one.parent in present - here.listed}
    await _children_of(here, [group for group in groups if group.group_count != 0], old)


async def reread_nestings(here: EnvironmentSync, groups: Sequence[Group], named: set[str], old: set[Nesting]) -> None:
    """Find the nestings: of groups that are named, and in groups that hold another number of groups than before."""
    found = here.found
    present = {group.id for group in found.groups}
    kept = {one for one in old if one.group in present and one.parent in present}
    children = Counter(one.parent for one in kept)
    recounted = [group for group in groups if group.group_count is not None and group.group_count != children[group.id]]
    if len(named) + len(recounted) >= sum(group.group_count != 0 for group in groups):
        await read_nestings(here, groups, old)
        return
    found.nestings = kept
    await _children_of(here, recounted, old)
    await _parents_of(here, named, old)


async def _parents_of(here: EnvironmentSync, groups: set[str], old: set[Nesting]) -> None:
    found = here.found
    present = {group.id for group in found.groups}

    async def read(group: str) -> None:
        try:
            parents = await here.source.parents(group)
        except ONE_FAILS as problem:
            here.fall_short(group, why=problem.code)
            return
        parents |= {one.parent for one in old if one.group == group} - here.listed  # they are not seen here either
        found.nestings = {one for one in found.nestings if one.group != group}
        found.nestings |= {Nesting(group, parent) for parent in parents & present}

    await each(read, sorted(groups))


async def _children_of(here: EnvironmentSync, groups: Sequence[Group], old: set[Nesting]) -> None:
    found = here.found
    present = {group.id for group in found.groups}

    async def read(group: Group) -> None:
        before = {one.group for one in old if one.parent == group.id}
        try:
            children = await _children(here, group, before)
        except ONE_FAILS as problem:
            here.fall_short(group.id, why=problem.code)
            children = before
        children |= before - here.listed  # a group that is not listed is not seen here either
        found.nestings = {one for one in found.nestings if one.parent != group.id}
        found.nestings |= {Nesting(child, group.id) for child in children & present}

    await each(read, groups)


async def _children(here: EnvironmentSync, group: Group, before: set[str]) -> set[str]:
    """Return the groups nested in one: those of before too, where fewer can be found than the provider counts."""
    children = await here.source.children(group.id)
    if group.group_count is None or len(children) >= group.group_count:
        return children
    fresh = await here.source.group(group.id)
    children = await here.source.children(group.id)
    if fresh is None or fresh.group_count is None or len(children) >= fresh.group_count:
        return children
    here.fall_short(group.id, why="NESTED_GROUPS")
    return children | before
