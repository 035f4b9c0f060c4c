"""The process that an MCP client starts: it answers first what is known already, loads the server, and serves stdio.

Imports stand inside the functions that need them: it must start fast, and load no HTTP client, no cache and no sandbox
before the first question.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Problem, Unconfigured
from pingone_mcp.first_answers import Frozen, is_set, kept
from pingone_mcp.handshake import Handover, greet, may_greet
from pingone_mcp.heavy_work import loading

if TYPE_CHECKING:
    from pingone_mcp.server.strict import StrictServer
    from pingone_mcp.service.backend import Backend, OpenBackend
    from pingone_mcp.service.connections import Connections


def serve(env_file: Path | None, connection: str | None = None) -> None:
    """Serve MCP on stdin and stdout until the client goes: of a linked connection, or of what is configured."""
    # The SDK reads stdin in a thread that cannot be cancelled, so an interrupt ends the process here and now. Nothing
    # is lost by it: the token cache is written atomically, and a write in flight stands in the audit file as sent.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    # A client that has gone leaves an answer half written; Python 3.13 complains about that on its way out.
    complain = sys.unraisablehook
    sys.unraisablehook = lambda what: None if what.exc_type is BrokenPipeError else complain(what)
    try:
        if connection is None:
            _serve_configured(env_file)
        else:
            import anyio

            anyio.run(_serve_linked, env_file, connection)
    except* (BrokenPipeError, ConnectionError):
        pass  # the client has gone
    finally:
        # The SDK has given stdout back; what a stray print left in its buffer must not follow the last answer.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _serve_configured(env_file: Path | None) -> None:
    place = kept(env_file) if may_greet() else None
    loaded, handover = _greeted(env_file, place and place.known())

    import anyio

    anyio.run(_serve, loaded, env_file, handover, place and place.keep)


_LINGER_SECONDS = 1.0


class Loaded(NamedTuple):
    """A server, and the connections that it hands to its clients while they are served."""

    server: StrictServer
    connections: Connections


def find_server(open_backend: OpenBackend, *, allow_writes: bool) -> Loaded:
    """Return a server that answers out of what is opened when it is asked."""
    # The SDK logs through rich where it finds it: time at the start, and lines folded at 80 columns.
    with loading("rich"):
        from pingone_mcp.logs import log_harmlessly

        log_harmlessly()

        from pingone_mcp.server.build import build_server
        from pingone_mcp.service.connections import Connections

        connections = Connections({DEFAULT: open_backend})
        server = build_server(functools.partial(connections.lend, DEFAULT), allow_writes=allow_writes)
        return Loaded(server, connections)


def _load_configured(env_file: Path | None) -> Loaded:
    """Return a server of what is configured; nothing is opened before it is asked, nor any setting said to be wrong."""
    return find_server(functools.partial(_open_backend, env_file), allow_writes=_allows_writes(env_file))


async def _serve_linked(env_file: Path | None, reference: str) -> None:
    """Serve a linked connection; that there is none, or what is wrong with it, is the answer to every question."""
    with loading("rich"):
        from pingone_mcp.logs import log_harmlessly

        log_harmlessly()

        from pingone_mcp.server.stdio import serve_stdio
        from pingone_mcp.wiring.linked import read_named

    try:
        _, settings = await read_named(env_file, reference)
    except Problem:
        settings = None
    allow_writes = settings is not None and settings.allow_writes
    loaded = find_server(functools.partial(_open_linked, env_file, reference), allow_writes=allow_writes)
    async with loaded.connections.serving():
        syncs = settings is not None and settings.sync_minutes is not None
        await serve_stdio(loaded.server, None, None, loaded.connections.begin if syncs else None)


@asynccontextmanager
async def _open_linked(env_file: Path | None, reference: str) -> AsyncIterator[Backend]:
    import pingone_mcp.http.engine  # noqa: F401 - before the time of an answer is counted
    from pingone_mcp.settings.given import state_folder
    from pingone_mcp.wiring import open_backend, own_folder
    from pingone_mcp.wiring.linked import read_named

    identity, settings = await read_named(env_file, reference)
    async with open_backend(settings, identity=identity, own=own_folder(state_folder(env_file), identity)) as backend:
        yield backend


async def _serve(
    loaded: Loaded, env_file: Path | None, handover: Handover | None, keep: Callable[[Frozen], None] | None
) -> None:
    from pingone_mcp.server.stdio import serve_stdio

    async with loaded.connections.serving():
        begin = functools.partial(_begin_syncs, loaded.connections, env_file) if _may_sync(env_file) else None
        await serve_stdio(loaded.server, handover, keep, begin)


def _may_sync(env_file: Path | None) -> bool:
    """Say whether there may be syncs in the background; what stands in a file of settings is read later."""
    return env_file is not None or is_set(os.environ, "sync_minutes")


async def _begin_syncs(connections: Connections, env_file: Path | None) -> None:
    """Let the syncs in the background begin where there are to be any; the first question says what is wrong."""
    from pingone_mcp.settings import Settings
    from pingone_mcp.tasks import in_thread

    try:
        settings = await in_thread(Settings.load, env_file, pool="disk")
    except Unconfigured:
        return
    if settings.sync_minutes is not None:
        await connections.begin()


@asynccontextmanager
async def _open_backend(env_file: Path | None) -> AsyncIterator[Backend]:
    """Open the configured directory, and load what it takes first. Raises Unconfigured."""
    import pingone_mcp.http.engine  # noqa: F401 - before the time of an answer is counted
    from pingone_mcp.wiring import open_configured

    async with open_configured(env_file) as backend:
        yield backend


def _allows_writes(env_file: Path | None) -> bool:
    """Say whether to offer writes; a server that is not configured offers none, and tells what is missing later."""
    if env_file is None and not is_set(os.environ, "allow_writes"):
        return False  # which is the default; reading all the settings takes a while

    from pingone_mcp.settings import Settings

    try:
        return Settings.load(env_file).allow_writes
    except Unconfigured:
        return False


def _greeted(env_file: Path | None, answers: Frozen | None) -> tuple[Loaded, Handover | None]:
    """Return the server, and from where it goes on when its first answers were known before it was loaded."""
    if answers is None:
        return _load_configured(env_file), None
    servers: list[Loaded] = []

    def load() -> None:
        servers.append(_load_configured(env_file))
        # What the first other message needs is loaded as well: anyio finds its event loop when it first runs.
        import anyio

        import pingone_mcp.server.stdio
        import pingone_mcp.settings  # noqa: F401 - loaded here, and needed soon

        anyio.run(anyio.sleep, 0)

    loading = threading.Thread(target=load)
    loading.start()
    handover = greet(answers, _LINGER_SECONDS if _may_sync(env_file) else None)
    loading.join()
    # What cannot be loaded fails once more, here where it is reported as ever.
    return servers.pop() if servers else _load_configured(env_file), handover
