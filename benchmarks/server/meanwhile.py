"""Questions and a walk in the same connection: how long the questions take, and what the walk loses by them.

The sandbox has one processor, which a page of 200 keeps for 8 to 10 ms, and a question stands in line for it behind
pages. That weighs more where an answer takes 20 ms than where it takes 100. How much of a question's time is this line,
and how much is ours, is not told apart here.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from benchmarks.measuring.turns import percentile_95
from benchmarks.places.ours import connection_without_managers
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_least, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.pingone.directory import PingOneDirectory, open_directory

LATENCIES = (0.020, 0.100)
# Between two questions the walk goes on at nearly its full pace, so that each question meets it there.
PAUSE = 0.150
# After the walk has been stopped its last answers still come.
SETTLE = 0.500


@dataclass(slots=True)
class Pace:
    """How many pages a walk has read in how many seconds."""

    pages: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return self.pages / self.seconds


@dataclass(slots=True, kw_only=True)
class Found:
    """Seconds of each question, and the pace of the walk: beside those questions, alone, and without any pause."""

    idle: list[float] = field(default_factory=list[float])
    busy: list[float] = field(default_factory=list[float])
    at_times: Pace = field(default_factory=Pace)
    alone: Pace = field(default_factory=Pace)
    beside: Pace = field(default_factory=Pace)


class Background:
    """Walks over the directory, one after the other, until it is cancelled; `pages` counts theirs."""

    def __init__(self, directory: PingOneDirectory) -> None:
        self.pages = 0
        self._directory = directory

    async def run(self) -> None:
        while True:
            async with self._directory.walk() as walk:
                async for _ in walk:
                    self.pages += 1
                assert walk.verdict.complete, walk.verdict.reason

    @asynccontextmanager
    async def timing(self, pace: Pace) -> AsyncIterator[None]:
        """Add to a pace what is read in the block."""
        pages, started = self.pages, time.perf_counter()
        yield
        assert self.pages > pages, "no walk went on"
        pace.pages += self.pages - pages
        pace.seconds += time.perf_counter() - started


def measured(extent: Extent) -> Measured:
    small = extent == "fast"
    users, questions, phases, seconds = (5_000, 8, 2, 1.0) if small else (50_000, 80, 4, 5.0)
    return Measured(
        figures=[
            figure
            for latency in LATENCIES
            for figure in _figures(
                anyio.run(_found, users, questions, phases, seconds, latency), latency=latency, small=small
            )
        ]
    )


def _figures(found: Found, *, latency: float, small: bool) -> list[Figure]:
    each = f"{latency * 1000:g} ms per answer"
    return [
        Figure(
            what=f"one user, beside a walk at full pace (95th percentile), {each}",
            against="the same with no walk; neither looks up the manager",
            ours=percentile_95(found.busy) * 1000,
            yardstick=percentile_95(found.idle) * 1000,
            unit="ms",
            promised=at_most(1.8),
            small=small,
        ),
        Figure(
            what=f"pace of a walk beside questions that follow one another without a pause, {each}",
            against="its pace alone",
            ours=found.beside.per_second,
            yardstick=found.alone.per_second,
            unit="pages/s",
            promised=at_least(0.8),
            small=small,
        ),
        Figure(
            what=f"pace of a walk beside questions with {PAUSE * 1000:g} ms between them, {each}",
            against="its pace alone",
            ours=found.at_times.per_second,
            yardstick=found.alone.per_second,
            unit="pages/s",
        ),
    ]


async def _found(users: int, questions: int, phases: int, seconds: float, latency: float) -> Found:
    """Ask so many questions idle and so many busy, in phases; in each the walk is timed alone and beside questions."""
    found = Found()
    with tempfile.TemporaryDirectory() as cache, serving(size=users, latency=latency) as place:
        async with open_directory(connection_without_managers(place, Path(cache))) as directory:
            ids = itertools.cycle(place.user_ids)
            await _ask(directory, ids, 10)  # the token, and the names of populations
            for _ in range(phases):
                found.idle += await _ask(directory, ids, questions // phases)
                background = Background(directory)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(background.run)
                    await anyio.sleep(SETTLE)
                    async with background.timing(found.at_times):
                        found.busy += await _ask(directory, ids, questions // phases)
                    async with background.timing(found.alone):
                        await anyio.sleep(seconds)
                    async with background.timing(found.beside):
                        await _ask_for(directory, ids, seconds)
                    tasks.cancel_scope.cancel()
                await anyio.sleep(SETTLE)
    return found


async def _ask(directory: PingOneDirectory, ids: Iterator[str], number: int) -> list[float]:
    """Return the seconds of each of so many questions about one user after the other, with pauses."""
    taken: list[float] = []
    for identity in itertools.islice(ids, number):
        await anyio.sleep(PAUSE)
        started = time.perf_counter()
        user = await directory.user(identity)
        taken.append(time.perf_counter() - started)
        assert user.id == identity
    return taken


async def _ask_for(directory: PingOneDirectory, ids: Iterator[str], seconds: float) -> None:
    """Ask about one user after the other, without a pause, for so many seconds."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        await directory.user(next(ids))
