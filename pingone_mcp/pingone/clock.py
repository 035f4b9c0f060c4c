"""Time and chance as parameters."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`wall` and `monotonic` in seconds, `jitter` in 0..1."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)
