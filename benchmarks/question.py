"""One `get_user` over MCP, warm, beside the same GET by bare httpx: both of a PingOne that takes 20 ms to answer."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from benchmarks.served import Place, serving

LATENCY = 0.020
_WARM = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Median seconds of one question; `get_user` reads groups, roles and manager besides."""

    get_user_seconds: float
    bare_get_seconds: float


async def measure(runs: int = 100) -> Question:
    """Return the medians of so many questions each, asked in turn about users in turn."""
    with tempfile.TemporaryDirectory() as cache, serving(latency=LATENCY) as place:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "pingone_mcp"],
            env=_environment() | place.variables(Path(cache)),
        )
        async with Client(stdio_client(server)) as client, _bare(place) as http:
            bearer = await _bearer(http, place)

            async def ask(user: str) -> None:
                result = await client.call_tool("get_user", {"user": user})
                content = result.structured_content
                assert content is not None, result
                assert content["id"] == user

            async def get(user: str) -> None:
                answer = await http.get(f"/v1/environments/{place.environment_id}/users/{user}", headers=bearer)
                assert answer.json()["id"] == user

            users = place.user_ids[:_WARM]
            for user in users:
                await ask(user)
                await get(user)
            pairs = [
                (await _seconds(ask, users[run % _WARM]), await _seconds(get, users[run % _WARM]))
                for run in range(runs)
            ]
    return Question(
        get_user_seconds=statistics.median(ours for ours, _ in pairs),
        bare_get_seconds=statistics.median(bare for _, bare in pairs),
    )


async def _seconds(act: Callable[[str], Awaitable[None]], user: str) -> float:
    started = time.perf_counter()
    await act(user)
    return time.perf_counter() - started


def _bare(place: Place) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=place.base_url, trust_env=False)


async def _bearer(http: httpx.AsyncClient, place: Place) -> dict[str, str]:
    grant = await http.post(
        f"/{place.environment_id}/as/token",
        data={"grant_type": "client_credentials"},
        auth=(place.client_id, place.client_secret),
    )
    return {"Authorization": f"Bearer {grant.json()['access_token']}"}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PINGONE_")}
