"""McpEndpoints without the face before them: what each holds to by itself."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from pingone_mcp.clock import Clock
from pingone_mcp.errors import Problem
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.tasks import background
from pingone_mcp.web.mcp.endpoint import McpEndpoint
from pingone_mcp.web.mcp.endpoints import McpEndpoints
from tests.web.mcp.serving import Script, Served, call, said

LIST = {"jsonrpc": "2.0", "id": 7, "method": "resources/list"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with Served(tmp_path).running() as served:
        yield served


def ignore(_: McpEndpoint) -> None:
    pass


@asynccontextmanager
async def asking(served: Served, endpoint: McpEndpoint, key: str) -> AsyncIterator[Script]:
    """Ask an endpoint past the face, as the caller of a key."""

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        state = {"caller": served.callers[key]}
        await endpoint.answer({**scope, "state": state}, receive, send, as_json=True)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(signed_in), base_url="http://here") as http:
        yield Script(http, "/")


WRITES = [{"path": "/environments", "method": method} for method in ("POST", "post", ["GET"])]


@pytest.mark.parametrize(
    ("tool", "arguments"), [("sync_directory", {}), *(("proxy_request", write) for write in WRITES)]
)
@pytest.mark.parametrize("era", ["session", "stateless"])
async def test_a_tool_is_refused_to_who_may_not_use_it(
    served: Served, tool: str, arguments: dict[str, Any], era: str
) -> None:
    endpoints = McpEndpoints(Clock(), ignore)
    async with (
        endpoints.serving(),
        asking(served, endpoints.of(served.connections.find("acme")), "reader") as script,
    ):
        await script.open()
        message = call(tool, **arguments)
        answer = said(await (script.post(message) if era == "session" else script.ask(message)))
    assert answer["result"]["isError"] is True
    assert "[MISSING_PERMISSION]" in answer["result"]["content"][0]["text"]
    assert not served.worlds["acme"].sandbox.requests


async def test_who_may_not_read_reads_nothing(served: Served) -> None:
    endpoints = McpEndpoints(Clock(), ignore)
    async with (
        endpoints.serving(),
        asking(served, endpoints.of(served.connections.find("acme")), "syncer") as script,
    ):
        assert "[MISSING_PERMISSION]" in said(await script.ask(LIST))["error"]["message"]


async def test_what_nobody_signed_in_for_is_refused(served: Served) -> None:
    endpoints = McpEndpoints(Clock(), ignore)
    async with endpoints.serving():
        endpoint = endpoints.of(served.connections.find("acme"))
        transport = httpx.ASGITransport(partial(endpoint.answer, as_json=True))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            answer = said(await Script(http, "/").ask(LIST))
    assert "[NO_CALLER]" in answer["error"]["message"]


async def test_an_endpoint_that_cannot_live_says_so_and_harms_no_other(served: Served) -> None:
    served.connections.find("globex").end()

    def build(*_: object) -> None:
        raise OSError

    broken = McpEndpoint(served.connections.find("globex"), build)  # type: ignore[arg-type] # it is broken
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broken.live)
        async with asking(served, broken, "globex") as script:
            with pytest.raises(Problem, match=r"CONNECTION_ENDED"):
                await script.ask(LIST)
    assert broken.has_ended


async def test_a_connection_that_cannot_be_opened_is_served_all_the_same(served: Served) -> None:
    served.connections.find("acme").end()
    async with served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        assert len(said(await script.post(LIST))["result"]["resources"]) > 3
        answer = said(await script.post(call("list_users")))
    assert "[CONNECTION_ENDED]" in answer["result"]["content"][0]["text"]


async def test_two_hundred_endpoints_take_little_more_than_one(served: Served) -> None:
    """They share what no request changes; the tools of one alone are half a megabyte."""
    endpoints = McpEndpoints(Clock(), ignore)
    async with background() as tasks, endpoints.serving():
        first, *others = [ServedConnection(str(number), served.opening("acme"), tasks) for number in range(201)]
        for one in (first, *others):
            one.end()  # none is opened: what a backend takes is another question
        await endpoints.of(first).ready.wait()
        tracemalloc.start()
        try:
            for one in others:
                await endpoints.of(one).ready.wait()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken < 200 * 40_000, f"{taken / 200:,.0f} bytes each"
