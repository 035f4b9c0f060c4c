"""The processor time of a sync beside the least that can be done with the same data, and of an incremental one."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

from benchmarks.copy.least import least
from benchmarks.copy.sync import Synced, start_up, sync, sync_anew
from benchmarks.measuring.turns import middle
from benchmarks.places.changes import CHANGES, happen
from benchmarks.places.log import forget, received
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

_PROMISED = "what is promised for 100,000 users"


def measured(extent: Extent) -> Measured:
    sizes, runs = ((2_000,), 1) if extent == "fast" else ((10_000, 100_000), 3)
    figures: list[Figure] = []
    for groups in (False, True):
        begun = start_up(groups=groups, runs=runs)
        for users in sizes:
            with serving(size=users, groups=groups) as place:
                full = _full(place, users, begun, runs=runs)
                figures.append(_against_least(*full, users=users, groups=groups, small=extent == "fast"))
                if groups and users == max(sizes):
                    figures += _again(place, users, full[0], begun, runs=runs, small=extent == "fast")
    return Measured(figures=figures)


def _full(place: Place, users: int, begun: float, *, runs: int) -> tuple[float, float]:
    """Return the processor seconds of a full sync, less its start-up, and of the least, each the median."""
    rounds = [(sync_anew(place), least(place)) for _ in range(runs)]
    assert all(ours.users == floor.users == users for ours, floor in rounds), f"not all {users} users were copied"
    return (
        middle(ours.processor_seconds for ours, _ in rounds) - begun,
        middle(floor.processor_seconds for _, floor in rounds),
    )


def _against_least(ours: float, floor: float, *, users: int, groups: bool, small: bool) -> Figure:
    whose = "with their groups" if groups else "without groups"
    return Figure(
        what=f"processor time of a full sync, {users:,} users {whose}, start-up taken off",
        against="json.loads of their pages and executemany of 25 columns"
        + (", and the same of all members of all groups, 3 columns" if groups else ""),
        ours=ours,
        yardstick=floor,
        unit="s",
        promised=at_most(2.5),
        small=small,
    )


def _again(place: Place, users: int, full: float, begun: float, *, runs: int, small: bool) -> Iterator[Figure]:
    """Sync a copy again: after a hundred changes, some times, and whole when nothing has changed since."""
    with TemporaryDirectory() as cache:
        first = sync(place, cache)
        unchanged = sync(place, cache).processor_seconds - begun
        after: list[Synced] = []
        requests: list[int] = []
        for time in range(runs):
            happen(place, time)
            forget(place)
            after.append(sync(place, cache, "incremental"))
            requests.append(len(received(place)))
            assert after[-1].changes >= CHANGES // 2, "the changes were not found"
    incremental = middle(made.processor_seconds for made in after) - start_up("incremental", runs=runs)
    yield Figure(
        what=f"processor time of an incremental sync after {CHANGES} changes of {users:,} users, start-up taken off",
        against="that of the full sync, start-up taken off",
        ours=incremental,
        yardstick=full,
        unit="s",
        promised=at_most(0.03),
        small=small,
    )
    yield Figure(
        what="requests of it",
        against="the one page that so many users fill",
        ours=middle(requests),
        yardstick=1,
        unit="requests",
        comparison="difference",
        promised=at_most(20),
        small=small,
    )
    yield Figure(
        what=f"processor time of a second full sync of {users:,} users, nothing changed, start-up taken off",
        against="that of the first one, start-up taken off",
        ours=unchanged,
        yardstick=first.processor_seconds - begun,
        unit="s",
    )
    yield Figure(
        what=f"processor time of a full sync, {users:,} users, start-up included",
        against=_PROMISED,
        ours=first.processor_seconds,
        yardstick=25,
        unit="s",
        promised=at_most(1),
        small=small,
    )
    yield Figure(
        what="peak memory of it",
        against=_PROMISED,
        ours=first.peak,
        yardstick=150,
        unit="MiB",
        promised=at_most(1),
        small=small,
    )
