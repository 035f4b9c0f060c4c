"""From spawning the server to the answer to `tools/list`, beside a bare one-tool server of the same SDK."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BARE = Path(__file__).with_name("bare_server.py")
OURS = ("-m", "pingone_mcp")

_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
_READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def seconds_to_tools(arguments: tuple[str, ...]) -> float:
    """Return the seconds from spawning `python *arguments` until it has answered `tools/list`."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_env()
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for message in (_HELLO, _READY, _LIST):
            server.stdin.write(json.dumps(message).encode() + b"\n")
            server.stdin.flush()
            if "id" in message:
                answer = json.loads(server.stdout.readline())
                assert "result" in answer, answer
        taken = time.perf_counter() - started
        server.stdin.close()
        server.wait(timeout=20)
    return taken


def measure(runs: int = 11) -> tuple[float, float]:
    """Return the median seconds of our server and of the bare one, measured in turn."""
    ours, bare = (OURS, (str(BARE),))
    for arguments in (ours, bare):  # the first start of each may compile, and fills the disk cache
        seconds_to_tools(arguments)
    pairs = [(seconds_to_tools(ours), seconds_to_tools(bare)) for _ in range(runs)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _env() -> dict[str, str]:
    """Leave out our variables, and let Python keep its compiled files, as it does on a user's machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PINGONE_", "PYTHONDONT"))}
