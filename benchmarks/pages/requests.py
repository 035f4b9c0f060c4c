"""What one request costs our processor: through our client, and by bare httpx."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx

from benchmarks.measuring.turns import middle
from benchmarks.places.bare import bearer
from benchmarks.places.ours import connection
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure
from benchmarks.table.group import Extent, Measured
from pingone_mcp.pingone.api.client import open_client

_AT_A_TIME = 20


def measured(extent: Extent) -> Measured:
    with serving(size=200) as place:
        figures = anyio.run(_figures, place, 2 if extent == "fast" else 15)
    return Measured(figures=figures)


async def _figures(place: Place, rounds: int) -> list[Figure]:
    figures: list[Figure] = []
    with TemporaryDirectory() as cache:
        async with (
            httpx.AsyncClient(headers=bearer(place), trust_env=False) as bare,
            open_client(connection(place, Path(cache))) as ours,
        ):
            for what, url in (
                ("a tiny answer", f"{place.users_url}/{place.user_ids[0]}/enabled"),
                ("a page of 200 users", f"{place.users_url}?limit=200"),
            ):
                size = len((await bare.get(url)).content)
                taken = await _in_turns(rounds, partial(ours.send, "GET", url, quickly=len), partial(bare.get, url))
                figures.append(
                    Figure(
                        what=f"processor time of one request through our client, {what} ({size:,} bytes)",
                        against="the same by bare httpx; neither reads the JSON",
                        ours=taken[0] * 1000,
                        yardstick=taken[1] * 1000,
                        unit="ms",
                    )
                )
    return figures


async def _in_turns(rounds: int, *acts: Callable[[], Awaitable[httpx.Response]]) -> list[float]:
    """Return the median processor seconds of one request, of rounds of some requests each."""
    taken: list[list[float]] = [[] for _ in acts]
    for number in range(rounds + 1):
        for way, act in enumerate(acts):
            started = time.process_time()
            for _ in range(_AT_A_TIME):
                answer = await act()
                assert answer.status_code == httpx.codes.OK
            if number > 0:  # the first is to get warm
                taken[way].append((time.process_time() - started) / _AT_A_TIME)
    return list(map(middle, taken))
