"""The command line, and the only place that wires PingOne (or the sandbox) to the MCP server."""
# ruff: noqa: PLC0415 - imports stand inside the functions that need them: the bare server must start fast, and load
# no HTTP client, no cache and no sandbox before the first question.

from __future__ import annotations

import argparse
import functools
import gc
import io
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pingone_mcp import __version__
from pingone_mcp.commands.ending import FAILED, INTERRUPTED, MISCONFIGURED, OK, UNCHECKED, WrongUse
from pingone_mcp.errors import Problem, Unconfigured
from pingone_mcp.first_answers import Frozen, kept, may_offer_writes
from pingone_mcp.handshake import Handover, greet, may_greet

if TYPE_CHECKING:
    from pingone_mcp.server.edge import StrictServer
    from pingone_mcp.service.backend import Backend


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed, 2 wrong use or configuration.

    Where 1 says that a comparison has found something, 3 says that it could not be made.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter is no reason to fail
    # --env-file may stand anywhere, also between `call TOOL` and its arguments, where argparse alone would not take it.
    anywhere = _anywhere()
    given, rest = anywhere.parse_known_args(argv, argparse.Namespace(env_file=None))
    arguments = _parser(anywhere).parse_args(rest, given)
    try:
        if arguments.run is not _serve:
            _log_harmlessly()
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except (Unconfigured, WrongUse) as problem:
        _complain(str(problem))
        return MISCONFIGURED
    except Problem as problem:
        _complain(str(problem))
        failed: int = arguments.failed
        return failed
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNCHECKED if arguments.failed == UNCHECKED else OK  # that nothing was found has not been told
    return status


def _complain(text: str) -> None:
    from pingone_mcp.console import say

    say(text, stderr=True)


