"""One `get_user` over MCP, warm, beside the same GET by bare httpx: both of a PingOne that takes 20 ms to answer."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio
import httpx
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from benchmarks.measuring.turns import middle, seconds
from benchmarks.places.bare import bearer
from benchmarks.places.served import serving
from benchmarks.server.pipes import plain_environment
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

LATENCY = 0.020
_WARM = 10


def measured(extent: Extent) -> Measured:
    ours, bare = anyio.run(_asked, 20 if extent == "fast" else 100)
    return Measured(
        figures=[
            Figure(
                what=f"get_user over stdio, warm, {LATENCY * 1000:g} ms per answer",
                against="the same GET by bare httpx",
                ours=ours * 1000,
                yardstick=bare * 1000,
                unit="ms",
                promised=at_most(1.25),
            )
        ]
    )


async def _asked(runs: int) -> tuple[float, float]:
    """Return the median seconds of both, of so many questions, asked in turns; ours reads groups and roles besides."""
    with tempfile.TemporaryDirectory() as cache, serving(latency=LATENCY) as place:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "pingone_mcp"],
            env=plain_environment() | place.variables(Path(cache)),
        )
        async with Client(stdio_client(server)) as client, httpx.AsyncClient(trust_env=False) as http:
            http.headers.update(bearer(place))

            async def ask(user: str) -> None:
                result = await client.call_tool("get_user", {"user": user})
                content = result.structured_content
                assert content is not None, result
                assert content["id"] == user

            async def get(user: str) -> None:
                answer = await http.get(f"{place.users_url}/{user}")
                assert answer.json()["id"] == user

            users = place.user_ids[:_WARM]
            for user in users:
                await ask(user)
                await get(user)
            pairs = [
                (await seconds(partial(ask, user)), await seconds(partial(get, user)))
                for user in (users[run % _WARM] for run in range(runs))
            ]
    return middle(ours for ours, _ in pairs), middle(bare for _, bare in pairs)
