"""Users and groups as rows of the local copy, and back.

A user is `directory.user_row.UserRow`, in the order of the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pingone_mcp.directory import user_row
from pingone_mcp.directory.models import Group, JsonObject, Manager, Named, User
from pingone_mcp.directory.rows import plain, timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.store.store import Damaged

Row = tuple[Any, ...]


def storable(row: Row) -> Row:
    """Return a row whose texts SQLite takes: what is no Unicode (a lone surrogate) is replaced."""
    return tuple(
        value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in row
    )


def user_of(
    row: Sequence[Any],
    *,
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
    manager: Manager | None = None,
    removed: bool = False,
) -> User:
    """Return the user of a row of the copy, the values of `schema.USER_COLUMNS`, as `user_row.user_of` does.

    Raises Damaged for what no sync has written.
    """
    try:
        return user_row.user_of(
            UserRow._make(row), environments=environments, populations=populations, manager=manager, removed=removed
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged("what is kept of a user cannot be read") from error


def record_of(row: Sequence[Any]) -> JsonObject:
    """Return the plain record of a user (`directory.changes`), without what the provider sent. Raises Damaged."""
    record: JsonObject = plain(user_of(UserRow._make(row)._replace(remote_data=None)))
    return record


def group_row(group: Group, environment: str) -> GroupRow:
    """Return a group as a row."""
    return GroupRow(
        id=group.id,
        environment_id=environment,
        name=group.name,
        description=group.description,
        external_id=group.external_id,
        group_type=group.group_type,
        population_id=group.workspace.id if group.workspace is not None else None,
        user_filter=group.user_filter,
        member_count=group.member_count,
        total_member_count=group.total_member_count,
        created_at=timestamp(group.created_at) if group.created_at is not None else None,
        updated_at=timestamp(group.updated_at) if group.updated_at is not None else None,
    )


def group_of(
    row: Row,
    *,
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
) -> Group:
    """Return the group of a row, in the order of `schema.GROUP_COLUMNS`."""
    known = GroupRow(*row)
    place, population = known.environment_id, known.population_id
    return Group(
        id=known.id,
        name=known.name,
        description=known.description,
        external_id=known.external_id,
        group_type=known.group_type,
        organization=Named(id=place, name=(environments or {}).get(place)),
        workspace=Named(id=population, name=(populations or {}).get(population)) if population is not None else None,
        user_filter=known.user_filter,
        member_count=known.member_count,
        total_member_count=known.total_member_count,
        created_at=_time(known.created_at),
        updated_at=_time(known.updated_at),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
