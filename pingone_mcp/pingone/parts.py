"""The parts of a listing as PingOne is asked for them: a filter of users or groups, or a kind of audit events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pingone_mcp.directory.gaps import EndedEarly, Gap, LeftOut
from pingone_mcp.directory.matching.filters import Filter
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import Place, ReadPage, page_at, part_name
from pingone_mcp.directory.paging.position import Counted
from pingone_mcp.pingone.api.hal import HalPage

T = TypeVar("T")

Collection = Literal["users", "groups", "locked events", "removed events", "audit events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPart:
    """One part of a listing: where it is read, and which of what is read there belongs to it.

    `label` says what its items have in common: a reason, a type of membership.
    """

    key: str
    environment: str
    collection: Collection = "users"
    filter: Filter | None = None
    keep: Callable[[Any], bool] | None = None
    label: str = ""

    @property
    def name(self) -> str:
        return part_name(self.key, str(self.filter))

    @property
    def noun(self) -> str:
        """Say what PingOne calls the rows of the part."""
        return "events" if self.collection.endswith("events") else self.collection

    @property
    def is_counted(self) -> bool:
        """Say whether PingOne counts just these: it does not count events, nor ranges of updatedAt well.

        Its documentation warns of the latter.
        """
        return self.keep is None and self.noun != "events" and not self._by_time

    @property
    def _by_time(self) -> bool:
        return "updatedAt" in str(self.filter or "")

    def page_size(self, wanted: int | None, most: int) -> int:
        """Ask for no more than is wanted, unless part of what is read will be dropped here."""
        return most if wanted is None or self.keep is not None else min(wanted, most)

    def lacks(self, counted: Counted, *, ended: bool) -> Iterator[Gap]:
        """Return that it ended before all came whom PingOne counts, and what was left out."""
        if ended and counted.missing:
            yield EndedEarly(
                place=self.environment,
                part=self.label,
                noun=self.noun,
                counted=counted.said or 0,
                came=counted.came,
                doubtful=self._by_time,
            )
        if counted.left_out:
            lacking = "an id or a time" if self.noun == "events" else "an id"
            yield LeftOut(
                place=self.environment, part=self.label, noun=self.noun, lacking=lacking, count=counted.left_out
            )


ListPlace = Place[ListPart]


def page_of(
    place: ListPlace, path: str, hal: HalPage, items: Iterable[T], *, left_out: int = 0, gaps: Sequence[Gap] = ()
) -> Page[T]:
    """Return the page of a listing that PingOne answered with `hal` at a path, and of which `items` are shown."""
    read = ReadPage(
        items=tuple(items),
        rows=len(hal.raws),
        link=path,
        next=hal.next,
        count=hal.count,
        left_out=left_out,
        gaps=gaps,
    )
    return page_at(place, read)
