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

import anyio
import anyio.to_thread

from benchmarks.measuring.own_process import ROOT
from benchmarks.places.place import Place
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.sandbox.options import Options

_KNOWN = 1_000  # so many ids are handed over; a walk finds the others


@contextmanager
def serving(
    *,
    size: int = 500,
    latency: float = 0.0,
    requests_per_second: float | None = None,
    max_page: int = 200,
    groups: bool = True,
) -> Iterator[Place]:
    """Serve a company of `size` users from another process for as long as the block lasts.

    `latency` is seconds per answer; what comes above `requests_per_second` gets 429. Without `groups` the company has
    none: nobody is a member of anything, and users are all that there is to read.
    """
    wanted = Options(latency=latency, requests_per_second=requests_per_second, max_page=max_page)
    asked = ["--size", str(size), "--options", json.dumps(asdict(wanted)), *([] if groups else ["--no-groups"])]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.places.served", *asked],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Place.described(json.loads(process.stdout.readline()))
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


def without_groups(sandbox: Sandbox) -> Sandbox:
    """Take all groups from the company; nobody is a member of anything any more."""
    state = sandbox.state()
    for group in list(state.groups.values()):
        state.remove_group(group)
    return sandbox


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.places.served")
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--options", type=json.loads, default={}, help="JSON object of sandbox options")
    parser.add_argument("--no-groups", action="store_true")
    asked = parser.parse_args()
    sandbox = Sandbox(size=asked.size, options=Options(**asked.options), sleep=anyio.sleep)
    anyio.run(_serve, without_groups(sandbox) if asked.no_groups else sandbox)


if __name__ == "__main__":
    main()
