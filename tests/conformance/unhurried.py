"""`pingone-mcp serve`, whose limits of requests never hold: a referee asks more often than they allow."""

from __future__ import annotations

import json
import sys
import time

import anyio

from pingone_mcp.clock import Clock
from pingone_mcp.settings import ServeSettings
from pingone_mcp.wiring.serving import Began, ServeOptions, serve


def say(line: object) -> None:
    """Write a line to stderr, as the command does."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - it is what is read


async def main() -> None:
    """Serve until SIGTERM; the state folder is in the environment."""
    clock = Clock(monotonic=lambda: time.monotonic() * 1_000)

    def began(facts: Began) -> None:
        say(json.dumps({"event": "listening", "url": facts.url}))

    await serve(ServeSettings(), ServeOptions(port=0), began=began, log=say, clock=clock)


if __name__ == "__main__":
    anyio.run(main)
