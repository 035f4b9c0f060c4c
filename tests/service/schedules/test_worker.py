"""What is due by the hour: once, a few at once, never two of one at a time, and no failure of one harms another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pingone_mcp.control.sync_runs import RunRecord
from pingone_mcp.errors import Problem
from pingone_mcp.service.schedules import worker
from pingone_mcp.service.schedules.arguments import ScheduleArguments
from pingone_mcp.service.schedules.kinds import ScheduleKind, kinds_of
from pingone_mcp.service.schedules.runs import Ran, ScheduledRun
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule
from tests.fleets import Estate
from tests.service.schedules.hours import at_its_time, done, kept, scheduled, until_ran, working


class Anything(ScheduleArguments):
    roster: str = ""


class Workshop:
    """A kind of schedules whose work waits until it may end; `running` are those under way, `most` at once."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running: list[str] = []
        self.most = 0
        self.may_end = anyio.Event()
        self.failing: dict[str, Exception] = {}

    @property
    def kinds(self) -> dict[str, ScheduleKind]:
        return {**kinds_of(), "drift": ScheduleKind(does="work", takes=Anything, work=self.work)}

    async def work(self, run: ScheduledRun, asked: Anything) -> Ran:
        self.begun.append(asked.roster)
        self.running.append(asked.roster)
        self.most = max(self.most, len(self.running))
        await self.may_end.wait()
        self.running.remove(asked.roster)
        if asked.roster in self.failing:
            raise self.failing[asked.roster]
        return Ran(outcome="nothing_new", summary=f"{asked.roster} is done.")


def free() -> Workshop:
    shop = Workshop()
    shop.may_end.set()
    return shop


