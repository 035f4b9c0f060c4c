"""Pages of a listing out of the local copy: its parts are rows of tables, in the order of their ids.

A position names the part and the last id before it, not a number of rows. So it stays good when a sync between two
pages adds and removes some, and even when the copy is made anew: who is there all the time comes once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import Place, find, part_name
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.replica.asking.conditions import Condition
from pingone_mcp.replica.asking.snapshot import Snapshot

T = TypeVar("T")

MOST = 1_000
_USUAL = 200
_MANY_PAGES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePart:
    """One part of a listing: the rows of a table (named `u`, joined with others or not) that a condition holds for.

    `label` says what its rows have in common: a reason, a type of membership. `order` is a column that holds `u.id` and
    has an index in that order. `as_many` is a table with a condition that has as many rows and is counted faster.
    """

    key: str
    where: Condition
    table: str = "users_ u"
    label: str = ""
    order: str = "u.id"
    as_many: Condition | None = None

    @property
    def name(self) -> str:
        return part_name(self.key, json.dumps([self.where.sql, self.where.values]))


def read_page(
    copy: Snapshot,
    parts: Sequence[TablePart],
    columns: str,
    rows: Callable[[TablePart, list[tuple[Any, ...]]], Sequence[T]],
    *,
    at: Position | None,
    page_size: int | None,
    environment: str | None,
) -> Page[T]:
    """Return the page at a position, which may reach over several parts.

    `rows` makes items of what was read of one part: `u.id`, then the columns. `environment` is the one that the
    question names, for the gaps. Raises Refused for a position of another question.
    """
    place = find(parts, at, source="replica")
    size = place.position.size or min(page_size or _USUAL, MOST)
    total = _total(copy, place)
    # Where few are found, looking through the table and sorting them is faster than the order of the ids.
    plus = "" if total > _MANY_PAGES * size else "+"

    items: list[T] = []
    last, more = place, False
    for number in range(place.number, len(parts)) if total else ():
        here = place.in_part(number)
        found = _read(copy, here, columns, plus=plus, most=size + 1 - len(items))
        more = len(items) + len(found) > size
        if kept := found[: size - len(items)]:
            items += rows(here.part, kept)
            last = replace(here, position=replace(here.position, after=kept[-1][0]))
        if more:
            break
    counted = Counted(said=total, version=copy.version)
    return Page(
        items=tuple(items),
        at=replace(place.position, size=size, counted=counted),
        next=last.behind(last.position.after, counted) if more else None,
        scanned=len(items),
        total=total,
        about=total,
        gaps=copy.gaps(environment),
    )


def _total(copy: Snapshot, place: Place[TablePart]) -> int:
    """Return how many rows there are in all; a position knows that of the state of the copy that it is of."""
    counted = place.position.counted
    if counted.said is not None and counted.version == copy.version:
        return counted.said
    return sum(_count(copy, part) for part in place.parts)


def _read(copy: Snapshot, place: Place[TablePart], columns: str, *, plus: str, most: int) -> list[tuple[Any, ...]]:
    part, order = place.part, f"{plus}{place.part.order}"
    return copy.database.execute(
        f"SELECT u.id, {columns} FROM {part.table} WHERE {part.where.sql} AND {order} > ? ORDER BY {order} LIMIT ?",  # noqa: S608 - our own text; what a question holds is bound
        (*part.where.values, place.position.after or "", most),
    ).fetchall()


def _count(copy: Snapshot, part: TablePart) -> int:
    counted = part.as_many or Condition(f"{part.table} WHERE {part.where.sql}", part.where.values)
    (count,) = copy.database.execute(f"SELECT count(*) FROM {counted.sql}", counted.values).fetchone()  # noqa: S608 - our own text; what a question holds is bound
    return int(count)
