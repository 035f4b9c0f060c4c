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
        "connect": ("pingone_mcp.commands.linking.connect", "link a PingOne environment, for `serve` to serve it"),
        "connections": (
            "pingone_mcp.commands.linking.connections",
            "list, check, pause, rename or remove what is linked",
        ),
        "keys": ("pingone_mcp.commands.linking.keys", "make, list and revoke the keys of those who call `serve`"),
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
    # --env-file may stand anywhere, also between `call TOOL` and its arguments, where argparse alone would not take it.
    anywhere = _anywhere()
    given, rest = anywhere.parse_known_args(argv, argparse.Namespace(env_file=None, verb=None))
    if rest:
        with loading():
            parser = _parser(anywhere, rest)
        given, unknown = parser.parse_known_args(rest, given)
        if unknown:
            given.parser.refuse(unknown)
    if given.verb is None:
        return _ended(functools.partial(_serve, given.env_file), FAILED)
    return _ended(functools.partial(_run, given.verb, given), given.verb.failed)


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


def _serve(env_file: Path | None) -> int:
    if sys.stdin is not None and sys.stdin.isatty():
        from pingone_mcp.console import say

        say(_WAITING, stderr=True)
    serve(env_file)
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
    return _parser(_anywhere(), list(VERBS))


def _run(verb: Verb, given: argparse.Namespace) -> int:
    """Run a command; the first failure of a task group is the failure of the command."""
    with loading("click"):  # httpx has a command line of its own
        from pingone_mcp.doors import OpenDoors
        from pingone_mcp.logs import log_harmlessly
        from pingone_mcp.tasks import first_failure

    log_harmlessly()
    try:
        return run_interruptible(functools.partial(verb.run, given, OpenDoors(given.env_file, whole_parser)))
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


def _anywhere() -> _Parser:
    parser = _Parser(prog="pingone-mcp", add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="read PINGONE_* variables from this file (never from ./.env)",
    )
    return parser


def _parser(anywhere: _Parser, words: Sequence[str]) -> _Parser:
    """Return the parser of what is typed; a command has arguments, and is loaded, where its name is among the words."""
    parser = _Parser(
        prog="pingone-mcp",
        description="A whole PingOne user directory for AI assistants, IDEs and scripts, over MCP.\n"
        "Without a command it serves MCP on stdin and stdout: that is what an MCP client calls.",
        epilog="Configuration comes from PINGONE_* variables or from --env-file; one to fill in: pingone-mcp guide settings\n"
        "Try it without PingOne:  pingone-mcp demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[anywhere],
    )
    parser.add_argument("--version", action="version", version=f"pingone-mcp {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (module, line) in VERBS.items():
        verb: Verb | None = importlib.import_module(module).VERB if name in words else None
        added = commands.add_parser(
            name,
            help=line,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[anywhere],
            add_help=verb is None or not verb.own_help,
        )
        if verb is not None:
            added.description, _, added.epilog = verb.text.partition("\n\n")
            added.set_defaults(verb=verb, parser=added)
            verb.add(added)
    return parser
