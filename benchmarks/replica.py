"""The local copy: what a sync takes beside the least possible, and its answers beside the same questions asked live.

Each sync runs in a process of its own with the garbage collector as the server sets it, so that its time and memory are
those of the sync alone.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import httpx

from benchmarks.log import forget
from benchmarks.ours import settings
from benchmarks.place import Place
from benchmarks.served import serving
from benchmarks.trip import peak_memory
from pingone_mcp.directory.provider import DeactivatedQuestion, UserQuestion
from pingone_mcp.heavy_work import calm_collector
from pingone_mcp.pingone.directory import PingOneDirectory
from pingone_mcp.wiring import open_backend

CHANGES = 100
PAGE = 50
_ROOT = Path(__file__).resolve().parents[1]
_LOCK = "application/vnd.pingidentity.account.lock+json"
_BY_DEPARTMENT = "SELECT department, status, count(*) FROM users GROUP BY department, status"
_FIRST_LETTERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What one sync took: `processor_seconds` are of all threads, `peak` is in MiB, `changes` were written down."""

    seconds: float
    processor_seconds: float
    peak: float
    users: int
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Median seconds of one question, out of the copy and live."""

    copy_seconds: float
    live_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A full sync with its requests and the processor seconds of its floor; an incremental one; three questions.

    The floor fetches the pages of the full sync, one after the other, and only `json.loads` them.
    """

    users: int
    full: Synced
    full_requests: int
    floor_processor: float
    incremental: Synced
    incremental_requests: int
    counted: Asked
    searched: Asked
    deactivated: Asked


def measure(users: int = 100_000, runs: int = 9) -> Copied:
    """Copy so many users, let a hundred things happen, copy again, and ask both sides the same."""
    with serving(size=users) as place, tempfile.TemporaryDirectory() as cache:
        forget(place)
        full = _sync(place, cache, "full")
        assert full.users == users, f"{full.users} of {users} users were copied"
        paths = _paths(place)
        floor = float(_own_process("floor", place, paths))
        _happen(place)
        forget(place)
        incremental = _sync(place, cache, "incremental")
        requests = len(_paths(place))
        counted, searched, deactivated = anyio.run(_ask, place, Path(cache), runs)
    return Copied(
        users=users,
        full=full,
        full_requests=len(paths),
        floor_processor=floor,
        incremental=incremental,
        incremental_requests=requests,
        counted=counted,
        searched=searched,
        deactivated=deactivated,
    )


def _sync(place: Place, cache: str, mode: Literal["full", "incremental"]) -> Synced:
    return Synced(**json.loads(_own_process(mode, place, cache)))


