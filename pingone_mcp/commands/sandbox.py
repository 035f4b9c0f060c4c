"""`pingone-mcp sandbox`: a small fake PingOne for others to connect to."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Mapping

import anyio

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import OK, WrongUse
from pingone_mcp.commands.verb import Doors, Verb, add_size, whole
from pingone_mcp.console import say


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=whole(0, 65_535), default=8010, metavar="N", help="port on 127.0.0.1 (default 8010, 0: any)"
    )
    add_size(parser, least=1)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    _check_port(given.port)
    async with doors.sandbox(size=given.size, port=given.port) as settings:
        say(_card(given.size, settings))
        await anyio.sleep_forever()
    return OK


def _check_port(port: int) -> None:
    """Raise WrongUse for a port that cannot be had: the web server would say it with a traceback."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        raise WrongUse(
            f"Port {port} of this machine is taken or not allowed.", "Choose another with --port, or any: --port 0"
        ) from None


def _card(size: int, settings: Mapping[str, str]) -> str:
    """Return what a person reads, and what is a file of settings as well."""
    lines = "".join(f"{variable(name, value)}\n" for name, value in settings.items())
    return f"# A small fake PingOne with {size:,} users. Connect to it with:\n\n{lines}\n# Ctrl-C ends it."


VERB = Verb(
    name="sandbox",
    text="""\
Serve a small fake PingOne with a sample company on 127.0.0.1, and print the variables that connect to it,
as a file of settings (--env-file) has them. It is for tests and for trying things out: whoever can reach
the port can read and change the sample company. Somebody is disabled (enable, lock, unlock, delete) by
POST /sandbox/users/USERNAME/disable, and POST /sandbox/webhooks takes what `connections hook C --json`
prints: from then on it sends its events there. `pingone-mcp guide events` has an example.

examples:
  pingone-mcp sandbox --port 0
  pingone-mcp sandbox --size 5000
  pingone-mcp sandbox > sandbox.env""",
    add=_add,
    run=_run,
)
