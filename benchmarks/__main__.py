"""`make bench`: every figure with its yardstick, measured in one run, printed as a table and kept as JSON."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.groups import GROUPS, USUAL
from benchmarks.table import results
from benchmarks.table.figures import Figure, summary, table
from benchmarks.table.group import Extent
from benchmarks.table.pictures import PICTURES
from benchmarks.table.plot import plot

DOCS = Path(__file__).resolve().parents[1] / "docs"
BUSY = 0.5  # processes that run or wait to, on average of the last minute
_SMALL = "Fast: fewer users and runs, to try out the measuring. Nothing is saved.\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("group", nargs="*", help=f"measure only these: {', '.join(GROUPS)}")
    parser.add_argument("--fast", action="store_true", help="fewer users and runs, to try out; nothing is saved")
    parser.add_argument("--plot", action="store_true", help="measure nothing; draw what was measured last into docs/")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.group if name not in GROUPS]:
        parser.error(f"there is no group {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if not asked.plot:
        measure(asked.group or USUAL, "fast" if asked.fast else "full")
    if not asked.fast:
        draw()


def measure(names: Sequence[str], extent: Extent) -> None:
    """Measure these groups, print their table, and keep their figures unless they are fast ones."""
    measured: list[tuple[str, list[Figure]]] = []
    notes: list[str] = []
    if extent == "fast":
        print(_SMALL)
    if (load := os.getloadavg()[0]) > BUSY:
        print(f"Other programs are at work here (load {load:.1f}): what takes all cores looks slower than it is.\n")
    for name in names:
        group = GROUPS[name]
        print(f"{group.title} …", end="", flush=True)
        load, began = os.getloadavg()[0], time.perf_counter()
        found = group.measure(extent)
        print(f" {time.perf_counter() - began:.0f} s", flush=True)
        measured.append((group.title, found.figures))
        notes += found.notes
        if extent == "full":
            results.keep({name: results.facts(found.figures, found.points, now=datetime.now(UTC), load=load)})
    print(f"\n{table(measured)}\n\n{summary([figure for _, figures in measured for figure in figures])}")
    for note in notes:
        print(note)
    if extent == "full":
        print(f"Saved: {_shown(results.LATEST)}")


def draw() -> None:
    """Draw the pictures of which there are points."""
    kept = results.read()
    for group, picture in PICTURES.items():
        if points := results.points(kept, group):
            (DOCS / picture.file).write_text(plot(picture, points), encoding="utf-8")
            print(f"Drawn: {_shown(DOCS / picture.file)}")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
