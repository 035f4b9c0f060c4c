"""Two sides measured in turns, so that a machine that slows down slows both, and the middle of what each took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def in_turns(runs: int, *acts: Callable[[], T]) -> list[list[T]]:
    """Do one act after the other, so many times; return what each act gave, one list for each act."""
    rounds = [[act() for act in acts] for _ in range(runs)]
    return [list(given) for given in zip(*rounds, strict=True)]


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def percentile_95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


async def seconds(act: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await act()
    return time.perf_counter() - started


async def middle_seconds(act: Callable[[], Awaitable[object]], runs: int) -> float:
    """Return the median seconds of so many runs, after one that is not counted."""
    await act()
    return middle([await seconds(act) for _ in range(runs)])
