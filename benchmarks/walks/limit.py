"""A whole walk of a PingOne that limits requests per second: how much of the limit is used, how often it says 429."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from benchmarks.places.log import Received, forget, received
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_least, at_most
from benchmarks.table.group import Extent, Measured
from benchmarks.walks.trip import travel

LIMIT = 50.0  # requests per second
# The sandbox saves up one second's worth of requests, and our walk begins without knowing the limit: the ramp-up is
# the first second after the first request, in which the one is spent and the other is found out.
RAMP_UP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """What became of the requests of a walk: `answered` per second after the ramp-up, `refused` by a 429."""

    users: int
    seconds: float
    limit: float
    answered: float
    refused: int
    requests: int


def measured(extent: Extent) -> Measured:
    figures: list[Figure] = []
    for users in (15_000,) if extent == "fast" else (20_000, 100_000):
        found = _walked(users)
        figures += [
            Figure(
                what=f"answered, {users:,} users",
                against=f"what the server allows, from the first second on ({found.seconds:.1f} s in all)",
                ours=found.answered,
                yardstick=found.limit,
                unit="requests/s",
                promised=at_least(0.90),
                small=extent == "fast",
            ),
            Figure(
                what=f"refused with 429, {users:,} users",
                against="all requests of the walk",
                ours=found.refused,
                yardstick=found.requests,
                unit="requests",
                promised=at_most(0.03),
                small=extent == "fast",
            ),
        ]
    return Measured(figures=figures)


def _walked(users: int, limit: float = LIMIT, latency: float = 0.020) -> Limited:
    """Walk once, and look into the sandbox's log."""
    with serving(size=users, latency=latency, requests_per_second=limit) as place:
        forget(place)
        trip = travel("ours", place, users)
        log = received(place)
    return Limited(
        users=users,
        seconds=trip.seconds,
        limit=limit,
        answered=answered_per_second(log),
        refused=sum(request.status == httpx.codes.TOO_MANY_REQUESTS for request in log),
        requests=len(log),
    )


def answered_per_second(log: Sequence[Received]) -> float:
    """Return how many requests per second were answered with 200, from the end of the ramp-up to the last such one."""
    ramped = min(request.at for request in log) + RAMP_UP
    served = [request.at for request in log if request.status == httpx.codes.OK and request.at > ramped]
    return len(served) / (max(served) - ramped) if served else 0.0
