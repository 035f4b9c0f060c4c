"""The SDK's client over HTTP: everything that works over stdio works here, in both eras of the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import anyio
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.session import MessageHandlerFnT
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData, InputRequiredResult, ResourceUpdatedNotification

from pingone_mcp.sandbox.times import timestamp
from pingone_mcp.server.subscriptions import CHANGES
from pingone_mcp.tasks import first_failure
from tests.web.mcp.serving import SIZE, Served
from tests.world import World, error_text, facts, walk

MODES = ("legacy", "auto")
YES = ElicitResult(action="accept", content={"confirm": True})


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with Served(tmp_path).listening() as served:
        yield served


class Person:
    """Who is asked, and what; `before` is awaited before the answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        self.asked.append(params.message)
        return YES


def disabling(world: World, position: int = 10) -> dict[str, Any]:
    """Return a write: it disables a user."""
    user = world.sandbox.state().user(position)["id"]
    path = f"/environments/{world.sandbox.environment_id}/users/{user}/enabled"
    return {"method": "PUT", "path": path, "body": {"enabled": False}}


def change(world: World, position: int) -> None:
    """Change a user as somebody else would, an hour later."""
    world.time.passed += 3_600
    world.sandbox.clock.advance(3_600)
    state = world.sandbox.state()
    now = timestamp(world.sandbox.clock.now())
    state.put_user(position, {**state.user(position), "title": "Diver", "updatedAt": now})


async def sync(client: Client) -> None:
    while (came_of := facts(await client.call_tool("sync_directory")))["state"] == "running":
        pass
    assert came_of["state"] == "done"


@pytest.mark.parametrize("mode", MODES)
async def test_each_connection_answers_about_its_own_directory(served: Served, mode: str) -> None:
    seen: dict[str, set[str]] = {}
    for name in ("acme", "globex"):
        async with served.client(name, mode=mode) as client:
            seen[name] = {row["id"] for row in await walk(client, limit=25)}
    assert [len(ids) for ids in seen.values()] == [SIZE, SIZE]
    assert not seen["acme"] & seen["globex"]


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_offered_is_what_stdio_offers(served: Served, mode: str) -> None:
    async with served.client("acme", mode=mode) as here, served.worlds["globex"].client(mode=mode) as there:
        assert [tool.name for tool in (await here.list_tools()).tools] == [
            tool.name for tool in (await there.list_tools()).tools
        ]
        assert await here.list_prompts() == await there.list_prompts()
        assert await here.list_resources() == await there.list_resources()
        assert await here.list_resource_templates() == await there.list_resource_templates()
        assert (await here.get_prompt("find_people", {"who": "ann"})).messages


@pytest.mark.parametrize("mode", MODES)
async def test_a_write_is_confirmed_by_the_person_at_the_client(served: Served, mode: str) -> None:
    person, world = Person(), served.worlds["acme"]
    async with served.client("acme", mode=mode, answers=person) as client:
        assert facts(await client.call_tool("proxy_request", disabling(world)))["status"] == 200
    assert len(person.asked) == 1
    assert world.sandbox.state().user(10)["enabled"] is False


@pytest.mark.parametrize("mode", MODES)
async def test_progress_is_heard_while_a_call_runs(served: Served, mode: str) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with served.client("acme", mode=mode) as client:
        await client.call_tool("list_users", {"limit": 5}, progress_callback=hear)
    assert heard
    assert str(heard[0]).startswith("page 1: ")


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_is_cancelled_ends_on_the_server(served: Served, mode: str) -> None:
    began, ended = anyio.Event(), anyio.Event()

    async def never(_: float) -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    sandbox = served.worlds["acme"].sandbox
    sandbox.sleep = never
    sandbox.faults.add("slow", path="/users", times=None)
    async with served.client("acme", mode=mode) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "list_users")
        with anyio.fail_after(60):
            await began.wait()
            tasks.cancel_scope.cancel()
    with anyio.fail_after(60):
        await ended.wait()


@pytest.mark.parametrize("mode", MODES)
async def test_a_subscriber_hears_of_changes_and_no_other_connections(served: Served, mode: str) -> None:
    acme, globex = Subscriber(served, "acme", mode), Subscriber(served, "globex", mode)
    async with anyio.create_task_group() as tasks:
        for subscriber in (acme, globex):
            await tasks.start(subscriber.listen)
        async with served.client("acme") as client:
            await sync(client)
            change(served.worlds["acme"], 3)
            await sync(client)
        async with served.client("globex") as client:
            await sync(client)
        with anyio.fail_after(60):
            await acme.hears(1)
        assert (set(acme.heard), globex.heard) == ({CHANGES}, [])
        tasks.cancel_scope.cancel()


