"""One user asked for while a walk goes on in the same connection, beside the same question with no walk going on."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from benchmarks.ours import connection
from benchmarks.served import serving
from pingone_mcp.pingone.directory import PingOneDirectory, open_directory

# Between two questions the walk comes back to its full speed, so that each question meets it there.
PAUSE = 0.150
# After the walk has been stopped its last answers still come.
SETTLE = 0.500


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile:
    """Seconds of a question, 95th percentile; `pages` were read by the walk while questions were asked beside it."""

    busy_seconds: float
    idle_seconds: float
    pages: int


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


async def measure(users: int = 50_000, questions: int = 80, phases: int = 4, latency: float = 0.020) -> Meanwhile:
    """Ask so many questions idle and so many busy, in phases that alternate."""
    idle: list[float] = []
    busy: list[float] = []
    pages = 0
    with tempfile.TemporaryDirectory() as cache, serving(size=users, latency=latency) as place:
        async with open_directory(connection(place, Path(cache))) as directory:
            ids = itertools.cycle(place.user_ids)
            await _ask(directory, ids, 10)  # the token, and the names of populations
            for _ in range(phases):
                idle += await _ask(directory, ids, questions // phases)
                background = Background(directory)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(background.run)
                    await anyio.sleep(SETTLE)
                    before = background.pages
                    busy += await _ask(directory, ids, questions // phases)
                    read = background.pages - before
                    assert read > 0, "no walk went on beside the questions"
                    pages += read
                    tasks.cancel_scope.cancel()
                await anyio.sleep(SETTLE)
    return Meanwhile(busy_seconds=percentile_95(busy), idle_seconds=percentile_95(idle), pages=pages)


async def _ask(directory: PingOneDirectory, ids: Iterator[str], number: int) -> list[float]:
    """Return the seconds of each of so many questions about one user after the other."""
    taken: list[float] = []
    for identity in itertools.islice(ids, number):
        await anyio.sleep(PAUSE)
        started = time.perf_counter()
        user = await directory.user(identity)
        taken.append(time.perf_counter() - started)
        assert user.id == identity
    return taken


def percentile_95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]
