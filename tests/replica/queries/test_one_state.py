"""What a query answers, how old the copy is and what it lacks are of one state, whenever a sync ends."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.errors import NotPermitted
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.replica.queries.query import Answer, Query, run_query
from pingone_mcp.replica.queries.worker import read_reply, reply_to
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.store.edition import edition_of
from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.times import timestamp
from tests.world import NOW, World, replica_path

DIVERS = "SELECT count(*) FROM users WHERE title = 'Diver'"
HOUR = 3_600


class Interrupted(Queries):
    """Queries before, or behind, whose first answer something happens."""

    def __init__(self, *, behind: bool) -> None:
        super().__init__()
        self.behind = behind
        self.happens: Callable[[], Awaitable[Any]] | None = None
        self.asked = 0

    async def answer(self, path: Path, sql: str, **bounds: Any) -> tuple[Answer, str]:
        self.asked += 1
        happens, self.happens = self.happens, None
        if happens is not None and not self.behind:
            await happens()
        answered = await super().answer(path, sql, **bounds)
        if happens is not None and self.behind:
            await happens()
        return answered


@asynccontextmanager
async def copied(world: World, queries: Queries) -> AsyncIterator[Replica]:
    async with world.directory() as directory, aclosing(queries):
        store = Store(replica_path(directory.served.connection))
        replica = Replica(store=store, source=directory.feed, queries=queries)
        await synced(replica)
        yield replica


async def synced(replica: Replica) -> None:
    report = await replica.sync("incremental", report=lambda *_: None)
    assert report.taken_over


async def asked(replica: Replica) -> tuple[int, bool, int]:
    """Return how many divers there are, whether anything is missing, and how old that is."""
    answer, gaps, state = await replica.query(
        DIVERS, limit=1, characters=1_000, seconds=60.0, beside=lambda copy: copy.gaps(None)
    )
    ((divers,),) = answer.rows
    assert isinstance(divers, int)
    return divers, bool(gaps), state.age_seconds


@pytest.mark.parametrize(
    ("behind", "expected", "queried"),
    [(False, (1, True, 0), 2), (True, (0, False, HOUR), 1)],
)
async def test_a_sync_that_ends_meanwhile_mixes_no_two_states(
    tmp_path: Path, *, behind: bool, expected: tuple[int, bool, int], queried: int
) -> None:
    world = World(sandbox=Sandbox(size=120, now=NOW), cache=tmp_path / "cache")
    queries = Interrupted(behind=behind)
    async with copied(world, queries) as replica:
        assert await asked(replica) == (0, False, 0)
        world.time.passed += HOUR
        world.sandbox.clock.advance(HOUR)

        async def sync_another_state() -> None:
            state = world.sandbox.state()
            now = timestamp(world.sandbox.clock.now())
            state.put_user(42, {**state.user(42), "title": "Diver", "updatedAt": now})
            world.sandbox.withdraw("Environment Admin", "Configuration Read Only")
            await synced(replica)

        queries.asked, queries.happens = 0, sync_another_state
        assert (await asked(replica), queries.asked) == (expected, queried)


async def test_a_sync_that_came_to_nothing_is_another_state_too(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=120, now=NOW), cache=tmp_path / "cache")
    queries = Interrupted(behind=False)
    async with copied(world, queries) as replica:

        async def fail_to_sync() -> None:
            world.sandbox.faults.add("forbidden", path="/users", times=None)
            with pytest.raises(NotPermitted):
                await synced(replica)

        queries.happens = fail_to_sync
        assert (await asked(replica), queries.asked) == ((0, True, 0), 2)


async def test_an_answer_is_of_the_edition_that_comes_with_it(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=120, now=NOW), cache=tmp_path / "cache")
    async with copied(world, Queries()) as replica:
        path = replica.store.path

        def another_state(connection: sqlite3.Connection, query: Query) -> Answer:
            with closing(sqlite3.connect(path)) as writer, writer:
                writer.execute("UPDATE users_ SET title = 'Diver'")
                writer.execute("UPDATE sync_runs_ SET started_at = 'later'")
            return run_query(connection, query)

        query = Query(path=str(path), sql=DIVERS, limit=1, characters=1_000, seconds=60.0)
        edition = await replica.store.read(edition_of)
        answer, answered = read_reply(reply_to(query, another_state).encode())
        assert (answer.rows, answered) == ([[0]], edition)
        answer, answered = read_reply(reply_to(query).encode())
        assert answer.rows != [[0]]
        assert answered != edition
