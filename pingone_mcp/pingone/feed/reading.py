"""The parts of a walk, read: each to its end, or its first page only where it is to be split."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Generic, Literal, TypeVar

from pingone_mcp.directory.matching.filters import Filter, all_of
from pingone_mcp.directory.paging.cursor import LoopGuard
from pingone_mcp.errors import NotFound, NotPermitted, RequestRefused
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.answers import repeated_link
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.feed.handing import FoundPage, HandingOver
from pingone_mcp.pingone.feed.ranges import LEAST_PAGES, UserRange, edges, pages_left
from pingone_mcp.pingone.feed.turns import Turns
from pingone_mcp.pingone.pages import items
from pingone_mcp.pingone.served import Served
from pingone_mcp.pingone.wire import ReadUser

T = TypeVar("T")
Making = Callable[[], Awaitable[Callable[[ReadUser], T]]]
"""Gets ready what makes something of each user."""
Way = Literal["times", "populations", "plain"]
"""How the users are split into parts."""

_LOOKUP_PAGE = 1000


class PartReader(Generic[T]):
    """Read the parts of one walk, and hand their pages over.

    `bounds` are the filters that bound the whole walk; each page takes its turn, and keeps it until it is taken over.
    `left_out` is how often a user without an id was met.
    """

    def __init__(
        self,
        served: Served,
        environment: str,
        bounds: Sequence[Filter | None],
        making: Making[T],
        handing: HandingOver[T],
        *,
        turns: Turns,
    ) -> None:
        self.left_out = 0
        self.making = making
        self._served = served
        self._environment = environment
        self._bounds = bounds
        self._handing = handing
        self._size = served.connection.pace.page_size
        self._enough = LEAST_PAGES  # pages of one part
        self._turns = turns
        self._ahead: dict[str, HalPage] = {}
        self._split_into: tuple[str, ...] | None = None

    def roots(self) -> list[UserRange]:
        """Return the parts that are everybody."""
        return [UserRange(batch=batch) for batch in range(len(self._bounds))]

    async def first_page(self) -> HalPage:
        """Return the first page of the plain walk, which is not asked for again when its part is read."""
        path = self._path(self.roots()[0])
        page = self._ahead[path] = await self._page(path)
        return page

    async def count(self) -> int | None:
        """Return how many users PingOne counts; None where it does not."""
        total = 0
        for root in self.roots():
            page = await self._page(self._path(root, size=1))
            if page.count is None:
                return None
            total += page.count
        return total

    async def read(self, part: UserRange, link: str | None, way: Way) -> tuple[UserRange, ...]:
        """Read a part to its end; or only its first page, and return the parts that it is to be split into."""
        again = False
        guard = LoopGuard()
        to_follow = math.inf
        while True:
            async with self._turns.turn(to_follow):
                try:
                    page = await self._page(link or self._path(part))
                except RequestRefused:
                    if link is None or again:
                        raise
                    # The cursor is not accepted any more: once more from the first page.
                    link, again, guard, to_follow = None, True, LoopGuard(), math.inf
                    continue
                children = await self._handed_over(part, page, way if link is None and not again else "plain")
                left, following = to_follow if link is not None else pages_left(page), page.next
                del page  # it is not to stay in memory until the next one is there
            if children or following is None:
                return children
            seen = guard.after(following)
            if seen is None:
                raise repeated_link()
            link, guard, to_follow = following, seen, max(0, left - 1)

    async def _handed_over(self, part: UserRange, page: HalPage, way: Way) -> tuple[UserRange, ...]:
        """Hand over a page, and return what its part is to be split into."""
        users, made = await self._users(page), await self.making()
        children = await self._split(part, page, users, way)
        await self._handing.put(FoundPage(part, page.next, users, children, made))
        return children

    async def _split(
        self, part: UserRange, page: HalPage, users: Sequence[ReadUser], way: Way
    ) -> tuple[UserRange, ...]:
        left = pages_left(page)
        if part == UserRange(batch=part.batch):
            self._enough = max(LEAST_PAGES, left // (3 * self._served.connection.pace.concurrency))
        if way == "plain" or left < 2 * self._enough:
            return ()
        if way == "times":
            times = [at for user in users if (at := user.updated_at) is not None]
            if found := edges(times, left // self._enough, part.first, part.last):
                return part.at(found)
        if part.population is None and len(populations := await self._populations()) > 1:
            return tuple(replace(part, population=population) for population in populations)
        return ()

    async def _populations(self) -> Sequence[str]:
        """Return the populations that are walked, as they are now: one made later holds only users changed later."""
        if self._split_into is None:
            configured = self._served.connection.scope.populations
            self._split_into = tuple(sorted(configured)) or await self._all_populations()
        return self._split_into

    async def _all_populations(self) -> tuple[str, ...]:
        path = path_with(f"/environments/{self._environment}/populations", {"limit": _LOOKUP_PAGE})
        try:
            raws = [raw async for raw in items(self._served.client, path, "populations", self._environment)]
        except (NotPermitted, NotFound):
            return ()
        return tuple(wire.workspace(raw).id for raw in raws)

    def _path(self, part: UserRange, *, size: int | None = None) -> str:
        wanted = all_of((self._bounds[part.batch], part.filter()))
        return self._served.people.path(self._environment, wanted, size if size is not None else self._size)

    async def _page(self, path: str) -> HalPage:
        ahead = self._ahead.pop(path, None)
        if ahead is not None:
            return ahead
        return await self._served.client.page(path, "users", environment=self._environment, background=True)

    async def _users(self, page: HalPage) -> list[ReadUser]:
        async with self._served.client.in_background():
            users, left_out = await self._served.people.read(page)
        self.left_out += left_out
        scope = self._served.connection.scope
        return [user for user in users if scope.has_population(user.population)]
