"""The syncs of many connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import anyio.lowlevel
import pytest

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sync_runs import RunRecord
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.service.fleet import syncs
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.tasks import background
from tests.fleets import Estate, caller


@asynccontextmanager
async def syncing(serving: Estate) -> AsyncIterator[FleetSyncs]:
    async with background() as tasks:
        yield FleetSyncs(serving.control, serving.fleet, tasks, serving.time.clock())


async def runs_of(serving: Estate, linked: LinkedConnection, count: int) -> list[RunRecord]:
    """Return the runs of a connection, the newest first, once so many have ended."""
    with anyio.fail_after(60):
        while True:
            runs = await serving.control.sync_runs.listed(connections=[linked.id])
            if sum(run.ended_at is not None for run in runs) >= count and (await row(serving, linked)).next_sync_at:
                return runs
            await anyio.sleep(0.01)


async def row(serving: Estate, linked: LinkedConnection) -> LinkedConnection:
    found = await serving.control.connections.get(linked.id)
    assert found is not None
    return found


async def test_who_is_due_is_synced_and_the_run_is_written_down(serving: Estate) -> None:
    acme = await serving.link("acme", sync_minutes=10)
    async with syncing(serving) as many:
        await many.begin_due()
        [run] = await runs_of(serving, acme, 1)
        assert (run.status, run.reason, run.counts["users"]) == ("completed", None, 40)
        after = await row(serving, acme)
        now = serving.time.clock().now()
        assert after.last_sync_at is not None
        assert after.next_sync_at is not None
        assert timedelta(minutes=9) <= after.next_sync_at - now <= timedelta(minutes=11)
        await many.begin_due()
        assert len(await runs_of(serving, acme, 1)) == 1, "it is not due"
        serving.time.passed += 660
        await many.begin_due()
        assert len(await runs_of(serving, acme, 2)) == 2


async def test_a_paused_connection_is_not_synced(serving: Estate) -> None:
    acme = await serving.link("acme")
    await serving.administration.linking.pause(acme.id)
    async with syncing(serving) as many:
        await many.begin_due()
    assert await serving.control.sync_runs.listed() == []


async def test_a_sync_that_is_asked_for_runs_at_once_and_once(serving: Estate) -> None:
    acme = await serving.link("acme")
    async with syncing(serving) as many:
        first = await many.request(acme)
        again = await many.request(acme)
        runs = await runs_of(serving, acme, 1)
    assert first.id == again.id
    assert [run.id for run in runs] == [first.id]


async def test_credentials_that_stop_working_are_said_and_recover_by_themselves(serving: Estate) -> None:
    acme = await serving.link("acme")
    async with syncing(serving) as many:
        with serving.another_secret("acme"):
            await many.begin_due()
            [run] = await runs_of(serving, acme, 1)
            failed = await row(serving, acme)
        assert run.status == "failed"
        assert failed.status == "needs_reauth"
        assert failed.reason == run.reason
        assert "client secret" in (failed.reason or "")
        serving.time.passed += 3_600
        await many.begin_due()
        await runs_of(serving, acme, 2)
        assert (await row(serving, acme)).status == "active"
        assert (await row(serving, acme)).reason is None


async def test_an_outage_is_no_fault_of_the_credentials_and_is_tried_ever_less(serving: Estate) -> None:
    acme = await serving.link("acme", sync_minutes=10, retry_seconds=0)
    serving.company("acme").sandbox.faults.add(Fault("server_error", times=None))
    waits: list[timedelta] = []
    async with syncing(serving) as many:
        for number in range(1, 4):
            await many.begin_due()
            await runs_of(serving, acme, number)
            failed = await row(serving, acme)
            assert failed.status == "active"
            assert failed.next_sync_at is not None
            waits.append(failed.next_sync_at - serving.time.clock().now())
            serving.time.passed += waits[-1].total_seconds() + 1
    assert waits[0] < waits[1] < waits[2]


async def test_only_a_few_are_synced_at_once(serving: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncs, "AT_ONCE", 2)
    linked = [await serving.link(name) for name in ("acme", "globex", "initech", "umbrella")]
    async with syncing(serving) as many:
        await many.begin_due()
        most = 0
        with anyio.fail_after(60):
            while True:
                runs = await serving.control.sync_runs.listed()
                most = max(most, sum(run.status == "running" for run in runs))
                if sum(run.ended_at is not None for run in runs) == len(linked):
                    break
                await anyio.lowlevel.checkpoint()
    assert most <= 2


async def test_one_that_fails_for_a_reason_of_its_own_keeps_no_other_from_its_sync(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, acme = await serving.link("broken"), await serving.link("acme")
    monkeypatch.delitem(serving.worlds, "broken")  # opening it raises ValueError
    async with syncing(serving) as many:
        await many.begin_due()
        [run] = await runs_of(serving, acme, 1)
        assert run.status == "completed"
        [failed] = await runs_of(serving, broken, 1)
        assert failed.status == "failed"


async def test_what_a_process_left_behind_is_given_up_by_the_next(serving: Estate) -> None:
    acme = await serving.link("acme")
    left = await serving.control.sync_runs.request(acme.id, "schedule")
    await serving.control.sync_runs.start(left.id)
    async with syncing(serving) as many, anyio.create_task_group() as tasks:
        tasks.start_soon(many.run)
        runs = await runs_of(serving, acme, 2)
        tasks.cancel_scope.cancel()
    assert [run.status for run in runs] == ["completed", "failed"]
    assert runs[1].id == left.id
    assert (await (await serving.fleet.served(caller(acme.id), acme.id)).backend()).sync_seconds is None


async def test_runs_that_nobody_looks_at_any_more_are_forgotten(serving: Estate) -> None:
    acme = await serving.link("acme")
    async with syncing(serving) as many:
        await many.begin_due()
        [old] = await runs_of(serving, acme, 1)
        serving.time.passed += 31 * 86_400
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(many.run)
            runs = await runs_of(serving, acme, 1)
            with anyio.fail_after(60):
                while old.id in {run.id for run in runs} or not runs:
                    runs = await serving.control.sync_runs.listed(connections=[acme.id])
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()


async def test_a_sync_whose_connection_is_closed_in_the_middle_gives_its_place_to_another(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs, "AT_ONCE", 1)
    acme, globex = await serving.link("acme"), await serving.link("globex")
    sandbox = serving.company("acme").sandbox
    arrived = anyio.Event()

    async def hold(_: float) -> None:
        arrived.set()
        await anyio.sleep_forever()

    sandbox.sleep = hold
    sandbox.faults.add(Fault("slow", path="/users"))
    async with syncing(serving) as many:
        await many.request(acme)
        with anyio.fail_after(30):
            await arrived.wait()
        await serving.administration.linking.pause(acme.id)
        await many.request(globex)
        [run] = await runs_of(serving, globex, 1)
        assert run.status == "completed"
        [cut] = await runs_of(serving, acme, 1)
        assert cut.status == "failed"
        assert "closed" in (cut.reason or "")


async def test_a_sync_that_has_waited_for_its_place_goes_by_what_its_connection_is_by_then(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs, "AT_ONCE", 1)
    acme, globex, paused = [await serving.link(name, sync_minutes=600) for name in ("acme", "globex", "initech")]
    linking, now = serving.administration.linking, serving.time.clock().now()
    arrived, let = anyio.Event(), anyio.Event()

    async def hold(_: float) -> None:
        arrived.set()
        await let.wait()

    serving.company("acme").sandbox.sleep = hold
    serving.company("acme").sandbox.faults.add(Fault("slow", path="/users"))
    async with syncing(serving) as many:
        await many.request(acme)
        with anyio.fail_after(30):
            await arrived.wait()
        await many.request(paused)
        await many.request(globex)
        await linking.pause(paused.id)
        await linking.reconnect(globex.id, {"populations": [an_own_population(serving)]}, serving.steps.append)
        for one in (acme, globex):
            await serving.control.connections.update(one.id, settings={"sync_minutes": 15})
        let.set()
        [run] = await runs_of(serving, globex, 1)
        assert 0 < run.counts["users"] < 40
        [waiting] = await serving.control.sync_runs.listed(connections=[paused.id])
        assert waiting.status == "created", "it runs when the connection is resumed"
        for one in (acme, globex):
            next_sync_at = (await row(serving, one)).next_sync_at
            assert next_sync_at is not None
            assert next_sync_at - now < timedelta(minutes=30)


def an_own_population(serving: Estate) -> str:
    return str(next(iter(serving.company("globex").sandbox.users()))["population"]["id"])


async def test_a_full_sync_that_is_asked_for_reads_everything_again(serving: Estate) -> None:
    acme = await serving.link("acme")
    async with syncing(serving) as many:
        await many.request(acme)
        await runs_of(serving, acme, 1)
        backend = await (await serving.fleet.current(acme)).backend()
        _, before = await backend.replica.read(lambda _: None)
        for cause, is_full in (("request", False), ("full_sync", True)):
            serving.time.passed += 60
            asked = await serving.control.sync_runs.request(acme.id, cause)  # type: ignore[arg-type] # of its Literal
            await many.begin_due()
            [run, *_] = await runs_of(serving, acme, 3 if is_full else 2)
            _, after = await backend.replica.read(lambda _: None)
            assert (run.id, run.cause, run.status) == (asked.id, cause, "completed")
            assert (after.full_at != before.full_at) == is_full