def _own_process(act: str, place: Place, given: object) -> str:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.replica", act],
        cwd=_ROOT,
        input=json.dumps([asdict(place), given]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def _paths(place: Place) -> list[str]:
    """Return what was asked of the API since the log was emptied: path and query."""
    log = httpx.get(f"{place.base_url}/sandbox/log", timeout=30, trust_env=False).json()["requests"]
    return [f"{entry['path']}?{entry['query']}" for entry in log if entry["path"].startswith("/v1/")]


def _happen(place: Place) -> None:
    """Let a hundred users be changed, disabled, locked, deleted, made, or added to a group."""
    with httpx.Client(base_url=place.base_url, headers=_bearer(place), trust_env=False) as http:
        root = f"/v1/environments/{place.environment_id}"
        group, population = (
            http.get(f"{root}/{what}").json()["_embedded"][what][0]["id"] for what in ("groups", "populations")
        )
        done = 0
        for number, user in enumerate(place.user_ids[:CHANGES]):
            method, path, body, kind = (
                ("PATCH", f"/users/{user}", {"title": f"Title {number}"}, "application/json"),
                ("PATCH", f"/users/{user}", {"email": f"new.{number}@example.org"}, "application/json"),
                ("PUT", f"/users/{user}/enabled", {"enabled": False}, "application/json"),
                ("POST", f"/users/{user}", {}, _LOCK),
                ("DELETE", f"/users/{user}", None, "application/json"),
                ("POST", f"/users/{user}/memberOfGroups", {"id": group}, "application/json"),
                ("POST", "/users", _person(number, population), "application/json"),
            )[number % 7]
            content = b"" if body is None else json.dumps(body).encode()
            answer = http.request(method, root + path, content=content, headers={"Content-Type": kind})
            done += answer.is_success
    assert done > CHANGES // 2, f"the sandbox took {done} of {CHANGES} changes"


def _person(number: int, population: str) -> dict[str, Any]:
    name = f"somebody.new.{number}"
    return {"username": name, "email": f"{name}@example.org", "population": {"id": population}}


def _bearer(place: Place) -> dict[str, str]:
    grant = httpx.post(
        f"{place.base_url}/{place.environment_id}/as/token",
        data={"grant_type": "client_credentials"},
        auth=(place.client_id, place.client_secret),
        trust_env=False,
    )
    return {"Authorization": f"Bearer {grant.json()['access_token']}"}


# Questions


async def _ask(place: Place, cache: Path, runs: int) -> tuple[Asked, Asked, Asked]:
    async with open_backend(settings(place, cache)) as backend:
        live, copy, directory = backend.directory, backend.replica, backend.copy
        assert isinstance(live, PingOneDirectory)
        someone = (await directory.users(UserQuestion(), page_size=1)).items[0]
        letters = (someone.last_name or someone.username or "")[:_FIRST_LETTERS]

        async def sql(text: str) -> Sequence[Sequence[object]]:
            answer, _, _ = await copy.query(
                text, limit=PAGE, characters=20_000, seconds=10.0, beside=lambda snapshot: snapshot.gaps(None)
            )
            return answer.rows

        async def same_counts() -> None:
            rows = await sql(_BY_DEPARTMENT)
            assert {tuple(row[:2]): row[2] for row in rows} == counts

        counts: Counter[tuple[object, object]] = Counter()
        live_count = await _seconds(lambda: _count(live, counts))
        search = (
            "SELECT u.* FROM people JOIN users u ON u.id = people.id "  # noqa: S608 - a name of the sandbox's
            f"""WHERE people MATCH '"{letters}"*' ORDER BY rank LIMIT {PAGE}"""
        )
        question = DeactivatedQuestion()
        return (
            Asked(copy_seconds=await _median(same_counts, runs), live_seconds=live_count),
            Asked(
                copy_seconds=await _median(lambda: sql(search), runs),
                live_seconds=await _median(lambda: live.users(UserQuestion(query=letters), page_size=PAGE), runs),
            ),
            Asked(
                copy_seconds=await _median(lambda: directory.deactivated(question, page_size=PAGE), runs),
                live_seconds=await _median(lambda: live.deactivated(question, page_size=PAGE), runs),
            ),
        )


async def _count(live: PingOneDirectory, counts: Counter[tuple[object, object]]) -> None:
    async with live.walk() as walk:
        async for page in walk:
            counts.update((user.department, user.status) for user in page.users)


async def _median(ask: Callable[[], Awaitable[object]], runs: int) -> float:
    await ask()
    return statistics.median([await _seconds(ask) for _ in range(runs)])


async def _seconds(ask: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await ask()
    return time.perf_counter() - started


# What follows runs in a process of its own.


async def _synced(place: Place, cache: Path, mode: Literal["full", "incremental"]) -> Synced:
    started, processor = time.perf_counter(), time.process_time()
    async with open_backend(settings(place, cache)) as backend:
        report = await backend.replica.sync(mode, report=lambda *_: None)
    assert report.complete, report.reason
    return Synced(
        seconds=time.perf_counter() - started,
        processor_seconds=time.process_time() - processor,
        peak=peak_memory(),
        users=report.counts["users"],
        changes=sum(report.changes.values()),
    )


def _fetched(place: Place, paths: Sequence[str]) -> float:
    """Fetch these with the standard library's plain client over one connection; return the processor seconds."""
    headers = _bearer(place)
    address = urlsplit(place.base_url)
    started = time.process_time()
    plain = http.client.HTTPConnection(address.hostname or "", address.port)
    for path in paths:
        plain.request("GET", path, headers=headers)
        json.loads(plain.getresponse().read())
    plain.close()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replica", description="Reads JSON from stdin: a Place, and a cache folder or paths."
    )
    parser.add_argument("act", choices=["full", "incremental", "floor"])
    act = parser.parse_args().act
    described, given = json.load(sys.stdin)
    place = Place(**described | {"user_ids": tuple(described["user_ids"])})
    if act == "floor":
        print(_fetched(place, given))
        return
    gc.freeze()
    calm_collector()
    print(json.dumps(asdict(anyio.run(_synced, place, Path(given), act))))


if __name__ == "__main__":
    main()
