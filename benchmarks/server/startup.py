"""From spawning the server to the answer to `tools/list`, beside a bare one-tool server of the same SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.measuring.turns import in_turns, middle
from benchmarks.server.newest import NotMade, newest_environment
from benchmarks.table.figures import Bound, Figure, at_most
from benchmarks.table.group import Extent, Measured

OURS = ("-m", "pingone_mcp")
# Nothing is answered before the SDK is loaded.
_PLAIN = "import sys, pingone_mcp.cli, pingone_mcp.stdio_process as one; one.may_greet = lambda: False; sys.exit(pingone_mcp.cli.main())"
OURS_PLAIN = ("-c", _PLAIN)
BARE = (str(Path(__file__).with_name("bare_server.py")),)
_AGAINST = "a bare one-tool MCPServer of the same SDK"


class Started(NamedTuple):
    """Median seconds to `tools/list`: in a new cache folder, in the same again, with nothing known, and a bare one."""

    first: float
    second: float
    plain: float
    bare: float


def measured(extent: Extent) -> Measured:
    figures = _figures("locked versions", started(Path(sys.executable), 3 if extent == "fast" else 11))
    if extent == "fast":
        return Measured(figures=figures)
    try:
        with newest_environment() as newest:
            found = started(newest.python, 11)
    except NotMade as problem:
        return Measured(
            figures=figures, notes=[f"Start-up with the newest allowed versions was not measured: {problem}"]
        )
    return Measured(figures=figures + _figures(f"newest allowed versions ({newest.versions})", found))


def _figures(versions: str, found: Started) -> list[Figure]:
    def figure(what: str, ours: float, promised: Bound | None = None) -> Figure:
        return Figure(what=what, against=_AGAINST, ours=ours, yardstick=found.bare, unit="s", promised=promised)

    return [
        figure(f"from spawn to tools/list, second start, {versions}", found.second, at_most(0.25)),
        figure("  first start", found.first),
        figure("  without the answers kept ready", found.plain, at_most(1.1)),
    ]


def started(python: Path, runs: int) -> Started:
    """Start each server so often, in turns; what the first start of each compiles is not measured."""
    with TemporaryDirectory() as warm:
        for server in (OURS, OURS_PLAIN, BARE):
            seconds_to_tools(python, server, warm)
        folders = iter([Path(warm) / str(number) for number in range(runs)])
        cache = Path(warm)

        def first() -> float:
            nonlocal cache
            cache = next(folders)
            return seconds_to_tools(python, OURS, str(cache))

        taken = in_turns(
            runs,
            first,
            lambda: seconds_to_tools(python, OURS, str(cache)),
            lambda: seconds_to_tools(python, OURS_PLAIN, str(cache)),
            lambda: seconds_to_tools(python, BARE, str(cache)),
        )
    return Started(*map(middle, taken))


_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
_READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def seconds_to_tools(python: Path, server: tuple[str, ...], cache: str) -> float:
    """Return the seconds from spawning a server until it has answered `tools/list`; wait for its end."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [python, *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment() | {"PINGONE_CACHE_DIR": cache},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in (_HELLO, _READY, _LIST):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                answer = json.loads(process.stdout.readline())
                assert "result" in answer, answer
        taken = time.perf_counter() - begun
        process.stdin.close()
        process.wait(timeout=20)
    return taken


def _environment() -> dict[str, str]:
    """Leave out our variables, and let Python keep its compiled files, as it does on a user's machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PINGONE_", "PYTHONDONT"))}
