"""What is asked of the local copy, beside the same questions asked live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from benchmarks.copy.sync import sync
from benchmarks.measuring.turns import middle_seconds, seconds
from benchmarks.places.ours import settings
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.directory.provider import DeactivatedQuestion, UserQuestion
from pingone_mcp.pingone.directory import PingOneDirectory
from pingone_mcp.wiring import open_backend

PAGE = 50
_BY_DEPARTMENT = "SELECT department, status, count(*) FROM users GROUP BY department, status"
_FIRST_LETTERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Median seconds of one question, out of the copy and live."""

    copy_seconds: float
    live_seconds: float


def measured(extent: Extent) -> Measured:
    """Measure both. Where the yardstick is a promise itself, it is one for 100,000 users."""
    users, runs = (2_000, 3) if extent == "fast" else (100_000, 9)
    with serving(size=users) as place, TemporaryDirectory() as cache:
        sync(place, cache)
        asked = anyio.run(_ask, place, Path(cache), runs)
    figures: list[Figure] = []
    for what, found, milliseconds in zip(
        ("users by department and status", f"full-text search, {PAGE} users", f"find_deactivated, {PAGE} users"),
        asked,
        (200, 50, 50),
        strict=True,
    ):
        copied, lively = found.copy_seconds * 1000, found.live_seconds * 1000
        figures += [
            Figure(
                what=f"{what}, of {users:,}",
                against="the same question live, no latency",
                ours=copied,
                yardstick=lively,
                unit="ms",
                comparison="speed-up",
            ),
            Figure(
                what="the same",
                against="what is promised for 100,000 users",
                ours=copied,
                yardstick=milliseconds,
                unit="ms",
                promised=at_most(1),
                small=extent == "fast",
            ),
        ]
    return Measured(figures=figures)


async def _ask(place: Place, cache: Path, runs: int) -> tuple[Asked, Asked, Asked]:
    async with open_backend(settings(place, cache)) as backend:
        live, copy, directory = backend.directory, backend.replica, backend.copy
        assert isinstance(live, PingOneDirectory)
        someone = (await directory.users(UserQuestion(), page_size=1)).items[0]
        letters = (someone.last_name or someone.username or "")[:_FIRST_LETTERS]

        async def sql(text: str) -> Sequence[Sequence[object]]:
            answer, _, _ = await copy.query(
                text, limit=PAGE, characters=20_000, seconds=10.0, beside=lambda snapshot: snapshot.gaps(None)
            )
            return answer.rows

        async def same_counts() -> None:
            rows = await sql(_BY_DEPARTMENT)
            assert {tuple(row[:2]): row[2] for row in rows} == counts

        counts: Counter[tuple[object, object]] = Counter()
        live_count = await seconds(lambda: _count(live, counts))
        search = (
            "SELECT u.* FROM people JOIN users u ON u.id = people.id "  # noqa: S608 - a name of the sandbox's
            f"""WHERE people MATCH '"{letters}"*' ORDER BY rank LIMIT {PAGE}"""
        )
        question = DeactivatedQuestion()
        return (
            Asked(copy_seconds=await middle_seconds(same_counts, runs), live_seconds=live_count),
            Asked(
                copy_seconds=await middle_seconds(lambda: sql(search), runs),
                live_seconds=await middle_seconds(
                    lambda: live.users(UserQuestion(query=letters), page_size=PAGE), runs
                ),
            ),
            Asked(
                copy_seconds=await middle_seconds(lambda: directory.deactivated(question, page_size=PAGE), runs),
                live_seconds=await middle_seconds(lambda: live.deactivated(question, page_size=PAGE), runs),
            ),
        )


async def _count(live: PingOneDirectory, counts: Counter[tuple[object, object]]) -> None:
    async with live.walk() as walk:
        async for page in walk:
            counts.update((user.department, user.status) for user in page.users)
