"""The command line, and the only place that wires PingOne (or the sandbox) to the MCP server."""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import hmac
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pingone_mcp import __version__
from pingone_mcp.errors import Problem, Refused, Unconfigured

if TYPE_CHECKING:
    import httpx

    from pingone_mcp.server.build import StrictServer
    from pingone_mcp.server.edge import Backend
    from pingone_mcp.settings import Connection, Settings

OK, FAILED, MISCONFIGURED, INTERRUPTED = 0, 1, 2, 130

# Imports stand inside the functions that need them: the bare server must start fast and load no HTTP client, no
# cache and no sandbox before the first question.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed, 2 wrong use or configuration."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except Unconfigured as problem:
        print(problem, file=sys.stderr)
        return MISCONFIGURED
    except Problem as problem:
        print(problem, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pingone-mcp",
        description="A whole PingOne user directory for AI assistants, IDEs and scripts, over MCP.\n"
        "Without a command it serves MCP on stdin and stdout: that is what an MCP client calls.",
        epilog="Configuration comes from PINGONE_* variables or from --env-file (see .env.example).\n"
        "Try it without PingOne:  pingone-mcp demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pingone-mcp {__version__}")
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="read PINGONE_* variables from this file (never from ./.env)"
    )
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    demo = commands.add_parser("demo", help="show the main job on a sample company; needs no PingOne")
    demo.add_argument("--size", type=int, default=500, metavar="N", help="users of the sample company (default 500)")
    demo.set_defaults(run=_demo)

    check = commands.add_parser("check", help="verify the connection: token, environments, what may be read")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(run=_check)

    call = commands.add_parser(
        "call",
        help="call one tool and print its answer as JSON",
        description="Call one tool as an assistant would, and print its answer as JSON.\n"
        "The exit status is 1 when the tool answers with an error, 2 for wrong use or configuration.",
        epilog="examples:\n"
        "  pingone-mcp call list_users query=ann limit=5\n"
        "  pingone-mcp call list_users fields=id,username,status 'filter=enabled eq false'\n"
        "  pingone-mcp call get_user user=ann.li@example.com\n"
        "  PINGONE_SANDBOX=1 pingone-mcp call find_deactivated 'reasons=[\"locked\"]'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    call.add_argument("tool", metavar="TOOL", help="name of the tool, e.g. list_users")
    call.add_argument("arguments", nargs="*", metavar="key=value", help="arguments; lists as a,b or JSON")
    call.set_defaults(run=_call)

    sandbox = commands.add_parser("sandbox", help="serve a small fake PingOne with a sample company over HTTP")
    sandbox.add_argument("--port", type=int, default=8010, metavar="N", help="port on 127.0.0.1 (default 8010, 0: any)")
    sandbox.add_argument("--size", type=int, default=500, metavar="N", help="users of the sample company (default 500)")
    sandbox.set_defaults(run=_sandbox)
    return parser


# Wiring


@asynccontextmanager
async def open_backend(env_file: Path | None) -> AsyncIterator[Backend]:
    """Open the configured directory. Raises Unconfigured with everything that is missing or wrong."""
    from pingone_mcp.settings import Settings

    settings = Settings.load(env_file)

    from pingone_mcp.directory.cursor import CursorSeal
    from pingone_mcp.pingone.directory import open_directory
    from pingone_mcp.server.edge import Backend

    connection, transport = connect(settings)
    async with open_directory(connection, transport=transport) as directory:
        yield Backend(
            directory=directory,
            cursors=CursorSeal(_cursor_key(connection)),
            answer_characters=settings.answer_characters,
            answer_seconds=settings.answer_seconds,
        )


def connect(settings: Settings) -> tuple[Connection, httpx.AsyncBaseTransport | None]:
    """Return the connection and how bytes travel to it: over the network, or into the embedded sandbox."""
    if not settings.sandbox:
        return settings.connection(), None
    from pydantic import SecretStr

    from pingone_mcp.sandbox.app import Sandbox

    sandbox = Sandbox()
    embedded = settings.model_copy(
        update={
            "environment_id": sandbox.environment_id,
            "client_id": sandbox.client_id,
            "client_secret": SecretStr(sandbox.client_secret),
            "api_url": f"{sandbox.base_url}/v1",
            "auth_url": sandbox.base_url,
        }
    )
    return embedded.connection(), sandbox.transport()


def _cursor_key(connection: Connection) -> bytes:
    """Derive the key of the cursors: whoever holds the secret can ask PingOne anyway, nobody else can forge one."""
    purpose = "\0".join(("pingone-mcp cursor", connection.api_base, connection.environment_id, connection.client_id))
    return hmac.new(connection.client_secret.get_secret_value().encode(), purpose.encode(), hashlib.sha256).digest()


def _server(env_file: Path | None) -> StrictServer:
    # Collecting garbage while a thousand classes are being made only costs time; none of it is garbage.
    gc.disable()
    try:
        from pingone_mcp.server.build import build_server

        return build_server(functools.partial(open_backend, env_file))
    finally:
        gc.freeze()
        gc.enable()


# Commands


def _serve(arguments: argparse.Namespace) -> int:
    server = _server(arguments.env_file)

    import anyio

    # The SDK reads stdin in a thread that cannot be cancelled, so an interrupt ends the process here and now. Nothing
    # is lost by it: the token cache is written atomically, and PingOne is only read.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(OK))
    try:
        anyio.run(server.run_stdio_async)
    except* (BrokenPipeError, ConnectionError):
        pass  # the client has gone
    return OK


def _call(arguments: argparse.Namespace) -> int:
    from pingone_mcp.settings import Settings

    Settings.load(arguments.env_file)
    given = dict(_key_value(text) for text in arguments.arguments)
    server = _server(arguments.env_file)

    async def run() -> int:
        from mcp import Client

        async with Client(server) as client:
            schemas = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
            if arguments.tool not in schemas:
                raise Refused("There is no such tool.", f"The tools are: {', '.join(schemas)}.")
            properties = schemas[arguments.tool]["properties"]
            typed = {name: _typed(value, properties.get(name, {})) for name, value in given.items()}
            result = await client.call_tool(arguments.tool, typed)
        if result.is_error:
            print("\n".join(block.text for block in result.content if block.type == "text"), file=sys.stderr)
            return FAILED
        print(json.dumps(result.structured_content, ensure_ascii=False, indent=2))
        return OK

    return _run(run)


def _key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Refused("An argument is not of the form key=value.", "Example: pingone-mcp call list_users query=ann")
    return key, value


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

    connection, transport = connect(Settings.load(arguments.env_file))

    async def run() -> int:
        from pingone_mcp.console import Report
        from pingone_mcp.pingone.checkup import open_checkup

        report = Report(as_json=arguments.json)
        async with open_checkup(connection, transport=transport) as findings:
            async for finding in findings:
                report.add(finding.step, finding.text, ok=finding.ok, needed=finding.needed)
        return OK if report.close() else FAILED

    return _run(run)


def _demo(arguments: argparse.Namespace) -> int:
    from pingone_mcp.demo import tell

    return _run(functools.partial(tell, arguments.size))


def _sandbox(arguments: argparse.Namespace) -> int:
    from pingone_mcp.sandbox.app import Sandbox, running

    sandbox = Sandbox(size=arguments.size)

    async def run() -> int:
        import anyio

        async with running(sandbox, port=arguments.port) as base_url:
            print(_sandbox_card(sandbox, base_url), flush=True)
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

    try:
        return anyio.run(act)
    except BaseExceptionGroup as several:
        error: BaseException = several
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
