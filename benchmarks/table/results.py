"""The figures as they are kept beside the code: a group measured alone leaves the others as they are."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.table.figures import Figure

LATEST = Path(__file__).resolve().parents[1] / "results" / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value over a number of users, on one curve of one panel of the picture of its group."""

    panel: str
    curve: str
    users: int
    value: float


def facts(figures: Sequence[Figure], points: Sequence[Point], *, now: datetime, load: float) -> dict[str, Any]:
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


def points(groups: dict[str, Any], group: str) -> list[Point]:
    """Return the points of the curves of a group; none where it was not measured, or not by this version."""
    kept = groups.get(group, {}).get("points", [])
    return [Point(**point) for point in kept if point.keys() == {"panel", "curve", "users", "value"}]
