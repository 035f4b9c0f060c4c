"""One walk over all users in a process of its own, so that its time and memory are those of the client alone."""

from __future__ import annotations

import argparse
import hashlib
import http.client
import importlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import anyio

from benchmarks.place import Place

Client = Literal["ours", "naive", "floor"]
_ROOT = Path(__file__).resolve().parents[1]
_PAGE = 200
_MEBIBYTE = 1 << 20


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
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.trip", client],
        cwd=_ROOT,
        input=json.dumps(asdict(place)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    trip = Trip(**json.loads(done.stdout))
    assert trip.users == users, f"{client} found {trip.users} of {users} users"
    return trip


def race(place: Place, users: int, *clients: Client, runs: int) -> list[list[Trip]]:
    """Return the trips of each client, made in turn so often; all met the same users."""
    rounds = [[travel(client, place, users) for client in clients] for _ in range(runs)]
    assert len({trip.digest for trips in rounds for trip in trips}) == 1, "the clients found different users"
    return [list(trips) for trips in zip(*rounds, strict=True)]


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
    from benchmarks.ours import connection
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
    from benchmarks.naive import all_users

    async def walk(place: Place, seen: Seen) -> None:
        for user in await all_users(place.base_url, place.environment_id, place.client_id, place.client_secret, _PAGE):
            seen.add(user["id"])

    return lambda place, seen: anyio.run(walk, place, seen)


def _floor() -> Callable[[Place, Seen], None]:
    """Fetch the same pages with the standard library's plain client over one connection, and only `json.loads` them."""

    def walk(place: Place, seen: Seen) -> None:
        address = urlsplit(place.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        secret = b64encode(f"{place.client_id}:{place.client_secret}".encode()).decode()
        connection.request(
            "POST",
            f"/{place.environment_id}/as/token",
            b"grant_type=client_credentials",
            {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"},
        )
        bearer = {"Authorization": f"Bearer {json.loads(connection.getresponse().read())['access_token']}"}
        path: str | None = f"/v1/environments/{place.environment_id}/users?limit={_PAGE}"
        while path:
            connection.request("GET", path, headers=bearer)
            body = json.loads(connection.getresponse().read())
            for user in body["_embedded"]["users"]:
                seen.add(user["id"])
            path = body["_links"].get("next", {}).get("href", "").removeprefix(place.base_url)
        connection.close()

    return walk


_CLIENTS: dict[Client, Callable[[], Callable[[Place, Seen], None]]] = {"ours": _ours, "naive": _naive, "floor": _floor}


def peak_memory() -> float:
    """Return the largest resident memory so far in MiB.

    Linux counts the memory of the parent into the `ru_maxrss` of a child that it started (getrusage(2): the value
    outlives execve), and the parent here grows; `VmHWM` is of this program alone (proc_pid_status(5)).
    """
    if platform.system() == "Linux":
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MEBIBYTE
    import resource  # Windows has none

    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MEBIBYTE


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trip", description="Reads a Place from stdin.")
    parser.add_argument("client", choices=list(_CLIENTS))
    client: Client = parser.parse_args().client
    described = json.load(sys.stdin)
    place = Place(**described | {"user_ids": tuple(described["user_ids"])})
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
