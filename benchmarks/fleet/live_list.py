"""A list of a hundred users over REST, live, beside the bare page of the provider, which takes 20 ms to answer."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx

from benchmarks.fleet.paced import Lines
from benchmarks.fleet.prepared import prepare
from benchmarks.fleet.spawned import spawned
from benchmarks.measuring.turns import middle, seconds
from benchmarks.places.bare import bearer
from benchmarks.places.served import serving
from benchmarks.server.pipes import plain_environment
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

LATENCY = 0.020
_ROWS = 100
_WARM = 4


def measured(extent: Extent) -> Measured:
    ours, bare = anyio.run(_asked, 10 if extent == "fast" else 40)
    return Measured(
        figures=[
            Figure(
                what=f"{_ROWS} users over REST, live, {LATENCY * 1000:g} ms per answer",
                against="the same page by bare httpx",
                ours=ours * 1000,
                yardstick=bare * 1000,
                unit="ms",
                promised=at_most(2.5),
            )
        ]
    )


async def _asked(runs: int) -> tuple[float, float]:
    """Return the median seconds of both, of so many questions, asked in turns."""
    with TemporaryDirectory() as name, serving(latency=LATENCY) as place:
        folder = Path(name)
        prepared = await prepare(folder / "state", place, 1)
        env = plain_environment() | {"PINGONE_STATE_DIR": str(prepared.folder)}
        serve = ["-m", "pingone_mcp", "serve", "--port", "0"]
        with spawned(serve, folder / "log", env, ready="/readyz") as server:
            async with (
                httpx.AsyncClient(trust_env=False, headers=bearer(place)) as http,
                aclosing(Lines(server.url, {"Authorization": f"Bearer {prepared.key}"})) as lines,
            ):
                ours = partial(lines.get, f"/unified/user-directory/users?limit={_ROWS}")
                bare = partial(http.get, f"{place.users_url}?limit={_ROWS}")
                for _ in range(_WARM):
                    await ours()
                    await bare()
                await anyio.sleep(2)  # the first sync has ended
                taken = [(await seconds(ours), await seconds(bare)) for _ in range(runs)]
    return middle(one for one, _ in taken), middle(other for _, other in taken)