def _log_harmlessly() -> None:
    from pingone_mcp.logs import log_harmlessly

    log_harmlessly()


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints, which repeat what was typed, are harmless to look at."""

    def error(self, message: str) -> NoReturn:
        from pingone_mcp.directory.text import harmless

        super().error(harmless(message))


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


def _parser(anywhere: _Parser) -> _Parser:
    parser = _Parser(
        prog="pingone-mcp",
        description="A whole PingOne user directory for AI assistants, IDEs and scripts, over MCP.\n"
        "Without a command it serves MCP on stdin and stdout: that is what an MCP client calls.",
        epilog="Configuration comes from PINGONE_* variables or from --env-file (see .env.example).\n"
        "Try it without PingOne:  pingone-mcp demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[anywhere],
    )
    parser.add_argument("--version", action="version", version=f"pingone-mcp {__version__}")
    parser.set_defaults(run=_serve, failed=FAILED)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, text: str) -> _Parser:  # noqa: A002 - argparse's word
        description, _, epilog = text.partition("\n\n")
        added = commands.add_parser(
            name,
            help=help,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[anywhere],
        )
        added.set_defaults(run=run)
        return added

    demo = command("demo", _demo, "show the main job on a sample company; needs no PingOne", _DEMO)
    _size(demo, least=100)

    check = command("check", _check, "verify the connection: token, environments, what may be read", _CHECK)
    check.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    call = command("call", _call, "call one tool and print its answer as JSON", _CALL)
    call.add_argument("tool", metavar="TOOL", help="name of the tool, e.g. list_users")
    call.add_argument("arguments", nargs="*", metavar="key=value", help="arguments; lists as a,b or JSON")

    _copy_commands(command)

    sandbox = command("sandbox", _sandbox, "serve a small fake PingOne with a sample company over HTTP", _SANDBOX)
    sandbox.add_argument(
        "--port", type=_whole(0, 65_535), default=8010, metavar="N", help="port on 127.0.0.1 (default 8010, 0: any)"
    )
    _size(sandbox, least=1)
    return parser


def _copy_commands(command: Callable[..., _Parser]) -> None:
    """Add the commands that work with the local copy."""
    as_json = ("--json", "store_true", "print JSON instead of lines")

    def option(parser: argparse.ArgumentParser, name: str, action: str, text: str, **more: Any) -> None:
        parser.add_argument(name, action=action, help=text, **more)

    sync = command("sync", _sync, "bring the local copy of the directory up to date", _SYNC)
    option(sync, "--full", "store_true", "read the whole directory, not only what has changed")
    option(sync, "--every", "store", "sync again so long after each end: 30s, 15m, 2h", metavar="SPAN")
    option(
        sync, "--accept-removals", "store_true", "those whom the last sync could not find are gone indeed: take it over"
    )
    option(sync, *as_json)

    changes = command("changes", _changes, "print what changed in the directory, oldest first", _CHANGES)
    option(
        changes, "--since", "store", "only from then on: 2026-11-01, 2026-11-01T08:00:00Z, 12h, 7d, 2w", metavar="WHEN"
    )
    option(changes, "--kinds", "store", "only these kinds: user.created,membership.removed,…", metavar="A,B")
    option(changes, *as_json)

    drift = command("drift", _drift, "compare an application's user list with the directory", _DRIFT)
    drift.add_argument("roster", metavar="ROSTER", help="a .csv or .json file, or the name of one in PINGONE_ROSTERS")
    option(drift, "--match-on", "store", "who is who, by: email,username,external_id (default: all)", metavar="A,B")
    option(drift, "--kinds", "store", "what counts as drift: missing,status_mismatches,… (default: all)", metavar="A,B")
    option(drift, *as_json)
    drift.set_defaults(failed=UNCHECKED)

    review = command("review", _review, "write who has access into a file, or verify such a file", _REVIEW)
    option(review, "--group", "store", "who is in this group (id or name)", metavar="G")
    option(review, "--role", "store", "who has this administrator role (id or name)", metavar="R")
    option(review, "--population", "store", "who is in this population (id or name)", metavar="P")
    option(
        review, "--format", "store", "what to write, where the ending of FILE does not tell", choices=("csv", "jsonl")
    )
    option(review, "--force", "store_true", "replace FILE and its manifest")
    option(review, *as_json)
    either = review.add_mutually_exclusive_group(required=True)
    either.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    either.add_argument("--verify", type=Path, metavar="FILE", help="compare a file with the manifest beside it")

    roles = command("roles", _roles, "say which roles follow from groups by your rules", _ROLES)
    roles.add_argument("user", nargs="?", metavar="USER", help="id, username, email or external id")
    option(
        roles,
        "--diff",
        "store",
        "compare with the roles in this roster (a file, or a name as in drift)",
        metavar="ROSTER",
    )
    option(roles, "--kinds", "store", "what counts as found (default: all; the names are in the output)", metavar="A,B")
    option(roles, *as_json)
    roles.set_defaults(failed=UNCHECKED)


# Description and examples of each command, as `COMMAND --help` shows them.
_DEMO = """\
Show the main job: an MCP client asks the server over stdio, and the server asks a fake PingOne on this machine.
Nothing is configured, nothing leaves the machine, and nothing is left behind."""
_CHECK = """\
Verify the configured connection step by step, and say in plain words what is wrong and what to change.
The exit status is 0 when it works (parts that are not needed may be missing), 1 when it does not, 2 when
it is not configured.

examples:
  pingone-mcp check
  pingone-mcp check --env-file my.env --json
  PINGONE_SANDBOX=1 pingone-mcp check"""
_CALL = """\
Call one tool as an assistant would, and print its answer as JSON.
The exit status is 1 when the tool answers with an error, 2 for wrong use or configuration.

examples:
  pingone-mcp call list_users query=uma limit=5
  pingone-mcp call list_users fields=id,username,status 'filter=enabled eq false'
  pingone-mcp call get_user user=uma.becker@example.com
  PINGONE_SANDBOX=1 pingone-mcp call find_deactivated 'reasons=["locked"]'"""
_SYNC = """\
Bring the local copy of the directory up to date; PingOne itself is only read. Assistants ask the
copy about changes, drift, access and everything in SQL. What changed is written down from the first
sync on. The exit status is 0 when it is up to date, 1 when it could not be read whole (nothing is
taken over then) or at all, 2 when it is not configured. With --every it goes on until Ctrl-C, also
after a sync that failed; with --json each sync is one line.

