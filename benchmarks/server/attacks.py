"""What a server answers meanwhile, and what memory it takes, while somebody asks for too much of it.

Each attack has a server of its own. Beside it a `ping` and a small question are asked again and again, each as soon as
the one before has been answered.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.places.bombs import array, mined, zipped
from benchmarks.places.place import Place
from benchmarks.places.served import serving
from benchmarks.server.pipes import Gone, Spoken, plain_environment, speaking
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

PING_SECONDS = 0.5
"""A client that waits longer for a ping may take the server for dead."""

_PAUSE = 0.025
_EATERS = 4  # hungry queries at a time, beside a sync
_SYNCS = 1
_IDLE_SECONDS = 1.0
_ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
_HUNGRY = _ENDLESS.replace("count(*)", "json_group_array(printf('%9000d', x))")
_DEAF = "SELECT printf('%.*c', 2000000000, 'x')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the attacks are, and how long each is watched at most."""

    users: int = 20_000
    queries: int = 100
    zipped_mebibytes: int = 1024
    array_mebibytes: int = 96
    small_array_mebibytes: int = 10
    fields: int = 100_000
    key_parts: int = 20_000
    rows: int = 190_000
    patience: float = 60.0
    step: int = 1  # every so manieth attack


class Harmed(Exception):
    """Somebody else's work has failed by an attack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is done to a server, until it is answered. Raises Harmed for what it did to others."""

    name: str
    strike: Callable[[Spoken], object]
    bombs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Withstood:
    """Longest seconds of a ping and of a small list_users, and peak memory in MiB, beside an attack and idle.

    `seconds` passed until the attack was answered, or patience was over. `harm` is what it did to others.
    """

    name: str
    ping: float
    listing: float
    idle_listing: float
    peak: float
    idle_peak: float
    seconds: float
    harm: str | None

    def figures(self, *, small: bool) -> list[Figure]:
        figures = [
            Figure(
                what=self.name,
                against="the longest that a ping may take",
                ours=self.ping,
                yardstick=PING_SECONDS,
                unit="s",
                promised=at_most(1),
                small=small,
            ),
            Figure(
                what="  a small list_users beside it",
                against=f"the longest idle; the attack took {self.seconds:.1f} s",
                ours=self.listing,
                yardstick=self.idle_listing,
                unit="s",
            ),
            Figure(
                what="  peak memory",
                against="the same server before it",
                ours=self.peak,
                yardstick=self.idle_peak,
                unit="MiB",
                comparison="difference",
            ),
        ]
        if self.harm is not None:
            harmed = Figure(
                what="  what it did to others",
                against=self.harm,
                ours=1,
                yardstick=0,
                unit="failures",
                comparison="difference",
                promised=at_most(0),
            )
            figures.append(harmed)
        return figures


_SMALL = Sizes(
    users=500,
    queries=10,
    zipped_mebibytes=32,
    array_mebibytes=4,
    small_array_mebibytes=1,
    fields=1_000,
    key_parts=500,
    rows=2_000,
    patience=4,
    step=3,
)


def measured(extent: Extent) -> Measured:
    figures: list[Figure] = []
    for found in _withstood(_SMALL if extent == "fast" else Sizes()):
        figures += found.figures(small=extent == "fast")
    return Measured(figures=figures)


def _withstood(sizes: Sizes) -> list[Withstood]:
    """Attack one server after the other."""
    bombs = {
        "bomb-zipped": zipped(sizes.zipped_mebibytes),
        "bomb-large": array(sizes.array_mebibytes),
        "bomb-small": array(sizes.small_array_mebibytes),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(size=sizes.users) as place,
        mined(place, bombs) as mines,
    ):
        files, cache = _files(Path(folder), sizes), Path(folder) / "cache"
        safely, dangerously = place.variables(cache) | files, mines.variables(cache) | files
        _sync(safely)
        return [
            withstood(attack, dangerously if attack.bombs else safely, sizes.patience)
            for attack in islice(_attacks(sizes, place), 0, None, sizes.step)
        ]


