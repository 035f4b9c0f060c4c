"""A whole walk at no latency, beside the least that can be done with the same pages: fetch them and `json.loads` them.

The floor fetches one page after the other with `http.client`; a walk reads some pages twice, to split the directory.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.served import serving
from benchmarks.trip import race


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Median processor seconds of the client, and median seconds in all."""

    users: int
    ours_processor: float
    floor_processor: float
    ours_seconds: float
    floor_seconds: float


def measure(users: int = 20_000, runs: int = 3) -> Floor:
    """Return the medians of walks made in turn."""
    with serving(size=users) as place:
        ours, floor = race(place, users, "ours", "floor", runs=runs)
    return Floor(
        users=users,
        ours_processor=statistics.median(trip.processor_seconds for trip in ours),
        floor_processor=statistics.median(trip.processor_seconds for trip in floor),
        ours_seconds=statistics.median(trip.seconds for trip in ours),
        floor_seconds=statistics.median(trip.seconds for trip in floor),
    )
