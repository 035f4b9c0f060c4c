"""Lists of users out of the local copy, and what else is kept of each: memberships and roles."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pingone_mcp.directory.matching import search
from pingone_mcp.directory.matching.filterable import Filterable, FilterAttribute
from pingone_mcp.directory.matching.filters import Filter, any_of, conditions, parse
from pingone_mcp.directory.matching.references import Home
from pingone_mcp.directory.models import GroupMembership, RoleAssignment, RoleScope, User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import Include, UserQuestion
from pingone_mcp.errors import FilterRefused
from pingone_mcp.replica.asking.conditions import (
    EVERYBODY,
    Condition,
    NotHeld,
    both,
    has_words,
    membership,
    negated,
    one_of,
)
from pingone_mcp.replica.asking.filters import FilterLanguage, json_path
from pingone_mcp.replica.asking.pages import TablePart, read_page
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import USER, USER_WITH_REMOTE_DATA

EXISTS = Condition("u.removed_at IS NULL")


def users_page(
    copy: Snapshot,
    filterable: Filterable,
    question: UserQuestion,
    at: Position | None,
    page_size: int | None,
    *,
    otherwise_spelt: bool = False,
) -> Page[User]:
    """Return a page of users. Raises Refused, FilterRefused, and NotHeld for what only the provider can answer.

    `otherwise_spelt` are those whom the question finds only if accents make no difference.
    """

    def rows(_: TablePart, found: list[tuple[Any, ...]]) -> Sequence[User]:
        users = [listed(copy, row[1:]) for row in found]
        return completed(copy, users, question.include) if question.include else users

    return read_page(
        copy,
        user_parts(copy, filterable, question, otherwise_spelt=otherwise_spelt),
        USER_WITH_REMOTE_DATA if question.remote_data else USER,
        rows,
        at=at,
        page_size=page_size,
        environment=question.environment,
    )


def user_parts(
    copy: Snapshot, filterable: Filterable, question: UserQuestion, *, otherwise_spelt: bool = False
) -> list[TablePart]:
    """Return where the users asked for are found. Raises Refused, FilterRefused and NotHeld."""
    places = copy.places
    search = _otherwise_spelt if otherwise_spelt else _people
    text = search(question.query) if question.query is not None else EVERYBODY
    raw = parse(question.filter) if question.filter is not None else None

    environments, group = places.environments(question.environment), EVERYBODY
    if question.group is not None:
        place, identity = places.find_group(question.environment, question.group)
        environments, group = (place,), membership(identity)
        copy.need_memberships()
    status = Condition("u.status = ?", (question.status,)) if question.status is not None else EVERYBODY

    found = [_part(copy, home, group, both(status, text)) for home in places.homes(environments, question.population)]
    if question.remote_data and not copy.has_remote_data:
        raise NotHeld
    if raw is None:
        return found
    wanted = _filtered(copy, filterable, question.filter or "", raw)
    return [dataclasses.replace(part, where=both(part.where, wanted), as_many=None) for part in found]


def _part(copy: Snapshot, home: Home, group: Condition, wanted: Condition) -> TablePart:
    inside = both(copy.places.inside(home), EXISTS)
    if group is EVERYBODY:
        return TablePart(key=home.environment, where=both(inside, wanted))
    return members(copy, home.environment, group, inside, wanted, narrowed=home.population is not None)


def members(
    copy: Snapshot,
    key: str,
    held: Condition,
    inside: Condition,
    wanted: Condition = EVERYBODY,
    *,
    label: str = "",
    narrowed: bool = False,
) -> TablePart:
    """Return the users of whom a condition on memberships holds, one after the other as the memberships are kept.

    All members are in the environment of their group. So memberships alone are counted where nothing more is `wanted`,
    and where populations do not narrow it.
    """
    whole = wanted is EVERYBODY and not narrowed and not copy.places.scope.populations
    return TablePart(
        key=key,
        label=label,
        table="memberships_ m CROSS JOIN users_ u ON u.id = m.user_id",
        where=both(held, inside, wanted),
        order="m.user_id",
        as_many=Condition(f"memberships_ m WHERE {held.sql}", held.values) if whole else None,
    )


_SEARCHED = Filterable(provider="", attributes={name: FilterAttribute(("sw",), name) for name in search.FIELDS})


def _people(query: str) -> Condition:
    return FilterLanguage(_SEARCHED).condition(any_of(search.readings(query)))


def _otherwise_spelt(query: str) -> Condition:
    """Return that a search finds a user only where accents make no difference."""
    near = FilterLanguage(_SEARCHED, accents=False).condition(any_of(search.readings(query)))
    return both(has_words(search.certain_words(query)), near, negated(_people(query)))


def _filtered(copy: Snapshot, filterable: Filterable, text: str, wanted: Filter) -> Condition:
    undocumented = {attribute for attribute, _ in conditions(wanted)} - filterable.attributes.keys()
    custom = {attribute for attribute in undocumented if _is_custom(copy, attribute)}
    if any(operator == "[]" for _, operator in conditions(wanted)):
        copy.need_memberships()
    try:
        return FilterLanguage(filterable, custom, copy.has_remote_data).condition(wanted)
    except FilterRefused as refusal:
        raise filterable.advised(refusal, text) from None


def _is_custom(copy: Snapshot, attribute: str) -> bool:
    """Say whether somebody has a custom attribute: which ones exist beside that, only the provider knows."""
    query = "SELECT 1 FROM users_ u WHERE json_type(u.custom_attributes, ?) IS NOT NULL LIMIT 1"
    return copy.database.execute(query, (json_path(attribute),)).fetchone() is not None


def listed(copy: Snapshot, row: Sequence[Any], *, removed: bool = False) -> User:
    """Return a user, the values of `schema.USER`, as a row of a list shows it."""
    return user_of(
        row,
        environments=copy.places.shown_environment_names(),
        populations=copy.places.population_names,
        removed=removed,
    )


def completed(copy: Snapshot, users: Sequence[User], include: Sequence[Include]) -> list[User]:
    """Return these users, which nobody else has, with groups and roles, as far as they are in the copy."""
    ids = [user.id for user in users]
    groups = memberships_of(copy, ids) if "groups" in include and copy.has_memberships else None
    roles = roles_of(copy, ids) if "roles" in include and copy.has_roles else None
    unreadable = tuple(
        name for name, held in (("groups", groups), ("roles", roles)) if name in include and held is None
    )
    for user in users:
        user.groups = tuple(groups[user.id]) if groups is not None else None
        user.roles = tuple(roles[user.id]) if roles is not None else None
        user.unreadable = (*user.unreadable, *unreadable)
    return list(users)


def memberships_of(copy: Snapshot, ids: Sequence[str]) -> dict[str, list[GroupMembership]]:
    """Return the memberships of some users by id of the user, oldest group first; empty for who has none."""
    who = one_of("m.user_id", ids)
    found = defaultdict[str, list[GroupMembership]](list)
    for user, group, name, kind in copy.database.execute(
        "SELECT m.user_id, g.id, g.name, m.type FROM memberships_ m JOIN groups_ g ON g.id = m.group_id "  # noqa: S608 - our own text
        f"WHERE {who.sql} ORDER BY g.created_at, g.id",
        who.values,
    ):
        found[user].append(GroupMembership(id=group, name=name, type=kind))
    return found


def roles_of(copy: Snapshot, ids: Sequence[str]) -> dict[str, list[RoleAssignment]]:
    """Return the administrator roles of some users by id of the user; empty for who has none, or was not read."""
    who = one_of("user_id", ids)
    found = defaultdict[str, list[RoleAssignment]](list)
    for user, role, name, kind, scope, scope_name in copy.database.execute(
        "SELECT user_id, role_id, role_name, scope_type, scope_id, scope_name FROM role_assignments_ "  # noqa: S608 - our own text
        f"WHERE {who.sql} ORDER BY role_name, scope_name",
        who.values,
    ):
        over = RoleScope(id=scope, type=kind, name=scope_name) if scope and kind else None
        found[user].append(RoleAssignment(id=role, name=name, scope=over))
    return found
