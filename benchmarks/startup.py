"""From spawning the server to the answer to `tools/list`, beside a bare one-tool server of the same SDK."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple


class Server(NamedTuple):
    """How to start a server: the arguments of `python`."""

    arguments: tuple[str, ...]


OURS = Server(("-m", "pingone_mcp"))
# Nothing is answered before the SDK is loaded.
_PLAIN = "import sys, pingone_mcp.cli, pingone_mcp.stdio_process as one; one.may_greet = lambda: False; sys.exit(pingone_mcp.cli.main())"
OURS_PLAIN = Server(("-c", _PLAIN))
BARE = Server((str(Path(__file__).with_name("bare_server.py")),))

_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
_READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def seconds_to_tools(server: Server, cache: str) -> float:
    """Return the seconds from spawning a server until it has answered `tools/list`."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *server.arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_env() | {"PINGONE_CACHE_DIR": cache},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in (_HELLO, _READY, _LIST):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                answer = json.loads(process.stdout.readline())
                assert "result" in answer, answer
        taken = time.perf_counter() - started
        process.stdin.close()
        process.wait(timeout=20)
    return taken


def measure(runs: int = 11, servers: Sequence[Server] = (OURS, BARE)) -> list[float]:
    """Return the median seconds of each server, measured in turn."""
    with TemporaryDirectory() as cache:
        for server in servers:  # the first start of each may compile, fills the disk cache, and learns the answers
            seconds_to_tools(server, cache)
        rounds = [[seconds_to_tools(server, cache) for server in servers] for _ in range(runs)]
    return [statistics.median(taken) for taken in zip(*rounds, strict=True)]


def _env() -> dict[str, str]:
    """Leave out our variables, and let Python keep its compiled files, as it does on a user's machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PINGONE_", "PYTHONDONT"))}
