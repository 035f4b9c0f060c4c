"""`make bench`: every figure with its yardstick, measured in one run, printed as a table and kept as JSON."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import anyio

from benchmarks import (
    attacks,
    conversion,
    floor,
    growth,
    limit,
    meanwhile,
    question,
    replica,
    results,
    sizes,
    startup,
    walk,
)
from benchmarks.figures import Figure, at_least, at_most, summary, table
from benchmarks.plot import plot

PLOT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.svg"
BUSY = 0.5  # processes that run or wait to, on average of the last minute
_NAIVE = "one page after the other"

Extent = Literal["full", "quick"]
"""Quick ones try out the measuring in seconds; no promise holds for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The figures of a group, and the points of its curves where it has some."""

    figures: list[Figure]
    points: list[growth.Point] = field(default_factory=list[growth.Point])


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What `python -m benchmarks NAME` measures, and its title in the table."""

    title: str
    measure: Callable[[Extent], Measured]


def whole_walk(extent: Extent) -> Measured:
    found = walk.measure(users=2_000, runs=1) if extent == "quick" else walk.measure()
    return Measured(
        figures=[
            Figure(
                what=f"all of {found.users:,} users, {walk.LATENCY * 1000:g} ms per answer",
                against=_NAIVE,
                ours=found.ours_seconds,
                yardstick=found.naive_seconds,
                unit="s",
                comparison="speed-up",
                promised=at_least(6),
            )
        ]
    )


def rate_limit(extent: Extent) -> Measured:
    figures: list[Figure] = []
    for users in (5_000,) if extent == "quick" else (20_000, 100_000):
        found = limit.measure(users)
        figures += [
            Figure(
                what=f"answered, {users:,} users",
                against=f"what the server allows, from the first second on ({found.seconds:.1f} s in all)",
                ours=found.answered,
                yardstick=found.limit,
                unit="requests/s",
                promised=at_least(0.90),
            ),
            Figure(
                what=f"refused with 429, {users:,} users",
                against="all requests of the walk",
                ours=found.refused,
                yardstick=found.requests,
                unit="requests",
                promised=at_most(0.03),
            ),
        ]
    return Measured(figures=figures)


def least(extent: Extent) -> Measured:
    found = floor.measure(users=2_000, runs=1) if extent == "quick" else floor.measure()
    against = "the same pages fetched and json.loads-ed"
    return Measured(
        figures=[
            Figure(
                what=f"processor time for {found.users:,} users",
                against=against,
                ours=found.ours_processor,
                yardstick=found.floor_processor,
                unit="s",
            ),
            Figure(
                what=f"time for {found.users:,} users, no latency",
                against=against,
                ours=found.ours_seconds,
                yardstick=found.floor_seconds,
                unit="s",
            ),
        ]
    )


def curves(extent: Extent) -> Measured:
    points = growth.measure((500, 1_000)) if extent == "quick" else growth.measure()
    figures: list[Figure] = []
    for users in sorted({point.users for point in points}):
        ours, naive = (
            next(point for point in points if point.users == users and point.client == client)
            for client in ("ours", "naive")
        )
        for what, one, other, unit in (
            ("time", ours.seconds, naive.seconds, "s"),
            ("requests", float(ours.requests), float(naive.requests), "requests"),
            ("peak memory", ours.peak, naive.peak, "MiB"),
        ):
            figures.append(
                Figure(what=f"{what}, {users:,} users", against=_NAIVE, ours=one, yardstick=other, unit=unit)
            )
    return Measured(figures=figures, points=list(points))


def memory(extent: Extent) -> Measured:
    found = growth.measure_memory(5_000, 500) if extent == "quick" else growth.measure_memory()
    return Measured(
        figures=[
            Figure(
                what=f"peak memory of a walk over {found.large:,} users",
                against=f"over {found.small:,} users (the large one took {found.seconds:.1f} s)",
                ours=found.large_peak,
                yardstick=found.small_peak,
                unit="MiB",
                comparison="difference",
                promised=at_most(40),
            )
        ]
    )


