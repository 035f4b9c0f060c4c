"""Rows that every request asks for, remembered for a moment: what this process changes it sees at once.

What another process changes is seen within `REMEMBERED_SECONDS`. Everything that was asked for lately is read again in
one question, so that the database is asked about once a second, however many requests there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

import anyio

from pingone_mcp.clock import Clock

REMEMBERED_SECONDS = 1.0
_ASKED_LATELY = 30.0  # seconds; what nobody asked for since is not read again
_MOST = 500

T = TypeVar("T")
ReadRows = Callable[[Collection[str]], Awaitable[Mapping[str, T]]]
"""Reads rows by their ids; those that there are not are missing."""


class _Row(Generic[T]):
    """A row as it was read, when that began, and when it was last asked for; monotonic seconds."""

    __slots__ = ("asked_at", "read_at", "value")

    def __init__(self, value: T, at: float) -> None:
        self.value, self.read_at, self.asked_at = value, at, at


class Remembered(Generic[T]):
    """Rows by their ids, the `_MOST` that were asked for last. Whoever changes one calls `forget` when that is kept."""

    def __init__(self, read: ReadRows[T], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._rows: OrderedDict[str, _Row[T]] = OrderedDict()
        self._reading = anyio.Lock()
        self._forgotten = 0

    async def get(self, identity: str) -> T | None:
        """Return the row of an id; None where there is none, which is not remembered."""
        if (row := self._fresh(identity)) is not None:
            return row.value
        async with self._reading:
            if (row := self._fresh(identity)) is not None:  # another one has read it meanwhile
                return row.value
            return await self._read_again(identity)

    def forget(self, identity: str) -> None:
        """Read a row anew when it is asked for next. What is just being read may be older, and is not remembered."""
        self._forgotten += 1
        self._rows.pop(identity, None)

    def __len__(self) -> int:
        return len(self._rows)

    def _fresh(self, identity: str) -> _Row[T] | None:
        row, now = self._rows.get(identity), self._clock.monotonic()
        if row is None or now - row.read_at >= REMEMBERED_SECONDS:
            return None
        row.asked_at = now
        self._rows.move_to_end(identity)
        return row

    async def _read_again(self, identity: str) -> T | None:
        """Read a row, and with it what was asked for lately and is not fresh any more."""
        now, forgotten = self._clock.monotonic(), self._forgotten
        stale = {one for one, row in self._rows.items() if now - row.read_at >= REMEMBERED_SECONDS / 2}
        wanted = {one for one in stale if now - self._rows[one].asked_at < _ASKED_LATELY}
        found = await self._read(wanted | {identity})
        if forgotten == self._forgotten:
            self._keep(found, stale, identity, now)
        return found.get(identity)

    def _keep(self, found: Mapping[str, T], stale: Collection[str], identity: str, now: float) -> None:
        before = {one: self._rows.pop(one) for one in stale}
        for one, value in found.items():
            kept = self._rows[one] = _Row(value, now)
            if one != identity and one in before:
                kept.asked_at = before[one].asked_at
        while len(self._rows) > _MOST:
            self._rows.popitem(last=False)