examples:
  pingone-mcp sync
  pingone-mcp sync --full --json
  pingone-mcp sync --every 15m --env-file my.env"""
_CHANGES = """\
Print what changed, oldest first, as the syncs found it; with --json one object in a line. Nothing
is known of the time before the first sync: without one the exit status is 1, for wrong use 2.

examples:
  pingone-mcp changes --since 7d
  pingone-mcp changes --since 2026-11-01 --kinds user.created,user.removed
  pingone-mcp changes --json | jq .user.username"""
_DRIFT = """\
Compare the user list of an application with the local copy of the directory, which is brought up to
date first when it is missing or older than PINGONE_REPLICA_MINUTES; and say what is new since the
last check of this list. The exit status is 0 when there is no drift, 1 when there is, 2 for wrong
use or configuration, 3 when it could not be checked. --kinds says what counts: missing,
status_mismatches, ambiguous, attribute_mismatches, unexpected (active in the directory, without
account) and unidentified. docs/rosters.md tells more.

examples:
  pingone-mcp drift ledger-users.csv
  pingone-mcp drift ledger --match-on email --kinds missing,status_mismatches
  pingone-mcp drift ledger --json | jq .counts"""
_REVIEW = """\
Write who has access, and by which way, into FILE, and what that file is into FILE.manifest.json; or
compare such a file with its manifest. Without --group, --role and --population it holds everybody
who has any access. Both are readable by you only. A file is written whole or not at all, and none
is replaced without --force. The exit status is 0 when it is done (--verify: the file is as it was
written), 1 when not, 2 for wrong use or configuration.

examples:
  pingone-mcp review --out review.csv
  pingone-mcp review --group Finance --out finance.jsonl
  pingone-mcp review --verify review.csv"""
_ROLES = """\
Say which roles of an application follow from groups and attributes, by the rules in
PINGONE_ROLES_FILE (docs/roles.md tells how to write them). With USER: its roles, and the rule that
gave each. With --diff: who has other roles in the application. With neither: what is odd about the
rules in the light of the directory. The exit status is 0 when there is nothing to look at, 1 when
there is, 2 for wrong use or configuration, 3 when the directory could not be read.

examples:
  pingone-mcp roles
  pingone-mcp roles uma.becker@example.com
  pingone-mcp roles --diff ledger --kinds mismatches,unmatched"""
_SANDBOX = """\
Serve a small fake PingOne with a sample company on 127.0.0.1, and print the variables that connect to it.
It is for tests and for trying things out: whoever can reach the port can read and change the sample company.

