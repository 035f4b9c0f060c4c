"""The server as a client starts it: JSON-RPC on its pipes and nothing else, whatever happens inside."""

from __future__ import annotations

import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import ResourceUpdatedNotification

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.times import timestamp
from tests.process.programs import PATIENCE, PROGRAM, Ended, Served, bare, in_process, run, started
from tests.process.terminal import END_OF_INPUT, in_terminal
from tests.world import HOST, World, error_text, facts

CHANGES = "pingone://changes"
TOOLS = {"list_users", "get_user", "find_deactivated", "proxy_request"}


def parameters(env: dict[str, str]) -> StdioServerParameters:
    return StdioServerParameters(command=PROGRAM[0], args=list(PROGRAM[1:]), env=env)


async def sync(client: Client) -> dict[str, Any]:
    while (came_of := facts(await client.call_tool("sync_directory")))["state"] == "running":
        pass
    assert came_of["state"] == "done"
    return came_of


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_of_either_era_lists_the_tools_and_reads_users(
    served: Served, mode: Literal["legacy", "auto"]
) -> None:
    async with Client(parameters(served.variables()), mode=mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} >= TOOLS
        found = facts(await client.call_tool("list_users", {"limit": 5}))
    assert (found["result_count"], found["total"]) == (5, 60)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_of_either_era_opens_the_directory_browser(
    served: Served, mode: Literal["legacy", "auto"]
) -> None:
    async with Client(parameters(served.variables()), mode=mode, extensions=HOST) as client:
        tools = {tool.name: tool.meta for tool in (await client.list_tools()).tools}
        await sync(client)
        assert facts(await client.call_tool("browse_directory", {}))["total"] == 60
        assert tools["browse_directory"] == {"ui": {"resourceUri": "ui://pingone/directory"}}
        [view] = (await client.read_resource("ui://pingone/directory")).contents
        assert view.mime_type == "text/html;profile=mcp-app"
        people = facts(await client.call_tool("directory_view", {}))["people"]
        person = facts(await client.call_tool("directory_view", {"person": people[0]["id"]}))["person"]
    assert (len(people), person["name"]) == (15, people[0]["name"])
    assert tools["directory_view"] is not None


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_of_either_era_that_subscribed_hears_of_a_sync_that_found_changes(
    served: Served, mode: Literal["legacy", "auto"]
) -> None:
    heard = anyio.Event()

    async def hear(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            assert str(message.params.uri) == CHANGES
            heard.set()

    async with (
        Client(parameters(served.variables()), mode=mode, message_handler=hear) as client,
        AsyncExitStack() as open_,
    ):
        await sync(client)
        if mode == "legacy":
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource(CHANGES)  # type: ignore[deprecated] # it is the older era
        else:
            await open_.enter_async_context(client.listen(resource_subscriptions=[CHANGES]))
        state = served.sandbox.state()
        served.sandbox.clock.advance(3_600)
        now = timestamp(served.sandbox.clock.now())
        state.put_user(3, {**state.user(3), "title": "Diver", "updatedAt": now})
        assert not heard.is_set()
        assert (await sync(client))["mode"] == "incremental"
        with anyio.fail_after(5):
            await heard.wait()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_without_configuration_the_tools_are_listed_and_a_call_names_every_missing_variable(
    tmp_path: Path, mode: Literal["legacy", "auto"]
) -> None:
    async with Client(parameters(bare(tmp_path)), mode=mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} >= TOOLS
        result = await client.call_tool("list_users", {})
    assert result.is_error
    for name in ("PINGONE_ENVIRONMENT_ID", "PINGONE_CLIENT_ID", "PINGONE_CLIENT_SECRET", "PINGONE_SANDBOX"):
        assert name in error_text(result)


def test_starting_and_listing_tools_touches_neither_the_caches_nor_the_network(served: Served) -> None:
    with started(env=served.variables(), program=PROGRAM) as server:
        server.greet()
        assert server.answer(server.ask("tools/list"))["result"]["tools"]
        assert server.rest().status == 0
    kept = [path for path in served.home.rglob("*") if path.is_file()]
    assert [path for path in kept if path.parent.name != "first-answers"] == []  # which other versions have learned
    assert not served.sandbox.requests


def test_the_bare_server_loads_no_http_client_no_cache_no_sandbox_and_no_colours(tmp_path: Path) -> None:
    # It looks at itself on its way out: after a whole session in which no tool was called.
    code = "import atexit, sys\natexit.register(lambda: print(*sorted(sys.modules), sep='\\n', file=sys.stderr))"
    with started(env=bare(tmp_path), program=in_process(code)) as server:
        server.greet()
        server.answer(server.ask("tools/list"))
        loaded = set(server.rest().err.split())
    assert "pingone_mcp.server.tools.users" in loaded
    packages = "httpx aiohttp diskcache filelock rich sqlalchemy aiosqlite alembic prometheus_client".split()
    unwanted = (*packages, *(f"pingone_mcp.{floor}" for floor in ("pingone", "sandbox", "control", "web")))
    assert {name for name in loaded if f"{name}.".startswith(tuple(f"{root}." for root in unwanted))} == set()


def test_syncs_in_the_background_begin_with_the_server_behind_its_first_answer(served: Served) -> None:
    with started(env=served.variables() | {"PINGONE_SYNC_MINUTES": "5"}, program=PROGRAM) as server:
        server.greet()
        assert not served.sandbox.requests
        until = time.monotonic() + PATIENCE
        while not any("/users" in request.path for request in served.sandbox.requests):
            assert time.monotonic() < until
            time.sleep(0.01)  # the other side of a process says nothing when it begins
        assert server.rest().status == 0


NOISE = """
import logging, sys, warnings
logging.basicConfig(level=logging.DEBUG)
from pingone_mcp.pingone import directory

async def broken(self, *args, **kwargs):
    print("a stray line")
    sys.stdout.write("half a line")
    warnings.warn("a stray warning")
    logging.getLogger("stray").error("a stray record")
    raise RuntimeError("a bug")

directory.PingOneDirectory.user = broken
"""


def test_a_tool_that_prints_warns_logs_and_fails_leaves_nothing_but_json_on_stdout(served: Served) -> None:
    with started(env=served.variables(), program=in_process(NOISE)) as server:
        server.greet()
        failed = server.answer(server.call("get_user", user="ann"))["result"]
        found = server.answer(server.call("list_users", limit=1))["result"]
        end = server.rest()
    heard = [*server.heard, *end.out.splitlines()]
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in heard)
    assert failed["isError"]
    assert "a bug" not in json.dumps(failed), "what fails unexpectedly is masked"
    assert found["structuredContent"]["result_count"] == 1
    for noise in ("a stray line", "half a line", "a stray warning", "a stray record", "RuntimeError: a bug"):
        assert noise in end.err


