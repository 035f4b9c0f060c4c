"""`pingone-mcp client-config`: what an MCP client on this machine needs to start this very program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from pingone_mcp.advice import variable
from pingone_mcp.commands.ending import OK, asking
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import say
from pingone_mcp.errors import Unconfigured
from pingone_mcp.mcp_clients import CLIENTS, DATABASE, ClientName, System, install_link, launch, place, snippet


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("client", choices=CLIENTS, metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--link", action="store_true", help="print a link that installs it instead (vscode, cursor)")


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    with asking():
        settings = await _settings(doors, given.env_file, given.connection)
        return _print(given.client, settings, env_file=given.env_file, connection=given.connection, link=given.link)


def _print(
    client: ClientName, settings: Mapping[str, str], *, env_file: Path | None, connection: str | None, link: bool
) -> int:
    """Print the snippet or the link on stdout, and on stderr where it goes and what is still to be done."""
    how = launch(own_program(sys.argv[0], sys.executable), env_file and env_file.absolute(), settings, connection)
    system = _system()
    say(install_link(client, how) if link else snippet(client, how, system))
    say(
        "Open this link: the client shows what it is about to add." if link else place(client, system, how.server),
        stderr=True,
    )
    if connection is None and env_file is None and not settings:
        say(_FILL_IN, stderr=True)
    if connection is not None and DATABASE in settings:
        say(_DATABASE_NOT_SHOWN, stderr=True)
    if how.asks and not client.startswith("vscode"):  # which asks for it
        say(_NOT_SHOWN, stderr=True)
    if is_in_a_cache(Path(sys.prefix)):
        say(_IN_A_CACHE, stderr=True)
    return OK


async def _settings(doors: Doors, env_file: Path | None, connection: str | None) -> Mapping[str, str]:
    """Return what the environment sets; nothing if that is not enough.

    Raises Unconfigured for a wrong file, and WrongUse for a connection that there is not.
    """
    if env_file is not None or connection is not None:
        await doors.check_settings()  # a client would only say that the server has gone
    if env_file is not None:
        return {}
    try:
        return doors.given_settings()
    except Unconfigured:
        return {}


_FILL_IN = (
    "Replace YOUR_ENVIRONMENT_ID and YOUR_CLIENT_ID, and NA by your region. Or let all of it come from a file, with "
    "--env-file FILE: `pingone-mcp guide settings` prints one to fill in."
)
_NOT_SHOWN = (
    "The client secret is not shown: put it in the place of YOUR_CLIENT_SECRET, or keep it in a file (--env-file FILE)."
)
_DATABASE_NOT_SHOWN = (
    f"The URL of the database is not shown, because it may hold a password: put {variable(DATABASE)} into a file, and "
    "name that with --env-file FILE."
)
_IN_A_CACHE = (
    "This program runs from a folder that is emptied now and then (uvx keeps it there): install it with "
    "`uv tool install` or `pipx install`, and ask again."
)


def own_program(script: str, python: str) -> tuple[str, ...]:
    """Return the absolute path of the program that was started as `script`, or what starts it by its Python.

    Links are not followed: pipx and uv lead them elsewhere with a new version.
    """
    started = Path(script).absolute()
    for path in (started, started.with_name(f"{started.name}.exe")):
        if started.stem == "pingone-mcp" and path.is_file():
            return (str(path),)
    return (str(Path(python).absolute()), "-m", "pingone_mcp")


def is_in_a_cache(prefix: Path) -> bool:
    """Say whether an environment lies in a folder that calls itself a cache (bford.info/cachedir); itself, it may."""
    return any((parent / "CACHEDIR.TAG").is_file() for parent in prefix.parents)


def _system() -> System:
    return "win32" if sys.platform == "win32" else "darwin" if sys.platform == "darwin" else "linux"


VERB = Verb(
    name="client-config",
    text=f"""\
Print what an MCP client on this machine needs to start this program, with the absolute path of the
program: some clients start programs with a bare PATH. Where it goes is said on stderr. Settings come
from --env-file, which the client will name too, or from the environment; a secret is never printed.
CLIENT is one of {", ".join(CLIENTS)}.

examples:
  pingone-mcp client-config claude-desktop --env-file my.env
  pingone-mcp client-config vscode
  pingone-mcp client-config cursor --connection acme
  {variable("sandbox", "1")} pingone-mcp client-config cursor --link""",
    add=_add,
    run=_run,
    takes_connection=True,
)