class OpensClients(Protocol):
    """What opens the SDK's client to a connection."""

    def client(
        self, connection: str, *, mode: str, hears: MessageHandlerFnT | None
    ) -> AbstractAsyncContextManager[Client]: ...


class Subscriber:
    """A client that hears of the changes of a connection."""

    def __init__(self, served: OpensClients, connection: str, mode: str) -> None:
        self.served, self.connection, self.mode = served, connection, mode
        self.heard: list[str] = []
        self.has_heard = anyio.Event()

    async def listen(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        hears = self.hear if self.mode == "legacy" else None  # a message and an event of the other one are one
        async with self.served.client(self.connection, mode=self.mode, hears=hears) as client:
            if self.mode == "legacy":
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(CHANGES)  # type: ignore[deprecated] # it is the older era
                task_status.started()
                await anyio.sleep_forever()
            async with client.listen(resource_subscriptions=[CHANGES]) as events:
                task_status.started()
                async for event in events:
                    assert event == ResourceUpdated(uri=CHANGES)
                    self.note(CHANGES)

    async def hear(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.note(str(message.params.uri))

    def note(self, uri: str) -> None:
        self.heard.append(uri)
        self.has_heard.set()
        self.has_heard = anyio.Event()

    async def hears(self, times: int) -> None:
        """Return when it has heard so many times."""
        while len(self.heard) < times:
            await self.has_heard.wait()


async def asked(client: Client, arguments: dict[str, Any]) -> InputRequiredResult:
    result = await client.session.call_tool("proxy_request", arguments, allow_input_required=True)
    assert isinstance(result, InputRequiredResult)
    return result


async def answered(client: Client, arguments: dict[str, Any], question: InputRequiredResult) -> Any:
    assert question.input_requests is not None
    return await client.session.call_tool(
        "proxy_request",
        arguments,
        input_responses=dict.fromkeys(question.input_requests, YES),
        request_state=question.request_state,
        allow_input_required=True,
    )


async def test_what_one_was_asked_nobody_else_confirms_here_or_elsewhere(served: Served) -> None:
    world = served.worlds["acme"]
    write = disabling(world)
    async with served.client("acme", answers=Person()) as client:
        question = await asked(client, write)
        for connection, key in (("acme", "colleague"), ("acme", "both"), ("globex", "both")):
            async with served.client(connection, key, answers=Person()) as other:
                with pytest.raises(MCPError, match="requestState"):
                    await answered(other, write, question)
        assert world.sandbox.state().user(10)["enabled"] is True
        assert not (await answered(client, write, question)).is_error
    assert world.sandbox.state().user(10)["enabled"] is False


async def test_a_cursor_of_one_connection_is_none_to_another(served: Served) -> None:
    async with served.client("acme", "both") as acme, served.client("globex", "both") as globex:
        cursor = facts(await acme.call_tool("list_users", {"limit": 5}))["next_cursor"]
        assert "[FOREIGN_CURSOR]" in error_text(await globex.call_tool("list_users", {"cursor": cursor}))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("connection", "key"), [("globex", "acme"), ("nowhere", "acme"), ("default", "both")])
async def test_a_client_reaches_no_connection_but_those_of_its_key(
    served: Served, mode: str, connection: str, key: str
) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with served.client(connection, key, mode=mode) as client:
            await client.list_tools()
    assert "no such connection" in str(first_failure(raised.value))
    assert not served.worlds["globex"].sandbox.requests


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tool", ["sync_directory", "proxy_request"])
async def test_a_tool_that_needs_more_is_listed_and_refused(served: Served, mode: str, tool: str) -> None:
    write = disabling(served.worlds["acme"]) if tool == "proxy_request" else {}
    async with served.client("acme", "reader", mode=mode, answers=Person()) as client:
        assert tool in {listed.name for listed in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match=r"this needs: directory\.read, directory\.(sync|write).*INSUFFICIENT_SCOPE"):
            await client.call_tool(tool, write)
        assert facts(await client.call_tool("list_users", {"limit": 1}))["result_count"] == 1