def test_what_is_no_json_rpc_is_answered_or_ignored_and_the_server_goes_on(served: Served) -> None:
    with started(env=served.variables(), program=PROGRAM) as server:
        server.greet()
        assert server.process.stdin is not None
        server.process.stdin.write('not json\n\n{"jsonrpc": "2.0"}\n[]\n')
        server.process.stdin.flush()
        assert server.answer(server.ask("tools/list"))["result"]["tools"]
        end = server.rest()
    assert end.status == 0
    assert all(json.loads(line) for line in server.heard)


async def test_an_answer_over_sockets_and_pipes_equals_the_one_in_process(tmp_path: Path, served: Served) -> None:
    in_memory = World(sandbox=Sandbox(size=60), cache=tmp_path / "other")
    question = {"limit": 10, "fields": ["*"]}
    async with in_memory.client() as client:
        here = facts(await client.call_tool("list_users", question))
    async with Client(parameters(served.variables())) as client:
        there = facts(await client.call_tool("list_users", question))
    assert here.pop("next_cursor")
    assert there.pop("next_cursor"), "sealed with another key"
    assert len(here["result"]) == 10
    assert without_times(there) == without_times(here)


def without_times(page: dict[str, object]) -> dict[str, object]:
    """Take out what depends on when a company was made up."""
    assert isinstance(page["result"], list)
    rows = [{name: value for name, value in row.items() if not name.endswith("_at")} for row in page["result"]]
    return page | {"result": rows}


def test_python_m_and_the_installed_command_are_the_same(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("pingone-mcp")
    said = {run("--version", env=bare(tmp_path), program=program).out for program in (PROGRAM, (str(command),))}
    assert len(said) == 1


# --- A person

INSTEAD = ("client-config", "check", "demo", "--help")


def test_on_a_terminal_it_says_what_it_waits_for_and_what_to_do_instead(tmp_path: Path) -> None:
    end = in_terminal(env=bare(tmp_path), typed=END_OF_INPUT)
    assert end.status == 0
    for said in ("waits for an MCP client", "Ctrl-C ends it", *(f"pingone-mcp {word}" for word in INSTEAD)):
        assert said in end.out
    assert max(map(len, end.out.splitlines())) <= 80


def test_to_a_client_it_says_nothing_of_that(tmp_path: Path) -> None:
    assert run(env=bare(tmp_path), program=PROGRAM) == Ended(status=0, out="", err="")
