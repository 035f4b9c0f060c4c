"""The server on stdin and stdout, for clients of both protocol eras and for those that try one before the other.

The first request of a connection decides its era: `initialize` opens the sessions of 2024 and 2025, a request with the
envelope of 2026-07-28 the stateless era. The SDK counts `server/discover` as such a request, but Claude Code and
Copilot CLI only look around with it and then send `initialize` on the same pipe, which the SDK would refuse
(anthropics/claude-code#96183, github/copilot-cli#4525). So each discover that leads is answered on a connection of its
own, and the first other request decides.

What Python can read of a line that the SDK cannot is served too: a byte order mark before it, half an emoji in it. A
request that is beyond both (a number of thousands of digits, brackets in brackets) is answered with that. The SDK would
say nothing, and the client would wait.

One non-public piece of the SDK, which is pinned to 2.3: `MCPServer._lowlevel_server`, whose public `run` serves one
connection. There is no public way from an MCPServer to it. Without it the SDK serves stdio as it always does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, Self, TypeAlias

import anyio
from anyio.abc import TaskGroup
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.message import SessionMessage
from mcp.types import (
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from pingone_mcp.directory.text import json_text
from pingone_mcp.first_answers import Frozen
from pingone_mcp.handshake import REPLAYED, Handover
from pingone_mcp.server.rehearsal import rehearse
from pingone_mcp.tasks import in_thread

_logger = logging.getLogger(__name__)
_BUSY_SECONDS = 1.0  # so long a client that has just started this server asks this and that
_UNREADABLE = "The request cannot be read: it holds a number of thousands of digits, or is nested too deeply."
_Frame: TypeAlias = SessionMessage | Exception
"""A message, or what the SDK made of a line that is none."""


async def serve_stdio(
    server: MCPServer[Any],
    handover: Handover | None = None,
    keep: Callable[[Frozen], None] | None = None,
    begin: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve one client until it closes stdin; one that has been greeted from where the greeting ended.

    `keep` is given what the server says first, for the next start: once the client has what it asks at its own start,
    or when it goes. `begin` is awaited once the client has that, behind its first answer: what the server does unasked.
    """
    connections: Server[Any] | None = getattr(server, "_lowlevel_server", None)
    if connections is None:
        await server.run_stdio_async()
        return
    send, receive = anyio.create_memory_object_stream[_Frame]()
    rest = None
    if handover is not None:
        rest = anyio.wrap_file(TextIOWrapper(handover.stdin, encoding="utf-8", errors="replace"))
    async with stdio_server(rest) as (stdin, wire), anyio.create_task_group() as tasks:
        stdout = _Stdout(wire, has_replayed=handover is not None and handover.replayed)
        tasks.start_soon(connections.run, receive, stdout, connections.create_initialization_options())
        gone = anyio.Event()
        if keep is not None:
            tasks.start_soon(_learn, connections, keep, gone)
        if begin is not None:
            tasks.start_soon(_begin, begin, stdout.answered, gone)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # the client has gone
            async with send:
                await _pass_on(stdin, send, stdout, lambda frame: _answered_alone(connections, frame, tasks))
        gone.set()
        stdout.answered.set()


async def _pass_on(
    stdin: AsyncIterable[_Frame],
    server: WriteStream[_Frame],
    stdout: _Stdout,
    answer_alone: Callable[[_Frame], Awaitable[SessionMessage]],
) -> None:
    """Pass on what the client says to the server, until it ends.

    What cannot be read is refused here. A `server/discover` before any other request is answered apart, because it does
    not decide yet in which era of the protocol the client speaks.
    """
    undecided = True
    async for line in stdin:
        frame = _mended(line) if isinstance(line, ValidationError) else line
        if (refusal := _refusal(frame)) is not None:
            await stdout.send(SessionMessage(refusal))
            continue
        request = _request(frame)
        if undecided and request == "server/discover":
            await stdout.send(await answer_alone(frame))
        else:
            undecided = undecided and request is None
            await server.send(frame)


async def _begin(begin: Callable[[], Awaitable[None]], answered: anyio.Event, gone: anyio.Event) -> None:
    """Begin what the server does unasked, unless the client has gone before."""
    await answered.wait()
    with anyio.move_on_after(_BUSY_SECONDS):
        await gone.wait()
    if not gone.is_set():
        await begin()


async def _learn(connections: Server[Any], keep: Callable[[Frozen], None], gone: anyio.Event) -> None:
    """Ask the server what it says first, and keep it."""
    with anyio.move_on_after(_BUSY_SECONDS):
        await gone.wait()
    try:
        said = await rehearse(connections)
    except Exception:
        _logger.exception("What this server says first could not be learned.")
        return
    await in_thread(keep, said, pool="disk")


class _Stdout:
    """Stdout, but for the answer that the client already has; `answered` once it has any."""

    def __init__(self, stdout: WriteStream[SessionMessage], *, has_replayed: bool) -> None:
        self._stdout = stdout
        self._has_replayed = has_replayed
        self.answered = anyio.Event()

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        answers = message.id if isinstance(message, JSONRPCResponse | JSONRPCError) else None
        if not (self._has_replayed and answers == REPLAYED):
            await self._stdout.send(item)
        if answers is not None:
            self.answered.set()

    async def aclose(self) -> None:
        await self._stdout.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _request(frame: _Frame) -> str | None:
    """Return the method that a frame asks for; None when it is a notification, an answer or no message at all."""
    if isinstance(frame, SessionMessage) and isinstance(frame.message, JSONRPCRequest):
        return frame.message.method
    return None


def _mended(refusal: ValidationError) -> _Frame:
    """Return the message in the line that was refused; the refusal when there is none."""
    line = _unreadable(refusal)
    if line is None:
        return refusal
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace")
        return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
    except (ValueError, RecursionError):
        return refusal


def _refusal(frame: _Frame) -> JSONRPCError | None:
    """Return the answer to a line that cannot be read as a message; None for any other, and where nobody waits."""
    line = _unreadable(frame) if isinstance(frame, ValidationError) else None
    try:
        message: object = None if line is None else json_text.loads(line)
    except ValueError:
        return None
    match message:
        case {"method": str(), "id": int() | str() as identity}:
            return JSONRPCError(jsonrpc="2.0", id=identity, error=ErrorData(code=PARSE_ERROR, message=_UNREADABLE))
    return None


def _unreadable(refusal: ValidationError) -> str | None:
    """Return the line that the SDK could not read as JSON; None for one that is JSON, but no JSON-RPC."""
    first = refusal.errors(include_url=False)[0]
    if first["type"] != "json_invalid":
        return None
    return str(first["input"]).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


async def _answered_alone(connections: Server[Any], request: _Frame, tasks: TaskGroup) -> SessionMessage:
    """Return the answer of a connection that serves this one request and ends."""
    ask, asked = anyio.create_memory_object_stream[_Frame]()
    reply, replies = anyio.create_memory_object_stream[SessionMessage]()
    tasks.start_soon(connections.run, asked, reply, connections.create_initialization_options())
    async with ask, replies:
        await ask.send(request)
        return await replies.receive()