def _attacks(sizes: Sizes, place: Place) -> Iterator[Attack]:
    many = sizes.queries
    yield Attack(name="printf of 2,000,000,000 characters", strike=_queries(_DEAF, 1))
    yield Attack(name=f"the same, {many // 2} at once", strike=_queries(_DEAF, many // 2))
    yield Attack(name=f"{many} endless queries at once", strike=_queries(_ENDLESS, many))
    yield Attack(name=f"{many} hungry queries at once", strike=_queries(_HUNGRY, many))
    yield Attack(name="hungry queries beside a sync", strike=_hungry_beside_a_sync)
    fields = [f"field{number}" for number in range(sizes.fields)]
    yield Attack(name=f"list_users, {sizes.fields:,} fields", strike=_call("list_users", fields=fields))
    yield Attack(name=f"rules, a key of {sizes.key_parts:,} parts", strike=_call("map_roles"))
    yield Attack(name=f"a roster of {sizes.rows:,} rows", strike=_compared)
    users = f"/environments/{place.environment_id}/users"
    for body, bomb in (
        (f"gzip of {sizes.zipped_mebibytes:,} MiB", "bomb-zipped"),
        (f"a page of {sizes.array_mebibytes} MiB", "bomb-large"),
        (f"a page of {sizes.small_array_mebibytes} MiB", "bomb-small"),
    ):
        which = {"filter": f'username eq "{bomb}"'}
        yield Attack(name=f"list_users, {body}", strike=_call("list_users", **which), bombs=True)
        yield Attack(name=f"proxy_request, {body}", strike=_call("proxy_request", path=users, query=which), bombs=True)


def _call(tool: str, **arguments: Any) -> Callable[[Spoken], object]:
    return lambda server: server.call(tool, **arguments)


def _queries(sql: str, times: int) -> Callable[[Spoken], object]:
    def strike(server: Spoken) -> None:
        threads = [
            threading.Thread(target=_until_gone, args=(_call("query_directory", sql=sql), server), daemon=True)
            for _ in range(times)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return strike


def _hungry_beside_a_sync(server: Spoken) -> None:
    hungry = threading.Event()

    def eat(server: Spoken) -> None:
        while not hungry.is_set():
            server.call("query_directory", sql=_HUNGRY)

    threads = [threading.Thread(target=_until_gone, args=(eat, server), daemon=True) for _ in range(_EATERS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(_SYNCS):
            synced = _synced(server)
            if synced.get("state") != "done":
                raise Harmed(f"a sync failed: {synced.get('reason') or synced.get('error')}")
    finally:
        hungry.set()
    for thread in threads:
        thread.join()


def _synced(server: Spoken) -> dict[str, Any]:
    while (synced := server.call("sync_directory", mode="full")).get("state") == "running":
        pass
    return synced


def _compared(server: Spoken) -> None:
    while server.call("check_drift", roster="roster").get("state") == "running":
        pass


def _until_gone(work: Callable[[Spoken], object], server: Spoken) -> None:
    with suppress(Gone):
        work(server)


class _Again:
    """A question that is asked again and again; `longest` counts one that has no answer yet for what it has waited."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._over = threading.Event()
        self._begun = time.perf_counter()
        self._longest = 0.0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(Gone):
            while not self._over.wait(_PAUSE):
                self._begun = time.perf_counter()
                self._ask()
                self._longest = max(self._longest, time.perf_counter() - self._begun)
                self._begun = math.inf

    def end(self) -> float:
        """Return the longest seconds of an answer."""
        self._over.set()
        return max(self._longest, time.perf_counter() - self._begun)


def withstood(attack: Attack, variables: Mapping[str, str], patience: float) -> Withstood:
    """Attack a server that is started with these variables."""
    with speaking(variables) as server:
        listing = partial(server.call, "list_users", limit=5)
        server.ask("ping")
        listing()
        idle, _ = _beside(lambda: time.sleep(_IDLE_SECONDS), [listing], _IDLE_SECONDS * 2)
        idle_peak = server.peak
        harm: list[str] = []

        def strike() -> None:
            try:
                _until_gone(attack.strike, server)
            except Harmed as harmed:
                harm.append(str(harmed))

        (ping, listed), seconds = _beside(strike, [partial(server.ask, "ping"), listing], patience)
        return Withstood(
            name=attack.name,
            ping=ping,
            listing=listed,
            idle_listing=idle[0],
            peak=server.peak,
            idle_peak=idle_peak,
            seconds=seconds,
            harm=next(iter(harm), None),
        )


def _beside(
    work: Callable[[], object], questions: Sequence[Callable[[], object]], patience: float
) -> tuple[list[float], float]:
    """Return the longest seconds of each question while the work goes on, and how long that was."""
    asked = [_Again(question) for question in questions]
    begun = time.perf_counter()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(patience)
    seconds = time.perf_counter() - begun
    return [each.end() for each in asked], seconds


def _files(folder: Path, sizes: Sizes) -> dict[str, str]:
    """Write the rules and the roster; return the variables that name them."""
    rules, rosters = folder / "roles.toml", folder / "rosters"
    rules.write_text(f"{'.'.join(['a'] * sizes.key_parts)} = 1\n", encoding="utf-8")
    rosters.mkdir()
    with (rosters / "roster.csv").open("w", encoding="utf-8") as roster:
        roster.write("email,username,status,department\n")
        for row in range(sizes.rows):
            roster.write(f"somebody.{row}@example.org,somebody.{row},active,Department {row % 50}\n")
    return {"PINGONE_ROLES_FILE": str(rules), "PINGONE_ROSTERS": str(rosters)}


def _sync(variables: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "pingone_mcp", "sync"],
        env=plain_environment() | variables,
        check=True,
        capture_output=True,
    )