def reading(extent: Extent) -> Measured:
    found = anyio.run(conversion.measure, 5 if extent == "quick" else 40)
    return Measured(
        figures=[
            Figure(
                what=f"from bytes to {conversion.ROWS} unified users",
                against="json.loads of the same bytes",
                ours=found.unified_seconds * 1000,
                yardstick=found.loads_seconds * 1000,
                unit="ms",
                promised=at_most(3),
            )
        ]
    )


def one_question(extent: Extent) -> Measured:
    found = anyio.run(question.measure, 10 if extent == "quick" else 100)
    return Measured(
        figures=[
            Figure(
                what="get_user over stdio, warm",
                against="the same GET by bare httpx",
                ours=found.get_user_seconds * 1000,
                yardstick=found.bare_get_seconds * 1000,
                unit="ms",
                promised=at_most(1.25),
            )
        ]
    )


def beside_a_walk(extent: Extent) -> Measured:
    found = anyio.run(meanwhile.measure, *((5_000, 8, 2) if extent == "quick" else ()))
    return Measured(
        figures=[
            Figure(
                what="one user, beside a walk (95th percentile)",
                against=f"the same with no walk; {found.pages} pages were walked meanwhile",
                ours=found.busy_seconds * 1000,
                yardstick=found.idle_seconds * 1000,
                unit="ms",
                promised=at_most(2),
            )
        ]
    )


def start_up(extent: Extent) -> Measured:
    servers = (startup.OURS, startup.OURS_PLAIN, startup.BARE)
    ours, plain, bare = startup.measure(3 if extent == "quick" else 11, servers)
    against = "a bare one-tool MCPServer"
    return Measured(
        figures=[
            Figure(
                what="from spawn to tools/list",
                against=against,
                ours=ours,
                yardstick=bare,
                unit="s",
                promised=at_most(0.25),
            ),
            Figure(
                what="the same without the answers kept ready",
                against=against,
                ours=plain,
                yardstick=bare,
                unit="s",
                promised=at_most(1.1),
            ),
        ]
    )


def answer_sizes(_extent: Extent) -> Measured:
    found = anyio.run(sizes.measure)
    return Measured(
        figures=[
            Figure(
                what=f"{sizes.ROWS} default rows",
                against=against,
                ours=found.rows,
                yardstick=yardstick,
                unit="characters",
                promised=at_most(promised),
            )
            for against, yardstick, promised in (
                ("the same users whole", found.whole, 0.60),
                ("PingOne's own page of them", found.native, 0.15),
            )
        ]
    )


def local_copy(extent: Extent) -> Measured:
    """Measure the copy. Where the yardstick is a promise itself, it is one for 100,000 users."""
    found = replica.measure(users=5_000, runs=3) if extent == "quick" else replica.measure()
    promised = "what is promised for 100,000 users"
    live = "the same question live, no latency"
    figures = [
        Figure(
            what=f"processor time of a full sync of {found.users:,} users",
            against=f"its {found.full_requests:,} pages fetched and json.loads-ed",
            ours=found.full.processor_seconds,
            yardstick=found.floor_processor,
            unit="s",
        ),
        Figure(
            what="the same",
            against=promised,
            ours=found.full.processor_seconds,
            yardstick=25,
            unit="s",
            promised=at_most(1),
        ),
        Figure(
            what="peak memory of it",
            against=promised,
            ours=found.full.peak,
            yardstick=150,
            unit="MiB",
            promised=at_most(1),
        ),
        Figure(
            what=f"requests of an incremental sync, {found.incremental.changes} changes",
            against="the one page that so many users fill",
            ours=found.incremental_requests,
            yardstick=1,
            unit="requests",
            comparison="difference",
            promised=at_most(20),
        ),
    ]
    for what, asked, milliseconds in (
        ("users by department and status", found.counted, 200),
        ("full-text search, 50 users", found.searched, 50),
        ("find_deactivated, 50 users", found.deactivated, 50),
    ):
        copied, lively = asked.copy_seconds * 1000, asked.live_seconds * 1000
        figures += [
            Figure(what=what, against=live, ours=copied, yardstick=lively, unit="ms", comparison="speed-up"),
            Figure(
                what="the same", against=promised, ours=copied, yardstick=milliseconds, unit="ms", promised=at_most(1)
            ),
        ]
    return Measured(figures=figures)


