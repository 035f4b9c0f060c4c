"""One sync of the local copy in a process of its own, and what it took."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import anyio

from benchmarks.measuring.own_process import begin, in_own_process, peak_memory
from benchmarks.measuring.turns import middle
from benchmarks.places.ours import settings
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from pingone_mcp.wiring import open_backend

Mode = Literal["full", "incremental"]
_TINY = 10  # users


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What one sync took: `processor_seconds` are of all threads, `peak` is in MiB, `changes` were written down."""

    seconds: float
    processor_seconds: float
    peak: float
    users: int
    changes: int


def sync(place: Place, cache: Path | str, mode: Mode = "full") -> Synced:
    """Bring the copy in a cache folder up to date."""
    return Synced(**in_own_process("benchmarks.copy.sync", mode, given=[asdict(place), str(cache)]))


def sync_anew(place: Place) -> Synced:
    """Make a copy where there is none, and remove it."""
    with TemporaryDirectory() as cache:
        return sync(place, cache)


def start_up(mode: Mode = "full", *, groups: bool = True, runs: int = 5) -> float:
    """Return the processor seconds of a sync that are there however few users: imports, the token, the places.

    It is a sync of a tiny company; an incremental one follows a full one, after which nothing has changed.
    """
    with serving(size=_TINY, groups=groups) as place, TemporaryDirectory() as cache:
        if mode == "full":
            return middle([sync_anew(place).processor_seconds for _ in range(runs)])
        sync(place, cache)
        return middle([sync(place, cache, mode).processor_seconds for _ in range(runs)])


async def _synced(place: Place, cache: Path, mode: Mode) -> Synced:
    started, processor = time.perf_counter(), time.process_time()
    async with open_backend(settings(place, cache)) as backend:
        report = await backend.replica.sync(mode, report=lambda *_: None)
    assert report.complete, report.reason
    return Synced(
        seconds=time.perf_counter() - started,
        processor_seconds=time.process_time() - processor,
        peak=peak_memory(),
        users=report.counts["users"],
        changes=sum(report.changes.values()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.copy.sync", description="Reads JSON from stdin: a Place, and a cache folder."
    )
    parser.add_argument("mode", choices=["full", "incremental"])
    mode: Mode = parser.parse_args().mode
    place, cache = json.load(sys.stdin)
    begin()
    print(json.dumps(asdict(anyio.run(_synced, Place.described(place), Path(cache), mode))))


if __name__ == "__main__":
    main()
