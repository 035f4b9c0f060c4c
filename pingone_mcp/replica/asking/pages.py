"""Pages of a listing out of the local copy: stretches of users or groups by id, and positions in them.

A position names the stretch and the last id before it, not a number of rows. So it stays good when a sync between
two pages adds and removes some, and even when the copy is made anew: who is there all the time comes once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import Page
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.conditions import Condition

T = TypeVar("T")

MOST = 1_000
_USUAL = 200
_MANY_PAGES = 4
_OURS = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
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
        """Name the stretch in positions, condition included."""
        asked = json.dumps([self.where.sql, self.where.values])
        return f"{_OURS} {self.key} {hashlib.blake2s(asked.encode(), digest_size=6).hexdigest()}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: behind an id of a stretch. `size` is that of the page when it was read first.

    `total` was counted in the state of the copy that `version` names.
    """

    stretch: str
    after: str = ""
    size: int | None = None
    version: int = 0
    total: int | None = None

    def __str__(self) -> str:
        told = [self.stretch, self.after, self.size, self.version, self.total]
        return json.dumps(told, separators=(",", ":"))


def is_ours(at: str) -> bool:
    """Say whether a position was made here, rather than by the live directory."""
    return at.startswith(f'["{_OURS} ')


def label_at(at: str) -> str:
    """Return the first word of the key of the stretch that a position leads into."""
    return str(json.loads(at)[0]).split(" ")[1]


def read_page(
    database: sqlite3.Connection,
    stretches: Sequence[Stretch],
    columns: str,
    at: str | None,
    *,
    version: int,
    page_size: int | None,
    rows: Callable[[Stretch, list[tuple[Any, ...]]], Sequence[T]],
    gaps: tuple[Gap, ...] = (),
) -> Page[T]:
    """Return the page at a position; `rows` makes items of what was read of one stretch, `u.id` first.

    Raises Refused for a position of another question.
    """
    place = _Place(*json.loads(at)) if at is not None else _Place(stretches[0].name)
    first = next((index for index, stretch in enumerate(stretches) if stretch.name == place.stretch), None)
    if first is None:
        raise Refused(
            "The environments or populations served have changed since this cursor was made.",
            "Start again without `cursor`.",
            code="STALE_CURSOR",
        )
    size = place.size or min(page_size or _USUAL, MOST)
    total = place.total
    if total is None or place.version != version:
        total = sum(_count(database, stretch) for stretch in stretches)

    items: list[T] = []
    last: tuple[Stretch, str] | None = None
    more = False
    # Where few are found, looking through the table and sorting them is faster than the order of the ids.
    mark = "" if total > _MANY_PAGES * size else "+"
    for stretch in stretches[first:] if total else ():
        after = place.after if stretch.name == place.stretch else ""
        found = _read(database, stretch, columns, after=after, mark=mark, most=size + 1 - len(items))
        more = len(items) + len(found) > size
        kept = found[: size - len(items)]
        if kept:
            items += rows(stretch, kept)
            last = stretch, kept[-1][0]
        if more:
            break
    following = _Place(last[0].name, last[1], None, version, total) if more and last is not None else None
    return Page(
        items=tuple(items),
        at=str(_Place(place.stretch, place.after, size, version, total)),
        next=str(following) if following is not None else None,
        scanned=len(items),
        total=total,
        about=total,
        gaps=gaps,
    )


def _read(
    database: sqlite3.Connection, stretch: Stretch, columns: str, *, after: str, mark: str, most: int
) -> list[tuple[Any, ...]]:
    where, order = stretch.where, f"{mark}{stretch.order}"
    return database.execute(
        f"SELECT u.id, {columns} FROM {stretch.table} WHERE {where.sql} AND {order} > ? ORDER BY {order} LIMIT ?",  # noqa: S608 - our own text; what a question holds is bound
        (*where.values, after, most),
    ).fetchall()


def _count(database: sqlite3.Connection, stretch: Stretch) -> int:
    counted = stretch.as_many or Condition(f"{stretch.table} WHERE {stretch.where.sql}", stretch.where.values)
    (count,) = database.execute(f"SELECT count(*) FROM {counted.sql}", counted.values).fetchone()  # noqa: S608 - our own text; what a question holds is bound
    return int(count)
