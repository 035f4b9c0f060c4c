"""The parts of a walk: ranges of `updatedAt` and populations, and where a part that is too large is split."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from pingone_mcp.directory.matching.filters import Filter, all_of, eq, ge, le
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.pingone.api.hal import HalPage

# Ranges of time lie between these, inclusive: no user of PingOne was changed before or will be after.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 1, 1, tzinfo=UTC)
# A part of fewer pages is not worth splitting: every split reads a page twice.
LEAST_PAGES = 5
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRange:
    """One part of a walk: the users of a range of times (both ends belong to it) and of a population.

    `batch` tells apart the filters that bound the whole walk where populations are configured.
    """

    batch: int
    first: datetime | None = None
    last: datetime | None = None
    population: str | None = None

    def name(self) -> str:
        return json.dumps([self.batch, as_text(self.first), as_text(self.last), self.population])

    @staticmethod
    def named(text: str) -> UserRange:
        batch, first, last, population = json.loads(text)
        return UserRange(batch=batch, first=as_time(first), last=as_time(last), population=population)

    def filter(self) -> Filter | None:
        return all_of(
            (
                ge("updatedAt", self.first) if self.first is not None else None,
                le("updatedAt", self.last) if self.last is not None else None,
                eq("population.id", self.population) if self.population is not None else None,
            )
        )

    def at(self, edges: Sequence[datetime]) -> tuple[UserRange, ...]:
        """Split at these instants. Each belongs to both sides: PingOne may know times more exactly than it shows."""
        bounds = [self.first or FIRST, *edges, self.last or LAST]
        return tuple(replace(self, first=first, last=last) for first, last in pairwise(bounds))


def edges(times: Sequence[datetime], parts: int, first: datetime | None, last: datetime | None) -> tuple[datetime, ...]:
    """Return the instants at which a range is split into so many parts, by a sample of its times.

    They lie between two different times of the sample, never on one that thousands may share, and inside the range;
    there are fewer of them, or none, where the sample has too few different times.
    """
    ordered = sorted(times)
    found: list[datetime] = []
    for number in range(1, parts):
        place = number * len(ordered) // parts
        while 0 < place < len(ordered) and ordered[place] - ordered[place - 1] < 2 * _MILLISECOND:
            place += 1
        if not 0 < place < len(ordered):
            continue
        middle = ordered[place - 1] + (ordered[place] - ordered[place - 1]) / 2
        edge = middle.replace(microsecond=middle.microsecond // 1000 * 1000)
        inside = (first or FIRST) < edge < (last or LAST)
        if inside and (not found or found[-1] < edge):
            found.append(edge)
    return tuple(found)


def pages_left(page: HalPage) -> int:
    """Return how many pages of its size follow a first one, by its `count`; many when the server does not say.

    A page without `next` that does not hold as many as are counted has lost its link.
    """
    if page.next is None and not lost_its_link(page):
        return 0
    if page.count is None:
        return 20 * LEAST_PAGES
    return max(1, math.ceil((page.count - len(page.raws)) / max(1, len(page.raws))))


def lost_its_link(page: HalPage) -> bool:
    """Say whether a first page without `next` is not all there is."""
    return page.next is None and page.count is not None and page.count > len(page.raws)


def as_text(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def as_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
