"""Groups out of the local copy: lists of them, one of them whole, and who is in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from pingone_mcp.directory.matching.references import Home
from pingone_mcp.directory.models import Group, GroupMembership, Member, MembershipType, Named
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import GroupQuestion, MemberQuestion
from pingone_mcp.directory.text.harmless import unaccented
from pingone_mcp.replica.asking.conditions import (
    EVERYBODY,
    Condition,
    NotHeld,
    bindable,
    both,
    either,
    membership,
    one_of,
)
from pingone_mcp.replica.asking.pages import TablePart, read_page
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS, listed, members
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import group_of

_COLUMNS = ", ".join(f"u.{name}" for name in schema.GROUP_COLUMNS)
_SUBGROUPS = "(SELECT count(*) FROM nestings_ n WHERE n.parent_id = u.id)"
_MEMBERS = "(SELECT count(*) FROM memberships_ m WHERE m.group_id = u.id)"


def groups_page(copy: Snapshot, question: GroupQuestion, at: Position | None, page_size: int | None) -> Page[Group]:
    """Return a page of groups. Raises Refused, and NotHeld for what only the provider can answer."""
    return read_page(
        copy,
        group_parts(copy, question),
        f"{_COLUMNS}, {_SUBGROUPS}",
        lambda _, found: [_listed(copy, row) for row in found],
        at=at,
        page_size=page_size,
        environment=question.environment,
    )


def group_parts(copy: Snapshot, question: GroupQuestion) -> list[TablePart]:
    """Return where the groups asked for are found. Raises Refused and NotHeld."""
    if question.remote_data:
        raise NotHeld
    copy.need_memberships()
    places = copy.places
    words = unaccented(question.query or "").split()
    named = both(*[Condition("instr(unaccented(u.name), ?)", (bindable(word),)) for word in words])
    allowed = sorted(places.scope.populations)
    served = either((Condition("u.population_id IS NULL"), one_of("u.population_id", allowed)))

    def part(home: Home) -> TablePart:
        here = Condition("u.environment_id = ?", (home.environment,))
        inside = one_of("u.population_id", (home.population,)) if home.population is not None else EVERYBODY
        where = both(here, inside, named, served if allowed else EVERYBODY)
        return TablePart(key=home.environment, table="groups_ u", where=where)

    environments = places.environments(question.environment)
    return [part(home) for home in places.homes(environments, question.population)]


def _listed(copy: Snapshot, row: tuple[Any, ...]) -> Group:
    _, *columns, subgroups = row
    group = group_of(
        tuple(columns),
        environments=copy.places.shown_environment_names(),
        populations=copy.places.population_names,
    )
    group = dataclasses.replace(group, group_count=subgroups, total_member_count=None)
    if _goes_beyond(copy, group):
        group = dataclasses.replace(group, member_count=None, group_count=None)
    return group


def _goes_beyond(copy: Snapshot, group: Group) -> bool:
    """Say whether a group has members outside the populations served, so that its counts are not to be shown."""
    return bool(copy.places.scope.populations) and group.workspace is None


def one_group(copy: Snapshot, reference: str, environment: str | None) -> Group:
    """Return a group with its total member count and the groups that it is nested in. Raises Refused, and NotHeld."""
    copy.need_memberships()
    place, identity = copy.places.find_group(environment, reference)
    *columns, subgroups, total = copy.database.execute(
        f"SELECT {_COLUMNS}, {_SUBGROUPS}, {_MEMBERS} FROM groups_ u WHERE u.id = ?",  # noqa: S608 - our own text
        (identity,),
    ).fetchone()
    group = group_of(tuple(columns), populations=copy.places.population_names)
    group = dataclasses.replace(
        group,
        organization=Named(id=place, name=copy.places.environment_names.get(place)),
        group_count=subgroups,
        total_member_count=total,
        parents=_parents(copy, identity),
    )
    if _goes_beyond(copy, group):
        group = dataclasses.replace(group, member_count=None, group_count=None, total_member_count=None)
    return group


def _parents(copy: Snapshot, identity: str) -> tuple[GroupMembership, ...]:
    """Return the groups that a group is nested in, directly or further up; a circle is walked once."""
    rows = copy.database.execute(
        """WITH RECURSIVE above (id) AS (
            SELECT parent_id FROM nestings_ WHERE group_id = ?1
            UNION SELECT n.parent_id FROM nestings_ n JOIN above ON n.group_id = above.id
        )
        SELECT g.id, g.name, EXISTS (SELECT 1 FROM nestings_ n WHERE n.group_id = ?1 AND n.parent_id = g.id)
        FROM above JOIN groups_ g ON g.id = above.id WHERE g.id <> ?1 ORDER BY g.created_at, g.id""",
        (identity,),
    )
    return tuple(
        GroupMembership(id=parent, name=name, type="direct" if direct else "indirect") for parent, name, direct in rows
    )


def members_page(copy: Snapshot, question: MemberQuestion, at: Position | None, page_size: int | None) -> Page[Member]:
    """Return a page of members, the direct ones first. Raises Refused, and NotHeld."""

    def rows(part: TablePart, found: list[tuple[Any, ...]]) -> Sequence[Member]:
        kind: MembershipType = "direct" if part.label == "direct" else "indirect"
        return [Member(user=listed(copy, row[1:]), type=kind) for row in found]

    return read_page(
        copy,
        member_parts(copy, question),
        schema.USER,
        rows,
        at=at,
        page_size=page_size,
        environment=question.environment,
    )


def member_parts(copy: Snapshot, question: MemberQuestion) -> list[TablePart]:
    """Return where the members asked for are found. Raises Refused and NotHeld."""
    copy.need_memberships()
    place, identity = copy.places.find_group(question.environment, question.group)
    kinds: Sequence[MembershipType] = ("direct",) if question.direct_only else ("direct", "indirect")
    inside = both(copy.places.inside(Home(place, None)), EXISTS)
    return [members(copy, f"{kind} {place}", membership(identity, kind), inside, label=kind) for kind in kinds]


def every_group(copy: Snapshot) -> Iterator[Group]:
    """Give every group of the copy, by name."""
    for row in copy.database.execute(f"SELECT {', '.join(schema.GROUP_COLUMNS)} FROM groups_ ORDER BY name, id"):  # noqa: S608 - our own names
        yield group_of(row)
