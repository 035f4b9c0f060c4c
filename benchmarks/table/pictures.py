"""The pictures that are drawn of the groups with curves."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.copy import growth
from benchmarks.table.plot import Panel, Picture
from benchmarks.walks import curves

PICTURES: Mapping[str, Picture] = MappingProxyType(
    {
        "curves": Picture(
            file="benchmarks.svg",
            title=f"Reading a whole directory, {curves.LATENCY * 1000:g} ms per answer",
            panels=(Panel(title=curves.TIME, axis="seconds"), Panel(title=curves.MEMORY, axis="MiB")),
        ),
        "growth": Picture(
            file="growth.svg",
            title="The local copy over the number of users",
            panels=(
                Panel(title=growth.SYNC, axis="seconds"),
                Panel(title=growth.QUESTIONS, axis="milliseconds"),
                Panel(title=growth.SPACE, axis="MiB"),
            ),
        ),
    }
)
