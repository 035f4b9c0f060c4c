"""A whole walk at no latency, beside the least that can be done with the same pages: fetch them and `json.loads` them.

The floor fetches one page after the other with `http.client`; a walk reads some pages twice, to split the directory.
"""

from __future__ import annotations

from benchmarks.measuring.turns import middle
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure
from benchmarks.table.group import Extent, Measured
from benchmarks.walks.trip import race


def measured(extent: Extent) -> Measured:
    users, runs = (2_000, 1) if extent == "fast" else (20_000, 3)
    with serving(size=users) as place:
        ours, floor = race(place, users, "ours", "floor", runs=runs)
    against = "the same pages fetched by http.client and json.loads-ed"
    return Measured(
        figures=[
            Figure(
                what=f"processor time of a walk over {users:,} users",
                against=against,
                ours=middle(trip.processor_seconds for trip in ours),
                yardstick=middle(trip.processor_seconds for trip in floor),
                unit="s",
            ),
            Figure(
                what="time of it, no latency",
                against=against,
                ours=middle(trip.seconds for trip in ours),
                yardstick=middle(trip.seconds for trip in floor),
                unit="s",
            ),
        ]
    )
