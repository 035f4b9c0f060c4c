"""What comes of a sync is owed to whoever asked for it: given once, soon, and never mistaken for something else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import anyio
import pytest

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Problem, ServerFailed
from pingone_mcp.replica.syncing.reread import RereadReport
from pingone_mcp.replica.syncing.run import SyncReport
from pingone_mcp.service.syncing import OWED_FOR, Ended, Mode, Running, Syncing
from tests.world import NOW


@dataclass
class Copy:
    """A copy whose syncs end when the test says, in their order; `auto` is incremental."""

    at: datetime = NOW
    begun: list[Mode] = field(default_factory=list[Mode])
    ends: dict[int, SyncReport | Problem] = field(default_factory=dict[int, SyncReport | Problem])
    words: list[str | None] = field(default_factory=list["str | None"])
    rereads: list[int] = field(default_factory=list[int])
    reread_until: int = 0
    _moved: anyio.Event = field(default_factory=anyio.Event)

    def now(self) -> datetime:
        return self.at

    async def sync(
        self,
        mode: Mode,
        *,
        report: Callable[[str, int, int | None], None],
        accept_removals: bool = False,
        as_shown: str | None = None,
    ) -> SyncReport:
        number = len(self.begun)
        self.begun.append(mode)
        self.words.append(as_shown if accept_removals else None)
        report("users", 1, 2)
        while number not in self.ends:
            await self._moved.wait()
        outcome = self.ends[number]
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    async def reread(self, events: Iterable[JsonObject]) -> RereadReport:
        self.rereads.append(len(list(events)))
        moved = self._moved
        while len(self.rereads) > self.reread_until:
            await moved.wait()
            moved = self._moved
        return RereadReport(changes={"user.updated": 1} if self.rereads[-1] else {})

    async def end(self, *, full: bool = False, problem: Problem | None = None) -> None:
        """End the sync that runs."""
        kind: Literal["full", "incremental"] = "full" if full else "incremental"
        report = SyncReport(mode=kind, complete=True, changes={f"number {len(self.ends)}": 1})
        self.ends[len(self.ends)] = problem or report
        await self.move()

    async def end_reread(self) -> None:
        """End the reread that runs."""
        self.reread_until += 1
        await self.move()

    async def move(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()
        await anyio.wait_all_tasks_blocked()


@dataclass
class Desk:
    copy: Copy
    syncing: Syncing
    heard: list[str]

    async def ask(self, mode: Mode = "auto", *, seconds: float = 0) -> Running | Ended:
        async def hear(_: Running) -> None:
            pass

        found = await self.syncing.wait(mode, seconds, hear)
        await anyio.wait_all_tasks_blocked()
        return found if isinstance(found, Running) else found[1]


@asynccontextmanager
async def a_desk() -> AsyncIterator[Desk]:
    heard: list[str] = []

    async def tell() -> None:
        heard.append("changed")

    async with anyio.create_task_group() as tasks:
        copy = Copy()
        yield Desk(copy, Syncing(copy, tasks, tell), heard)
        tasks.cancel_scope.cancel()


def number(ended: Running | Ended) -> int:
    """Return which of the copy's syncs that was."""
    assert isinstance(ended, Ended)
    (name,) = ended.report().changes
    return int(name.removeprefix("number "))


@pytest.mark.parametrize("again", ["auto", "incremental", "full"])
async def test_whoever_was_told_that_a_full_sync_runs_gets_what_came_of_it(again: Mode) -> None:
    async with a_desk() as desk:
        assert isinstance(await desk.ask("full"), Running)
        desk.copy.at += timedelta(minutes=30)
        await desk.copy.end(full=True)
        desk.copy.at += timedelta(minutes=2)
        ended = await desk.ask(again)
        assert number(ended) == 0
        assert isinstance(ended, Ended)
        assert (ended.started_at, ended.ended_at) == (NOW, NOW + timedelta(minutes=30))
        assert desk.copy.begun == ["full"]


async def test_a_person_s_word_goes_to_a_sync_of_its_own_behind_those_that_run() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        released: list[Ended] = []

        async def release() -> None:
            released.append((await desk.syncing.release("shown"))[1])

        assert isinstance(await desk.ask("incremental"), Running)
        assert isinstance(await desk.ask("full"), Running)
        tasks.start_soon(release)
        await anyio.wait_all_tasks_blocked()
        assert desk.copy.begun == ["incremental"]
        await desk.copy.end()
        assert desk.copy.begun == ["incremental", "full"], "somebody has asked for that one"
        assert released == []
        await desk.copy.end(full=True)
        assert desk.copy.words == [None, None, "shown"]
        await desk.copy.end(full=True)
        assert [number(one) for one in released] == [2]
        assert desk.copy.begun == ["incremental", "full", "full"]


async def test_what_came_of_a_sync_is_given_once() -> None:
    async with a_desk() as desk:
        await desk.ask()
        await desk.copy.end()
        assert number(await desk.ask()) == 0
        assert isinstance(await desk.ask(), Running)
        assert len(desk.copy.begun) == 2


async def test_who_gets_it_at_its_end_leaves_nothing_for_the_next_question() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: desk.ask(seconds=60))
        await anyio.wait_all_tasks_blocked()
        await desk.copy.end()
        assert isinstance(await desk.ask(), Running)


