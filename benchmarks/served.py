"""A sandbox in a process of its own, behind a real socket, so that it does not spend the time that is measured."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from benchmarks.place import Place
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.sandbox.options import Options

__all__ = ["Place", "serving"]

_ROOT = Path(__file__).resolve().parents[1]
_KNOWN = 200  # so many ids are handed over; a walk finds the others


@contextmanager
def serving(
    *, size: int = 500, latency: float = 0.0, requests_per_second: float | None = None, max_page: int = 200
) -> Iterator[Place]:
    """Serve a company of `size` users from another process for as long as the block lasts.

    `latency` is seconds per answer; what comes above `requests_per_second` gets 429.
    """
    wanted = Options(latency=latency, requests_per_second=requests_per_second, max_page=max_page)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.served", "--size", str(size), "--options", json.dumps(asdict(wanted))],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            described: dict[str, Any] = json.loads(process.stdout.readline())
            yield Place(**described | {"user_ids": tuple(described["user_ids"])})
        finally:
            process.stdin.close()  # this ends it


async def _serve(sandbox: Sandbox) -> None:
    async with running(sandbox) as base_url:
        place = Place(
            base_url=base_url,
            environment_id=sandbox.environment_id,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            user_ids=tuple(user["id"] for user in islice(sandbox.users(), _KNOWN)),
        )
        print(json.dumps(asdict(place)), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)  # until the process that started it closes the pipe, or dies


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served")
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--options", type=json.loads, default={}, help="JSON object of sandbox options")
    asked = parser.parse_args()
    anyio.run(_serve, Sandbox(size=asked.size, options=Options(**asked.options), sleep=anyio.sleep))


if __name__ == "__main__":
    main()
