"""The main job, shown: a real MCP client asks the server over stdio, and the server asks a PingOne over HTTP.

The PingOne is the sandbox, on a port of this machine; the server is a process of its own, configured like any other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from mcp import Client, StdioServerParameters

from pingone_mcp.advice import variable
from pingone_mcp.commands.verb import Doors, Verb, add_size
from pingone_mcp.console import console
from pingone_mcp.demo.meantime import RULES, write_roster
from pingone_mcp.demo.next_steps import print_next_steps
from pingone_mcp.demo.stage import Stage
from pingone_mcp.demo.story import tell_story
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.wiring import settings_of


async def show(size: int) -> int:
    """Tell the story on a sample company of `size` users (at least 100), and what comes next; return 0."""
    out = console()
    sandbox = Sandbox(size=size)
    with tempfile.TemporaryDirectory(prefix="pingone-mcp-demo-", ignore_cleanup_errors=True) as place:
        files = _files(sandbox, Path(place))
        async with running(sandbox) as base_url:
            settings = settings_of(sandbox, base_url) | {name: str(path) for name, path in files.items()}
            variables = {variable(name): value for name, value in settings.items()}
            command = StdioServerParameters(command=sys.executable, args=["-m", "pingone_mcp"], env=variables)
            async with Client(command) as client:
                await tell_story(Stage(client=client, sandbox=sandbox, out=out))
    out.print(
        "[bold]That is the main job.[/] Tokens, paging, rate limits and the unified user were the server's business.\n"
    )
    print_next_steps(out)
    return 0


def _files(sandbox: Sandbox, place: Path) -> dict[str, Path]:
    """Lay out what a person would: an application's user list and the rules of its roles; return settings by name."""
    files = {"cache_dir": place / "cache", "rosters": place / "rosters", "roles_file": place / "roles.toml"}
    files["rosters"].mkdir()
    write_roster(sandbox, files["rosters"])
    files["roles_file"].write_text(RULES, encoding="utf-8")
    return files


def _add(parser: argparse.ArgumentParser) -> None:
    add_size(parser, least=100)


async def _run(given: argparse.Namespace, _: Doors) -> int:
    return await show(given.size)


VERB = Verb(
    name="demo",
    text="""\
Show the main job: an MCP client asks the server over stdio, and the server asks a fake PingOne on this machine.
Then what changed there, an application's user list held against it, an access review, and roles by rules.
Nothing is configured, nothing leaves the machine, and nothing is left behind.""",
    add=_add,
    run=_run,
)