def under_attack(extent: Extent) -> Measured:
    quick = attacks.Sizes(
        users=500,
        queries=10,
        zipped_mebibytes=32,
        array_mebibytes=4,
        small_array_mebibytes=1,
        fields=1_000,
        key_parts=500,
        rows=2_000,
        patience=20,
    )
    figures: list[Figure] = []
    for found in attacks.measure(quick if extent == "quick" else None):
        figures += [
            Figure(
                what=found.name,
                against="the longest that a ping may take",
                ours=found.ping,
                yardstick=attacks.PING_SECONDS,
                unit="s",
                promised=at_most(1),
            ),
            Figure(
                what="  a small list_users beside it",
                against=f"the longest idle; the attack took {found.seconds:.1f} s",
                ours=found.listing,
                yardstick=found.idle_listing,
                unit="s",
            ),
            Figure(
                what="  peak memory",
                against="the same server before it",
                ours=found.peak,
                yardstick=found.idle_peak,
                unit="MiB",
                comparison="difference",
            ),
        ]
        if found.harm is not None:
            harmed = Figure(
                what="  what it did to others",
                against=found.harm,
                ours=1,
                yardstick=0,
                unit="failures",
                comparison="difference",
                promised=at_most(0),
            )
            figures.append(harmed)
    return Measured(figures=figures)


GROUPS: dict[str, Group] = {
    "startup": Group(title="Start-up", measure=start_up),
    "sizes": Group(title="Size of an answer", measure=answer_sizes),
    "conversion": Group(title="Reading a page", measure=reading),
    "question": Group(title="One question", measure=one_question),
    "meanwhile": Group(title="One question during a walk", measure=beside_a_walk),
    "walk": Group(title="Whole walk", measure=whole_walk),
    "limit": Group(title=f"Whole walk under a limit of {limit.LIMIT:g} requests/s", measure=rate_limit),
    "floor": Group(title="Whole walk against the least possible", measure=least),
    "growth": Group(title=f"Growth, {growth.LATENCY * 1000:g} ms per answer", measure=curves),
    "memory": Group(title="Memory", measure=memory),
    "replica": Group(title="The local copy", measure=local_copy),
    "attacks": Group(title="Under attack", measure=under_attack),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("group", nargs="*", help=f"measure only these: {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try out; nothing is saved")
    parser.add_argument(
        "--plot", action="store_true", help=f"draw {PLOT.name} from what was measured last; without groups only that"
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.group if name not in GROUPS]:
        parser.error(f"there is no group {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if asked.group or not asked.plot:
        measure(asked.group or list(GROUPS), "quick" if asked.quick else "full")
    if asked.plot:
        points = results.points(results.read())
        if not points:
            parser.error("there is nothing to draw yet: python -m benchmarks growth")
        PLOT.write_text(plot(points), encoding="utf-8")
        print(f"Drawn: {_shown(PLOT)}")


def measure(names: Sequence[str], extent: Extent) -> None:
    """Measure these groups, print their table, and keep their figures unless they are quick ones."""
    measured: list[tuple[str, list[Figure]]] = []
    if (load := os.getloadavg()[0]) > BUSY:
        print(f"Other programs are at work here (load {load:.1f}): what takes all cores looks slower than it is.\n")
    for name in names:
        group = GROUPS[name]
        print(f"{group.title} …", flush=True)
        load = os.getloadavg()[0]
        found = group.measure(extent)
        measured.append((group.title, found.figures))
        if extent == "full":
            results.keep({name: results.facts(found.figures, found.points, now=datetime.now(UTC), load=load)})
    print(f"\n{table(measured)}\n\n{summary([figure for _, figures in measured for figure in figures])}")
    if extent == "full":
        print(f"Saved to {_shown(results.LATEST)}")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
