"""A group of figures: what `python -m benchmarks NAME` measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.table.figures import Figure
from benchmarks.table.results import Point

Extent = Literal["full", "fast"]
"""Fast ones try out the measuring, with fewer users and runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The figures of a group, the points of its curves where it has some, and what could not be measured and why."""

    figures: list[Figure]
    points: list[Point] = field(default_factory=list[Point])
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group and its title in the table. One that is `long` is measured only where it is named."""

    title: str
    measure: Callable[[Extent], Measured]
    long: bool = False
