"""The server behind HTTP, for referees that speak nothing else: the object that stdio serves, over the sandbox."""

from __future__ import annotations

import functools
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn

from pingone_mcp.server.build import build_server
from pingone_mcp.service.connections import serve_one
from pingone_mcp.wiring import open_configured


@asynccontextmanager
async def http_face() -> AsyncIterator[str]:
    """Serve MCP on a free port of this machine for as long as the block lasts; gives its address."""
    app = build_server(functools.partial(serve_one, functools.partial(open_configured, None))).streamable_http_app()
    logging.getLogger("mcp").setLevel(logging.ERROR)  # referees send what is refused with a warning
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, not an event
            await anyio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = server.force_exit = True