async def test_however_many_times_were_missed_it_is_done_once(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await scheduled(serving, acme)
    assert schedule.next_at == datetime(2026, 6, 16, 5, tzinfo=UTC)
    shop = free()
    serving.time.passed += timedelta(days=10).total_seconds()
    async with working(serving, shop.kinds) as schedules:
        await schedules.begin_due()
        after = await until_ran(serving, schedule)
        await schedules.begin_due()
    assert shop.begun == ["crm"]
    now = serving.time.clock().now()
    assert (after.outcome, after.summary, after.ran_at) == ("nothing_new", "crm is done.", now)
    assert after.next_at == datetime(2026, 6, 26, 5, tzinfo=UTC)


async def test_nothing_is_done_before_its_time_and_then_at_each(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await scheduled(serving, acme)
    shop = free()
    async with working(serving, shop.kinds) as schedules:
        await schedules.begin_due()
        for day in range(3):
            assert len(shop.begun) == day
            schedule = await at_its_time(serving, schedule)
            await schedules.begin_due()
            await until_ran(serving, schedule)


async def test_it_goes_on_by_itself(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await scheduled(serving, acme, cron="*/10 * * * *")
    shop = free()
    async with working(serving, shop.kinds) as schedules, anyio.create_task_group() as tasks:
        tasks.start_soon(schedules.run)
        for _ in range(3):
            schedule = await until_ran(serving, schedule)
        tasks.cancel_scope.cancel()
    assert schedule.next_at > serving.time.clock().now() - timedelta(minutes=10)


async def test_a_paused_connection_waits_and_is_done_once_when_it_is_resumed(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await scheduled(serving, acme)
    shop = free()
    linking = serving.administration.linking
    async with working(serving, shop.kinds) as schedules:
        await linking.pause(acme.id)
        serving.time.passed += timedelta(days=3).total_seconds()
        await schedules.begin_due()
        assert not await schedules.do(schedule), "paused between two looks"
        assert (shop.begun, serving.fleet.opened()) == ([], ())
        assert await kept(serving, schedule) == schedule
        await linking.resume(acme.id)
        await schedules.begin_due()
        await until_ran(serving, schedule)
    assert shop.begun == ["crm"]


async def test_one_that_fails_harms_no_other_and_goes_on(serving: Estate) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    shop = free()
    shop.failing = {"wrong": Problem("The roster is gone.", "Bring it back."), "broken": ValueError("a mistake")}
    made = [await scheduled(serving, one, roster=name) for one in (acme, globex) for name in ("wrong", "broken", "ok")]
    await at_its_time(serving, made[0])
    async with working(serving, shop.kinds) as schedules:
        await schedules.begin_due()
        ended = [await until_ran(serving, one) for one in made]
    assert [one.outcome for one in ended] == ["failed", "failed", "nothing_new"] * 2
    assert ended[0].summary == "The roster is gone. Bring it back."
    assert ended[1].summary == "It failed for a reason of its own, which was logged."
    assert {one.next_at for one in ended} == {datetime(2026, 6, 17, 5, tzinfo=UTC)}


async def test_a_connection_that_cannot_be_opened_is_a_failure_of_its_own(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    bad, good = await scheduled(serving, acme), await scheduled(serving, globex)
    monkeypatch.delitem(serving.worlds, "acme")  # opening it raises ValueError
    await at_its_time(serving, bad)
    async with working(serving, free().kinds) as schedules:
        await schedules.begin_due()
        assert (await until_ran(serving, bad)).outcome == "failed"
        assert (await until_ran(serving, good)).outcome == "nothing_new"


async def test_a_few_are_done_at_once_and_none_twice_at_a_time(serving: Estate) -> None:
    acme = await serving.link("acme")
    names = [f"r{number}" for number in range(5)]
    made = [await scheduled(serving, acme, roster=name, cron="* * * * *") for name in names]
    shop = Workshop()
    await at_its_time(serving, made[-1])
    async with working(serving, shop.kinds) as schedules:
        await schedules.begin_due()
        with anyio.fail_after(60):
            while len(shop.running) < worker.AT_ONCE:  # noqa: ASYNC110 - nobody says so
                await anyio.sleep(0.01)
        serving.time.passed += 3_600
        await schedules.begin_due()
        shop.may_end.set()
        for one in made:
            await until_ran(serving, one)
    assert sorted(shop.begun) == names, "each once, however often it was looked at meanwhile"
    assert shop.most == worker.AT_ONCE


async def test_an_application_that_answers_slowly_holds_up_no_check_and_no_pull_of_another_connection(
    serving: Estate,
) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    is_asked, may_answer, asked = anyio.Event(), anyio.Event(), list[tuple[str, str]]()

    class Pulling:
        async def pull(self, connection_id: str, name: str) -> object:
            asked.append((connection_id, name))
            if connection_id == acme.id:
                is_asked.set()
                await may_answer.wait()
            return object()

    kinds = {**free().kinds, "roster_pull": kinds_of(Pulling())["roster_pull"]}
    slow = [await scheduled(serving, acme, "roster_pull", roster=f"r{number}") for number in range(5)]
    check = await scheduled(serving, globex)
    pull = await scheduled(serving, globex, "roster_pull")
    await at_its_time(serving, slow[0])
    async with working(serving, kinds) as schedules:
        await schedules.begin_due()
        assert (await until_ran(serving, check)).outcome == "nothing_new"
        assert (await until_ran(serving, pull)).outcome == "pulled"
        with anyio.fail_after(60):
            await is_asked.wait()
        assert [connection for connection, _ in asked].count(acme.id) == 1, "one of a connection at a time"
        may_answer.set()
        with anyio.fail_after(60):
            while any([(await kept(serving, one)).ran_at is None for one in slow]):
                await schedules.begin_due()
                await anyio.sleep(0.01)
    assert len(asked) == len(set(asked)) == len(slow) + 1


async def test_of_two_processes_that_do_the_same_one_writes(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await at_its_time(serving, await scheduled(serving, acme, "full_sync"))
    written: list[bool] = []

    async def do() -> None:
        written.append(await schedules.do(schedule))

    async with working(serving) as schedules, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(do)
    assert sorted(written) == [False, False, True]
    assert len(await serving.control.sync_runs.listed()) == 1


async def test_what_a_person_changes_meanwhile_is_not_written_over(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await at_its_time(serving, await scheduled(serving, acme))
    shop = Workshop()
    async with working(serving, shop.kinds) as schedules:
        await schedules.begin_due()
        with anyio.fail_after(60):
            while not shop.running:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.01)
        now = serving.time.clock().now()
        changed = await serving.control.schedules.update(schedule.id, arguments={"roster": "other"}, next_at=now)
        shop.may_end.set()
        with anyio.fail_after(60):
            while shop.running:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.01)
    assert await kept(serving, schedule) == changed, "it is due as it is now"


async def test_what_cannot_be_written_down_is_done_again_after_a_rest(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await serving.link("acme")
    schedule = await at_its_time(serving, await scheduled(serving, acme))
    shop = free()
    failed = anyio.Event()

    async def fail(*_: object, **__: object) -> bool:
        failed.set()
        raise Problem("The disk is full.")

    async with working(serving, shop.kinds) as schedules:
        with monkeypatch.context() as full:
            full.setattr(serving.control.schedules, "settle", fail)
            await schedules.begin_due()
            with anyio.fail_after(60):
                await failed.wait()
        with anyio.fail_after(60):
            while schedules._under_way:  # noqa: ASYNC110, SLF001 - nobody else waits for it
                await anyio.sleep(0.01)
        await schedules.begin_due()
        assert schedules._under_way == set(), "it rests"  # noqa: SLF001 - as above
        serving.time.passed += 61
        await schedules.begin_due()
        assert (await until_ran(serving, schedule)).outcome == "nothing_new"
    assert shop.begun == ["crm", "crm"]


async def test_a_full_sync_is_asked_for_with_what_is_written_of_it(
    serving: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await serving.link("acme")
    schedule = await at_its_time(serving, await scheduled(serving, acme, "full_sync"))

    async def die(*_: object) -> RunRecord:
        raise ZeroDivisionError

    async with working(serving) as schedules:
        with monkeypatch.context() as dying:
            dying.setattr(serving.control.sync_runs, "request", die)
            with pytest.raises(ZeroDivisionError):
                await schedules.do(schedule)
        assert await kept(serving, schedule) == schedule, "it is due as before"
        assert await schedules.do(schedule)
    [run] = await serving.control.sync_runs.listed()
    assert (run.cause, run.connection_id, run.status) == ("full_sync", acme.id, "created")
    assert (await kept(serving, schedule)).outcome == "asked"


async def test_a_roster_is_pulled_by_whoever_does_that_and_is_no_kind_without_it(serving: Estate) -> None:
    pulled: list[tuple[str, str]] = []

    class Pulling:
        async def pull(self, connection_id: str, name: str) -> object:
            pulled.append((connection_id, name))
            if name == "gone":
                raise Problem("The source does not answer.")
            return object()

    acme = await serving.link("acme")
    kinds = kinds_of(Pulling())
    use = ConnectionSchedules(serving.control, kinds)
    new = [NewSchedule(kind="roster_pull", cron="0 7 * * *", arguments={"roster": name}) for name in ("crm", "gone")]
    made = [await use.add(acme.id, one) for one in new]
    async with working(serving, kinds) as schedules:
        for one in made:
            await schedules.do(await at_its_time(serving, one))
    assert pulled == [(acme.id, "crm"), (acme.id, "gone")]
    assert [(await kept(serving, one)).outcome for one in made] == ["pulled", "failed"]
    unknown = await done(serving, made[0])  # by a process that pulls nothing
    assert (unknown.outcome, "No roster is pulled here" in (unknown.summary or "")) == ("failed", True)


async def test_arguments_that_were_kept_and_are_none_any_more_are_a_failure(serving: Estate) -> None:
    acme = await serving.link("acme")
    broken: dict[str, Any] = {"roster": 3}
    schedule = await serving.control.schedules.add(
        acme.id, kind="drift", cron="0 7 * * *", zone="UTC", arguments=broken, next_at=serving.time.clock().now()
    )
    assert (await done(serving, schedule)).outcome == "failed"
