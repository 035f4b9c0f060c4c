"""Turns of lists that are read side by side, a page each: who has most pages before it goes first."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio


@dataclass(slots=True, eq=False)
class _InLine:
    """A list in line for a page, behind which so many are `to_follow`."""

    to_follow: float
    goes: anyio.Event = field(default_factory=anyio.Event)

    def place(self) -> float:
        return -self.to_follow


class Turns:
    """So many pages at a time, of however many lists: each page is in memory until it is dealt with.

    Pages of a list can only be read one after the other. So of several lists the one goes on that has the most pages
    before it, and all of them end at about the same time (Hu, "Parallel Sequencing and Assembly Line Problems", 1961).
    One of which nobody knows that yet may be the longest.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._line: list[_InLine] = []

    @asynccontextmanager
    async def turn(self, to_follow: float = math.inf) -> AsyncIterator[None]:
        """Wait for the turn of a page that so many others can only follow; it lasts until the block ends."""
        await self._begin(to_follow)
        try:
            yield
        finally:
            self._end()

    async def _begin(self, to_follow: float) -> None:
        if self._free:
            self._free -= 1
            return
        me = _InLine(to_follow)
        insort(self._line, me, key=_InLine.place)  # behind those that are like it
        try:
            await me.goes.wait()
        except BaseException:
            if me.goes.is_set():
                self._end()
            else:
                self._line.remove(me)
            raise

    def _end(self) -> None:
        if self._line:
            self._line.pop(0).goes.set()
        else:
            self._free += 1
