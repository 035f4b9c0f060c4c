"""The yardstick for pages: a bare app of Starlette that says what it was given, and nothing else.

It answers the page whose files are in a folder: `page.html`, its parts `results.html` and `rows.html`, and `assets/`.
"""

from __future__ import annotations

import json
import mimetypes
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route


def main() -> None:
    folder = Path(sys.argv[1])
    texts = {name: (folder / f"{name}.html").read_bytes() for name in ("page", "results", "rows")}
    assets = {file.name: file.read_bytes() for file in (folder / "assets").iterdir()}

    async def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(texts[request.query_params.get("part", "page")])

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        return Response(assets[name], media_type=mimetypes.guess_type(name)[0])

    async def silence(_: Request) -> Response:
        return Response(status_code=204)  # which tells a browser to ask for no more news

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), file=sys.stderr, flush=True)
    routes = [
        Route("/", answer),
        Route("/assets/{name}", asset),
        Route("/c/{connection}/people", answer),
        Route("/c/{connection}/live", silence),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), access_log=False, log_level="critical", lifespan="off", http="h11"
    )
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
