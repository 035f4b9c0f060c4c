"""`pingone-mcp guide`: the texts that come with the program."""

from __future__ import annotations

import argparse

from pingone_mcp.commands.ending import OK
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import say
from pingone_mcp.service.guides import GUIDES, guide

_SETTINGS = "settings"
_ABOUT = {_SETTINGS: "a file of settings to fill in, for --env-file", **GUIDES}


def _add(parser: argparse.ArgumentParser) -> None:
    about = "; ".join(f"{name}: {what}" for name, what in _ABOUT.items())
    parser.add_argument("name", choices=_ABOUT, metavar="NAME", help=about)


async def _run(given: argparse.Namespace, doors: Doors) -> int:
    text = doors.settings_file() if given.name == _SETTINGS else guide(given.name)
    say(text.rstrip("\n"))
    return OK


VERB = Verb(
    name="guide",
    text="""\
Print one of the texts that come with the program: a file of settings to fill in, or a guide in Markdown.

examples:
  pingone-mcp guide settings > my.env && chmod 600 my.env
  pingone-mcp guide roles""",
    add=_add,
    run=_run,
)
