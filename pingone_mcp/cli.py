"""The command line: what may be typed, and how it ends.

The module of a command is imported when it is asked for, and the parser is made when there is something to parse: the
bare server must start fast.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from pingone_mcp import __version__
from pingone_mcp.commands.ending import FAILED, MISCONFIGURED, OK, UNCHECKED, WrongUse
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Problem, Unconfigured
from pingone_mcp.heavy_work import loading
from pingone_mcp.interrupts import INTERRUPTED, run_interruptible
from pingone_mcp.stdio_process import serve

if TYPE_CHECKING:
    from pingone_mcp.commands.verb import Verb

# The module of each command, which has a `VERB`, and its line in the help of all, in the order of that help.
VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("pingone_mcp.demo.verb", "show the main job on a sample company; needs no PingOne"),
        "check": ("pingone_mcp.commands.check", "verify the connection: token, environments, what may be read"),
        "call": ("pingone_mcp.commands.call", "call one tool and print its answer as JSON"),
        "sync": ("pingone_mcp.commands.sync", "bring the local copy of the directory up to date"),
        "export": ("pingone_mcp.commands.shell.export", "write all users, groups, memberships or changes into a file"),
        "query": ("pingone_mcp.commands.shell.query", "ask the local copy in SQL, once or at a prompt"),
        "changes": ("pingone_mcp.commands.changes", "print what changed in the directory, oldest first"),
        "drift": ("pingone_mcp.commands.drift", "compare an application's user list with the directory"),
        "review": ("pingone_mcp.commands.review", "write who has access into a file, or verify such a file"),
        "roles": ("pingone_mcp.commands.roles", "say which roles follow from groups by your rules"),
        "sandbox": ("pingone_mcp.commands.sandbox", "serve a small fake PingOne with a sample company over HTTP"),
        "serve": ("pingone_mcp.commands.serving.serve", "serve linked connections over HTTP: MCP and a REST API"),
        "dashboard": ("pingone_mcp.commands.serving.dashboard", "look at the directory in a browser, on this machine"),
        "connect": ("pingone_mcp.commands.linking.connect", "link a PingOne environment, for `serve` to serve it"),
        "connections": (
            "pingone_mcp.commands.linking.connections",
            "list, check, pause, rename or remove what is linked",
        ),
        "keys": ("pingone_mcp.commands.linking.keys", "make, list and revoke the keys of those who call `serve`"),
        "events": ("pingone_mcp.commands.linking.events", "list what was sent to webhooks, or send it again"),
        "schedules": (
            "pingone_mcp.commands.linking.schedules",
            "have rosters checked, or everything read, by the hour",
        ),
        "rosters": ("pingone_mcp.commands.linking.rosters", "keep user lists of applications, and rules for roles"),
        "completion": ("pingone_mcp.commands.shell.completion", "print what makes bash, zsh or fish complete commands"),
        "manual": ("pingone_mcp.commands.shell.manual", "print the man page"),
        "client-config": (
            "pingone_mcp.commands.setting_up.client_config",
            "print what an MCP client needs to start this program",
        ),
        "guide": (
            "pingone_mcp.commands.setting_up.guide",
            "print a file of settings to fill in, or how to write rules and rosters",
        ),
    }
)


# How argparse says that a word is none of those that there are.
_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed, 2 wrong use or configuration.

    Where 1 says that a comparison has found something, 3 says that it could not be made.
    """
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter is no reason to fail
    given = _parsed(argv)
    if given.verb is None:
        return _ended(functools.partial(_serve, given.env_file, given.connection), FAILED)
    return _ended(functools.partial(_run, given.verb, given), given.verb.failed)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed; `connection` is None for that of the variables, whether it is named or not.

    --env-file and --connection may stand anywhere, also between `call TOOL` and its arguments, where argparse alone
    would not take them.
    """
    given, rest = _taken(argv)
    if rest:
        with loading():
            takes_connection = _takes_connection(rest)
            if not takes_connection:
                given, rest = _taken(argv, connection=False)  # it may have an option --connection of its own
            parser = _parser(rest)
        given, unknown = parser.parse_known_args(rest, given)
        if given.connection is not None and not takes_connection:
            unknown.append("--connection")
        if unknown:
            given.parser.refuse(unknown)
    if given.connection == DEFAULT:
        given.connection = None
    return given


def _taken(argv: Sequence[str] | None, *, connection: bool = True) -> tuple[argparse.Namespace, list[str]]:
    """Return what stands anywhere, and the other words."""
    nothing = argparse.Namespace(env_file=None, connection=None, verb=None)
    return _anywhere(connection=connection).parse_known_args(argv, nothing)


def _takes_connection(words: Sequence[str]) -> bool:
    """Say whether what is typed may be about one connection: the server is, and those commands that say so."""
    command = next((word for word in words if not word.startswith("-")), "")
    return command not in VERBS or _verb(command).takes_connection


def _verb(name: str) -> Verb:
    module, _ = VERBS[name]
    verb: Verb = importlib.import_module(module).VERB
    return verb


def _open_what_is_closed() -> None:
    """Let what is printed go nowhere where somebody wants that, as with `>&-`; Python has no such stream then."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - it stays open to the end


