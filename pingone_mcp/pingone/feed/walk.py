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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

import anyio

from pingone_mcp.ahead import ahead
from pingone_mcp.clock import CLOCK_SKEW
from pingone_mcp.errors import FilterRefused, Problem, RequestRefused
from pingone_mcp.pingone.feed.handing import HandingOver
from pingone_mcp.pingone.feed.ledger import Ledger
from pingone_mcp.pingone.feed.ranges import (
    FIRST,
    LAST,
    UserRange,
    as_text,
    as_time,
    lost_its_link,
)
from pingone_mcp.pingone.feed.reading import Making, PartReader, Way
from pingone_mcp.pingone.feed.turns import Turns
from pingone_mcp.pingone.filters import bounds
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.source import Verdict, WalkPage
from pingone_mcp.tasks import background

T = TypeVar("T")
_FEWER: dict[Way, Way] = {"times": "populations", "populations": "plain"}

# How far before the walk's beginning the passes reach, so that what PingOne shows late is found: by its own clock where
# its answers carry one, else by ours, which may be wrong.
OVERLAP = timedelta(minutes=1)
MOST_PASSES = 5
_UNDER_WAY = Verdict(complete=False, reason="The walk has not come to its end.")


class Walk(Generic[T]):
    """One walk over an environment: iterate over its pages, then look at `verdict`.

    A page counts as handed over once it is kept (`kept`); a caller that takes pages slowly slows the reading.
    `about` is the server's own count of all users, for progress.
    """

    def __init__(self, served: Served, ledger: Ledger, parts: PartReader[T], pages: HandingOver[T]) -> None:
        self.verdict = _UNDER_WAY
        self.about: int | None = None
        self._served = served
        self._ledger = ledger
        self._parts = parts
        self._pages = pages

    @property
    def delivered(self) -> int:
        """How many users have been handed over, those before a kill included."""
        return self._pages.delivered

    @property
    def left_out(self) -> int:
        """How often a user without an id was met."""
        return self._parts.left_out

    def __aiter__(self) -> Walk[T]:
        return self

    async def __anext__(self) -> WalkPage[T]:
        try:
            return await self._pages.take()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        except Problem as problem:  # the ledger's
            self._pages.refuse()
            self.verdict = Verdict(complete=False, reason=str(problem), problem=problem)
            raise StopAsyncIteration from None

    def kept(self) -> None:
        """Note that all pages so far are kept: a walk that is killed goes on behind them."""
        self._pages.keep()

    async def read(self) -> None:
        """Read everything, and reach the verdict; for a task beside the one that takes the pages."""
        try:
            self.verdict = await self._read_all()
        except Problem as problem:
            self.verdict = Verdict(complete=False, reason=str(problem), problem=problem)
        except anyio.BrokenResourceError:
            pass  # nobody takes pages any more, and the verdict says why
        finally:
            self._pages.end()

    async def _read_all(self) -> Verdict:
        if self._ledger.fact("way") is None:
            if await self._begin_walk():
                return Verdict(complete=True)
        else:
            self._pages.since, self.about = as_time(self._ledger.fact("since")) or FIRST, self._ledger.fact("about")
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
        async with ahead() as early:
            ready = early.ask(self._parts.making)
            page = await self._parts.first_page()
            await ready.taken()
        self._pages.since = late_before(self._served)
        alone = len(self._parts.roots()) == 1
        self.about = page.count if alone else await self._parts.count()
        self._ledger.note("since", as_text(self._pages.since))
        self._ledger.note("about", self.about)
        self._begin("times")
        if page.next is not None or not alone or lost_its_link(page):
            return False
        await self._read_parts("plain")
        return True

    def _begin(self, way: Way) -> None:
        """Put everything down to be read, once more as a whole, and split in this way."""
        self._plan(self._parts.roots())
        self._ledger.note("way", way)

    def _plan(self, ranges: Sequence[UserRange]) -> None:
        self._ledger.plan(part.name() for part in ranges)

    async def _passes(self) -> Verdict:
        """Read who was changed since the walk began, until nobody turns up who was there before and had been missed."""
        plainly = False
        for number in range(self._ledger.fact("pass") or 1, MOST_PASSES + 1):
            self._ledger.note("pass", number)
            self._pages.count_anew()
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
                self._plan(self._parts.roots())
                await self._read_parts("plain")
            elif not self._pages.missed or self._pages.pages == 1:  # one page is one look: nobody could move meanwhile
                return await self._last_look()
        return Verdict(
            complete=False,
            reason="So many users were changed during the walk that some may have been missed. "
            "Walk again at a quieter time.",
        )

    async def _pass(self, way: Way) -> None:
        if way == "times":
            self._plan([replace(root, first=self._pages.since, last=LAST) for root in self._parts.roots()])
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
        if self.about is None or self.delivered >= self.about:
            return None
        there = await self._parts.count()  # some may have been deleted
        return there if there is not None and self.delivered < there else None

    async def _last_look(self) -> Verdict:
        counted = await self._uncounted()
        if counted is None:
            return Verdict(complete=True)
        return Verdict(
            complete=False,
            reason=f"PingOne counts {counted:,} users, and its pages showed {self.delivered:,}.",
            counted=counted,
        )

    async def _read_parts(self, way: Way) -> None:
        """Read all open parts, and those that they are split into, to the end. Raises the first Problem."""
        failure: Problem | anyio.BrokenResourceError | None = None

        async def read(part: UserRange, link: str | None) -> None:
            nonlocal failure
            try:
                children = await self._parts.read(part, link, way)
            except (Problem, anyio.BrokenResourceError) as problem:
                failure = failure or problem
                tasks.cancel_scope.cancel()
            else:
                for child in children:
                    tasks.start_soon(read, child, None)

        async with anyio.create_task_group() as tasks:
            for noted in self._ledger.open_parts():
                tasks.start_soon(read, UserRange.named(noted.name), noted.link)
        if not isinstance(failure, anyio.BrokenResourceError):
            await self._pages.all_settled()
        if failure is not None:
            raise failure


def late_before(served: Served) -> datetime:
    """Return since when changes may not be shown yet."""
    theirs = served.client.server_now()
    now = theirs if theirs is not None else served.clock.wall()
    return datetime.fromtimestamp(now, UTC) - (OVERLAP if theirs is not None else CLOCK_SKEW)


@asynccontextmanager
async def walking(
    served: Served, environment: str, making: Making[T], *, ledger: Path | None = None, turns: Turns | None = None
) -> AsyncIterator[Walk[T]]:
    """Walk over all users of an environment that are served; `making` gets ready what makes something of each.

    With `ledger`, a file, a walk that did not come to its end goes on the next time; the file is removed when one is
    complete. Its pages take their `turns` with those of other lists, where such are read beside it.
    Raises Refused when another process uses the file.
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
    turns = turns if turns is not None else Turns(connection.pace.concurrency)
    notes = Ledger(ledger, json.dumps(purpose))
    pages = HandingOver[T](notes)
    parts = PartReader(served, environment, served_only, making, pages, turns=turns)
    walk = Walk(served, notes, parts, pages)
    try:
        async with background() as tasks:
            tasks.start_soon(walk.read)
            yield walk
    finally:
        pages.refuse()
        pages.end()
        if walk.verdict.complete:
            notes.remove()
        else:
            notes.close()
