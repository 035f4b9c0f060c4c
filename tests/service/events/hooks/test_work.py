"""The work of events: once for many, again where it failed, and nothing lost or doubled where a process dies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.pingone.feed.events import about, is_foreign
from pingone_mcp.pingone.feed.hooks.action_types import ACTION_TYPES
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.hooks import work as module
from pingone_mcp.service.events.hooks.taking import HookTaking
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.tasks import background
from tests.fleets import Estate
from tests.service.events.hooks.happened import event, sent
from tests.service.events.receivers import URL
from tests.service.events.test_changes_out import disable, row_of, sync, written


async def nothing(_: str) -> None:
    """Pass nothing on."""


@asynccontextmanager
async def working(
    serving: Estate, changed: Callable[[str], Awaitable[None]] | None = None, **more: Any
) -> AsyncIterator[HookWork]:
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    async with background() as tasks:
        yield HookWork(serving.control, serving.fleet, changed or out.changed, tasks, serving.time.clock(), **more)


async def synced(serving: Estate) -> tuple[LinkedConnection, HookTaking]:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    await sync(serving, acme)
    await ChangesOut(serving.control, serving.fleet, serving.time.clock()).changed(acme.id)
    return acme, HookTaking(serving.control, is_foreign)


async def until_written(serving: Estate, count: int) -> None:
    with anyio.fail_after(30):
        while len(await written(serving)) < count:  # noqa: ASYNC110 - nobody else waits for it
            await anyio.sleep(0.005)


def reads(serving: Estate) -> int:
    return len(serving.company("acme").sandbox.requests)


async def test_many_events_about_a_few_are_read_once(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox = serving.company("acme").sandbox
    users = [(await disable(serving, 0))["id"] for _ in range(3)]
    events = [event(sandbox, user) for user in users for _ in range(400)]
    for start in range(0, 1_200, 500):
        await taking.take(acme.id, sent(*events[start : start + 500]))
    before = reads(serving)
    async with working(serving) as work:
        assert await work.work(acme.id) == 1_200
        assert await work.work(acme.id) == 0
    assert reads(serving) - before <= 3 * 2 + 3, "however many events they are"
    assert sorted(row_of(one)["id"] for one in await written(serving)) == sorted(users)
    assert await serving.control.inbox.depth() == {}


async def test_what_comes_together_is_worked_on_together(serving: Estate) -> None:
    """Deliveries that follow each other closely wait for the last of them, and the work for no longer than a second."""
    acme, taking = await synced(serving)
    sandbox, user = serving.company("acme").sandbox, (await disable(serving, 0))["id"]
    naps: list[float] = []
    async with working(serving) as work:
        clock, deliveries = serving.time.clock(), 3

        async def nap(seconds: float) -> None:
            nonlocal deliveries
            naps.append(seconds)
            serving.time.passed += seconds
            if deliveries:
                deliveries -= 1
                await taking.take(acme.id, sent(event(sandbox, user)))

        object.__setattr__(clock, "sleep", nap)
        work._clock = clock  # noqa: SLF001 - time passes while it waits
        with taking.on_arrival(work.arrived):
            await taking.take(acme.id, sent(event(sandbox, user)))
            await work._settle(acme.id)  # noqa: SLF001 - as above
    assert naps == [module.QUIET_SECONDS] * 4
    assert len(await serving.control.inbox.pending(acme.id)) == 4


async def test_work_begins_although_more_is_coming(serving: Estate) -> None:
    acme, _ = await synced(serving)
    naps: list[float] = []
    async with working(serving) as work:
        clock = serving.time.clock()

        async def nap(seconds: float) -> None:
            naps.append(seconds)
            serving.time.passed += seconds
            work.arrived(acme.id)

        object.__setattr__(clock, "sleep", nap)
        work._clock = clock  # noqa: SLF001 - time passes while it waits
        await work._settle(acme.id)  # noqa: SLF001 - as above
    assert sum(naps) < module.LONGEST_QUIET_SECONDS + module.QUIET_SECONDS + 0.001


async def test_the_loop_takes_what_comes(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox = serving.company("acme").sandbox
    async with working(serving) as work, background() as tasks:
        tasks.start_soon(work.run, taking)
        users = []
        for _ in range(3):
            users.append((await disable(serving, 0))["id"])
            await taking.take(acme.id, sent(event(sandbox, users[-1])))
            await until_written(serving, len(users))
    assert [row_of(one)["id"] for one in await written(serving)] == users


async def test_what_fails_stays_and_is_tried_again_later(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox, user = serving.company("acme").sandbox, (await disable(serving, 0))["id"]
    await taking.take(acme.id, sent(event(sandbox, user)))
    async with working(serving) as work:
        waits: list[float] = []
        for _ in range(3):
            sandbox.faults.add(Fault("server_error", times=None))
            await work.begin_due()
            await idle(work)
            assert await serving.control.inbox.depth() == {acme.id: 1}
            rest = work._rests[acme.id]  # noqa: SLF001 - what it waits for
            waits.append(round(rest.until - serving.time.passed))
            before = reads(serving)
            await work.begin_due()
            await idle(work)
            assert reads(serving) == before, "it rests"
            serving.time.passed = rest.until
        sandbox.faults.clear()
        serving.time.passed += 600
        await work.begin_due()
        await idle(work)
        assert acme.id not in work._rests  # noqa: SLF001 - as above
    assert waits == [2, 4, 8]
    assert await serving.control.inbox.depth() == {}
    assert [row_of(one)["id"] for one in await written(serving)] == [user]


async def idle(work: HookWork) -> None:
    with anyio.fail_after(60):
        while work._under_way:  # noqa: ASYNC110, SLF001 - nobody else waits for it
            await anyio.sleep(0.002)


async def test_one_that_fails_holds_no_other(serving: Estate) -> None:
    acme, taking = await synced(serving)
    other = await serving.link("other")
    await sync(serving, other)
    sandbox, user = serving.company("acme").sandbox, (await disable(serving, 0))["id"]
    serving.company("other").sandbox.faults.add(Fault("server_error", times=None))
    stranger = next(iter(serving.company("other").sandbox.users()))["id"]
    await taking.take(other.id, sent(event(serving.company("other").sandbox, stranger)))
    await taking.take(acme.id, sent(event(sandbox, user)))
    async with working(serving) as work:
        await work.begin_due()
        await idle(work)
    assert await serving.control.inbox.depth() == {other.id: 1}


async def test_before_the_first_sync_one_is_asked_for(serving: Estate) -> None:
    acme, taking = await serving.link("acme"), HookTaking(serving.control, is_foreign)
    sandbox = serving.company("acme").sandbox
    await taking.take(acme.id, sent(event(sandbox, next(iter(sandbox.users()))["id"])))
    async with working(serving) as work:
        with pytest.raises(NoReplica):
            await work.work(acme.id)
        [run] = await serving.control.sync_runs.listed()
        assert (run.connection_id, run.cause, run.status) == (acme.id, "event", "created")
        assert await serving.control.inbox.depth() == {acme.id: 1}
        await sync(serving, acme)
        assert await work.work(acme.id) == 1


async def test_nothing_is_read_for_a_paused_connection_and_it_goes_on_afterwards(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox, user = serving.company("acme").sandbox, (await disable(serving, 0))["id"]
    await serving.administration.linking.pause(acme.id)
    await taking.take(acme.id, sent(event(sandbox, user)))
    async with working(serving) as work:
        before = reads(serving)
        assert await work.work(acme.id) == 0
        assert reads(serving) == before
        await serving.administration.linking.resume(acme.id)
        assert await work.work(acme.id) == 1
    assert [row_of(one)["id"] for one in await written(serving)] == [user]


async def test_who_dies_after_reading_does_the_same_again(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox, user = serving.company("acme").sandbox, (await disable(serving, 0))["id"]
    happened = event(sandbox, user)
    await taking.take(acme.id, sent(happened))
    served = await serving.fleet.current(acme)
    report = await served.syncing(await served.backend()).reread([happened])
    assert report.changes == {"user.deactivated": 1}
    async with working(serving) as work:  # the next process
        assert await work.work(acme.id) == 1
    assert [row_of(one)["id"] for one in await written(serving)] == [user], "once"


async def test_who_dies_before_passing_it_on_passes_it_on_later(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox, user = serving.company("acme").sandbox, (await disable(serving, 0))["id"]
    await taking.take(acme.id, sent(event(sandbox, user)))

    async def killed(_: str) -> None:
        assert await serving.control.inbox.depth() == {}, "what is passed on is done"
        raise Problem("killed")

    async with working(serving, killed) as work:
        with pytest.raises(Problem, match="killed"):
            await work.work(acme.id)
    assert await written(serving) == []
    await ChangesOut(serving.control, serving.fleet, serving.time.clock()).changed(acme.id)
    assert [row_of(one)["id"] for one in await written(serving)] == [user]


async def test_a_removed_connection_ends_its_work(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox = serving.company("acme").sandbox
    await taking.take(acme.id, sent(event(sandbox, next(iter(sandbox.users()))["id"])))
    async with working(serving) as work:
        await serving.administration.linking.remove(acme.id)
        assert await work.work(acme.id) == 0


async def test_at_the_start_and_in_a_silence_a_sync_looks_for_what_was_lost(serving: Estate) -> None:
    acme, taking = await synced(serving)
    quiet = await serving.link("quiet")
    sandbox, runs = serving.company("acme").sandbox, serving.control.sync_runs
    await taking.take(acme.id, sent(event(sandbox, next(iter(sandbox.users()))["id"])))

    async def asked() -> list[str]:
        found = [run for run in await runs.listed() if run.status == "created"]
        for run in found:
            await runs.start(run.id)
            await runs.end(run.id, "completed")
        return [run.connection_id for run in found]

    async with working(serving, nothing, silence=timedelta(hours=1)) as work:
        await work.ask_at_start()
        assert await asked() == [acme.id], f"and not {quiet.id}, which no event came for"
        serving.time.passed += 3_599
        await work.ask_where_silent()
        assert await asked() == []
        work.arrived(acme.id)
        serving.time.passed += 3_599
        await work.ask_where_silent()
        assert await asked() == [], "an event came"
        serving.time.passed += 1
        await work.ask_where_silent()
        assert await asked() == [acme.id]
        await work.ask_where_silent()
        assert await asked() == [], "once in a silence"
        serving.time.passed += 3_600
        await work.ask_where_silent()
        assert await asked() == [acme.id], "and again"


async def failed_often(serving: Estate, work: HookWork, connection: str) -> None:
    """Let the work fail as often as it may before events are looked at apart."""
    for _ in range(module.PATIENCE):
        await work.begin_due()
        await idle(work)
        assert connection in work._rests, "it has failed"  # noqa: SLF001 - what it waits for
        serving.time.passed += 600


async def test_an_event_that_makes_the_work_fail_holds_up_no_other_for_ever(
    serving: Estate, caplog: pytest.LogCaptureFixture
) -> None:
    acme, taking = await synced(serving)
    sandbox = serving.company("acme").sandbox
    bad, *good = [(await disable(serving, 0))["id"] for _ in range(4)]
    events = [event(sandbox, user) for user in (bad, good[0], bad, good[1], good[2])]
    await taking.take(acme.id, sent(*events))
    sandbox.faults.add(Fault("server_error", times=None, path=bad))
    async with working(serving, about=about, counts=taking.counts) as work:
        await failed_often(serving, work, acme.id)
        assert await serving.control.inbox.depth() == {acme.id: 5}
        assert await written(serving) == []
        await work.begin_due()
        await idle(work)
        assert acme.id not in work._rests  # noqa: SLF001 - as above
        state = await serving.control.inbox.state(acme.id)
        assert (state.waiting, state.set_aside) == (0, 2)
        assert sorted(row_of(one)["id"] for one in await written(serving)) == sorted(good)
        assert taking.counts.set_aside == {acme.id: 2}
        assert [(run.connection_id, run.cause) for run in await serving.control.sync_runs.listed()] == [
            (acme.id, "event")
        ]
        [alarm] = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
        assert acme.id in alarm
        assert bad not in alarm
        await taking.take(acme.id, sent(event(sandbox, good[0])))
        assert await work.work(acme.id) == 1, "what comes afterwards is not held up"


async def test_in_an_outage_every_event_stays(serving: Estate) -> None:
    acme, taking = await synced(serving)
    sandbox = serving.company("acme").sandbox
    users = [(await disable(serving, 0))["id"] for _ in range(3)]
    await taking.take(acme.id, sent(*[event(sandbox, user) for user in users]))
    async with working(serving, about=about) as work:
        sandbox.faults.add(Fault("server_error", times=None))
        await failed_often(serving, work, acme.id)
        for _ in range(3):
            await work.begin_due()
            await idle(work)
            serving.time.passed += 600
        assert await serving.control.inbox.depth() == {acme.id: 3}
        sandbox.faults.clear()
        await work.begin_due()
        await idle(work)
    assert await serving.control.inbox.depth() == {}
    assert sorted(row_of(one)["id"] for one in await written(serving)) == sorted(users)


async def test_a_lock_by_failed_passwords_is_heard_of(serving: Estate) -> None:
    """PingOne may say nothing else of it than that the check of a password has failed."""
    acme, taking = await synced(serving)
    sandbox = serving.company("acme").sandbox
    [at, *_] = [at for at, user in enumerate(sandbox.users()) if user["enabled"]]
    sandbox.administration().fail_to_sign_on(at)
    happened = sandbox.state().events[-1]
    assert (happened.action, happened.outcome) == ("PASSWORD.CHECK_FAILED", "FAILED")
    assert happened.action in ACTION_TYPES
    await taking.take(acme.id, sent(happened.native(f"{sandbox.base_url}/v1/environments", sandbox.environment_id)))
    async with working(serving) as work:
        assert await work.work(acme.id) == 1
    [one] = await written(serving)
    assert (one.payload["change"], row_of(one)["status_reasons"]) == ("user.locked", ["locked"])
