"""Whatever goes wrong, and whenever callers leave: nothing is left running, locked or half written, and it goes on."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import httpx
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData

from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.faults import Fault, FaultKind
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.journal import Journal
from pingone_mcp.service.writes import WriteRules
from tests.depth import long, sampled, tries
from tests.faults.honesty import Trial, everybody, trial
from tests.faults.plans import faults, options
from tests.replica.truth import copied, truth
from tests.world import facts, replica_path, walk

SIZE = 45
PAGE = 7
TURNS = 5
PATHS = (None, "/users", "/groups", "/populations", "/activities", "/as/token", "cursor=")
ENDS = frozenset({"answered", "failed", "unknown"})

Era = Literal["auto", "legacy"]


@dataclass(frozen=True)
class Call:
    """One call of a tool; who made it leaves so many turns after the n-th request from its beginning (None: never)."""

    tool: str
    arguments: dict[str, Any]
    requests: int | None = None
    turns: int = 0


def questions(opened: Trial) -> list[tuple[str, dict[str, Any]]]:
    """Return a call of every tool, one that writes among them."""
    place = f"/environments/{opened.sandbox.environment_id}"
    user = next(iter(opened.sandbox.users()))["id"]
    group = next(iter(opened.sandbox.state().groups))
    switch = {"method": "PUT", "path": f"{place}/users/{user}/enabled", "body": {"enabled": True}}
    return [
        ("sync_directory", {"mode": "full"}),
        ("sync_directory", {"mode": "incremental"}),
        ("list_users", {"limit": 20}),
        ("list_users", {"search": "a"}),
        ("get_user", {"user": user}),
        ("find_deactivated", {}),
        ("list_groups", {}),
        ("list_members", {"group": group}),
        ("query_directory", {"sql": "SELECT count(*) FROM users"}),
        ("list_changes", {}),
        ("access_review", {}),
        ("describe_directory", {}),
        ("proxy_request", {"path": f"{place}/users"}),
        ("proxy_request", switch),
    ]


def calls() -> st.SearchStrategy[list[tuple[int, int | None, int]]]:
    """Draw calls, by their numbers, and when their callers leave."""
    requests, turns = st.one_of(st.none(), st.integers(0, 12)), st.sampled_from([0, 1, 3, 10, 40])
    one = st.tuples(st.integers(0, 99), requests, turns)
    return st.lists(one, min_size=1, max_size=4)


async def turn(times: int) -> None:
    for _ in range(times):
        await anyio.lowlevel.checkpoint()


@dataclass
class Door(httpx.AsyncBaseTransport):
    """Pass requests on and count them; each is under way for some turns of the event loop, and so is its answer."""

    inner: httpx.AsyncBaseTransport
    count: int = 0
    under_way: int = 0
    _moved: anyio.Event = field(default_factory=anyio.Event)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        moved, self._moved = self._moved, anyio.Event()
        moved.set()
        self.under_way += 1
        try:
            await turn(TURNS)
            answer = await self.inner.handle_async_request(request)
            await turn(TURNS)
            return answer
        finally:
            self.under_way -= 1

    async def reached(self, count: int) -> None:
        while self.count < count:
            await self._moved.wait()


async def yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
    return ElicitResult(action="accept", content={"confirm": True})


@dataclass
class Scene:
    opened: Trial
    client: Client
    door: Door
    journal: Path
    asked: list[tuple[str, dict[str, Any]]]
    besides: set[Any] = field(default_factory=set[Any])
    """The tasks that run when nobody asks."""

    @property
    def cache(self) -> Path:
        return self.opened.world.cache

    async def call(self, call: Call) -> None:
        """Call a tool, and leave when it is time; whatever it answers is well."""
        begun = self.door.count
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                if call.requests is None:
                    return
                await self.door.reached(begun + call.requests)
                await turn(call.turns)
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave)
            try:
                result = await self.client.call_tool(call.tool, call.arguments)
                self.opened.said.append(repr(result))
            except MCPError as error:
                self.opened.hear(error)
            tasks.cancel_scope.cancel()

    async def rest(self) -> None:
        """Let the sync that runs come to its end: it is everybody's, not its caller's."""
        for _ in range(200):
            told = await self.client.call_tool("sync_directory", {})
            if told.is_error or (told.structured_content or {}).get("state") != "running":
                return
        raise AssertionError("a sync does not end")

    def recorded(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []


@asynccontextmanager
async def scene(opened: Trial, era: Era, **changes: Any) -> AsyncIterator[Scene]:
    door = Door(opened.ear())
    journal = opened.world.cache / "writes.jsonl"
    rules = WriteRules(journal=Journal(journal, connection="default"), allow_production=True)
    async with opened.world.client(
        mode=era, wrap=lambda _: door, writes=rules, answers=yes, page_size=PAGE, **changes
    ) as client:
        facts(await client.call_tool("sync_directory", {"mode": "full"}))  # so that what is opened once is open
        yield Scene(opened, client, door, journal, questions(opened), asyncio.all_tasks())


async def running(besides: set[Any]) -> list[str]:
    """Return what still runs when everything that ends by itself has ended."""
    left: set[Any] = set()
    for moment in range(400):
        left = {task for task in asyncio.all_tasks() if not task.done()} - besides
        if not left:
            return []
        # A worker thread cannot be cancelled; it ends soon, and needs moments of the processor for it.
        await (anyio.lowlevel.checkpoint() if moment < 200 else anyio.sleep(0.01))
    return sorted(repr(task) for task in left)


def locked(folder: Path) -> list[str]:
    """Return the locks that somebody holds."""
    held: list[str] = []
    for path in folder.rglob("*.lock"):
        lock = FileLock(path, timeout=0, is_singleton=False)
        try:
            lock.acquire()
        except TimeoutError:
            held.append(path.name)
        else:
            lock.release()
    return held


def kept(folder: Path) -> set[str]:
    """Return the files that a copy consists of, without those that SQLite makes and removes as it likes."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.endswith(("-wal", "-shm", "-journal", ".lock"))}


