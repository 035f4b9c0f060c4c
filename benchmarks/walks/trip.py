"""One walk over all users in a process of its own, so that its time and memory are those of the client alone."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import anyio

from benchmarks.measuring.own_process import in_own_process, peak_memory
from benchmarks.measuring.turns import in_turns
from benchmarks.places.place import Place

Client = Literal["ours", "naive", "fetch", "floor"]
"""`naive` keeps a list of all users, `fetch` lets each page go; `floor` is the plainest client there is."""
_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What one walk took, from an unconnected client to the last user; imports are done before.

    `processor_seconds` are of all threads, `peak` is the largest resident memory of the process in MiB. `users` are
    distinct, and `digest` is one for the same set of ids.
    """

    seconds: float
    processor_seconds: float
    peak: float
    users: int
    digest: str


def travel(client: Client, place: Place, users: int) -> Trip:
    """Walk with one of the clients in a process of its own, and see that it met so many users, each once."""
    trip = Trip(**in_own_process("benchmarks.walks.trip", client, given=asdict(place)))
    assert trip.users == users, f"{client} found {trip.users} of {users} users"
    return trip


def race(place: Place, users: int, *clients: Client, runs: int) -> list[list[Trip]]:
    """Return the trips of each client, made in turn so often; all met the same users."""
    trips = in_turns(runs, *(lambda client=client: travel(client, place, users) for client in clients))
    assert len({trip.digest for made in trips for trip in made}) == 1, "the clients found different users"
    return trips


# What follows runs in the process of the client.


class Seen:
    """The ids met so far, 16 bytes each, so that they weigh little beside what is measured."""

    def __init__(self) -> None:
        self._ids = bytearray()

    def add(self, identity: str) -> None:
        self._ids += UUID(identity).bytes

    def sorted(self) -> list[bytes]:
        """Return each id once. Raises AssertionError when one was met twice."""
        met = [bytes(self._ids[at : at + 16]) for at in range(0, len(self._ids), 16)]
        distinct = sorted(set(met))
        assert len(distinct) == len(met), f"{len(met) - len(distinct)} users were met twice"
        return distinct


def _ours() -> Callable[[Place, Seen], None]:
    # ruff: noqa: PLC0415 - the other clients are not to carry our modules
    from benchmarks.places.ours import connection
    from pingone_mcp.heavy_work import calm_collector
    from pingone_mcp.pingone.directory import open_directory

    for late in ("diskcache", "filelock", "cryptography.hazmat.primitives.ciphers.aead"):  # of the token cache
        importlib.import_module(late)

    calm_collector()

    async def walk(place: Place, seen: Seen) -> None:
        with tempfile.TemporaryDirectory() as cache:
            async with open_directory(connection(place, Path(cache))) as directory, directory.walk() as users:
                async for page in users:
                    for user in page.users:
                        seen.add(user.id)
                assert users.verdict.complete, users.verdict.reason

    return lambda place, seen: anyio.run(walk, place, seen)


def _naive() -> Callable[[Place, Seen], None]:
    from benchmarks.walks.naive import pages_in_turn

    async def walk(place: Place, seen: Seen) -> None:
        users: list[dict[str, Any]] = []
        async for page in pages_in_turn(place, _PAGE):
            users.extend(page)
        for user in users:
            seen.add(user["id"])

    return lambda place, seen: anyio.run(walk, place, seen)


def _fetch() -> Callable[[Place, Seen], None]:
    from benchmarks.walks.naive import pages_in_turn

    async def walk(place: Place, seen: Seen) -> None:
        async for page in pages_in_turn(place, _PAGE):
            for user in page:
                seen.add(user["id"])

    return lambda place, seen: anyio.run(walk, place, seen)


def _floor() -> Callable[[Place, Seen], None]:
    """Fetch the same pages with the standard library's plain client over one connection, and only `json.loads` them."""
    from benchmarks.places.bare import Plain, following

    def walk(place: Place, seen: Seen) -> None:
        plain = Plain(place)
        path: str | None = f"{urlsplit(place.users_url).path}?limit={_PAGE}"
        while path:
            body = json.loads(plain.get(path))
            for user in body["_embedded"]["users"]:
                seen.add(user["id"])
            path = following(body)
        plain.close()

    return walk


_CLIENTS: dict[Client, Callable[[], Callable[[Place, Seen], None]]] = {
    "ours": _ours,
    "naive": _naive,
    "fetch": _fetch,
    "floor": _floor,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.walks.trip", description="Reads a Place from stdin.")
    parser.add_argument("client", choices=list(_CLIENTS))
    client: Client = parser.parse_args().client
    place = Place.described(json.load(sys.stdin))
    walk, seen = _CLIENTS[client](), Seen()
    started, processor = time.perf_counter(), time.process_time()
    walk(place, seen)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - processor
    peak = peak_memory()
    ids = seen.sorted()
    trip = Trip(
        seconds=seconds,
        processor_seconds=processor_seconds,
        peak=peak,
        users=len(ids),
        digest=hashlib.sha256(b"".join(ids)).hexdigest(),
    )
    print(json.dumps(asdict(trip)))


if __name__ == "__main__":
    main()
