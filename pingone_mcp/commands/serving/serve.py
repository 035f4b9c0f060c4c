"""`pingone-mcp serve`: serve all connections over HTTP, to programs, assistants and people."""

from __future__ import annotations

import argparse
import functools
import json
import sys

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import OK
from pingone_mcp.commands.verb import Doors, ServeRequest, Verb, whole
from pingone_mcp.console import say
from pingone_mcp.heavy_work import take_short_turns


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="where to listen (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=whole(0, 65_535), default=8080, metavar="P", help="the port; 0: any (default 8080)"
    )
    parser.add_argument("--public-url", metavar="URL", help=f"how callers reach it ({variable('public_url')})")
    parser.add_argument("--behind-proxy", action="store_true", help="a reverse proxy ends TLS before it")
    parser.add_argument("--no-pages", action="store_true", help="serve programs only, and no pages for people")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    request = ServeRequest(
        host=given.host,
        port=given.port,
        public_url=given.public_url,
        behind_proxy=given.behind_proxy,
        with_pages=not given.no_pages,
    )
    take_short_turns()  # there is always a connection that is just being synced
    await doors.serve(request, functools.partial(_began, with_pages=request.with_pages), _log)
    return OK


def _began(url: str, link: str | None, *, with_pages: bool) -> None:
    _log(json.dumps({"event": "listening", "url": url}))
    if not sys.stderr.isatty():
        return
    say(f"pingone-mcp serves on {url}. Ctrl-C ends it.", stderr=True)
    if link is not None:
        say(f"Sign in with this browser (once, within ten minutes): {link}", stderr=True)
    elif with_pages:
        say(f"People sign in at {url}/sign-in.", stderr=True)
    say("A connection is linked by `pingone-mcp connect`; `pingone-mcp keys create` lets somebody call.", stderr=True)


def _log(line: str) -> None:
    say(line, stderr=True)


VERB = Verb(
    name="serve",
    text=f"""\
Serve all linked connections over HTTP: MCP at /c/CONNECTION/mcp, the unified REST API, which
/openapi.json describes, and pages for people (not with --no-pages). Every caller sends a key (`pingone-mcp keys create`) or an access token of
{variable("oauth_issuer")}. The local copies are kept up to date beside it. Ctrl-C and SIGTERM let what
runs end (30 s). On stderr stands one line of JSON for each request, the first of all says where it
listens. Other machines are let in only with TLS, or behind a proxy that ends it.
The exit status is 0 at the end, 2 where it cannot or must not start.

examples:
  pingone-mcp serve
  pingone-mcp serve --port 9000 --env-file serve.env
  pingone-mcp serve --host 0.0.0.0 --behind-proxy --public-url https://directory.example.com""",
    add=_add,
    run=_run,
)
