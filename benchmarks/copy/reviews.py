"""Reviews of everybody, as a client asks for them, beside one scan of the same rows in SQL."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client

from benchmarks.copy.sync import sync
from benchmarks.measuring.turns import middle
from benchmarks.places.ours import connection, settings
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.replica.store.store import copy_path
from pingone_mcp.server.build import build_server
from pingone_mcp.service.connections import serve_one
from pingone_mcp.wiring import open_backend

_COLUMNS = (
    "u.id, u.username, u.name, u.email, u.department, u.manager, u.type, u.status, u.status_reasons, u.last_login_at, "
    "u.is_2fa_enabled, u.created_at"
)
_PEOPLE = f"SELECT {_COLUMNS} FROM users_ u WHERE u.removed_at IS NULL AND u.id IN (SELECT user_id FROM memberships_)"  # noqa: S608 - our own
_WAYS = f"SELECT {_COLUMNS}, m.group_id, m.type FROM memberships_ m JOIN users_ u ON u.id = m.user_id"  # noqa: S608 - our own
_SECONDS = 4.0


def measured(extent: Extent) -> Measured:
    users, runs = (2_000, 3) if extent == "fast" else (100_000, 5)
    with serving(size=users) as place, TemporaryDirectory() as cache:
        sync(place, cache)
        reviewed, people, ways, counted = anyio.run(_reviewed, place, Path(cache), runs)
    what = f"access_review of everybody, {counted:,} people with access of {users:,} users, warm"
    small = extent == "fast"

    def figure(what: str, against: str, yardstick: float, promised: float | None) -> Figure:
        bar = None if promised is None else at_most(promised)
        return Figure(
            what=what, against=against, ours=reviewed, yardstick=yardstick, unit="s", promised=bar, small=small
        )

    return Measured(
        figures=[
            figure(what, "one SELECT of the columns it reads, a row for each membership", ways, 5),
            figure("  the same", "one SELECT of the columns it reads, a row for each person", people, None),
            figure("  the same", f"the time budget of an answer, {_SECONDS:g} s", _SECONDS, 1),
        ]
    )


async def _reviewed(place: Place, cache: Path, runs: int) -> tuple[float, float, float, int]:
    """Return the median seconds of the tool, of both scans, and how many people the review counts."""
    configured = settings(place, cache)
    server = build_server(partial(serve_one, lambda: open_backend(configured)))
    file = copy_path(cache, connection(place, cache).key)
    async with Client(server) as client:
        counts = await _review(client)
        taken: list[list[float]] = [[], [], []]
        for _ in range(runs):
            started = time.perf_counter()
            assert await _review(client) == counts
            taken[0].append(time.perf_counter() - started)
            taken[1].append(_scan(file, _PEOPLE, lambda rows: rows >= counts["people"] * 0.99))
            taken[2].append(_scan(file, _WAYS, lambda rows: rows >= counts["people"] * 0.99))
    reviewed, people, ways = map(middle, taken)
    return reviewed, people, ways, counts["people"]


async def _review(client: Client) -> dict[str, Any]:
    """Ask until there is an answer, as a client does that is told that the review is still running."""
    while True:
        result = await client.call_tool("access_review", {})
        facts = result.structured_content
        assert facts is not None, result
        assert not result.is_error, result
        if facts.get("state") != "running":
            counts: dict[str, Any] = facts["counts"]
            return counts


def _scan(file: Path, sql: str, is_whole: Callable[[int], bool]) -> float:
    """Return the seconds of one query whose rows are fetched and thrown away."""
    database = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        started = time.perf_counter()
        rows = sum(1 for _ in database.execute(sql))
        taken = time.perf_counter() - started
    finally:
        database.close()
    assert is_whole(rows), f"{rows} rows"
    return taken
