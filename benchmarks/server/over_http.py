"""One `list_users` over HTTP, as `pingone-mcp serve` answers it, beside the same over stdio.

Both ask a PingOne that takes 20 ms to answer, in turns. There are fewer calls than a connection is answered in ten
seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from benchmarks.measuring.turns import middle, seconds
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.server.pipes import plain_environment
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

LATENCY = 0.020
_PROGRAM = (sys.executable, "-m", "pingone_mcp")
_WARM = 4
_QUESTION = {"limit": 25}


def measured(extent: Extent) -> Measured:
    http, stdio = anyio.run(_asked, 20 if extent == "fast" else 40)
    return Measured(
        figures=[
            Figure(
                what=f"list_users over HTTP, warm, {LATENCY * 1000:g} ms per answer",
                against="the same over stdio",
                ours=http * 1000,
                yardstick=stdio * 1000,
                unit="ms",
                promised=at_most(1.5),
            )
        ]
    )


async def _asked(runs: int) -> tuple[float, float]:
    """Return the median seconds of both, of so many questions."""
    with tempfile.TemporaryDirectory() as folder, serving(latency=LATENCY) as place:
        home = Path(folder)
        env = plain_environment() | place.variables(home / "cache") | {"PINGONE_STATE_DIR": str(home / "state")}
        server = StdioServerParameters(command=_PROGRAM[0], args=[*_PROGRAM[1:]], env=env)
        with _served(home, place, env) as (url, key):
            headers = {"Authorization": f"Bearer {key}"}
            async with (
                httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
                Client(streamable_http_client(url, http_client=http)) as there,
                Client(stdio_client(server)) as here,
            ):
                for _ in range(_WARM):
                    await _ask(there)
                    await _ask(here)
                taken = [(await seconds(partial(_ask, there)), await seconds(partial(_ask, here))) for _ in range(runs)]
    return middle([one for one, _ in taken]), middle([other for _, other in taken])


async def _ask(client: Client) -> None:
    result = await client.call_tool("list_users", _QUESTION)
    assert not result.is_error, result


@contextmanager
def _served(home: Path, place: Place, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Link the place, and serve it for as long as the block lasts; gives its URL and a key."""
    file = home / "settings.env"
    file.touch(mode=0o600)
    file.write_text(
        "".join(
            f"{name}={value}\n"
            for name, value in place.variables(home / "cache").items()
            if name != "PINGONE_CACHE_DIR"
        )
    )
    connection = _run("connect", "--name", "bench", "--env-file", str(file), env=env)["id"]
    key = _run("keys", "create", "bench", "--connection", connection, "--scope", "directory.read", env=env)["key"]
    with subprocess.Popen([*_PROGRAM, "serve", "--port", "0"], env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield f"{json.loads(process.stderr.readline())['url']}/c/{connection}/mcp", key
        finally:
            process.kill()


def _run(*arguments: str, env: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run([*_PROGRAM, *arguments, "--json"], env=env, capture_output=True, check=True, timeout=60)
    said: dict[str, Any] = json.loads(done.stdout)
    return said
