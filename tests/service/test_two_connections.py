"""Two connections in one process, served by one server: nothing of one ever reaches the other.

They are as alike as two connections can be: the same application in the same environment, the same settings, cache
folder, rosters and audit file, clients of the same name. Only their ids differ, and what their directories hold: a
title says of everybody to which of the two they belong.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData, InputRequiredResult, ResourceUpdatedNotification

from pingone_mcp.errors import NoSuchConnection, Problem, Refused
from pingone_mcp.logs import HarmlessFormatter
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.times import timestamp
from pingone_mcp.server.build import build_server
from pingone_mcp.server.subscriptions import CHANGES
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.connections import Connections, ServedConnection
from pingone_mcp.tasks import background
from tests.world import NOW, Checked, World, error_text, facts, walk

SIZE = 60
HUNGRY = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT json_group_array(printf('%9000d', x)) FROM c"
YES = ElicitResult(action="accept", content={"confirm": True})


@dataclass
class Side:
    """One of the two connections, its world, and its client."""

    id: str
    world: World
    client: Client = field(init=False)
    heard: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    @property
    def enabled(self) -> dict[str, Any]:
        """Return a write of this connection's own: of another user than the other's."""
        user = self.world.sandbox.state().user(10 if self.id == "acme" else 20)
        path = f"/environments/{self.world.sandbox.environment_id}/users/{user['id']}/enabled"
        return {"method": "PUT", "path": path, "body": {"enabled": False}}

    async def hear(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.heard.append(str(message.params.uri))

    async def confirm(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        self.asked.append(params.message)
        return YES

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return facts(await self.client.call_tool(tool, arguments))

    async def sync(self) -> dict[str, Any]:
        while (came_of := await self.call("sync_directory"))["state"] == "running":
            pass
        assert came_of["state"] == "done"
        return came_of

    def change(self, position: int) -> None:
        """Change a user as somebody else would, an hour later."""
        self.world.time.passed += 3_600
        self.world.sandbox.clock.advance(3_600)
        state = self.world.sandbox.state()
        now = timestamp(self.world.sandbox.clock.now())
        state.put_user(position, {**state.user(position), "title": f"{self.id} diver", "updatedAt": now})


class Two:
    """Two worlds, and the process that serves both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "writes.jsonl"
        (folder / "rosters").mkdir()
        self.acme, self.globex = (Side(name, self._world(name)) for name in ("acme", "globex"))
        self.queries = Queries()

    def _world(self, name: str) -> World:
        sandbox = Sandbox(size=SIZE, seed="the same", now=NOW)
        state = sandbox.state()
        for position in range(SIZE):
            state.put_user(position, {**state.user(position), "title": name})
        return World(sandbox=sandbox, cache=self.folder / "cache", rosters=self.folder / "rosters")

    def opening(self, side: Side, **changes: Any) -> OpenBackend:
        settings = {"allow_writes": True, "audit_file": self.journal, "answer_seconds": 60.0, **changes}
        return partial(side.world.backend, identity=side.id, queries=self.queries, **settings)

    def openings(self) -> dict[str, OpenBackend]:
        return {side.id: self.opening(side) for side in (self.acme, self.globex)}

    @asynccontextmanager
    async def served(self, mode: str = "auto", openings: dict[str, OpenBackend] | None = None) -> AsyncIterator[None]:
        """Serve both, each to a client of its own, by one server."""
        connections = Connections(openings or self.openings())
        callers = itertools.cycle(("acme", "globex"))
        server = build_server(lambda: connections.lend(next(callers)), allow_writes=True)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(aclosing(self.queries))
            await stack.enter_async_context(connections.serving())
            for side in (self.acme, self.globex):
                client = Checked(server, mode=mode, elicitation_callback=side.confirm, message_handler=side.hear)
                side.client = await stack.enter_async_context(client)
            yield

    def recorded(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


async def test_each_answers_about_its_own_directory_with_a_token_of_its_own(two: Two) -> None:
    async with two.served():
        for side in (two.acme, two.globex):
            rows = await walk(side.client, fields=["id", "title"], limit=25)
            assert [row["title"] for row in rows] == [side.id] * SIZE
    for side in (two.acme, two.globex):
        assert side.world.sandbox.token_requests == 1
        assert {request.status for request in side.world.sandbox.requests} == {200}, "a token of the other was tried"


async def test_twenty_questions_of_each_at_once_half_of_them_left_are_answered_by_its_own(two: Two) -> None:
    answered: list[tuple[str, str]] = []
    left: list[int] = []

    async def ask(side: Side, number: int, asking: anyio.CancelScope) -> None:
        with asking:
            found = await side.call("list_users", fields=["title"], limit=5 + number)
            answered.extend((side.id, row["title"]) for row in found["result"])
        if asking.cancelled_caught:
            left.append(number)

    async def leave(asking: anyio.CancelScope, moments: int) -> None:
        for _ in range(moments):
            await anyio.lowlevel.checkpoint()
        asking.cancel()

    async with two.served():
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                for side in (two.acme, two.globex):
                    asking = anyio.CancelScope()
                    tasks.start_soon(ask, side, number, asking)
                    if number % 2:
                        tasks.start_soon(leave, asking, 5 * number)
        assert left, "nobody left half-way"
        assert {connection for connection, _ in answered} == {"acme", "globex"}
        assert all(title == connection for connection, title in answered)
        for side in (two.acme, two.globex):
            rows = await walk(side.client, fields=["title"])
            assert [row["title"] for row in rows] == [side.id] * SIZE, "what was left half-way is in nobody's way"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_cursor_of_one_is_none_to_the_other(two: Two, mode: str) -> None:
    async with two.served(mode):
        cursor = (await two.acme.call("list_users", limit=5))["next_cursor"]
        refused = await two.globex.client.call_tool("list_users", {"cursor": cursor})
        assert refused.is_error
        assert "cursor" in error_text(refused)
        assert (await two.acme.call("list_users", cursor=cursor, limit=5))["result_count"] == 5


async def test_one_directory_that_two_serve_shows_each_no_more_than_its_own_part(two: Two) -> None:
    sandbox, contractors = two.acme.world.sandbox, two.acme.world.sandbox.state().contractors()
    two.globex.world = World(sandbox=sandbox, cache=two.acme.world.cache)
    users = {"path": f"/environments/{sandbox.environment_id}/users"}
    questions: dict[str, dict[str, Any]] = {
        "list_users": {"limit": 2},
        "list_changes": {"limit": 1},
        "list_groups": {"limit": 1},
        "find_deactivated": {"limit": 1},
        "access_review": {"format": "csv"},
        "proxy_request": {**users, "query": {"limit": "2"}},
    }
    async with two.served(openings=two.openings() | {"globex": two.opening(two.globex, populations=(contractors,))}):
        for side in (two.acme, two.globex):
            await side.sync()
        everybody, some = [{row["id"] for row in await walk(side.client)} for side in (two.acme, two.globex)]
        assert some < everybody
        for side, people in ((two.globex, some), (two.acme, everybody)):
            found = await side.call("query_directory", sql="SELECT id FROM users")
            assert {row[0] for row in found["rows"]} == people
        for tool, arguments in questions.items():
            cursor = (await two.acme.call(tool, **arguments))["next_cursor"]
            path = users if tool == "proxy_request" else {}
            refused = await two.globex.client.call_tool(tool, {"cursor": cursor, **path})
            assert "[FOREIGN_CURSOR]" in error_text(refused), tool


async def test_each_syncs_queries_and_reviews_its_own_copy(two: Two) -> None:
    async with two.served():
        for side in (two.acme, two.globex):
            assert (await side.sync())["counts"]["users"] == SIZE
        for side in (two.acme, two.globex, two.acme):
            found = await side.call("query_directory", sql="SELECT title, count(*) FROM users GROUP BY 1")
            assert found["rows"] == [[side.id, SIZE]]
        export = await two.acme.call("access_review", format="csv")
        (piece,) = (await two.acme.client.read_resource(export["resource"])).contents
        assert "globex" not in piece.model_dump_json()
        with pytest.raises(MCPError):
            await two.globex.client.read_resource(export["resource"])
        if export["next_cursor"] is not None:
            assert (await two.globex.client.call_tool("access_review", {"cursor": export["next_cursor"]})).is_error
        two.acme.change(3)
        await two.acme.sync()
        assert "acme diver" in json.dumps(await two.acme.call("list_changes"))
        await two.globex.sync()
        assert "acme" not in json.dumps(await two.globex.call("list_changes"))


async def test_what_was_found_of_a_roster_is_remembered_apart(two: Two) -> None:
    users = [user["email"] for user in two.acme.world.sandbox.users()]
    (two.folder / "rosters" / "crm.csv").write_text("\n".join(["email", *users, "gone@example.com"]))
    async with two.served():
        await two.acme.sync()
        await two.globex.sync()
        assert (await two.acme.call("check_drift", roster="crm"))["since_last"] is None
        assert (await two.globex.call("check_drift", roster="crm"))["since_last"] is None
        assert (await two.acme.call("check_drift", roster="crm"))["since_last"] is not None


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_changes_of_one_are_no_news_to_the_other(two: Two, mode: str) -> None:
    async with two.served(mode), AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for side in (two.acme, two.globex):
            await side.sync()
            if mode == "legacy":
                with pytest.warns(MCPDeprecationWarning):
                    await side.client.subscribe_resource(CHANGES)  # type: ignore[deprecated] # it is the older era
            else:
                events = await stack.enter_async_context(side.client.listen(resource_subscriptions=[CHANGES]))

                async def listen(side: Side = side, events: Any = events) -> None:
                    async for event in events:
                        assert event == ResourceUpdated(uri=CHANGES)
                        side.heard.append(CHANGES)

                tasks.start_soon(listen)
        two.acme.change(3)
        await two.acme.sync()
        await two.globex.sync()
        with anyio.fail_after(60):
            while not two.acme.heard:  # noqa: ASYNC110 - the client hears in its own time
                await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        assert (set(two.acme.heard), two.globex.heard) == ({CHANGES}, [])
        tasks.cancel_scope.cancel()


async def asked(side: Side, arguments: dict[str, Any]) -> InputRequiredResult:
    result = await side.client.session.call_tool("proxy_request", arguments, allow_input_required=True)
    assert isinstance(result, InputRequiredResult)
    return result


async def answered(side: Side, arguments: dict[str, Any], question: InputRequiredResult) -> Any:
    assert question.input_requests is not None
    return await side.client.session.call_tool(
        "proxy_request",
        arguments,
        input_responses=dict.fromkeys(question.input_requests, YES),
        request_state=question.request_state,
        allow_input_required=True,
    )


async def test_a_confirmation_of_one_opens_nothing_of_the_other(two: Two) -> None:
    write = two.acme.enabled
    async with two.served():
        question = await asked(two.acme, write)
        stolen = await answered(two.globex, write, question)
        assert "CONFIRMATION_USED" in error_text(stolen)
        assert two.globex.world.sandbox.state().user(10)["enabled"] is True
        assert not (await answered(two.acme, write, question)).is_error
    assert two.acme.world.sandbox.state().user(10)["enabled"] is False


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_line_of_the_journal_names_its_connection(two: Two, mode: str) -> None:
    async with two.served(mode):
        for side in (two.acme, two.globex):
            await side.call("proxy_request", **side.enabled)
            assert len(side.asked) == 1
    lines = [(line["connection"], line["event"], line["path"]) for line in two.recorded()]
    assert lines == [
        (side.id, event, side.enabled["path"]) for side in (two.acme, two.globex) for event in ("sending", "answered")
    ]


async def test_a_hungry_query_of_one_ends_no_sync_of_the_other(two: Two) -> None:
    async with two.served():
        await two.acme.sync()
        async with anyio.create_task_group() as tasks:
            refused: list[str] = []

            async def query() -> None:
                refused.append(error_text(await two.acme.client.call_tool("query_directory", {"sql": HUNGRY})))

            tasks.start_soon(query)
            assert (await two.globex.sync())["counts"]["users"] == SIZE
        assert "[SQL_TOO" in refused[0]


class Broken(Exception):
    """What nobody has foreseen."""


@asynccontextmanager
async def closing_badly(open_backend: OpenBackend) -> AsyncIterator[Backend]:
    async with open_backend() as backend:
        try:
            yield backend
        finally:
            raise Broken


def refusing(problem: Exception) -> AbstractAsyncContextManager[Backend]:
    raise problem


@pytest.mark.parametrize("problem", [Refused("Nothing is configured."), Broken("secret")], ids=["expected", "a bug"])
async def test_where_one_cannot_be_opened_the_other_answers(two: Two, problem: Exception) -> None:
    openings = two.openings() | {"acme": partial(refusing, problem)}
    async with two.served(openings=openings):
        for _ in range(2):
            assert (await two.acme.client.call_tool("list_users", {})).is_error
            assert (await two.globex.call("list_users", limit=1))["result_count"] == 1


async def test_one_that_ends_badly_is_logged_and_takes_nobody_along(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    openings = two.openings() | {"acme": partial(closing_badly, two.opening(two.acme))}
    async with two.served(openings=openings):
        assert (await two.acme.call("list_users", limit=1))["result_count"] == 1
    assert "The connection acme is not served any more" in caplog.text


async def test_one_that_dies_says_so_and_the_other_goes_on(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    dies = anyio.Event()

    @asynccontextmanager
    async def mortal() -> AsyncIterator[Backend]:
        async with two.opening(two.acme)() as backend, background() as tasks:
            tasks.start_soon(_die, dies)
            yield backend

    async with two.served(openings=two.openings() | {"acme": mortal}):
        assert (await two.acme.call("list_users", limit=1))["result_count"] == 1
        dies.set()
        with anyio.fail_after(60):
            while "The connection acme is not served any more" not in caplog.text:  # noqa: ASYNC110 - a log wakes nobody
                await anyio.sleep(0.01)
        for tool in ("list_users", "sync_directory", "access_review"):
            assert "[CONNECTION_ENDED]" in error_text(await two.acme.client.call_tool(tool, {}))
        with pytest.raises(MCPError, match="not served any more"):
            await two.acme.client.read_resource(CHANGES)
        assert (await two.globex.call("list_users", limit=1))["result_count"] == 1


async def _die(when: anyio.Event) -> None:
    await when.wait()
    raise Broken


async def test_a_sync_that_fails_is_logged_with_its_connection(two: Two) -> None:
    async with two.served():
        two.globex.world.sandbox.faults.add("forbidden", path="/users", times=None)
        with logged() as log:
            assert (await two.globex.client.call_tool("sync_directory", {})).is_error
            await two.acme.sync()
    (line,) = log.getvalue().splitlines()
    assert line.startswith("[globex] The local copy was not brought up to date: ")


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect what is logged, as it is written to stderr."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(HarmlessFormatter())
    logging.getLogger("pingone_mcp").addHandler(handler)
    try:
        yield text
    finally:
        logging.getLogger("pingone_mcp").removeHandler(handler)


async def test_background_syncs_begin_without_a_question(two: Two) -> None:
    openings = two.openings() | {"acme": two.opening(two.acme, sync_minutes=5)}
    connections = Connections(openings)
    async with aclosing(two.queries), connections.serving():
        assert not two.acme.world.sandbox.requests, "nothing is opened before"
        await connections.begin()
        with anyio.fail_after(60):
            while not two.acme.world.sandbox.requests:  # noqa: ASYNC110 - nobody has asked, so nobody is answered
                await anyio.sleep(0.01)
        await has_a_copy(connections.find("acme"))
        assert (await connections.find("globex").backend()).sync_seconds is None
    assert not two.globex.world.sandbox.requests


@pytest.mark.parametrize("problem", [Refused("Nothing is configured."), Broken("secret")], ids=["expected", "a bug"])
async def test_one_that_cannot_be_opened_keeps_no_other_from_its_syncs(two: Two, problem: Exception) -> None:
    openings = two.openings() | {"acme": partial(refusing, problem), "globex": two.opening(two.globex, sync_minutes=5)}
    connections = Connections(openings)
    async with aclosing(two.queries), connections.serving():
        with logged() as log:
            await connections.begin()
        await has_a_copy(connections.find("globex"))
    assert log.getvalue().startswith("[acme] ")


async def has_a_copy(served: ServedConnection) -> None:
    backend = await served.backend()
    with anyio.fail_after(60):
        while await backend.replica.state() is None:  # noqa: ASYNC110 - a sync in the background says to nobody when it ends
            await anyio.sleep(0.01)


async def test_a_connection_comes_and_goes_while_another_is_served(two: Two) -> None:
    connections = Connections({"globex": two.opening(two.globex)})
    async with aclosing(two.queries), connections.serving():
        first = await connections.add("acme", two.opening(two.acme))
        backend = await first.backend()
        await connections.remove("acme")
        with pytest.raises(Problem, match="not served any more"):
            await first.backend()
        with pytest.raises(NoSuchConnection):
            connections.find("acme")
        with pytest.raises(Problem, match="connection ended"):
            await backend.directory.environments()
        assert await (await connections.find("globex").backend()).directory.environments()


async def test_a_connection_that_is_added_again_takes_the_place_of_the_former(two: Two) -> None:
    connections = Connections()
    async with aclosing(two.queries), connections.serving():
        former = await connections.add("acme", two.opening(two.acme))
        await former.backend()
        added = await connections.add("acme", two.opening(two.acme, answer_characters=5_000))
        assert connections.find("acme") is added
        assert (await added.backend()).answer_characters == 5_000
        with pytest.raises(Problem, match="not served any more"):
            await former.backend()


def test_a_connection_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="no such connection"):
        Connections({}).find("acme")
