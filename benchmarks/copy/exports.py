"""Everybody as CSV out of the local copy: the whole program against SQLite's own, and its memory over many and few."""

from __future__ import annotations

import csv
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.copy.sync import sync
from benchmarks.measuring.own_process import in_own_process
from benchmarks.measuring.turns import in_turns, middle
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

_EVERYBODY = "SELECT * FROM users"


def measured(extent: Extent) -> Measured:
    """Measure both sides in turns, processor time from the start of each program to its end."""
    (large, small), runs = ((5_000, 500), 3) if extent == "fast" else ((100_000, 2_000), 7)
    peaks: dict[int, float] = {}
    ours: list[list[float]] = []
    sides: list[float] = []
    for users in (small, large):
        with serving(size=users) as place, TemporaryDirectory() as folder:
            sync(place, folder)
            [copy] = Path(folder, "replica").glob("*.db")
            variables = place.variables(Path(folder))
            ours, yardstick = in_turns(runs, lambda: _export(variables), lambda: [_plain(copy)])  # noqa: B023 - at once
            peaks[users] = middle(peak for _, peak in ours)
            sides = [one for [one] in yardstick]
    program = "sqlite3 -csv" if shutil.which("sqlite3") else "Python's csv"
    return Measured(
        figures=[
            Figure(
                what=f"export users of {large:,}, the whole program",
                against=f"{program} of the same columns",
                ours=middle(seconds for seconds, _ in ours),
                yardstick=middle(sides),
                unit="s",
                promised=at_most(3),
                small=extent == "fast",
            ),
            Figure(
                what=f"peak memory of export users of {large:,}",
                against=f"of {small:,}",
                ours=peaks[large],
                yardstick=peaks[small],
                unit="MiB",
                comparison="difference",
                promised=at_most(15),
                small=extent == "fast",
            ),
        ]
    )


def _export(variables: dict[str, str]) -> list[float]:
    """Export in a process of its own; return its processor seconds and its peak memory in MiB."""
    found: list[float] = in_own_process("benchmarks.copy.exporting", given=variables)
    return found


def _plain(copy: Path) -> float:
    """Return the processor seconds of the yardstick."""
    if shutil.which("sqlite3") is None:
        started = time.process_time()
        with closing(sqlite3.connect(copy)) as database, Path(os.devnull).open("w", encoding="utf-8") as out:
            csv.writer(out).writerows(database.execute(_EVERYBODY))
        return time.process_time() - started
    before = os.times()
    with Path(os.devnull).open("wb") as out:
        subprocess.run(["sqlite3", "-readonly", "-csv", "-header", str(copy), _EVERYBODY], stdout=out, check=True)  # noqa: S607 - looked up on the PATH
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system
