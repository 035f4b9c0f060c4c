"""Peak memory over a large and over a small directory: of a walk, and of a full sync, each in a process of its own."""

from __future__ import annotations

from benchmarks.copy.sync import sync_anew
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from benchmarks.walks.trip import travel


def measured(extent: Extent) -> Measured:
    large, small = (5_000, 500) if extent == "fast" else (200_000, 2_000)
    peaks: dict[int, tuple[float, float]] = {}
    for users in (small, large):
        with serving(size=users) as place:
            peaks[users] = travel("ours", place, users).peak, sync_anew(place).peak
    return Measured(
        figures=[
            Figure(
                what=f"peak memory of a {what} over {large:,} users",
                against=f"over {small:,} users",
                ours=much,
                yardstick=little,
                unit="MiB",
                comparison="difference",
                promised=at_most(40),
                small=extent == "fast",
            )
            for what, much, little in zip(("walk", "full sync"), peaks[large], peaks[small], strict=True)
        ]
    )