def _ended(act: Callable[[], int], failed: int) -> int:
    """Return the exit status of what is done, having said what went wrong."""
    try:
        status = act()
        sys.stdout.flush()
    except (Unconfigured, WrongUse) as problem:
        _complain(problem)
        return MISCONFIGURED
    except Problem as problem:
        _complain(problem)
        try:
            sys.stdout.flush()
        except OSError:
            _print_nowhere()
        return failed
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _print_nowhere()  # the reader of our output has gone
        return UNCHECKED if failed == UNCHECKED else OK  # that nothing was found has not been said
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _print_nowhere()
        _complain(Problem(f"Not everything could be written: {error.strerror}.", "See that the disk has room."))
        return failed
    return status


# What writing fails with when there is nothing wrong but the place: a disk or a quota that is full, a file too large.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)})


def _print_nowhere() -> None:
    """Keep the interpreter from complaining, on its way out, about what it cannot print any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(problem: Problem) -> None:
    from pingone_mcp.console import say

    say(str(problem), stderr=True)


def _serve(env_file: Path | None, connection: str | None) -> int:
    if sys.stdin is not None and sys.stdin.isatty():
        from pingone_mcp.console import say

        say(_WAITING, stderr=True)
    serve(env_file, connection)
    return OK


_WAITING = """\
pingone-mcp waits for an MCP client on standard input, but this is a terminal.
A client (an assistant, an IDE) starts the program by itself. Ctrl-C ends it.
Try instead:
  pingone-mcp client-config claude-desktop   what a client needs (vscode, ...)
  pingone-mcp check                          whether the settings work
  pingone-mcp demo                           the main job, without PingOne
  pingone-mcp --help                         everything else"""


def whole_parser() -> argparse.ArgumentParser:
    """Return the parser of everything that may be typed; each command is loaded."""
    return _parser(list(VERBS))


def _run(verb: Verb, given: argparse.Namespace) -> int:
    """Run a command; the first failure of a task group is the failure of the command."""
    with loading("click"):  # httpx has a command line of its own
        from pingone_mcp.doors import OpenDoors
        from pingone_mcp.logs import log_harmlessly
        from pingone_mcp.tasks import first_failure

    log_harmlessly()
    try:
        doors = OpenDoors(given.env_file, whole_parser, given.connection)
        return run_interruptible(functools.partial(verb.run, given, doors))
    except BaseExceptionGroup as several:
        raise first_failure(several) from None


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints, which repeat what was typed, are harmless to look at, and name what was meant."""

    def error(self, message: str) -> NoReturn:
        from pingone_mcp.directory.text.harmless import harmless
        from pingone_mcp.nearest import did_you_mean

        hint = ""
        if (choice := _CHOICE.search(message)) is not None:
            hint = did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2]), most=1)
        super().error(harmless(f"{message}. {hint}" if hint else message))

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say which of the words mean nothing to this command, and which option was meant."""
        from pingone_mcp.nearest import nearest

        options = (word.partition("=")[0] for word in unknown if word.startswith("-"))
        near = dict.fromkeys(name for word in options for name in nearest(word, self._option_string_actions, most=1))
        hint = f". Did you mean {' and '.join(near)}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


def _anywhere(*, connection: bool = True) -> _Parser:
    """Return the parser of what may stand anywhere."""
    parser = _Parser(prog="pingone-mcp", add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="read PINGONE_* variables from this file (never from ./.env)",
    )
    if connection:
        parser.add_argument(
            "--connection",
            metavar="C",
            default=argparse.SUPPRESS,
            help="ask the linked connection of this name or id, not that of the variables",
        )
    return parser


def _parser(words: Sequence[str]) -> _Parser:
    """Return the parser of what is typed; a command has arguments, and is loaded, where its name is among the words."""
    parser = _Parser(
        prog="pingone-mcp",
        description="A whole PingOne user directory for AI assistants, IDEs and scripts, over MCP.\n"
        "Without a command it serves MCP on stdin and stdout: that is what an MCP client calls.",
        epilog="Configuration comes from PINGONE_* variables or from --env-file; one to fill in: pingone-mcp guide settings\n"
        "Try it without PingOne:  pingone-mcp demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_anywhere()],
    )
    parser.add_argument("--version", action="version", version=f"pingone-mcp {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (_, line) in VERBS.items():
        verb = _verb(name) if name in words else None
        added = commands.add_parser(
            name,
            help=line,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[_anywhere(connection=verb is None or verb.takes_connection)],
            add_help=verb is None or not verb.own_help,
        )
        if verb is not None:
            added.description, _, added.epilog = verb.text.partition("\n\n")
            added.set_defaults(verb=verb, parser=added)
            verb.add(added)
    return parser
