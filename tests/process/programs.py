"""`pingone-mcp` as other programs meet it: a process with arguments, an environment, pipes and an exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.advice import setting
from pingone_mcp.sandbox.app import Sandbox, running
from tests.process.fork_server import ForkedPopen, can_fork

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-m", "pingone_mcp")
# Where nothing hangs nothing takes so long, on a slow machine either.
PATIENCE = 120.0
PIPES: Mapping[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

Variables = Mapping[str, str]
Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is left of a process."""

    status: int
    out: str
    err: str

    def json(self) -> Message:
        assert self.status == 0, self
        return cast("Message", json.loads(self.out))

    def sentence(self) -> str:
        """Return what it said instead of an answer; fail if it said more than a person wants to read."""
        assert self.out == "", self
        assert "Traceback" not in self.err, self
        return self.err.strip()


def bare(home: Path, **variables: str) -> dict[str, str]:
    """Return as little of an environment as a program can live in."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **variables}


def begun(
    *arguments: str, env: Variables, program: Sequence[str] | None = None, **streams: Any
) -> subprocess.Popen[Any]:
    """Start a process, with what else `subprocess.Popen` takes.

    Without a `program` it is `pingone-mcp` as it is when it has been loaded; with PROGRAM, it is to load first.
    """
    if program is None and can_fork(env):
        return ForkedPopen(arguments, env=dict(env), **streams)
    return subprocess.Popen([*(program or PROGRAM), *arguments], env=dict(env), **streams)


def run(
    *arguments: str, env: Variables, cwd: Path | None = None, program: Sequence[str] | None = None, stdin: str = ""
) -> Ended:
    """Run a process to its end; `program` as for `begun`."""
    with begun(*arguments, env=env, program=program, cwd=cwd, encoding="utf-8", **PIPES) as process:
        try:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        finally:
            process.kill()
    assert setting("")[0] not in out + err, "a setting that nobody has spelled"
    return Ended(status=process.returncode, out=out, err=err)


@dataclass(slots=True)
class Running:
    """A process that is spoken to by lines."""

    process: subprocess.Popen[str]
    numbers: int = 0
    heard: list[str] = field(default_factory=list[str])

    def tell(self, **message: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"it ended before it was spoken to: {self.rest()}") from None

    def ask(self, method: str, **params: Any) -> int:
        """Send a request without waiting for its answer; return its number."""
        self.numbers += 1
        self.tell(id=self.numbers, method=method, params=params)
        return self.numbers

    def line(self) -> str:
        """Return the next line of stdout, "" at its end."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.heard.append(line)
        return line

    def answer(self, number: int) -> Message:
        while line := self.line():
            message: Message = json.loads(line)
            if message.get("id") == number:
                return message
        raise AssertionError(f"stdout ended before the answer: {self.rest()}")

    def greet(self) -> None:
        """Do what a client does first."""
        client = {"name": "test", "version": "1"}
        self.answer(self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client))
        self.tell(method="notifications/initialized")

    def call(self, tool: str, **arguments: Any) -> int:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def leave(self) -> None:
        """Close both pipes, as a client that dies does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def rest(self, last: str = "") -> Ended:
        """Say `last`, wait for the end of the process and return what it still had to say.

        It may end while it is spoken to: what it does not read is lost, as for any client.
        """
        closed = self.process.stdin is None or self.process.stdin.closed
        if self.process.stdout is not None and self.process.stdout.closed:
            assert self.process.stderr is not None
            err = self.process.stderr.read()
            return Ended(status=self.process.wait(PATIENCE), out="", err=err)
        if closed:
            self.process.stdin = None  # communicate() would flush it
        out, err = self.process.communicate(last or None, timeout=PATIENCE)
        return Ended(status=self.process.returncode, out=out, err=err)


@contextmanager
def started(
    *arguments: str,
    env: Variables,
    cwd: Path | None = None,
    program: Sequence[str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[Running]:
    """Start a process with pipes; `program` as for `begun`.

    Whatever happens, it is gone at the end, and no read of its output hangs for ever.
    """
    process = begun(*arguments, env=env, program=program, cwd=cwd, encoding="utf-8", **PIPES)
    watchdog = threading.Timer(patience, process.kill)
    watchdog.start()
    try:
        yield Running(process)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):  # what was written and never read
                    pipe.close()


def in_process(code: str) -> tuple[str, ...]:
    """Return a program that is `pingone-mcp` with something done to the interpreter before."""
    return (sys.executable, "-c", f"{code}\nimport sys\nfrom pingone_mcp.cli import main\nsys.exit(main())")


class Ear:
    """What stands before a sandbox and hears what it keeps to itself: the Authorization headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.heard: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heard += [value.decode() for name, value in scope.get("headers", ()) if name == b"authorization"]
        await self._app(scope, receive, send)


@dataclass(slots=True, kw_only=True)
class Served:
    """A sandbox on a port of this machine, and how to connect to it."""

    sandbox: Sandbox
    ear: Ear
    base_url: str
    home: Path

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def variables(self, **changes: str) -> dict[str, str]:
        own = {
            "PINGONE_API_URL": f"{self.base_url}/v1",
            "PINGONE_AUTH_URL": self.base_url,
            "PINGONE_ENVIRONMENT_ID": self.sandbox.environment_id,
            "PINGONE_CLIENT_ID": self.sandbox.client_id,
            "PINGONE_CLIENT_SECRET": self.sandbox.client_secret,
            "PINGONE_CACHE_DIR": str(self.cache),
            "PINGONE_RETRY_SECONDS": "0",
        }
        return bare(self.home, **own | changes)

    def credentials(self, scheme: str) -> list[str]:
        """Return the distinct values that came in Authorization headers of one scheme, Bearer or Basic."""
        values = [value.removeprefix(f"{scheme} ") for value in self.ear.heard if value.startswith(f"{scheme} ")]
        return list(dict.fromkeys(values))


@contextmanager
def serving(sandbox: Sandbox, home: Path) -> Iterator[Served]:
    """Serve a sandbox from a thread of this process."""
    sandbox.app = ear = Ear(sandbox.app)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running(sandbox)) as base_url:
        yield Served(sandbox=sandbox, ear=ear, base_url=base_url, home=home)
