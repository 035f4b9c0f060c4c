"""From the bytes of a page of PingOne users to unified users and to rows of the copy, beside `json.loads` of the same.

It asks our client, whose answers have come already: what is measured is all that happens to an answer.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx

from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.directory.models import User
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.pingone.api.client import Client
from pingone_mcp.pingone.served import Served
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.tasks import background
from tests.world import NOW, World

PAGES = 5
ROWS = 200


class Received(Client):
    """A client whose answers have come already."""

    answers: dict[str, bytes]

    async def send(self, method: str, url: str, **rest: Any) -> httpx.Response:
        answer = self.answers.get(url.removeprefix(self.connection.api_base))
        if answer is None:
            return await super().send(method, url, **rest)
        return httpx.Response(200, content=answer, request=httpx.Request(method, url))


async def unified(client: Received, served: Served, path: str, environment: str) -> list[User]:
    """Make the users of a page, as a question does."""
    page = await client.page(path, "users", environment=environment)
    users, _ = await served.people.readable(environment, page)
    return list(users)


async def rows(client: Received, served: Served, path: str, environment: str) -> list[UserRow]:
    """Make the rows of a page, as a sync does."""
    page = await client.page(path, "users", environment=environment)
    made = await served.people.made_rows(environment)
    found, _ = served.people.reader.read(page.raws)
    return [made(user) for user in found]


def measured(extent: Extent) -> Measured:
    loads, users, made = anyio.run(_best, 5 if extent == "fast" else 40)
    return Measured(
        figures=[
            Figure(
                what=f"from the bytes of a page of {ROWS} users to {what}",
                against="json.loads of the same bytes",
                ours=ours * 1000,
                yardstick=loads * 1000,
                unit="ms",
                promised=at_most(1.5),
            )
            for what, ours in (("rows of the copy", made), ("unified users", users))
        ]
    )


async def _best(runs: int) -> tuple[float, float, float]:
    """Return the seconds of `json.loads`, users and rows for a page: the mean of several pages, each at its best."""
    with tempfile.TemporaryDirectory() as cache:
        world = World(sandbox=Sandbox(size=PAGES * ROWS, now=NOW), cache=Path(cache))
        environment = world.sandbox.environment_id
        clock = world.time.clock()
        async with background() as tasks:
            client = Received(world.connection(), world.sandbox.transport(), tasks, clock)
            client.answers = await _pages(world, f"/environments/{environment}/users?limit={ROWS}")
            served = Served(client, clock)

            async def loads(path: str) -> int:
                return len(json.loads(client.answers[path])["_embedded"]["users"])

            async def users(path: str) -> int:
                return len(await unified(client, served, path, environment))

            async def made(path: str) -> int:
                return len(await rows(client, served, path, environment))

            best = [[math.inf] * len(client.answers) for _ in range(3)]
            for _ in range(runs):
                for number, path in enumerate(client.answers):
                    for way, act in enumerate((loads, users, made)):
                        best[way][number] = min(best[way][number], await _processor_seconds(act, path))
    loads_best, users_best, made_best = (sum(times) / len(times) for times in best)
    return loads_best, users_best, made_best


async def _processor_seconds(act: Callable[[str], Awaitable[int]], path: str) -> float:
    started = time.process_time()
    number = await act(path)
    taken = time.process_time() - started
    assert number == ROWS
    return taken


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
