"""How seconds, requests and memory grow with the directory: our walk beside one page after the other.

The memory of our walk is that of one whose pages are looked at and let go; the other has a list of all in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.log import forget, received
from benchmarks.served import Place, serving
from benchmarks.trip import Client, travel

LATENCY = 0.020


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One walk of one client over a directory of so many users; `peak` is memory in MiB."""

    client: Client
    users: int
    seconds: float
    requests: int
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak memory in MiB of our walk over a large and over a small directory; `seconds` are those of the large one."""

    large: int
    large_peak: float
    small: int
    small_peak: float
    seconds: float


def measure(sizes: Sequence[int] = (1_000, 10_000, 100_000), latency: float = LATENCY) -> tuple[Point, ...]:
    """Return a point for each client and size."""
    points: list[Point] = []
    for users in sizes:
        with serving(size=users, latency=latency) as place:
            points += [_point(place, client, users) for client in ("ours", "naive")]
    return tuple(points)


def _point(place: Place, client: Client, users: int) -> Point:
    forget(place)
    trip = travel(client, place, users)
    return Point(client=client, users=users, seconds=trip.seconds, requests=len(received(place)), peak=trip.peak)


def measure_memory(large: int = 200_000, small: int = 2_000) -> Memory:
    """Walk over two directories, each in a process of its own, keeping no users."""
    with serving(size=small) as place:
        little = travel("ours", place, small)
    with serving(size=large) as place:
        much = travel("ours", place, large)
    return Memory(large=large, large_peak=much.peak, small=small, small_peak=little.peak, seconds=much.seconds)
