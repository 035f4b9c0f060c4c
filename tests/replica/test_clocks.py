"""Whatever a clock says, ours or PingOne's, no change is lost, and a copy from the future is not taken for fresh."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.errors import Problem
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.times import timestamp
from tests.depth import tries
from tests.replica.happenings import Happening, happen, happenings
from tests.replica.test_sync import Between
from tests.replica.truth import Copy, truth
from tests.world import NOW, World, facts

HOUR, DAY = 3_600.0, 86_400.0
YEAR_9999 = 251_500_000_000.0
"""So many seconds from NOW."""
DAILY = {"full_after": timedelta(hours=24)}


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    return company(tmp_path)


def company(folder: Path) -> Copy:
    return Copy(World(sandbox=Sandbox(40, now=NOW, customers=5), cache=folder / "cache"))


def pass_time(kept: Copy, seconds: float) -> None:
    kept.sandbox.clock.advance(seconds)
    kept.world.time.passed += seconds


async def change(kept: Copy) -> None:
    """Let one person be deleted, and another one move to another department."""
    await happen(kept.sandbox, [Happening("delete", 3, 0, 0), Happening("update", 7, 0, 0)])


async def is_equal(kept: Copy) -> bool:
    there, held = truth(kept.sandbox), await kept.state()
    return (held.users, held.memberships, held.groups) == (there.users, there.memberships, there.groups)


# ------------------------------------------------------------------------------------------------- PingOne's clock


@pytest.mark.parametrize("ahead", [HOUR, 400 * DAY, YEAR_9999, -400 * DAY])
@pytest.mark.parametrize("nth", [1, 2, 5])
async def test_one_wrong_date_loses_no_change(kept: Copy, ahead: float, nth: int) -> None:
    await kept.sync()
    pass_time(kept, 60)
    kept.sandbox.faults.add("wrong_date", nth=nth, seconds=ahead)
    await kept.sync("incremental")
    pass_time(kept, 60)
    await change(kept)
    assert (await kept.sync("incremental")).mode == "incremental", "one answer is no reason to read everybody"
    assert await is_equal(kept)


@pytest.mark.parametrize("ahead", [HOUR, 400 * DAY, YEAR_9999])
@pytest.mark.parametrize("mode", ["auto", "incremental"])
async def test_when_all_dates_were_wrong_the_next_sync_is_a_full_one(kept: Copy, ahead: float, mode: str) -> None:
    await kept.sync()
    pass_time(kept, 60)
    kept.sandbox.faults.add("wrong_date", times=None, seconds=ahead)
    await kept.sync()
    kept.sandbox.faults.clear()
    pass_time(kept, 300)
    await change(kept)
    pass_time(kept, 2 * HOUR)  # what was the future may be the past by now
    report = await kept.sync(mode)
    assert (report.mode, report.complete) == ("full", True) if ahead != YEAR_9999 else report.complete
    assert await is_equal(kept)
    assert (await kept.sync()).mode == "incremental"


async def test_years_that_no_answer_comes_from_are_no_time(kept: Copy) -> None:
    kept.sandbox.faults.add("wrong_date", times=None, seconds=YEAR_9999)
    assert (await kept.sync()).watermark <= timestamp(kept.sandbox.clock.now())


# ------------------------------------------------------------------------------------------------- our own clock


@pytest.mark.parametrize("ours", [DAY, -DAY, 400 * DAY])
async def test_a_machine_whose_clock_is_wrong_loses_nothing_and_need_not_read_everybody_each_time(
    kept: Copy, ours: float
) -> None:
    kept.world.time.start += ours
    for number in range(3):
        report = await kept.sync(**DAILY)
        assert (report.mode, report.complete) == ("incremental" if number else "full", True)
        assert await is_equal(kept)
        pass_time(kept, 60)
        await change(kept)


@pytest.mark.parametrize("ours", [DAY, -DAY])
async def test_a_clock_that_is_put_right_loses_nothing(kept: Copy, ours: float) -> None:
    kept.world.time.start += ours
    await kept.sync()
    await change(kept)
    kept.world.time.start -= ours
    pass_time(kept, 60)
    assert (await kept.sync(**DAILY)).complete
    assert await is_equal(kept)


async def test_our_clock_and_one_date_may_be_wrong_together(kept: Copy) -> None:
    kept.world.time.start += DAY
    kept.sandbox.faults.add("wrong_date", nth=1, seconds=HOUR)
    await kept.sync()
    pass_time(kept, 60)
    await change(kept)
    assert (await kept.sync()).mode == "incremental"
    assert await is_equal(kept)


async def test_a_machine_that_has_slept_goes_on_where_it_was(kept: Copy) -> None:
    """The monotonic clock stands still meanwhile."""
    async with kept.syncing() as sync:
        await sync.run()
        kept.sandbox.clock.advance(8 * HOUR)
        kept.world.time.start += 8 * HOUR
        await change(kept)
        assert (await sync.run("incremental")).mode == "incremental"
    assert await is_equal(kept)


async def test_a_copy_is_not_fresh_after_a_sleep(kept: Copy) -> None:
    await kept.sync()
    async with kept.world.client() as client:
        await ask(client, "list_users", {})
        assert (await ask(client, "find_deactivated", {}))["source"]["kind"] == "replica"
        kept.world.time.start += 8 * HOUR
        assert (await ask(client, "find_deactivated", {}))["source"]["kind"] == "live"


@pytest.mark.parametrize("back", [HOUR, 400 * DAY])
async def test_a_copy_from_the_future_is_not_fresh_and_says_so(kept: Copy, back: float) -> None:
    world = kept.world
    await kept.sync()
    async with world.client() as client:
        asked = {"sql": "SELECT count(*) FROM users"}
        assert (await ask(client, "find_deactivated", {}))["source"]["kind"] == "replica"
        await ask(client, "list_users", {})
        world.time.start -= back
        assert facts(await client.call_tool("query_directory", asked)).get("gaps") is None, "PingOne's time is known"
    async with world.client() as client:
        told = facts(await client.call_tool("query_directory", asked))
        assert -back <= told["replica_age_s"] <= 1 - back, "the sync itself may have taken a moment"
        assert any("clock" in gap for gap in told["gaps"])
        assert (await ask(client, "find_deactivated", {}))["source"]["kind"] == "live"


async def ask(client: Any, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return facts(await client.call_tool(tool, arguments))


# ------------------------------------------------------------------------------------------------- times of the data


def newest_in(seconds: float) -> Callable[[str, Any], Any]:
    """Date the newest event of each answer so far ahead."""

    def bend(_: str, body: Any) -> Any:
        for event in body.get("_embedded", {}).get("activities", ())[:1]:
            at = datetime.fromisoformat(event["recordedAt"]) + timedelta(seconds=seconds)
            event["recordedAt"] = at.isoformat()
        return body

    return bend


async def test_users_and_events_from_the_future_move_no_mark(kept: Copy) -> None:
    await kept.sync()
    state = kept.sandbox.state()
    pass_time(kept, 60)
    state.put_user(1, {**state.user(1), "updatedAt": "9999-12-31T23:59:59.999Z", "title": "Prophet"})
    await change(kept)
    for _ in range(2):
        report = await kept.sync("incremental", transport=Between(kept.sandbox, newest_in(DAY)))
        assert report.mode == "incremental"
        assert report.watermark <= timestamp(kept.sandbox.clock.now())
        assert await is_equal(kept)
        pass_time(kept, 600)
        await change(kept)
    now = timestamp(kept.sandbox.clock.now())
    assert await kept.rows(f"SELECT count(*) FROM changes WHERE at > '{now}'") == [(0,)]  # noqa: S608 - a time


# ------------------------------------------------------------------------------------------------- all together


@dataclass(frozen=True)
class Wrong:
    """What is wrong while a sync runs: our clock by `ours` seconds, the Date of the `nth` answer or of all."""

    ours: float
    date: float
    nth: int | None


WRONGS = st.sampled_from([-400 * DAY, -DAY, -HOUR, -300.0, 300.0, HOUR, DAY, 400 * DAY, YEAR_9999])
SYNCS = st.builds(
    Wrong,
    ours=st.one_of(st.just(0.0), st.floats(-400 * DAY, 400 * DAY), WRONGS.filter(lambda one: one < YEAR_9999)),
    date=st.one_of(st.just(0.0), WRONGS),
    nth=st.one_of(st.none(), st.integers(1, 12)),
)
ROUNDS = st.lists(
    st.tuples(
        SYNCS,
        happenings(6),
        st.sampled_from([0.0, 30.0, 600.0, 2 * HOUR]),
        st.sampled_from(["auto", "incremental", "full"]),
        st.sampled_from([0.0, HOUR, 400 * DAY]),
    ),
    min_size=1,
    max_size=4,
)


CHANGED = [Happening("delete", 3, 0, 0), Happening("update", 7, 0, 0)]


@tries(10)
@given(rounds=ROUNDS, script=happenings(6))
@example(rounds=[(Wrong(0.0, HOUR, None), [], 0.0, "full", 0.0)], script=CHANGED)
@example(
    rounds=[(Wrong(HOUR, 0.0, None), [], 0.0, "full", 0.0), (Wrong(0.0, HOUR, None), [], 0.0, "incremental", 0.0)],
    script=CHANGED,
)
@example(
    rounds=[(Wrong(0.0, 0.0, None), [], 600.0, "full", 0.0), (Wrong(0.0, HOUR, 1), CHANGED, 600.0, "incremental", 0.0)],
    script=CHANGED,
)
def test_with_a_sane_clock_the_copy_is_the_truth_again_in_one_sync(rounds: list[Any], script: list[Happening]) -> None:
    async def go(folder: str) -> None:
        kept = company(Path(folder))
        start = kept.world.time.start
        for wrong, happened, seconds, mode, event in rounds:
            kept.world.time.start = start + wrong.ours
            if wrong.date:
                kept.sandbox.faults.add(Fault("wrong_date", nth=wrong.nth, times=None, seconds=wrong.date))
            with suppress(Problem):
                await kept.sync(mode, transport=Between(kept.sandbox, newest_in(event)), **DAILY)
            kept.sandbox.faults.clear()
            await happen(kept.sandbox, happened)
            pass_time(kept, seconds)
        await happen(kept.sandbox, script)
        kept.world.time.start = start
        report = await kept.sync("auto", **DAILY)
        assert report.complete
        assert await is_equal(kept)
        assert report.watermark <= timestamp(kept.sandbox.clock.now())

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, folder)
