"""What the local copy forgets in time, and how it says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pingone_mcp.directory.changes import ChangePage, ChangeQuestion
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.replica.asking.changes import changes_page
from pingone_mcp.replica.state import State, state_of
from pingone_mcp.replica.store.retention import KEPT_CHANGES, KEPT_RUNS
from pingone_mcp.sandbox.app import Sandbox
from tests.replica.happenings import Doors
from tests.replica.truth import Copy
from tests.world import NOW, World


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    return Copy(World(sandbox=Sandbox(40, now=NOW), cache=tmp_path / "cache"))


async def rename(kept: Copy, known_as: str) -> None:
    """Let one user get another external id, and sync."""
    user = next(kept.sandbox.users())["id"]
    async with Doors(kept.sandbox) as doors:
        await doors.send("PATCH", f"/users/{user}", {"externalId": known_as})
    assert (await kept.sync()).changes == {"user.updated": 1}


def pass_by(kept: Copy, time: timedelta) -> None:
    kept.sandbox.clock.advance(time.total_seconds())
    kept.world.time.passed += time.total_seconds()


async def page(kept: Copy, at: Position | None, size: int = 200) -> ChangePage:
    return await kept.store.read(lambda connection: changes_page(connection, ChangeQuestion(), at, size))


def names(found: ChangePage) -> list[str]:
    """Return what users were renamed to, what the audit told of the time before the first sync aside."""
    return [str(change.after["external_id"]) for change in found.items if change.after is not None]


async def state(kept: Copy) -> State:
    found = await kept.store.read(lambda connection: state_of(connection, NOW))
    assert found is not None
    return found


async def test_changes_are_forgotten_in_time_and_a_cursor_before_them_is_told(kept: Copy) -> None:
    await kept.sync()
    first = await page(kept, None)
    assert {change.evidence for change in first.items} == {"event"}, "what the audit still told"
    await rename(kept, "one")
    await rename(kept, "two")
    assert names(await page(kept, first.newest)) == ["one", "two"]
    between = await page(kept, None, size=1)
    pass_by(kept, KEPT_CHANGES - timedelta(days=1))
    await rename(kept, "three")
    assert names(await page(kept, None)) == ["one", "two", "three"]
    pass_by(kept, timedelta(days=2))
    await kept.sync()

    for at in (first.newest, between.next):
        with pytest.raises(Refused, match="forgotten: the local copy keeps them for 400 days") as caught:
            await page(kept, at)
        assert caught.value.code == "CHANGES_FORGOTTEN"
        assert "Start again without `cursor`" in caught.value.next_step
    rest = await page(kept, None)
    assert names(rest) == ["three"]
    assert names(await page(kept, rest.at)) == ["three"]
    assert (await state(kept)).changes == 1


async def test_a_cursor_behind_all_that_was_forgotten_stays_good(kept: Copy) -> None:
    await kept.sync()
    await rename(kept, "one")
    last = (await page(kept, None)).newest
    pass_by(kept, KEPT_CHANGES + timedelta(days=1))
    await kept.sync()
    assert (await state(kept)).changes == 0
    empty = await page(kept, last)
    assert (empty.items, empty.newest) == ((), last)
    assert (await page(kept, None)).newest == last
    await rename(kept, "two")
    assert names(await page(kept, last)) == ["two"]


async def test_what_was_before_the_changes_that_are_kept_is_not_known(kept: Copy) -> None:
    await kept.sync()
    [(at_first,)] = await kept.rows("SELECT value FROM facts_ WHERE name = 'watched_since'")
    await rename(kept, "one")
    assert await kept.rows("SELECT value FROM facts_ WHERE name = 'watched_since'") == [(at_first,)]
    pass_by(kept, KEPT_CHANGES + timedelta(days=1))
    await kept.sync()
    [(later,)] = await kept.rows("SELECT value FROM facts_ WHERE name = 'watched_since'")
    assert "2026-06-15T12:00:" in at_first
    assert "2026-06-16T12:00:" in later


async def test_the_last_syncs_are_kept_and_the_last_that_were_complete(kept: Copy) -> None:
    await kept.sync("full")
    await kept.sync("incremental")
    known = await state(kept)
    again = (
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO sync_runs_ (mode, outcome) SELECT 'full', 'failed' FROM n"
    )
    await kept.store.write(lambda connection: connection.execute(again, (KEPT_RUNS + 5,)).rowcount)
    kept.sandbox.withdraw("Environment Admin", "Identity Data Read Only", "Identity Data Admin")
    with pytest.raises(Problem):
        await kept.sync("full")
    modes = await kept.rows("SELECT mode, outcome, count(*) FROM sync_runs_ GROUP BY 1, 2 ORDER BY 1, 2")
    assert modes == [("full", "complete", 1), ("full", "failed", KEPT_RUNS), ("incremental", "complete", 1)]
    now = await state(kept)
    assert (now.synced_at, now.full_at, now.users) == (known.synced_at, known.full_at, known.users)
    assert now.problem
