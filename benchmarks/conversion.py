"""From the bytes of a page of PingOne users to unified users, beside `json.loads` of the same bytes."""

from __future__ import annotations

import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pingone_mcp.pingone.api.client import Client
from pingone_mcp.pingone.served import Served
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.tasks import background
from tests.world import NOW, World

PAGES = 5
ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """Seconds for one page of 200 users, the mean of several pages, each at its best."""

    loads_seconds: float
    unified_seconds: float


class _Received(Client):
    """A client whose answers have come already, so that what is measured is the reading of them."""

    answers: dict[str, bytes]

    async def send(self, method: str, url: str, **rest: Any) -> httpx.Response:
        answer = self.answers.get(url.removeprefix(self.connection.api_base))
        if answer is None:
            return await super().send(method, url, **rest)
        return httpx.Response(200, content=answer, request=httpx.Request(method, url))


async def measure(runs: int = 40) -> Conversion:
    """Return what both ways take, measured in turn on the same bytes."""
    with tempfile.TemporaryDirectory() as cache:
        world = World(sandbox=Sandbox(size=PAGES * ROWS, now=NOW), cache=Path(cache))
        environment = world.sandbox.environment_id
        clock = world.time.clock()
        async with background() as tasks:
            client = _Received(world.connection(), world.sandbox.transport(), tasks, clock)
            client.answers = await _pages(world, f"/environments/{environment}/users?limit={ROWS}")
            served = Served(client, clock)
            best = dict.fromkeys(client.answers, (math.inf, math.inf))
            for _ in range(runs):
                for path, answer in client.answers.items():
                    started = time.perf_counter()
                    json.loads(answer)
                    between = time.perf_counter()
                    page = await client.page(path, "users", environment=environment)
                    users, _ = await served.people.readable(environment, page)
                    ended = time.perf_counter()
                    assert len(users) == ROWS
                    loads, unified = best[path]
                    best[path] = (min(loads, between - started), min(unified, ended - between))
    return Conversion(
        loads_seconds=sum(loads for loads, _ in best.values()) / len(best),
        unified_seconds=sum(unified for _, unified in best.values()) / len(best),
    )


async def _pages(world: World, path: str) -> dict[str, bytes]:
    """Return the pages of a list as PingOne writes them, by their paths."""
    pages: dict[str, bytes] = {}
    following: str | None = path
    while following is not None:
        body = await world.native(following)
        pages[following] = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        link = body["_links"].get("next", {}).get("href")
        following = link.removeprefix(f"{world.sandbox.base_url}/v1") if link else None
    return pages
