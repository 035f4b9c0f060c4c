"""What was measured last, group by group, as JSON: a group that is measured alone leaves the others as they are."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.growth import Point

LATEST = Path(__file__).with_name("results") / "latest.json"


def facts(figures: list[Figure], points: list[Point], *, now: datetime, load: float) -> dict[str, Any]:
    """Return a group as it is kept: when and on what it was measured, its figures, and the points of its curves.

    `load` is the load average from before: above nought, other programs (or the group before) took a share.
    """
    return {
        "measured": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "figures": [figure.facts() for figure in figures],
        "points": [asdict(point) for point in points],
    }


def read(path: Path = LATEST) -> dict[str, Any]:
    """Return the groups measured so far, by name; none when there is no such file."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return dict(kept) if isinstance(kept, dict) else {}


def keep(groups: dict[str, dict[str, Any]], path: Path = LATEST) -> None:
    """Write these groups into the file, in the place of what it says about them."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(read(path) | groups, indent=1) + "\n", encoding="utf-8")


def points(groups: dict[str, Any]) -> list[Point]:
    """Return the points of all curves."""
    return [Point(**point) for group in groups.values() for point in group["points"]]
