"""Work longer than one answer: it is done once, goes on whoever leaves, and its outcome waits for who asks next."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup

from pingone_mcp.errors import Problem, Refused
from pingone_mcp.service.jobs import KEPT, KEPT_SECONDS, MOST_AT_ONCE, JobProgress, Jobs


@dataclass
class Office:
    """Jobs of which each waits until it is let go; `begun` tells which ones there were."""

    tasks: TaskGroup
    time: float = 0.0
    begun: list[str] = field(default_factory=list[str])
    open: dict[str, anyio.Event] = field(default_factory=dict[str, anyio.Event])

    def __post_init__(self) -> None:
        self.jobs: Jobs[str] = Jobs(self.tasks, lambda: self.time)

    def work(self, name: str) -> Callable[[JobProgress], Awaitable[str]]:
        async def work(progress: JobProgress) -> str:
            self.begun.append(name)
            await self.open.setdefault(name, anyio.Event()).wait()
            for _ in progress.of(range(3)):
                pass
            return f"{name} {len(self.begun)}"

        return work

    async def ask(self, name: str, *, version: int = 1, seconds: float = 0.0) -> str | int:
        """Return the outcome, or how far it is."""

        async def report(_: JobProgress) -> None: ...

        found = await self.jobs.wait(name, version, self.work(name), seconds=seconds, report=report)
        return found.done if isinstance(found, JobProgress) else found

    async def finish(self, name: str) -> None:
        self.open.setdefault(name, anyio.Event()).set()
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def opened() -> AsyncIterator[Office]:
    async with anyio.create_task_group() as tasks:
        yield Office(tasks=tasks)
        tasks.cancel_scope.cancel()


async def test_what_takes_longer_says_how_far_it_is_and_its_outcome_waits() -> None:
    async with opened() as office:
        assert await office.ask("a") == 0
        assert await office.ask("a") == 0
        await office.finish("a")
        assert await office.ask("a") == "a 1"
        assert office.begun == ["a"]
        assert await office.ask("a", seconds=1) == "a 2", "who asks after the answer wants to know it anew"


async def test_all_who_ask_the_same_get_what_one_run_found() -> None:
    async with opened() as office:
        found: list[str | int] = []

        async def ask() -> None:
            found.append(await office.ask("a", seconds=1))

        async with anyio.create_task_group() as callers:
            for _ in range(3):
                callers.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            await office.finish("a")
        assert found == ["a 1"] * 3


async def test_who_leaves_does_not_stop_it() -> None:
    async with opened() as office:
        async with anyio.create_task_group() as callers:
            callers.start_soon(lambda: office.ask("a", seconds=1))
            await anyio.wait_all_tasks_blocked()
            callers.cancel_scope.cancel()
        await office.finish("a")
        assert await office.ask("a") == "a 1"


async def test_an_outcome_is_about_one_state_of_the_copy_and_does_not_wait_for_ever() -> None:
    async with opened() as office:
        await office.ask("a", version=1)
        await office.finish("a")
        assert await office.ask("a", version=2, seconds=1) == "a 2"
        await office.ask("b", version=2)
        await office.finish("b")
        office.time += KEPT_SECONDS + 1
        assert await office.ask("b", version=2, seconds=1) == "b 4"


async def test_what_is_under_way_about_an_older_copy_is_not_joined() -> None:
    async with opened() as office:
        assert await office.ask("a", version=1) == 0
        assert await office.ask("a", version=2) == 0
        await anyio.wait_all_tasks_blocked()
        assert office.begun == ["a", "a"]


async def test_progress_is_reported_when_there_is_some() -> None:
    async with opened() as office:
        jobs: Jobs[str] = Jobs(office.tasks, lambda: 0.0, report_seconds=0.001)
        told: list[int] = []

        async def work(progress: JobProgress) -> str:
            for number in range(1, 4):
                progress.done = number
                while told[-1:] != [number]:
                    await anyio.lowlevel.checkpoint()
                for _ in range(200):  # nothing goes on for a while
                    await anyio.lowlevel.checkpoint()
            return "done"

        async def report(progress: JobProgress) -> None:
            told.append(progress.done)

        assert await jobs.wait("a", 1, work, seconds=1, report=report) == "done"
        assert told == [1, 2, 3]


async def test_so_many_outcomes_are_kept_and_no_more() -> None:
    async with opened() as office:
        names = [f"n{number}" for number in range(KEPT + 2)]
        for name in names:
            office.time += 1
            await office.ask(name)
            await office.finish(name)
        begun = len(office.begun)
        for name in reversed(names):
            assert isinstance(await office.ask(name, seconds=1), str)
        assert office.begun[begun:] == [names[1], names[0]]


async def test_so_much_is_under_way_at_a_time_and_no_more() -> None:
    async with opened() as office:
        for number in range(MOST_AT_ONCE):
            assert await office.ask(f"n{number}") == 0
        with pytest.raises(Refused, match="running already"):
            await office.ask("one more")
        assert await office.ask("n0") == 0, "who asks for what is under way joins it"
        await office.finish("n0")
        assert await office.ask("one more") == 0


async def test_a_failure_is_told_to_who_asks_and_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as office:

        async def report(_: JobProgress) -> None: ...

        async def refused(_: JobProgress) -> str:
            raise Problem("No.", "Do this.")

        async def broken(_: JobProgress) -> str:
            raise ZeroDivisionError("secret")

        for work, said in ((refused, "^No. Do this.$"), (broken, "reason of its own")):
            with pytest.raises(Problem) as caught:
                await office.jobs.wait(said, 1, work, seconds=1, report=report)
            assert caught.match(said)
            assert "secret" not in str(caught.value)
        assert "ZeroDivisionError" in caplog.text
        await office.finish("a")
        assert await office.ask("a", seconds=1) == "a 1"


async def test_the_end_of_the_server_stops_what_a_thread_does() -> None:
    seen, looked, ended = JobProgress(), threading.Event(), threading.Event()

    async def report(_: JobProgress) -> None: ...

    async def work(progress: JobProgress) -> str:
        def look() -> None:
            try:
                for _ in progress.of(iter(int, 1)):
                    looked.set()
            finally:
                ended.set()

        await anyio.to_thread.run_sync(look)
        return "never"

    async with opened() as office:
        seen = await office.jobs.wait("a", 1, work, seconds=0, report=report)  # type: ignore[assignment] # only what is still running is looked at
        await anyio.to_thread.run_sync(looked.wait)
    assert (ended.is_set(), seen.stopped) == (True, True)
