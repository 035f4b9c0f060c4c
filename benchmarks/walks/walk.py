"""A whole directory: our walk beside one page after the other, of a PingOne that takes 100 ms to answer."""

from __future__ import annotations

from benchmarks.measuring.turns import middle
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_least
from benchmarks.table.group import Extent, Measured
from benchmarks.walks.trip import race

LATENCY = 0.100


def measured(extent: Extent) -> Measured:
    users, runs = (2_000, 1) if extent == "fast" else (20_000, 3)
    with serving(size=users, latency=LATENCY) as place:
        ours, naive = race(place, users, "ours", "naive", runs=runs)
    return Measured(
        figures=[
            Figure(
                what=f"walk over all of {users:,} users, {LATENCY * 1000:g} ms per answer",
                against="one page after the other, by bare httpx",
                ours=middle(trip.seconds for trip in ours),
                yardstick=middle(trip.seconds for trip in naive),
                unit="s",
                comparison="speed-up",
                promised=at_least(6),
                small=extent == "fast",
            )
        ]
    )
