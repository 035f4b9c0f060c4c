"""Members of groups, page after page; those of a large group in parts side by side.

A large group is split by ranges of `updatedAt`, as a walk over everybody is. PingOne documents such ranges for users,
and not beside a group. So a reading in parts counts only when it has found as many members as PingOne counts for the
plain list, before it and after it. Whatever fails or disagrees is read once more as the plain list.

Who is changed meanwhile may leave one part for another unseen, and has an `updatedAt` from after the beginning then: so
a pass over all of those follows, repeated until it finds nobody who was missing.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from msgspec import Raw

from pingone_mcp.directory.matching.filters import All, Filter
from pingone_mcp.errors import UpstreamProblem
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.feed.pages import whole_pages
from pingone_mcp.pingone.feed.ranges import LAST, UserRange, edges, pages_left
from pingone_mcp.pingone.feed.turns import Turns
from pingone_mcp.pingone.feed.walk import MOST_PASSES, late_before
from pingone_mcp.pingone.served import Served
from pingone_mcp.tasks import each

# A part of fewer pages is not worth splitting: all lists take turns, so that a long one ends late.
LEAST_PAGES = 5
# What follows the parts: a look at who was changed meanwhile, and at the count.
_BEHIND_PARTS = 2

Keep = Callable[[Sequence[str]], Awaitable[int]]
"""Takes the ids of some members, and returns how many of them were not taken before."""


_READ = Raw(b"{}")
"""In the place of the bytes of a user: while a list goes on, nothing is kept of its pages."""


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One list that is being read: the filter that shows it, who takes the members, and how many there are so far."""

    wanted: Filter
    keep: Keep
    found: int = 0


class _Begun(NamedTuple):
    """What the first page of a list says: the `parts` to go on with, if any, and how many there are in all."""

    parts: Sequence[UserRange]
    counted: int | None
    is_one_page: bool


class MemberLists:
    """The lists of members of one environment, read one beside the other."""

    def __init__(self, served: Served, environment: str, turns: Turns) -> None:
        self._served = served
        self._environment = environment
        self._size = served.connection.pace.page_size
        self._concurrency = served.connection.pace.concurrency
        self._turns = turns
        self._takes_ranges = True

    async def read(self, wanted: Filter, keep: Keep) -> None:
        """Hand over all users whom a filter shows, page by page; one may come twice. Raises ShortList."""
        since = late_before(self._served)
        reading = _Reading(wanted=wanted, keep=keep)
        begun = await self._begin(reading, UserRange(batch=0), splits=self._takes_ranges)
        if begun.parts and not await self._in_parts(reading, begun, since):
            await self._begin(reading, UserRange(batch=0), splits=False)

    async def _in_parts(self, reading: _Reading, begun: _Begun, since: datetime) -> bool:
        """Read the parts, and say whether that was everybody."""

        async def read(part: UserRange) -> None:
            children = (await self._begin(reading, part, splits=True)).parts
            await each(read, children, at_once=self._concurrency)

        try:
            await each(read, begun.parts, at_once=self._concurrency)
            return await self._passes(reading, since) and await self._is_whole(reading, begun.counted)
        except UpstreamProblem:  # what it means is found out by the plain list
            self._takes_ranges = False
            return False

    async def _begin(self, reading: _Reading, part: UserRange, *, splits: bool) -> _Begun:
        """Read a part to its end, or only its first page, where it `splits` into further parts."""
        wanted = _within(reading.wanted, part)
        first, parts = await self._page(reading, self._path(wanted), part if splits else None)
        if not parts:
            # The counts of ranges may be wrong ("Read All Users").
            await self._rest(reading, wanted, first, counted=part.filter() is None)
        return _Begun(parts, first.count, is_one_page=first.next is None)

    async def _passes(self, reading: _Reading, since: datetime) -> bool:
        """Read who was changed meanwhile, until nobody turns up who had been missed; say whether that was so."""
        changed = UserRange(batch=0, first=since, last=LAST)
        for _ in range(MOST_PASSES):
            before = reading.found
            begun = await self._begin(reading, changed, splits=False)
            if begun.is_one_page or reading.found == before:  # one page is one look: nobody could move meanwhile
                return True
        return False

    async def _is_whole(self, reading: _Reading, counted: int | None) -> bool:
        """Say whether as many were found as there were before, and are now: somebody may have come meanwhile."""
        page = await self._served.client.page(
            self._path(reading.wanted, size=1), "users", environment=self._environment, background=True
        )
        return counted is not None and page.count is not None and reading.found >= max(counted, page.count)

    async def _parts(self, part: UserRange, first: HalPage) -> tuple[UserRange, ...]:
        """Return what a part is to be split into, by its first page; nothing where it is small."""
        left = pages_left(first) if first.next is not None else 0
        enough = max(LEAST_PAGES, left // (3 * self._concurrency))
        times = await self._times(first) if first.count is not None and left >= 2 * enough else None
        found = edges(times, left // enough, part.first, part.last) if times is not None else ()
        return part.at(found) if found else ()

    async def _times(self, page: HalPage) -> list[datetime] | None:
        """Return when the users of a page were changed; None where that cannot be told of all."""
        users, left_out = await self._served.people.read(page)
        known = [at for user in users if (at := user.updated_at) is not None]
        return known if len(known) == len(users) and not left_out else None

    async def _rest(self, reading: _Reading, wanted: Filter, first: HalPage, *, counted: bool) -> None:
        """Read a list to its end, whose first page is there already."""
        path, there = self._path(wanted), [first]
        to_follow = pages_left(first) + (0 if counted else _BEHIND_PARTS)

        async def read(address: str) -> HalPage:
            nonlocal to_follow
            if there:
                return there.pop()
            to_follow = max(0, to_follow - 1)
            return (await self._page(reading, address, to_follow=to_follow))[0]

        async for _ in whole_pages(read, path, "users", counted=counted):
            pass

    async def _page(
        self, reading: _Reading, path: str, part: UserRange | None = None, *, to_follow: float = math.inf
    ) -> tuple[HalPage, Sequence[UserRange]]:
        """Read a page and hand over whom it shows; return it without its bytes, and what to split a `part` into."""
        async with self._turns.turn(to_follow):
            page = await self._served.client.page(path, "users", environment=self._environment, background=True)
            parts = await self._parts(part, page) if part is not None else ()
            members, page = wire.ids_of(page.raws), replace(page, raws=(_READ,) * len(page.raws))
        new = await reading.keep(members)
        reading.found += new  # by now others have added theirs
        return page, parts

    def _path(self, wanted: Filter, *, size: int | None = None) -> str:
        return self._served.people.path(self._environment, wanted, size if size is not None else self._size)


def _within(wanted: Filter, part: UserRange) -> Filter:
    times = part.filter()
    return All((wanted, times)) if times is not None else wanted
