"""How the local copy grows up to a million users: its syncs, the questions asked of it, its memory and its file.

What is synthetic: the users are those of the sandbox, made up from their numbers as they are asked for, so that a
million of them take no memory there; one in forty has a recent past, and the audit log ends at a few thousand events.
The sandbox answers without delay on the same machine, and has a core to itself only where there are two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from benchmarks.copy.sync import Synced, sync
from benchmarks.measuring.turns import middle_seconds
from benchmarks.places.ours import connection, settings
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure
from benchmarks.table.group import Extent, Measured
from benchmarks.table.results import Point
from pingone_mcp.directory.provider import DeactivatedQuestion, UserQuestion
from pingone_mcp.replica.store.store import copy_path
from pingone_mcp.service.backend import Backend
from pingone_mcp.wiring import open_backend

PAGE = 50
SYNC, QUESTIONS, SPACE = "Full sync", "A question of the copy", "Memory and disk"
_BY_DEPARTMENT = "SELECT department, count(*) FROM users GROUP BY department"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A copy of so many users: its first sync, the MiB of its file, the median seconds of each kind of question."""

    users: int
    synced: Synced
    file: float
    questions: dict[str, float]

    def values(self) -> list[tuple[str, str, str, float]]:
        """Return (panel, curve, unit, value) of all that was measured."""
        return [
            (SYNC, "seconds, no latency", "s", self.synced.seconds),
            (SYNC, "processor seconds", "s", self.synced.processor_seconds),
            *((QUESTIONS, kind, "ms", taken * 1000) for kind, taken in self.questions.items()),
            (SPACE, "peak memory of the sync", "MiB", self.synced.peak),
            (SPACE, "file of the copy", "MiB", self.file),
        ]


def measured(extent: Extent) -> Measured:
    sizes, runs = ((500, 2_000), 3) if extent == "fast" else ((1_000, 10_000, 100_000, 1_000_000), 9)
    grown = [_grown(users, runs) for users in sizes]
    figures = [
        Figure(what=f"{panel}: {curve}, {one.users:,} users", against=against, ours=ours, yardstick=first, unit=unit)
        for one in grown[1:]
        for (panel, curve, unit, ours), (_, _, _, first) in zip(one.values(), grown[0].values(), strict=True)
        if (against := f"the same with {grown[0].users:,}; {one.users // grown[0].users:,} times as many users")
    ]
    points = [
        Point(panel=panel, curve=curve, users=one.users, value=value)
        for one in grown
        for panel, curve, _, value in one.values()
    ]
    return Measured(figures=figures, points=points)


def _grown(users: int, runs: int) -> Grown:
    with serving(size=users) as place, TemporaryDirectory() as folder:
        cache = Path(folder)
        synced = sync(place, cache)
        assert synced.users == users, f"{synced.users} of {users} users were copied"
        file = copy_path(cache, connection(place, cache).key)
        return Grown(
            users=users,
            synced=synced,
            file=file.stat().st_size / 2**20,
            questions=anyio.run(_asked, place, cache, runs),
        )


async def _asked(place: Place, cache: Path, runs: int) -> dict[str, float]:
    async with open_backend(settings(place, cache)) as backend:
        kinds = await _kinds(backend, place.user_ids[0])
        return {kind: await middle_seconds(ask, runs) for kind, ask in kinds.items()}


async def _kinds(backend: Backend, somebody: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return the kinds of questions, each of which is answered by the copy alone."""
    directory, copy = backend.copy, backend.replica
    user = await directory.user(somebody)
    username, letters = user.username or "", (user.last_name or user.username or "")[:3]

    async def count() -> None:
        answer, _, _ = await copy.query(
            _BY_DEPARTMENT, limit=PAGE, characters=20_000, seconds=60.0, beside=lambda snapshot: snapshot.gaps(None)
        )
        assert answer.rows

    return {
        "one user by name": lambda: directory.user(username),
        f"search, {PAGE} users": lambda: directory.users(UserQuestion(query=letters), page_size=PAGE),
        "count by department, SQL": count,
        f"list, {PAGE} users": lambda: directory.users(UserQuestion(), page_size=PAGE),
        f"find_deactivated, {PAGE} users": lambda: directory.deactivated(DeactivatedQuestion(), page_size=PAGE),
    }
