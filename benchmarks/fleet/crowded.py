"""Many connections in one process: its start, its memory, and its answers out of their copies while it syncs them.

Answers are compared with those of one bare route of Starlette, which says the same, at the same pace, in turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from benchmarks.fleet.paced import Lines, paced
from benchmarks.fleet.prepared import Prepared, prepare
from benchmarks.fleet.spawned import Spawned, spawned
from benchmarks.measuring.turns import percentile_95
from benchmarks.places.served import serving
from benchmarks.server.pipes import plain_environment
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.control.control import open_control

USERS = 500
PER_SECOND = 50.0
SYNCS_PER_SECOND = 1.0  # two hundred connections begin one in four seconds and a half where nobody says otherwise
_PATIENCE = 540.0  # seconds until all are synced
_COPY = "/unified/user-directory/users?truto_super_query=true&integrated_account_id="


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Seconds of each answer, and processor seconds for each of them."""

    answers: list[float]
    processor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    start: float
    bare_start: float
    memory: float
    bare_memory: float
    ours: _Side
    bare: _Side


def measured(extent: Extent) -> Measured:
    number, seconds = (10, 4.0) if extent == "fast" else (200, 20.0)
    found, small = _found(number, seconds), extent == "fast"
    crowd = f"{number} connections of {USERS} users"

    def figure(what: str, sides: tuple[float, float], unit: str, most: float) -> Figure:
        return Figure(
            what=what,
            against="one bare route of Starlette",
            ours=sides[0],
            yardstick=sides[1],
            unit=unit,
            comparison="itself",
            promised=at_most(most),
            small=small,
        )

    pace = f"{PER_SECOND:g} requests/s while a connection a second is synced"
    ours, bare = (percentile_95(side.answers) * 1000 for side in (found.ours, found.bare))
    return Measured(
        figures=[
            figure(f"from spawn to /readyz, {crowd}", (found.start, found.bare_start), "s", 3),
            figure(f"memory after {crowd} were synced", (found.memory, found.bare_memory), "MiB", 400),
            figure(f"100 users out of the copy (95th percentile), {pace}", (ours, bare), "ms", 50),
            Figure(
                what="  the same, as a ratio (the bare route only writes the same body)",
                against="a bare route of Starlette at the same pace, meanwhile",
                ours=ours,
                yardstick=bare,
                unit="ms",
            ),
            Figure(
                what="  processor time of the process for each answer, syncs included",
                against="a bare route of Starlette",
                ours=found.ours.processor * 1000,
                yardstick=found.bare.processor * 1000,
                unit="ms",
            ),
        ]
    )


def _found(number: int, seconds: float) -> _Found:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        place = stack.enter_context(serving(size=USERS))
        prepared = anyio.run(prepare, folder / "state", place, number)
        env = plain_environment() | {"PINGONE_STATE_DIR": str(prepared.folder)}
        serve = ["-m", "pingone_mcp", "serve", "--port", "0"]
        ours = stack.enter_context(spawned(serve, folder / "ours.log", env, ready="/readyz"))
        anyio.run(all_synced, prepared)
        memory = ours.memory()
        key = {"Authorization": f"Bearer {prepared.key}"}
        body = folder / "body.json"
        body.write_bytes(anyio.run(_body, ours, key, prepared.connections[0]))
        route = ["-m", "benchmarks.fleet.bare_route", str(body)]
        bare = stack.enter_context(spawned(route, folder / "bare.log", plain_environment(), ready="/"))
        sides = anyio.run(_compared, prepared, ours, bare, key, seconds)
        return _Found(
            start=ours.seconds,
            bare_start=bare.seconds,
            memory=memory,
            bare_memory=bare.memory(),
            ours=sides[0],
            bare=sides[1],
        )


async def all_synced(prepared: Prepared) -> None:
    """Return when every connection was synced once."""
    until = time.perf_counter() + _PATIENCE
    async with open_control(prepared.place) as control:
        while not all(one.last_sync_at for one in await control.connections.listed()):
            assert time.perf_counter() < until, "not all were synced"
            await anyio.sleep(1)


async def _body(ours: Spawned, headers: Mapping[str, str], connection: str) -> bytes:
    async with aclosing(Lines(ours.url, headers)) as lines:
        return await lines.get(_COPY + connection)


async def _compared(
    prepared: Prepared, ours: Spawned, bare: Spawned, headers: Mapping[str, str], seconds: float
) -> tuple[_Side, _Side]:
    """Ask both in turns, each for so many seconds in all, while one connection after the other is due."""
    turns = 4
    await _let_some_be_due(prepared, 2 * seconds)
    targets = (_COPY + one for one in cycle(prepared.connections))
    taken = _Asked(seconds / turns)
    for _ in range(turns):
        await taken.ask(0, ours, headers, targets)
        await taken.ask(1, bare, {}, cycle(["/"]))
    return taken.side(0), taken.side(1)


class _Asked:
    """What two servers took, in turns of so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._number = int(seconds * PER_SECOND)
        self._answers: tuple[list[float], list[float]] = ([], [])
        self._processor = [0.0, 0.0]

    async def ask(self, side: int, server: Spawned, headers: Mapping[str, str], targets: Iterator[str]) -> None:
        before = server.processor()
        async with aclosing(Lines(server.url, headers)) as lines:  # a server closes those that nobody uses
            self._answers[side].extend(await paced(lines, [*islice(targets, self._number)], PER_SECOND))
        self._processor[side] += server.processor() - before

    def side(self, side: int) -> _Side:
        answers = self._answers[side]
        return _Side(answers=answers, processor=self._processor[side] / len(answers))


async def _let_some_be_due(prepared: Prepared, seconds: float) -> None:
    """Let connections be due, so many a second from now on."""
    now = datetime.now(UTC)
    async with open_control(prepared.place) as control, control.transaction():
        for number, one in enumerate(prepared.connections):
            if (after := number / SYNCS_PER_SECOND) < seconds:
                await control.connections.set_next_sync(one, now + timedelta(seconds=after))
