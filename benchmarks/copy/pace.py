"""A full sync from end to end, beside a client that fetches all users page by page and throws the pages away."""

from __future__ import annotations

from benchmarks.copy.sync import sync_anew
from benchmarks.measuring.turns import in_turns, middle
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from benchmarks.walks.trip import travel

LATENCY = 0.100


def measured(extent: Extent) -> Measured:
    users, runs = (2_000, 1) if extent == "fast" else (20_000, 3)
    with serving(size=users, latency=LATENCY) as place:
        ours, fetched = in_turns(runs, lambda: sync_anew(place).seconds, lambda: travel("fetch", place, users).seconds)
    return Measured(
        figures=[
            Figure(
                what=f"full sync of {users:,} users with their groups, {LATENCY * 1000:g} ms per answer",
                against="bare httpx that fetches the users only, page after page, and throws the pages away",
                ours=middle(ours),
                yardstick=middle(fetched),
                unit="s",
                promised=at_most(0.33),
                small=extent == "fast",
            )
        ]
    )
