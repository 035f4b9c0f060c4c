"""A whole directory: our walk beside one page after the other, of a PingOne that takes 100 ms to answer."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.served import serving
from benchmarks.trip import race

LATENCY = 0.100


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeWalk:
    """Median seconds for all users, and the users."""

    users: int
    ours_seconds: float
    naive_seconds: float


def measure(users: int = 20_000, latency: float = LATENCY, runs: int = 3) -> WholeWalk:
    """Return the medians of walks made in turn."""
    with serving(size=users, latency=latency) as place:
        ours, naive = race(place, users, "ours", "naive", runs=runs)
    return WholeWalk(
        users=users,
        ours_seconds=statistics.median(trip.seconds for trip in ours),
        naive_seconds=statistics.median(trip.seconds for trip in naive),
    )