async def test_who_is_cancelled_while_waiting_has_not_got_it() -> None:
    async with a_desk() as desk:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: desk.ask(seconds=60))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await desk.copy.end()
        assert number(await desk.ask()) == 0


async def test_what_is_owed_is_given_while_the_next_sync_of_the_clock_runs() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        await desk.ask("full")
        await desk.copy.end(full=True)
        tasks.start_soon(desk.syncing.every, 3_600)
        await anyio.wait_all_tasks_blocked()
        assert desk.copy.begun == ["full", "auto"]
        assert number(await desk.ask()) == 0
        tasks.cancel_scope.cancel()


async def test_after_a_while_nothing_is_owed_any_more() -> None:
    async with a_desk() as desk:
        await desk.ask()
        await desk.copy.end()
        desk.copy.at += OWED_FOR + timedelta(seconds=1)
        assert isinstance(await desk.ask(), Running)


async def test_what_came_of_a_sync_of_the_clock_answers_no_question() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        tasks.start_soon(desk.syncing.every, 3_600)
        await anyio.wait_all_tasks_blocked()
        await desk.copy.end()
        assert isinstance(await desk.ask(), Running)
        assert len(desk.copy.begun) == 2
        tasks.cancel_scope.cancel()


async def test_who_joins_a_sync_of_the_clock_is_owed_what_comes_of_it() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        tasks.start_soon(desk.syncing.every, 3_600)
        await anyio.wait_all_tasks_blocked()
        assert isinstance(await desk.ask(), Running)
        await desk.copy.end()
        assert number(await desk.ask()) == 0
        tasks.cancel_scope.cancel()


async def test_whoever_asks_for_a_full_sync_waits_for_one_while_a_smaller_one_runs() -> None:
    found: list[Running | Ended] = []
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        await desk.ask("incremental")

        async def ask() -> None:
            found.append(await desk.ask("full", seconds=60))

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        await desk.copy.end()
        assert found == []
        await desk.copy.end(full=True)
        assert number(found[0]) == 1
        assert number(await desk.ask()) == 0  # that of whoever asked for less
    assert desk.copy.begun == ["incremental", "full"]


async def test_a_full_sync_that_was_asked_for_begins_though_nobody_waits_for_it() -> None:
    async with a_desk() as desk:
        await desk.ask("incremental")
        running = await desk.ask("full")
        assert isinstance(running, Running)
        assert running.then == "full"
        await desk.copy.end()
        assert desk.copy.begun == ["incremental", "full"]
        await desk.copy.end(full=True)
        assert number(await desk.ask("full")) == 1


async def test_a_sync_that_turns_out_to_be_full_is_enough_for_whoever_asks_for_one() -> None:
    async with a_desk() as desk:
        await desk.ask("auto")
        await desk.ask("full")
        await desk.copy.end(full=True)
        assert number(await desk.ask("full")) == 0
        assert desk.copy.begun == ["auto"]


async def test_why_a_sync_failed_is_told_to_whoever_asks_next_and_when_that_was() -> None:
    async with a_desk() as desk:
        await desk.ask()
        await desk.copy.end(problem=ServerFailed("PingOne failed.", "Try again later.", code="HTTP_500"))
        with pytest.raises(Problem, match=r"ended at 2026-06-15T12:00.*PingOne failed.*Try again later.*HTTP_500"):
            await desk.ask()
        assert isinstance(await desk.ask(), Running)


async def test_the_end_is_told_at_once_even_while_a_report_is_on_its_way() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        slow, found = anyio.Event(), list[object]()

        async def hear(_: Running) -> None:
            await slow.wait()

        async def ask() -> None:
            found.append(await desk.syncing.wait("auto", 60, hear))

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        await desk.copy.end()
        slow.set()
        await anyio.wait_all_tasks_blocked()
        assert len(found) == 1


async def test_events_are_reread_beside_a_sync_one_after_the_other_and_what_changed_is_said() -> None:
    async with a_desk() as desk, anyio.create_task_group() as tasks:
        assert isinstance(await desk.ask("full"), Running)
        for number in (2, 0):
            tasks.start_soon(desk.syncing.reread, [JsonObject()] * number)
        await anyio.wait_all_tasks_blocked()
        assert (desk.copy.rereads, desk.heard) == ([2], [])
        await desk.copy.end_reread()
        assert (desk.copy.rereads, desk.heard) == ([2, 0], ["changed"])
        await desk.copy.end_reread()
        assert desk.heard == ["changed"]
        assert isinstance(await desk.ask("full"), Running)


async def test_a_reread_that_fails_raises_and_the_next_one_has_its_turn() -> None:
    class Failing(Copy):
        async def reread(self, events: Iterable[JsonObject]) -> RereadReport:
            raise ServerFailed("PingOne answered 503.", "Try again.", code="UNAVAILABLE")

    async with a_desk() as desk:
        failing = Syncing(Failing(), anyio.create_task_group(), desk.syncing._changed)  # noqa: SLF001 - the same ear
        for _ in range(2):
            with pytest.raises(ServerFailed):
                await failing.reread([{}])
        assert desk.heard == []
