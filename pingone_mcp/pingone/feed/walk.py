"""Walks over all users of an environment: in parts side by side, complete, and in bounded memory.

PingOne's cursors lead from page to page, one after the other. So the users are split into parts that can be read at the
same time, by ranges of `updatedAt` ("Read All Users" documents `ge` and `le` for it). The first page of a part says how
many users it has and shows a sample of them: the quantiles of their `updatedAt` are where a part that is too large is
split again. `count` only balances; that it is wrong makes a walk slower, not less complete.

A user who is changed during the walk may leave one part for another unseen, and has an `updatedAt` from after its
beginning then. So a pass over all of those follows, and is repeated until it finds nobody who was missing.

Where users cannot be told apart by `updatedAt` (thousands with the same instant, or an environment that refuses the
filter) the parts are the populations, and where that does not work either there is one part: a plain walk. Without the
filter there is no telling who was changed either, and the passes read everything again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, Literal, TypeVar

import anyio

from pingone_mcp.ahead import ahead
from pingone_mcp.clock import CLOCK_SKEW
from pingone_mcp.directory.matching.filters import Filter, all_of
from pingone_mcp.directory.paging.cursor import LoopGuard
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Problem, RequestRefused
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.answers import repeated_link
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.feed.ledger import Ledger
from pingone_mcp.pingone.feed.ranges import (
    FIRST,
    LAST,
    LEAST_PAGES,
    UserRange,
    as_text,
    as_time,
    edges,
    lost_its_link,
    pages_left,
)
from pingone_mcp.pingone.filters import bounds
from pingone_mcp.pingone.pages import items
from pingone_mcp.pingone.served import Served
from pingone_mcp.pingone.wire import ReadUser
from pingone_mcp.replica.source import Verdict, WalkPage
from pingone_mcp.tasks import background

T = TypeVar("T")
Making = Callable[[], Awaitable[Callable[[ReadUser], T]]]
Way = Literal["times", "populations", "plain"]
"""How the users are split into parts."""
_FEWER: dict[Way, Way] = {"times": "populations", "populations": "plain"}

# How far before the walk's beginning the passes reach, so that what PingOne shows late is found: by its own clock where
# its answers carry one, else by ours, which may be wrong.
OVERLAP = timedelta(minutes=1)
MOST_PASSES = 5
_LOOKUP_PAGE = 1000


_UNDER_WAY = Verdict(complete=False, reason="The walk has not come to its end.")


@dataclass(slots=True, eq=False)
class _Read:
    """The users of a page that was read, and how its part goes on: at the link `next`, or in the parts `children`."""

    part: UserRange
    next: str | None
    users: tuple[ReadUser, ...]
    children: tuple[UserRange, ...]
    taken: bool = False


class Walk(Generic[T]):
    """One walk over an environment: iterate over its pages, then look at `verdict`.

    `making` gets ready what makes that of each user which is handed over, once for every user and change.

    A page counts as handed over once it is kept (`kept`); a caller that takes pages slowly slows the reading.
    `about` is the server's own count of all users, for progress, and `left_out` how often a user without an id was met.
    """

    def __init__(
        self,
        served: Served,
        environment: str,
        ledger: Ledger,
        bounds: Sequence[Filter | None],
        making: Making[T],
    ) -> None:
        self.environment = environment
        self.verdict = _UNDER_WAY
        self.about: int | None = None
        self.left_out = 0
        self._served = served
        self._ledger = ledger
        self._bounds = bounds
        self._making = making
        self._size = served.connection.pace.page_size
        self._workers = anyio.Semaphore(served.connection.pace.concurrency)
        self._out, self._in = anyio.create_memory_object_stream[_Read](0)
        self._handing_over: _Read | None = None
        self._not_kept: Problem | None = None
        self._open: set[_Read] = set()  # pages that were read, and not yet handed over
        self._settled = anyio.Event()
        self._delivered = ledger.delivered()
        self._since = FIRST
        self._enough = LEAST_PAGES  # pages of one part
        self._ahead: dict[str, HalPage] = {}
        self._split_into: tuple[str, ...] | None = None
        # Of the stage that is being read: its pages, and the users who were there before the walk and had been missed.
        self._pages = self._missed = 0

    @property
    def delivered(self) -> int:
        """How many users have been handed over, those before a kill included."""
        return self._delivered

    def close(self) -> None:
        self._in.close()
        self._out.close()

    def __aiter__(self) -> Walk[T]:
        return self

    async def __anext__(self) -> WalkPage[T]:
        try:
            if self._not_kept is not None:
                raise self._not_kept
            while True:
                self._hand_over()
                page = self._sorted_out(await self._in.receive(), await self._making())
                if page.users or page.changed:
                    return page
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        except Problem as problem:  # the ledger's
            self._in.close()
            self.verdict = Verdict(complete=False, reason=str(problem), problem=problem)
            raise StopAsyncIteration from None

    # Handing over

    def kept(self) -> None:
        """Note that all pages so far are kept: a walk that is killed goes on behind them."""
        try:
            self._hand_over()
            self._ledger.kept()
        except Problem as problem:
            self._not_kept = problem  # the verdict says so

    def _sorted_out(self, read: _Read, made: Callable[[ReadUser], T]) -> WalkPage[T]:
        users = {user.known.id: user for user in read.users}
        read.taken, self._handing_over = True, read
        new = self._ledger.begin_page(users)
        fresh = [user for identity, user in users.items() if identity in new]
        self._delivered += len(fresh)
        self._missed += sum((at := user.created_at) is None or at < self._since for user in fresh)
        again = (user for identity, user in users.items() if identity not in new)
        changed = (user for user in again if (at := user.updated_at) is None or at >= self._since)
        return WalkPage(users=tuple(map(made, fresh)), changed=tuple(map(made, changed)))

    def _hand_over(self) -> None:
        read, self._handing_over = self._handing_over, None
        if read is None:
            return
        following = None if read.children else read.next
        self._ledger.end_page(read.part.name(), following, [child.name() for child in read.children])
        self._settle(read)

    def _settle(self, read: _Read) -> None:
        self._open.discard(read)
        settled, self._settled = self._settled, anyio.Event()
        settled.set()

    # Reading

    async def read(self) -> None:
        """Read everything, and reach the verdict; for a task beside the one that takes the pages."""
        async with self._out:
            try:
                self.verdict = await self._read_all()
            except Problem as problem:
                self.verdict = Verdict(complete=False, reason=str(problem), problem=problem)
            except anyio.BrokenResourceError:
                pass  # nobody takes pages any more, and the verdict says why

    async def _read_all(self) -> Verdict:
        if self._ledger.fact("way") is None:
            if await self._begin_walk():
                return Verdict(complete=True)
        else:
            self._since, self.about = as_time(self._ledger.fact("since")) or FIRST, self._ledger.fact("about")
        while self._ledger.fact("pass") is None:
            way: Way = self._ledger.fact("way")
            try:
                await self._read_parts(way)
                break
            except (FilterRefused, RequestRefused):
                if way == "plain":
                    raise
                self._begin(_FEWER[way])
        return await self._passes()

    async def _begin_walk(self) -> bool:
        """Read the first page of the plain walk and note when that was; say whether it was all there is."""
        path = self._path(self._roots()[0])
        async with ahead() as early:
            ready = early.ask(self._making)
            page = self._ahead[path] = await self._page(path)
            await ready.taken()
        self._since = late_before(self._served)
        alone = len(self._bounds) == 1
        self.about = page.count if alone else await self._count()
        self._ledger.note("since", as_text(self._since))
        self._ledger.note("about", self.about)
        self._begin("times")
        if page.next is not None or not alone or lost_its_link(page):
            return False
        await self._read_parts("plain")
        return True

    def _roots(self) -> list[UserRange]:
        return [UserRange(batch=batch) for batch in range(len(self._bounds))]

    def _begin(self, way: Way) -> None:
        """Put everything down to be read, once more as a whole, and split in this way."""
        self._plan(self._roots())
        self._ledger.note("way", way)

    def _plan(self, ranges: Sequence[UserRange]) -> None:
        self._ledger.plan(part.name() for part in ranges)

    async def _passes(self) -> Verdict:
        """Read who was changed since the walk began, until nobody turns up who was there before and had been missed."""
        plainly = False
        for number in range(self._ledger.fact("pass") or 1, MOST_PASSES + 1):
            self._ledger.note("pass", number)
            self._missed = self._pages = 0
            way: Way = self._ledger.fact("way")
            try:
                await self._pass(way)
            except (FilterRefused, RequestRefused):
                if way == "plain":
                    raise
                self._ledger.note("way", _FEWER[way])
                continue
            if not plainly and await self._too_few():
                # Users without `updatedAt`, or in no population, or a wrong count: a plain walk knows.
                plainly = True
                self._plan(self._roots())
                await self._read_parts("plain")
            elif not self._missed or self._pages == 1:  # one page is one look: nobody could move meanwhile
                return await self._last_look()
        return Verdict(
            complete=False,
            reason="So many users were changed during the walk that some may have been missed. "
            "Walk again at a quieter time.",
        )

    async def _pass(self, way: Way) -> None:
        if way == "times":
            self._plan([replace(root, first=self._since, last=LAST) for root in self._roots()])
            await self._read_parts("plain")  # in one part: a user who is changed now must not change parts
        else:
            self._begin(way)
            await self._read_parts(way)

    async def _too_few(self) -> bool:
        if self.about is None:
            return True  # nothing else says that everybody has an `updatedAt`
        return await self._uncounted() is not None

    async def _uncounted(self) -> int | None:
        """Return how many users PingOne counts now, where that is more than were handed over."""
        if self.about is None or self._delivered >= self.about:
            return None
        there = await self._count()  # some may have been deleted
        return there if there is not None and self._delivered < there else None

    async def _last_look(self) -> Verdict:
        counted = await self._uncounted()
        if counted is None:
            return Verdict(complete=True)
        return Verdict(
            complete=False,
            reason=f"PingOne counts {counted:,} users, and its pages showed {self._delivered:,}.",
            counted=counted,
        )

    async def _count(self) -> int | None:
        total = 0
        for root in self._roots():
            page = await self._page(self._path(root, size=1))
            if page.count is None:
                return None
            total += page.count
        return total

    async def _read_parts(self, way: Way) -> None:
        """Read all open parts, and those that they are split into, to the end. Raises the first Problem."""
        failure: Problem | anyio.BrokenResourceError | None = None

        async def read(part: UserRange, link: str | None) -> None:
            nonlocal failure
            try:
                async with self._workers:
                    children = await self._read_part(part, link, way)
            except (Problem, anyio.BrokenResourceError) as problem:
                failure = failure or problem
                tasks.cancel_scope.cancel()
            else:
                for child in children:
                    tasks.start_soon(read, child, None)

        async with anyio.create_task_group() as tasks:
            for noted in self._ledger.open_parts():
                tasks.start_soon(read, UserRange.named(noted.name), noted.link)
        while self._open and not isinstance(failure, anyio.BrokenResourceError):
            await self._settled.wait()
        if failure is not None:
            raise failure

    async def _read_part(self, part: UserRange, link: str | None, way: Way) -> tuple[UserRange, ...]:
        """Read a part to its end; or only its first page, and return the parts that it is to be split into."""
        again = False
        guard = LoopGuard()
        while True:
            try:
                page = await self._page(link or self._path(part))
            except RequestRefused:
                if link is None or again:
                    raise
                # The cursor is not accepted any more: once more from the first page.
                link, again, guard = None, True, LoopGuard()
                continue
            users = await self._users(page)
            children = await self._split(part, page, users, way) if link is None and not again else ()
            await self._send(_Read(part, page.next, users, children))
            if children or page.next is None:
                return children
            following = guard.after(page.next)
            if following is None:
                raise repeated_link()
            link, guard = page.next, following

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
        path = path_with(f"/environments/{self.environment}/populations", {"limit": _LOOKUP_PAGE})
        try:
            raws = [raw async for raw in items(self._served.client, path, "populations", self.environment)]
        except (NotPermitted, NotFound):
            return ()
        return tuple(wire.workspace(raw).id for raw in raws)

    def _path(self, part: UserRange, *, size: int | None = None) -> str:
        wanted = all_of((self._bounds[part.batch], part.filter()))
        return self._served.people.path(self.environment, wanted, size if size is not None else self._size)

    async def _page(self, path: str) -> HalPage:
        ahead = self._ahead.pop(path, None)
        if ahead is not None:
            return ahead
        return await self._served.client.page(path, "users", environment=self.environment, background=True)

    async def _users(self, page: HalPage) -> tuple[ReadUser, ...]:
        async with self._served.client.in_background():
            users, left_out = self._served.people.reader.read(page.raws)
        self.left_out += left_out
        scope = self._served.connection.scope
        return tuple(user for user in users if scope.has_population(user.population))

    async def _send(self, read: _Read) -> None:
        self._pages += 1
        self._open.add(read)
        try:
            await self._out.send(read)
        except BaseException:
            if not read.taken:
                self._settle(read)
            raise


def late_before(served: Served) -> datetime:
    """Return since when changes may not be shown yet."""
    theirs = served.client.server_now()
    now = theirs if theirs is not None else served.clock.wall()
    return datetime.fromtimestamp(now, UTC) - (OVERLAP if theirs is not None else CLOCK_SKEW)


@asynccontextmanager
async def walking(
    served: Served, environment: str, making: Making[T], *, ledger: Path | None = None
) -> AsyncIterator[Walk[T]]:
    """Walk over all users of an environment that are served; `making` gets ready what makes something of each.

    With `ledger`, a file, a walk that did not come to its end goes on the next time; the file is removed when one is
    complete. Raises Refused when another process uses the file.
    """
    connection = served.connection
    served_only = bounds(connection.scope)
    purpose = [
        connection.api_base,
        environment,
        connection.credentials.client_id,
        connection.pace.page_size,
        *map(str, served_only),
    ]
    notes = Ledger(ledger, json.dumps(purpose))
    walk = Walk(served, environment, notes, served_only, making)
    try:
        async with background() as tasks:
            tasks.start_soon(walk.read)
            yield walk
    finally:
        walk.close()
        if walk.verdict.complete:
            notes.remove()
        else:
            notes.close()
