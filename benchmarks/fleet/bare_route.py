"""The yardstick for answers over HTTP: one route of Starlette that says what it was given, and nothing else."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def main() -> None:
    """Answer `GET /` with the JSON of a file, written anew each time."""
    content = json.loads(Path(sys.argv[1]).read_bytes())

    async def answer(_: Request) -> JSONResponse:
        return JSONResponse(content)

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), file=sys.stderr, flush=True)
    app = Starlette(routes=[Route("/", answer)])
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="critical", lifespan="off", http="h11")).run(
        [listening]
    )


if __name__ == "__main__":
    main()