async def look(here: Scene) -> None:
    """Fail where calls have left something behind, once the sync that they may have begun has ended."""
    here.opened.sandbox.faults.clear()
    await here.rest()
    assert await running(here.besides) == []
    assert here.door.under_way == 0
    assert locked(here.cache) == []
    written = here.recorded()
    begun = [one["id"] for one in written if one["event"] == "sending"]
    ended = [one["id"] for one in written if one["event"] in ENDS]
    assert sorted(begun) == sorted(ended), "each write that was sent has an end"


async def through(planned: list[Fault], doubts: Options, drawn: list[tuple[int, int | None, int]], era: Era) -> None:
    """Make calls while the faults happen, some of whose callers leave; then look at what is left, and go on."""
    with trial(doubts, size=SIZE) as opened, anyio.fail_after(100):
        async with scene(opened, era) as here:
            clean = kept(here.cache)
            opened.plan(*planned)
            async with anyio.create_task_group() as callers:
                for number, requests, turns in drawn:
                    tool, arguments = here.asked[number % len(here.asked)]
                    callers.start_soon(here.call, Call(tool, arguments, requests, turns))
            await look(here)
            # And it goes on, as if nothing had been.
            await opened.rest(600)
            told = facts(await here.client.call_tool("sync_directory", {"mode": "full"}))
            assert told["complete"], told
            assert kept(here.cache) - {"writes.jsonl"} == clean - {"writes.jsonl"}
            assert {row["id"] for row in await walk(here.client)} == everybody(opened.sandbox)
        copy = await Store(replica_path(opened.world.connection())).read(copied)
        assert copy.users == truth(opened.sandbox).users


@given(planned=st.lists(faults(PATHS), min_size=0, max_size=3), doubts=options(), drawn=calls())
@tries(12)
async def test_nothing_is_left_of_calls_whose_callers_leave(
    planned: list[Fault], doubts: Options, drawn: list[tuple[int, int | None, int]]
) -> None:
    await through(planned, doubts, drawn, "auto")


@given(planned=st.lists(faults(PATHS), min_size=0, max_size=2), drawn=calls())
@tries(5)
async def test_nothing_is_left_of_calls_whose_callers_leave_in_a_session(
    planned: list[Fault], drawn: list[tuple[int, int | None, int]]
) -> None:
    await through(planned, Options(), drawn, "legacy")


CALLED = range(14)


@sampled(4)
@pytest.mark.parametrize("number", CALLED)
async def test_whoever_leaves_at_any_request_leaves_nothing_behind(number: int) -> None:
    with trial(size=SIZE) as opened, anyio.fail_after(100):
        async with scene(opened, "auto") as here:
            assert len(here.asked) == len(CALLED)
            tool, arguments = here.asked[number]
            for requests in range(8):
                for turns in (0, TURNS + 2, 40):
                    await here.call(Call(tool, arguments, requests, turns))
            await look(here)
            assert {row["id"] for row in await walk(here.client)} == everybody(opened.sandbox)


HEAVY = (
    "gzip_bomb",
    "drip",
    *(pytest.param(kind, marks=long) for kind in ("huge_array", "crowded_page", "truncated_body", "false_length")),
)
HELD_AT_MOST = 512 * 1024  # bytes


def held() -> int:
    """Return how many bytes are held of what our code and the readers below it have made."""
    gc.collect()
    ours = [tracemalloc.Filter(inclusive=True, filename_pattern=f"*/{name}/*") for name in ("pingone_mcp", "json")]
    others = tracemalloc.Filter(inclusive=False, filename_pattern="*/sandbox/*")
    found = tracemalloc.take_snapshot().filter_traces(ours).filter_traces([others])
    return sum(trace.size for trace in found.traces)


@pytest.mark.parametrize("kind", HEAVY)
async def test_memory_comes_back_after_answers_that_are_too_much(kind: FaultKind) -> None:
    with trial(size=SIZE) as opened, anyio.fail_after(100):
        async with scene(opened, "auto") as here:

            async def burden() -> None:
                opened.plan(Fault(kind, path="/users", every=1, times=None, seconds=3.0, amount=2))
                async with anyio.create_task_group() as callers:
                    for number, (tool, arguments) in enumerate(here.asked):
                        callers.start_soon(here.call, Call(tool, arguments, number if number % 2 else None))
                await look(here)
                opened.said.clear()

            await burden()  # what is made once is made
            tracemalloc.start()
            try:
                await burden()
                before = held()
                for _ in range(2):
                    await burden()
                assert held() - before < HELD_AT_MOST
            finally:
                tracemalloc.stop()
