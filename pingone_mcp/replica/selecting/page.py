"""Pages of selected users, in the order that was asked for.

A position holds the last row's place in that order, not a number of rows: it stays good when a sync changes others.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pingone_mcp.directory.matching.unified import Sorting, UserSelection, user_field
from pingone_mcp.directory.models import User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import Place, find
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.directory.provider import Include
from pingone_mcp.replica.asking.conditions import Condition
from pingone_mcp.replica.asking.pages import MOST, TablePart, read_page
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import completed, listed
from pingone_mcp.replica.selecting.conditions import selected, wants_removed
from pingone_mcp.replica.store.schema import USER, USER_WITH_REMOTE_DATA

_USUAL = 200


def selected_page(copy: Snapshot, selection: UserSelection, at: Position | None, page_size: int | None) -> Page[User]:
    """Return a page of users with groups and roles as far as these are held. Raises Refused, and NotHeld."""
    removed = wants_removed(selection.conditions)
    columns = USER_WITH_REMOTE_DATA if selection.remote_data and copy.has_remote_data else USER
    include = _held(copy)
    sorting = selection.sorting
    key = f"selected {sorting.field} {sorting.descending}" if sorting is not None else "selected"
    part = TablePart(key=key, where=selected(copy, selection.conditions))

    def rows(_: TablePart, found: list[tuple[Any, ...]]) -> Sequence[User]:
        users = [listed(copy, row[1:], removed=removed) for row in found]
        return completed(copy, users, include) if include and not removed else users

    if sorting is None:
        return read_page(copy, [part], columns, rows, at=at, page_size=page_size, environment=None)
    place, order = find([part], at, source="replica"), _Order.of(sorting)
    return _sorted_page(copy, place, order, columns, min(page_size or _USUAL, MOST), rows=rows)


def _held(copy: Snapshot) -> tuple[Include, ...]:
    groups: tuple[Include, ...] = ("groups",) if copy.has_memberships else ()
    return (*groups, "roles") if copy.has_roles else groups


@dataclass(frozen=True, slots=True)
class _Order:
    """One order of users: by a column, those without a value last, and by id where that is the same."""

    column: str
    descending: bool

    @classmethod
    def of(cls, sorting: Sorting) -> _Order:
        return cls(f"u.{user_field(sorting.field).path}", sorting.descending)

    @property
    def by(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"({self.column} IS NULL), {self.column} COLLATE NOCASE {direction}, u.id"

    def behind(self, after: str | None) -> Condition:
        """Return that a row comes behind the last row of the page before."""
        if after is None:
            return Condition("1")
        value, identity = json.loads(after)
        if value is None:
            return Condition(f"({self.column} IS NULL AND u.id > ?)", (identity,))
        sign = "<" if self.descending else ">"
        return Condition(
            f"({self.column} IS NULL OR {self.column} {sign} ? COLLATE NOCASE "
            f"OR ({self.column} = ? COLLATE NOCASE AND u.id > ?))",
            (value, value, identity),
        )


def _sorted_page(
    copy: Snapshot, place: Place[TablePart], order: _Order, columns: str, size: int, *, rows: Any
) -> Page[User]:
    before, where = place.position, place.part.where
    behind = order.behind(before.after)
    found = copy.database.execute(
        f"SELECT {order.column}, u.id, {columns} FROM users_ u "  # noqa: S608 - our own text; what a question holds is bound
        f"WHERE {where.sql} AND {behind.sql} ORDER BY {order.by} LIMIT ?",
        (*where.values, *behind.values, size + 1),
    ).fetchall()
    kept, more = found[:size], len(found) > size
    total = _total(copy, before, where)
    counted = Counted(said=total, version=copy.version)
    following = dataclasses.replace(before, after=json.dumps(kept[-1][:2]), counted=counted) if more else None
    items = tuple(rows(place.part, [row[1:] for row in kept]))
    at = dataclasses.replace(before, counted=counted)
    return Page(items=items, at=at, next=following, scanned=len(items), total=total, about=total, gaps=copy.gaps(None))


def _total(copy: Snapshot, at: Position, where: Condition) -> int:
    if at.counted.said is not None and at.counted.version == copy.version:
        return at.counted.said
    (count,) = copy.database.execute(f"SELECT count(*) FROM users_ u WHERE {where.sql}", where.values).fetchone()  # noqa: S608 - our own text
    return int(count)
