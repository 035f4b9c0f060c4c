"""What a server says first, asked of the server itself while its client does something else.

Two clients ask, one that can nothing and one that can much: what is not the same to both is not known beforehand. A
third one shows MCP Apps, for which more tools are listed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification, JSONRPCRequest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from pingone_mcp.first_answers import NOTHING, Frozen
from pingone_mcp.handshake import ENVELOPE, FOR_HOSTS, HOST, STATELESS

_SECONDS = 30.0
_Client: TypeAlias = Mapping[str, Mapping[str, object]]
_Ask: TypeAlias = Callable[[str, Mapping[str, object]], Awaitable[str]]

_CAN_NOTHING: _Client = {"capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
_CAN_MUCH: _Client = {
    "capabilities": {
        "roots": {"listChanged": True},
        "sampling": {"tools": {}, "context": {}},
        "elicitation": {"form": {}, "url": {}},
        "experimental": {"x": {}},
        "extensions": {"x": {}},
    },
    "clientInfo": {"name": "b", "version": "2", "title": "B", "websiteUrl": "https://b.example"},
}
_SHOWS_APPS: _Client = {**_CAN_NOTHING, "capabilities": {"extensions": HOST}}


class _NoAnswer(Exception):
    """The server has refused what every server answers."""


async def rehearse(connections: Server[Any]) -> Frozen:
    """Return what the server answers first, as it writes it; NOTHING when that is not always the same."""
    said, again, to_host = NOTHING, NOTHING, NOTHING
    with anyio.move_on_after(_SECONDS):
        try:
            said = await _said_to(_CAN_NOTHING, connections)
            again = await _said_to(_CAN_MUCH, connections)
            to_host = await _said_to(_SHOWS_APPS, connections)
        except* (_NoAnswer, anyio.EndOfStream, anyio.BrokenResourceError):
            pass
    if said != again or _without_lists(said) != _without_lists(to_host):
        return NOTHING
    results = {
        version: {**answers, FOR_HOSTS: to_host.results[version]["tools/list"]}
        for version, answers in said.results.items()
    }
    return Frozen(results, said.otherwise)


def _without_lists(said: Frozen) -> Frozen:
    """Return what is the same to all clients: all but which tools there are."""
    results = {
        version: {method: text for method, text in answers.items() if method != "tools/list"}
        for version, answers in said.results.items()
    }
    return Frozen(results, said.otherwise)


async def _said_to(client: _Client, connections: Server[Any]) -> Frozen:
    results: dict[str, dict[str, str]] = {}
    for version in HANDSHAKE_PROTOCOL_VERSIONS:
        async with _connected(connections) as ask:
            opened = await ask("initialize", {"protocolVersion": version, **client})
            results[version] = {"initialize": opened, "tools/list": await ask("tools/list", {})}
    envelope = zip(ENVELOPE, (STATELESS, client["capabilities"], client["clientInfo"]), strict=True)
    params = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in envelope}}
    results[STATELESS] = {}
    for method in ("server/discover", "tools/list"):
        async with _connected(connections) as ask:
            results[STATELESS][method] = await ask(method, params)
    async with _connected(connections) as ask:
        offered = await ask("initialize", {"protocolVersion": "", **client})
    [otherwise] = [version for version, said in results.items() if said.get("initialize") == offered] or [""]
    if not otherwise:
        raise _NoAnswer
    return Frozen(results, otherwise)


@asynccontextmanager
async def _connected(connections: Server[Any]) -> AsyncIterator[_Ask]:
    """Open a connection of its own; `ask` returns the text of a result, as it goes over the wire."""
    send, received = anyio.create_memory_object_stream[SessionMessage | Exception](8)
    say, said = anyio.create_memory_object_stream[SessionMessage](8)

    async def ask(method: str, params: Mapping[str, object]) -> str:
        await send.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=0, method=method, params=dict(params))))
        answer = (await said.receive()).message.model_dump_json(
            by_alias=True, exclude_unset=True
        )  # as the SDK writes it
        before, _, result = answer.partition(',"result":')
        if before != '{"jsonrpc":"2.0","id":0':
            raise _NoAnswer
        if method == "initialize":
            await send.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")))
        return result.removesuffix("}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connections.run, received, say, connections.create_initialization_options())
        async with send, said:
            yield ask
