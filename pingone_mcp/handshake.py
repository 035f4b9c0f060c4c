"""The first answers on stdio, given from a file while the SDK, which takes half a second, is still being loaded.

What a client asks first is the same every time: `initialize` or `server/discover`, then `tools/list`. The file holds
what the SDK answers, byte for byte (`first_answers.py` tells where it comes from). The first line that is anything
else, or looks in any way unusual, goes to the SDK with all that follows. Before it, the SDK reads what opened the
session once more, under an id by which its answer is known, and kept from the client.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import sys
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pingone_mcp.first_answers import Frozen

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

REPLAYED = "pingone-mcp: the client has this answer"
STATELESS = "2026-07-28"
ENVELOPE = ("protocolVersion", "clientCapabilities", "clientInfo")
FOR_HOSTS = "tools/list of hosts"
"""Under this stands what `tools/list` answers to clients that show MCP Apps."""
HOST = {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}
"""The extension by which they say so."""
_INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LONGEST = 65_536
# Printable ASCII without escapes, not nested deeply: such a line, and such an id, are the same to Python and the SDK.
_DEEPEST = 100
_PLAIN_LINE = re.compile(rb"[ -\[\]-~]+\r?\n")
_PLAIN_ID = re.compile(r'\d{1,15}|"[^"]*"')


class Handover(NamedTuple):
    """What the SDK reads from here on, and whether that begins with a request whose answer the client has."""

    stdin: BinaryIO
    replayed: bool


def may_greet() -> bool:
    """Say whether stdin and stdout are plain pipes, on which somebody else can go on."""
    # On Windows a standard handle and its descriptor are two things, and the SDK alone moves both.
    if sys.platform == "win32":
        return False
    try:
        pipes = (sys.stdin.buffer.fileno(), sys.stdout.buffer.fileno())
        return pipes == (0, 1) and all(map(os.get_blocking, pipes))
    except (AttributeError, OSError, ValueError):
        return False


def greet(frozen: Frozen, linger: float | None = None) -> Handover:
    """Answer on stdout what comes on stdin, as long as the answer is known, and while anything comes.

    Once the client has been greeted, wait at most `linger` seconds for what it says next (None: for ever): where there
    is work that nobody asks for. Raises OSError when the client has gone.
    """
    session = Session(frozen)
    unread, ended = b"", False
    while not ended and len(unread) < _LONGEST:
        line, newline, rest = unread.partition(b"\n")
        if not newline:
            if session.replay and not select.select([0], [], [], linger)[0]:
                break
            read = os.read(0, _LONGEST)
            unread, ended = unread + read, not read
            continue
        answer = session.answer(line + newline)
        if answer is None:
            break
        unread = rest
        while answer:
            answer = answer[os.write(1, answer) :]
    # As while the SDK serves, another reader of stdin finds nothing there.
    nothing = os.open(os.devnull, os.O_RDONLY)
    pipe = nothing if ended else os.dup(0)
    os.dup2(nothing, 0)
    return Handover(io.BufferedReader(_Again(session.replay + unread, pipe)), replayed=bool(session.replay))


class Session:
    """What the client and the file have said to each other so far; `replay` is what the SDK must know of it."""

    def __init__(self, frozen: Frozen) -> None:
        self.replay = b""
        self._frozen = frozen
        self._version: str | None = None
        self._is_host = False

    def answer(self, line: bytes) -> bytes | None:
        """Return the answer to a line, nothing for a notification, and None for what the SDK shall answer."""
        if not _PLAIN_LINE.fullmatch(line) or line.count(b"{") + line.count(b"[") > _DEEPEST:
            return None
        try:
            message: object = json.loads(line)
        except ValueError:
            return None
        if message == _INITIALIZED and self._version not in (None, STATELESS) and self.replay.count(b"\n") == 1:
            self.replay += line
            return b""
        match message:
            case {"jsonrpc": "2.0", "id": number, "method": str() as method, **more}:
                params, text = more.pop("params", {}), json.dumps(number)
                version = self._version_of(method, params)
            case _:
                return None
        if version is None or more or not _PLAIN_ID.fullmatch(text):
            return None
        if self._version is None and method != "server/discover":  # which only looks around
            self._version = version
            again = {"jsonrpc": "2.0", "id": REPLAYED, "method": method, "params": params}
            self.replay = json.dumps(again).encode() + b"\n"
        asked = FOR_HOSTS if method == "tools/list" and self._is_host else method
        return f'{{"jsonrpc":"2.0","id":{text},"result":{self._frozen.results[version][asked]}}}\n'.encode()

    def _version_of(self, method: str, params: object) -> str | None:
        """Return the protocol version in which a request is answered; None when anything about it is unusual."""
        match method, params:
            case "initialize", {"protocolVersion": str() as asked, "capabilities": able, "clientInfo": who, **more}:
                if self._version is None and not more and _is_known_client(who, able):
                    self._is_host = _is_host(able)
                    return asked if "initialize" in self._frozen.results.get(asked, {}) else self._frozen.otherwise
            case "server/discover" | "tools/list", {"_meta": {**envelope}, **more}:
                version, able, who = (envelope.pop(f"io.modelcontextprotocol/{name}", None) for name in ENVELOPE)
                if self._version in (None, version) and version == STATELESS and not more and not envelope:
                    if not _is_known_client(who, able):
                        return None
                    self._is_host = _is_host(able)
                    return STATELESS
            case "tools/list", {}:
                return None if params or self._version == STATELESS else self._version
        return None


def _is_known_client(who: object, able: object) -> bool:
    """Say whether the SDK is sure to accept a clientInfo and capabilities: it refuses values of a wrong type."""
    return (
        isinstance(who, dict)
        and {"name", "version"} <= who.keys() <= {"name", "version", "title", "description", "websiteUrl"}
        and all(isinstance(text, str) for text in who.values())
        and isinstance(able, dict)
        and all(_is_known_capability(name, value) for name, value in able.items())
    )


def _is_host(able: object) -> bool:
    """Say whether known capabilities name MCP Apps as the SDK wants them named."""
    match able:
        case {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": [*kinds]}}}:
            return "text/html;profile=mcp-app" in kinds
    return False


def _is_known_capability(name: str, value: object) -> bool:
    if name == "roots":
        return value in ({}, {"listChanged": True}, {"listChanged": False})
    if name in ("experimental", "extensions"):
        return isinstance(value, dict) and all(isinstance(settings, dict) for settings in value.values())
    return _are_objects(value)


def _are_objects(value: object) -> bool:
    return isinstance(value, dict) and all(map(_are_objects, value.values()))


class _Again(io.RawIOBase):
    """A pipe that begins with what has been read from it before."""

    def __init__(self, before: bytes, pipe: int) -> None:
        self._before = before
        self._pipe = pipe

    def readable(self) -> bool:
        return True

    def readinto(self, room: WriteableBuffer, /) -> int:
        into = memoryview(room)
        read = self._before[: len(into)] or os.read(self._pipe, len(into))
        self._before = self._before[len(into) :]
        into[: len(read)] = read
        return len(read)
