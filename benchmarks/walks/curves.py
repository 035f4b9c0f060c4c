"""How seconds, requests and memory grow with the directory: our walk beside one page after the other.

The memory of our walk is that of one whose pages are looked at and let go; the other has a list of all in the end.
"""

from __future__ import annotations

from benchmarks.places.log import forget, received
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure
from benchmarks.table.group import Extent, Measured
from benchmarks.table.results import Point
from benchmarks.walks.trip import Client, Trip, travel

LATENCY = 0.020
NAMES: dict[Client, str] = {"ours": "pingone-mcp", "naive": "one page after the other"}
TIME, MEMORY = "Time to read all users", "Peak memory of the client"


def measured(extent: Extent) -> Measured:
    figures: list[Figure] = []
    points: list[Point] = []
    for users in (500, 1_000) if extent == "fast" else (1_000, 10_000, 100_000):
        with serving(size=users, latency=LATENCY) as place:
            made = {client: _counted(place, client, users) for client in NAMES}
        for what, unit in (("time", "s"), ("requests", "requests"), ("peak memory", "MiB")):
            ours, naive = (_value(what, *made[client]) for client in NAMES)
            figures.append(
                Figure(what=f"{what}, {users:,} users", against=NAMES["naive"], ours=ours, yardstick=naive, unit=unit)
            )
        for client, (trip, _) in made.items():
            points += [
                Point(panel=TIME, curve=NAMES[client], users=users, value=trip.seconds),
                Point(panel=MEMORY, curve=NAMES[client], users=users, value=trip.peak),
            ]
    return Measured(figures=figures, points=points)


def _counted(place: Place, client: Client, users: int) -> tuple[Trip, int]:
    """Return a trip and the number of its requests."""
    forget(place)
    trip = travel(client, place, users)
    return trip, len(received(place))


def _value(what: str, trip: Trip, requests: int) -> float:
    return {"time": trip.seconds, "requests": float(requests), "peak memory": trip.peak}[what]
