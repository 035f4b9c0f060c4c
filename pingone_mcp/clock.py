"""Time and chance as parameters."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio

from pingone_mcp.tasks import left

CLOCK_SKEW = timedelta(minutes=10)
"""How far the clocks of two machines that are well may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`wall` and `monotonic` in seconds, `jitter` in 0..1.

    `within` so many seconds a block ends or is cancelled, as anyio.move_on_after has it. `left` are the seconds after
    which the caller will have stopped waiting (infinite: never).
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random
    within: Callable[[float], AbstractContextManager[anyio.CancelScope]] = anyio.move_on_after
    left: Callable[[], float] = left

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)
