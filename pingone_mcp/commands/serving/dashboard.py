"""`pingone-mcp dashboard`: the pages of `serve` for whoever sits at this machine, in their browser."""

from __future__ import annotations

import argparse
import functools
import threading
import webbrowser

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import OK
from pingone_mcp.commands.verb import Doors, ServeRequest, Verb, whole
from pingone_mcp.console import say
from pingone_mcp.heavy_work import take_short_turns


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-browser", action="store_true", help="print the link, and open no browser")
    parser.add_argument("--port", type=whole(0, 65_535), default=0, metavar="P", help="the port (default: any)")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    take_short_turns()  # there is always a connection that is just being synced
    request = ServeRequest(host="127.0.0.1", port=given.port, is_local=True)
    await doors.serve(request, functools.partial(_began, opens=not given.no_browser), _unheard)
    return OK


def _began(url: str, link: str | None, *, opens: bool) -> None:
    say(f"The pages are at {url}. Ctrl-C ends them.")
    if link is None:
        return
    say(f"This link signs one browser in, once, within ten minutes:\n  {link}")
    if opens:
        # Some browsers keep whoever opens them until they are closed.
        threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()


def _unheard(_: str) -> None:
    """Log no requests: nobody but the person at this machine sends any."""


VERB = Verb(
    name="dashboard",
    text=f"""\
Look at the directory in a browser: the pages of `pingone-mcp serve`, for this machine alone, on a port
that is free. It shows the connection that the variables describe and all that were linked, and needs
none: the first page links one. A link that is good once signs the browser in. Ctrl-C ends it.
The exit status is 0 at the end, 2 where it cannot start.

examples:
  pingone-mcp dashboard
  pingone-mcp dashboard --no-browser
  {variable("sandbox", "1")} pingone-mcp dashboard""",
    add=_add,
    run=_run,
)
