"""`pingone-mcp serve` as a process over a state folder that was filled here, and plain sockets to it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from pingone_mcp.control.control import ControlPlace
from pingone_mcp.service.fleet.administration import KeyRequest
from pingone_mcp.service.fleet.linking import LinkRequest
from pingone_mcp.wiring.fleet import open_administration
from tests.process.programs import PATIENCE, bare, begun

USERS = "/unified/user-directory/users"
_MOMENT = 0.02  # seconds between two looks at what a process has written


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A connection to a sample company, and a key for it."""

    id: str
    key: str


async def fill(state: Path, *names: str) -> dict[str, Account]:
    """Link sample companies in a state folder, each with a key of its own."""
    accounts: dict[str, Account] = {}
    async with open_administration(ControlPlace(folder=state)) as administration:
        for name in names:
            request = LinkRequest(values={"sandbox": True}, name=name, tenant=name)
            linked = await administration.linking.connect(request, lambda _: None)
            made = await administration.create_key(KeyRequest(name=name, connections=[linked.id]))
            accounts[name] = Account(id=linked.id, key=made.text.get_secret_value())
    return accounts


@dataclass(slots=True)
class Server:
    """A process that serves; what it says is in a file, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    said: Path
    port: int = 0

    @property
    def resident(self) -> float:
        """MiB of its memory that are in use; only Linux says so."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def started(home: Path, *, port: int = 0, **variables: str) -> Iterator[Server]:
    """Serve the state folder `home/state` until the block ends, or somebody kills it; wait for the first answer.

    Without a `port` it is any that is free.
    """
    said = home / f"said-{time.monotonic_ns()}"
    env = bare(home, PINGONE_STATE_DIR=str(home / "state"), **variables)
    with said.open("wb") as out:
        process = begun("serve", "--port", str(port), env=env, stdout=out, stderr=out)
    try:
        server = Server(process, said)
        server.port = _port(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def _port(server: Server) -> int:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.process.poll() is None:
        first, is_whole, _ = server.said.read_text(encoding="utf-8").partition("\n")
        if is_whole:
            facts = json.loads(first)
            assert facts["event"] == "listening", facts
            return int(facts["url"].rpartition(":")[2])
        time.sleep(_MOMENT)
    raise AssertionError(server.said.read_text(encoding="utf-8"))


def get(path: str, port: int, key: str | None = None, *more: str) -> bytes:
    """Return a request as bytes."""
    who = [] if key is None else [f"Authorization: Bearer {key}"]
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *who, *more, "", ""]).encode()


async def exchange(port: int, request: bytes, seconds: float = 60.0) -> bytes:
    """Send bytes on a connection of their own; return what comes until it ends, or the first answer is whole."""
    answer = b""
    with anyio.fail_after(seconds):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(request)
            while not is_whole(answer):
                try:
                    answer += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    break
    return answer


def is_whole(answer: bytes) -> bool:
    """Say whether an answer with a length is all there."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    _, found, length = head.lower().partition(b"content-length: ")
    return bool(found) and len(body) >= int(length.split()[0])


def status(answer: bytes) -> int:
    """Return the status of an answer; 0 where the connection ended without one."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


IS_LINUX = sys.platform == "linux"