examples:
  pingone-mcp sandbox --port 0
  pingone-mcp sandbox --size 5000"""


def _size(command: argparse.ArgumentParser, least: int) -> None:
    command.add_argument(
        "--size",
        type=_whole(least, 1_000_000),
        default=500,
        metavar="N",
        help=f"users of the sample company, {least} or more (default 500)",
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {least:,} to {most:,}")

    return number


# Wiring


@asynccontextmanager
async def _open_backend(env_file: Path | None) -> AsyncIterator[Backend]:
    """Open the configured directory, and load what it takes first. Raises Unconfigured."""
    from pingone_mcp.wiring import open_configured

    async with open_configured(env_file) as backend:
        yield backend


def _allows_writes(env_file: Path | None) -> bool:
    """Say whether to offer writes; a server that is not configured offers none, and tells what is missing later."""
    if env_file is None and not may_offer_writes(os.environ):
        return False  # which is the default; reading all the settings takes a while

    from pingone_mcp.settings import Settings

    try:
        return Settings.load(env_file).allow_writes
    except Unconfigured:
        return False


def _server(env_file: Path | None) -> StrictServer:
    # Collecting garbage while a thousand classes are being made only costs time; none of it is garbage.
    gc.disable()
    # The SDK logs through rich where it finds it: time at the start, and lines folded at 80 columns. This hides it.
    hidden = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type] # None says: not to be imported
    try:
        _log_harmlessly()

        from pingone_mcp.server.build import build_server
        from pingone_mcp.service.connections import serve_one

        lend = functools.partial(serve_one, functools.partial(_open_backend, env_file))
        return build_server(lend, allow_writes=_allows_writes(env_file))
    finally:
        if hidden:
            del sys.modules["rich"]
        gc.freeze()
        calm_collector()
        gc.enable()


def calm_collector() -> None:
    """Look for garbage less often than Python does.

    A page of users is thousands of objects that go by themselves; to look for circles among them takes a fifth of the
    time of a walk.
    """
    gc.set_threshold(20_000, 50, 100)


def _greeted(env_file: Path | None, answers: Frozen | None) -> tuple[StrictServer, Handover | None]:
    """Return the server, and from where it goes on when its first answers were known before it was loaded."""
    if answers is None:
        return _server(env_file), None
    servers: list[StrictServer] = []

    def load() -> None:
        servers.append(_server(env_file))
        # What the first other message needs is loaded as well: anyio finds its event loop when it first runs.
        import anyio

        import pingone_mcp.server.stdio
        import pingone_mcp.settings  # noqa: F401 - loaded here, and needed soon

        anyio.run(anyio.sleep, 0)

    loading = threading.Thread(target=load)
    loading.start()
    handover = greet(answers)
    loading.join()
    # What cannot be loaded fails once more, here where it is told as ever.
    return servers.pop() if servers else _server(env_file), handover


# Commands


def _serve(arguments: argparse.Namespace) -> int:
    # The SDK reads stdin in a thread that cannot be cancelled, so an interrupt ends the process here and now. Nothing
    # is lost by it: the token cache is written atomically, and a write in flight stands in the audit file as sent.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(OK))
    # A client that has gone leaves an answer half written; Python 3.13 complains about that on its way out.
    complain = sys.unraisablehook
    sys.unraisablehook = lambda told: None if told.exc_type is BrokenPipeError else complain(told)
    try:
        place = kept(arguments.env_file) if may_greet() else None
        server, handover = _greeted(arguments.env_file, place and place.known())

        import anyio

        from pingone_mcp.server.stdio import serve_stdio

        anyio.run(serve_stdio, server, handover, place and place.keep)
    except* (BrokenPipeError, ConnectionError):
        pass  # the client has gone
    finally:
        # The SDK has given stdout back; what a stray print left in its buffer must not follow the last answer.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return OK


def _call(arguments: argparse.Namespace) -> int:
    given = _key_values(arguments.arguments)

    from pingone_mcp.settings import Settings

    Settings.load(arguments.env_file)
    server = _server(arguments.env_file)

    async def run() -> int:
        from mcp import Client

        from pingone_mcp.commands.call import called, complaint

        async with Client(server) as client:
            schemas = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
            if arguments.tool not in schemas:
                raise WrongUse("There is no such tool.", f"The tools are: {', '.join(schemas)}.")
            properties = schemas[arguments.tool]["properties"]
            typed = {name: _typed(value, properties.get(name, {})) for name, value in given.items()}
            result = await called(client.call_tool, arguments.tool, typed)
        if result.is_error:
            _complain(complaint(result).removeprefix(f"Error executing tool {arguments.tool}: "))
            return FAILED

        from pingone_mcp.console import print_json

        print_json(result.structured_content, indent=2)
        return OK

    return _run(run)


def _key_values(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise WrongUse(
                "An argument is not of the form key=value.", "Example: pingone-mcp call list_users query=uma"
            )
        if key in pairs:
            raise WrongUse("An argument is given twice.", "A list is written as one argument: fields=id,username")
        pairs[key] = value
    return pairs


def _typed(value: str, schema: dict[str, Any]) -> Any:
    """Read a command line value as its schema wants it; lists may be written a,b or as JSON."""
    kind = schema.get("type")
    if kind == "array" and not value.lstrip().startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    if kind in ("array", "object", "integer", "boolean"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _check(arguments: argparse.Namespace) -> int:
    from pingone_mcp.settings import Settings

    settings = Settings.load(arguments.env_file)

    async def run() -> int:
        from pingone_mcp.advice import spelled
        from pingone_mcp.console import Report
        from pingone_mcp.wiring import checking

        report = Report(as_json=arguments.json)
        async with checking(settings) as findings:
            async for finding in findings:
                report.add(finding.step, spelled(finding.text), ok=finding.ok, needed=finding.needed)
        return OK if report.close() else FAILED

    return _run(run)


def _demo(arguments: argparse.Namespace) -> int:
    from pingone_mcp.demo import tell

    return _run(functools.partial(tell, arguments.size))


def _opening(arguments: argparse.Namespace) -> Callable[[], AbstractAsyncContextManager[Backend]]:
    from pingone_mcp.settings import Settings

    Settings.load(arguments.env_file)
    return functools.partial(_open_backend, arguments.env_file)


def _sync(arguments: argparse.Namespace) -> int:
    from pingone_mcp.commands.sync import sync
    from pingone_mcp.commands.words import span

    every = span(arguments.every) if arguments.every is not None else None
    work = functools.partial(
        sync,
        _opening(arguments),
        full=arguments.full,
        every=every,
        as_json=arguments.json,
        accept_removals=arguments.accept_removals,
    )
    return _run(work)


def _changes(arguments: argparse.Namespace) -> int:
    from pingone_mcp.commands.changes import changes

    options = {"since": arguments.since, "kinds": arguments.kinds, "as_json": arguments.json}
    return _run(functools.partial(changes, _opening(arguments), **options))


def _drift(arguments: argparse.Namespace) -> int:
    from pingone_mcp.commands.drift import drift

    options = {"match_on": arguments.match_on, "kinds": arguments.kinds, "as_json": arguments.json}
    return _run(functools.partial(drift, _opening(arguments), roster=arguments.roster, **options))


def _review(arguments: argparse.Namespace) -> int:
    from pingone_mcp.commands.review import review, verified
    from pingone_mcp.directory.provider import AccessQuestion

    question = AccessQuestion(group=arguments.group, role=arguments.role, population=arguments.population)
    if arguments.verify is not None:
        if question != AccessQuestion() or arguments.format or arguments.force:
            raise WrongUse("--verify stands alone.", "Example: pingone-mcp review --verify review.csv")
        return verified(arguments.verify, as_json=arguments.json)
    options = {"format_": arguments.format, "force": arguments.force, "as_json": arguments.json}
    return _run(functools.partial(review, _opening(arguments), question=question, path=arguments.out, **options))


def _roles(arguments: argparse.Namespace) -> int:
    from pingone_mcp.commands.roles import roles

    options = {"diff": arguments.diff, "kinds": arguments.kinds, "as_json": arguments.json}
    return _run(functools.partial(roles, _opening(arguments), user=arguments.user, **options))


def _sandbox(arguments: argparse.Namespace) -> int:
    import socket

    try:
        socket.create_server(("127.0.0.1", arguments.port)).close()  # the web server would say it with a traceback
    except OSError:
        raise WrongUse(
            f"Port {arguments.port} of this machine is taken or not allowed.",
            "Choose another with --port, or any: --port 0",
        ) from None

    import anyio

    from pingone_mcp.console import say
    from pingone_mcp.sandbox.app import Sandbox, running

    sandbox = Sandbox(size=arguments.size, sleep=anyio.sleep)  # who is at the other end of a socket has a real clock

    async def run() -> int:
        async with running(sandbox, port=arguments.port) as base_url:
            say(_sandbox_card(sandbox, base_url))
            await anyio.sleep_forever()
        return OK

    return _run(run)


def _sandbox_card(sandbox: Any, base_url: str) -> str:
    return (
        f"A small fake PingOne with {sandbox.company.size:,} users. Connect to it with:\n\n"
        f"  PINGONE_API_URL={base_url}/v1\n"
        f"  PINGONE_AUTH_URL={base_url}\n"
        f"  PINGONE_ENVIRONMENT_ID={sandbox.environment_id}\n"
        f"  PINGONE_CLIENT_ID={sandbox.client_id}\n"
        f"  PINGONE_CLIENT_SECRET={sandbox.client_secret}\n\n"
        "Ctrl-C ends it."
    )


def _run(act: Callable[[], Awaitable[int]]) -> int:
    """Run a command; the first failure of a task group is the failure of the command."""
    import anyio

    calm_collector()
    try:
        return anyio.run(act)
    except BaseExceptionGroup as several:
        error: BaseException = several
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
