"""A listing as a row of parts, read one after the other: for every provider, and for the local copy.

There is one part per environment, reason, type of membership or batch of populations. A position names the part and
the place in it, so that any process of the same connection can go on there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Counted, Origin, Position
from pingone_mcp.errors import Refused

T = TypeVar("T")


class ListingPart(Protocol):
    """One part of a listing; `label` says what its rows have in common: a reason, a type of membership."""

    @property
    def name(self) -> str:
        """Name the part in positions, as `part_name` makes it."""
        ...

    @property
    def label(self) -> str: ...


class CountedPart(ListingPart, Protocol):
    """A part whose rows come in pages of the provider's making, some of which may be lost or miscounted."""

    @property
    def is_counted(self) -> bool:
        """Say whether the provider counts just the rows of this part, and can be trusted in that."""
        ...

    def lacks(self, counted: Counted, *, ended: bool) -> Iterable[Gap]:
        """Return what the part lacks so far, or at its end."""
        ...


P = TypeVar("P", bound=ListingPart)
C = TypeVar("C", bound=CountedPart)


def part_name(key: str, asked: str) -> str:
    """Name a part by its key and all that is asked there: one made under other settings names no part of today's."""
    return f"{key} {hashlib.blake2s(asked.encode(), digest_size=6).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Generic[P]):
    """A place in a listing: the part that is read, and the position in it."""

    parts: Sequence[P]
    number: int
    position: Position

    @property
    def part(self) -> P:
        return self.parts[self.number]

    def in_part(self, number: int) -> Place[P]:
        """Return this place, or the beginning of another part."""
        if number == self.number:
            return self
        part = self.parts[number]
        position = Position(source=self.position.source, part=part.name, label=part.label, gaps=self.position.gaps)
        return Place(parts=self.parts, number=number, position=position)

    def behind(self, after: str | None, counted: Counted, gaps: tuple[Gap, ...] = ()) -> Position | None:
        """Return where the next page begins: in this part, or (`after` is None) in the next one, if there is any."""
        if after is not None:
            return replace(self.position, after=after, size=None, counted=counted, gaps=gaps)
        if self.number + 1 == len(self.parts):
            return None
        return replace(self.in_part(self.number + 1).position, gaps=gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPage(Generic[T]):
    """What a provider answered in one part: `items` out of so many `rows`, read at a link, and its link to the next.

    `count` is how many rows it says there are in the part. `left_out` counts rows that cannot be told apart, `gaps` is
    what else could not be read.
    """

    items: tuple[T, ...]
    rows: int
    link: str
    next: str | None
    count: int | None
    left_out: int = 0
    gaps: Sequence[Gap] = ()


def find(parts: Sequence[P], at: Position | None, *, source: Origin) -> Place[P]:
    """Return the place of a position; the beginning of the first part when there is none yet.

    Raises Refused for a position in a part that there is not, or not any more.
    """
    if at is None:
        first = parts[0]
        return Place(parts=parts, number=0, position=Position(source=source, part=first.name, label=first.label))
    for number, part in enumerate(parts):
        if (part.name, source) == (at.part, at.source):
            return Place(parts=parts, number=number, position=at)
    raise Refused(
        "The environments or populations served have changed since this cursor was made.",
        "Start again without `cursor`.",
        code="STALE_CURSOR",
    )


def page_at(place: Place[C], read: ReadPage[T]) -> Page[T]:
    """Return the page that was read at a place, and where the next one begins.

    Where a part ends before everybody came whom the provider counts, that is a gap, and stays one to the end of the
    listing.
    """
    before = place.position
    behind = before.counted.behind(read.rows, read.count, left_out=read.left_out)
    ended = read.next is None
    known = tuple(dict.fromkeys((*before.gaps, *read.gaps)))
    gaps = (*known, *place.part.lacks(behind, ended=ended))
    is_whole = len(place.parts) == 1
    return Page(
        items=read.items,
        at=replace(before, after=read.link),
        next=place.behind(read.next, behind, gaps if ended else known),
        scanned=read.rows,
        total=_total(place, read, behind) if is_whole and place.part.is_counted and not gaps else None,
        about=read.count if is_whole else None,
        gaps=gaps,
    )


def _total(place: Place[C], read: ReadPage[T], behind: Counted) -> int | None:
    """Return the provider's count, unless something says that it is wrong: a first and only page holds just as many."""
    if read.count is None or read.count < behind.came:
        return None
    if place.position.after is None and (read.next is None) != (read.count == read.rows):
        return None
    return read.count
