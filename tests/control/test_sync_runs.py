"""Runs of syncs: one waits and one goes on, and what a killed process left is given up by the next."""

from __future__ import annotations

import anyio
import pytest

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sync_runs import RunEnd, RunRecord
from tests.control.conftest import Hands


async def test_a_run_from_its_request_to_its_end(control: ControlData, linked: LinkedConnection, hands: Hands) -> None:
    runs = control.sync_runs
    asked = await runs.request(linked.id, "request")
    assert (asked.status, asked.cause, asked.created_at, asked.counts) == ("created", "request", hands.time, {})
    hands.go(seconds=5)
    going = await runs.start(asked.id)
    assert going is not None
    assert (going.status, going.started_at) == ("running", hands.time)
    assert await runs.start(asked.id) is None
    hands.go(seconds=5)
    done = await runs.end(asked.id, "held", counts={"users": 7}, reason="Too many are gone.")
    assert done is not None
    assert (done.status, done.counts, done.reason, done.ended_at) == (
        "held",
        {"users": 7},
        "Too many are gone.",
        hands.time,
    )
    assert await runs.end(asked.id, "completed") is None
    assert await runs.get(asked.id) == done


async def test_who_asks_while_one_waits_gets_that_one(control: ControlData, linked: LinkedConnection) -> None:
    runs = control.sync_runs
    got = []

    async def ask() -> None:
        got.append((await runs.request(linked.id, "request")).id)

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(ask)
    assert len(set(got)) == 1
    with pytest.raises(LookupError):
        await runs.request("none", "request")


async def test_one_that_waits_reads_everything_once_that_is_asked_for(
    control: ControlData, linked: LinkedConnection
) -> None:
    runs = control.sync_runs
    first = await runs.request(linked.id, "event")
    full = await runs.request(linked.id, "full_sync")
    assert (full.id, full.cause) == (first.id, "full_sync")
    assert await runs.request(linked.id, "request") == full, "who asks for less changes nothing"
    assert await runs.request(linked.id, "full_sync") == full
    await runs.start(full.id)
    assert (await runs.request(linked.id, "full_sync")).id != first.id, "what began for less is not enough"


async def test_the_next_one_waits_until_the_present_one_ends(control: ControlData, linked: LinkedConnection) -> None:
    runs = control.sync_runs
    first = await runs.request(linked.id, "schedule")
    await runs.start(first.id)
    second = await runs.request(linked.id, "request")
    assert second.id != first.id
    assert await runs.start(second.id) is None
    await runs.end(first.id, "completed")
    assert await runs.start(second.id) is not None


async def test_what_a_killed_process_left_running_is_given_up(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    runs = control.sync_runs
    first = await runs.request(linked.id, "schedule")
    await runs.start(first.id)
    waiting = await runs.request(linked.id, "request")
    hands.go(hours=1)
    assert await runs.end_interrupted() == 1
    ended = await runs.get(first.id)
    assert ended is not None
    assert (ended.status, ended.ended_at) == ("failed", hands.time)
    assert "The process ended" in (ended.reason or "")
    assert await runs.get(waiting.id) == waiting
    assert await runs.start(waiting.id) is not None


async def test_runs_are_listed_newest_first_by_connection_and_status_and_in_pages(
    control: ControlData, linked: LinkedConnection
) -> None:
    runs = control.sync_runs
    made: list[RunRecord] = []
    for number in range(5):
        run = await runs.request(linked.id, "schedule")
        await runs.start(run.id)
        ended = await runs.end(run.id, "failed" if number == 2 else "completed")
        assert ended is not None
        made.insert(0, ended)
    assert await runs.listed() == await runs.listed(connections=[linked.id]) == made
    assert await runs.listed(connections=["none"]) == await runs.listed(connections=[]) == []
    assert await runs.listed(status="failed") == [made[2]]
    assert await runs.listed(limit=2) == made[:2]
    assert await runs.listed(after=made[1].id, limit=2) == made[2:4]
    assert await runs.listed(after="none") == []


async def test_old_runs_are_forgotten_and_others_kept(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    runs = control.sync_runs
    old = await runs.request(linked.id, "schedule")
    await runs.start(old.id)
    await runs.end(old.id, "completed")
    waits = await runs.request(linked.id, "schedule")
    assert await runs.forget_before(hands.go(days=90)) == 1
    assert await runs.listed() == [waits]


async def test_what_a_connection_had_at_the_end_of_its_last_sync_is_remembered(
    control: ControlData, linked: LinkedConnection
) -> None:
    runs = control.sync_runs
    assert await runs.latest_counts([linked.id]) == {}
    ends: tuple[tuple[RunEnd, int], ...] = (("completed", 7), ("held", 8), ("failed", 0))
    for status, users in ends:
        run = await runs.request(linked.id, "request")
        await runs.start(run.id)
        await runs.end(run.id, status, counts={"users": users})
    assert await runs.latest_counts([linked.id, "none"]) == {linked.id: {"users": 8}}
    assert await runs.latest_counts([]) == {}
