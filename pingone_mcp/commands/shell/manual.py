"""`pingone-mcp manual`: the man page, made of what --help says."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence

from pingone_mcp.commands.ending import OK
from pingone_mcp.commands.shell.parsed import Argument, ParsedCommand, parsed
from pingone_mcp.commands.verb import Doors, Verb
from pingone_mcp.console import say


def page(own: ParsedCommand, commands: Sequence[ParsedCommand]) -> str:
    """Return the man page, in the language of man(7)."""
    return "\n".join(_lines(own, commands))


def _lines(own: ParsedCommand, commands: Sequence[ParsedCommand]) -> Iterator[str]:
    anywhere = own.arguments
    yield '.TH PINGONE-MCP 1 "" "pingone-mcp" "User Commands"'
    yield ".SH NAME"
    yield r"pingone-mcp \- a whole PingOne user directory for AI assistants, IDEs and scripts, over MCP"
    yield ".SH SYNOPSIS"
    yield r".B pingone-mcp"
    yield r"[\-\-env\-file FILE] [\-\-connection C] [COMMAND] ..."
    yield ".SH DESCRIPTION"
    yield _text(own.description)
    yield ".SH OPTIONS"
    for argument in own.arguments:
        yield from _argument(argument)
    yield ".SH COMMANDS"
    for command in commands:
        yield f".SS {_text(command.name)}"
        yield _text(command.description)
        yield from _own_arguments(command, anywhere)
        for action in command.actions:
            yield from (".TP", f".B {_text(f'{command.name} {action.name}')}", _text(action.line), ".RS")
            yield from _own_arguments(action, anywhere)
            yield ".RE"
        if command.epilog:
            yield from (".PP", ".nf", _text(command.epilog), ".fi")
    yield ".SH EXIT STATUS"
    yield "0: done. 1: failed, or a comparison has found something. 2: wrong use or configuration. 3: a comparison"
    yield "could not be made. 130: Ctrl-C."
    yield ".SH ENVIRONMENT"
    yield _text(own.epilog)


def _own_arguments(command: ParsedCommand, anywhere: Collection[Argument]) -> Iterator[str]:
    for argument in command.arguments:
        if argument not in anywhere and "--help" not in argument.flags:
            yield from _argument(argument)


def _argument(argument: Argument) -> Iterator[str]:
    names = ", ".join(argument.flags) or argument.given or ""
    given = f" {argument.given}" if argument.flags and argument.given else ""
    yield ".TP"
    yield f".B {_text(f'{names}{given}')}"
    yield _text(argument.about) or r"\&"


def _text(text: str) -> str:
    """Return a text in which nothing is a request, an escape or a typographic hyphen."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(rf"\&{line}" if line[:1] in (".", "'") else line for line in escaped.split("\n"))


def _add(_: argparse.ArgumentParser) -> None:
    """Add nothing: it takes no arguments."""


async def _run(_: argparse.Namespace, doors: Doors) -> int:
    say(page(*parsed(doors.parser())))
    return OK


VERB = Verb(
    name="manual",
    text="""\
Print the man page; docs/pingone-mcp.1 is the same, and a wheel brings it along.

examples:
  pingone-mcp manual | man -l -""",
    add=_add,
    run=_run,
)
