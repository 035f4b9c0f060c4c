"""What pages show of everybody is found once for a state of the copy, joined meanwhile, and not kept for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup

from pingone_mcp.errors import Problem, Refused
from pingone_mcp.service.jobs import KEPT_SECONDS, JobProgress
from pingone_mcp.service.looks import Looks


@dataclass
class Desk:
    """Looks whose work waits until it is let go; `found` says what was looked for."""

    tasks: TaskGroup
    time: float = 0.0
    found: list[str] = field(default_factory=list[str])
    let_go: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.looks = Looks(self.tasks, lambda: self.time)

    def work(self, name: str) -> Callable[[JobProgress], Awaitable[str]]:
        async def work(progress: JobProgress) -> str:
            await self.let_go.wait()
            self.found.append(name)
            progress.done += 1
            return f"{name} {len(self.found)}"

        return work

    async def ask(self, name: str, edition: str = "1", *, seconds: float = 0.0, keep: bool = True) -> str | JobProgress:
        return await self.looks.of(name, edition, self.work(name), seconds=seconds, keep=keep)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with anyio.create_task_group() as tasks:
        yield Desk(tasks=tasks)
        tasks.cancel_scope.cancel()


async def test_who_does_not_wait_hears_how_far_it_is_and_finds_the_outcome_later() -> None:
    async with desk() as at:
        assert isinstance(await at.ask("a"), JobProgress)
        at.let_go.set()
        await anyio.wait_all_tasks_blocked()
        assert [await at.ask("a"), await at.ask("a")] == ["a 1", "a 1"]


async def test_another_edition_or_one_that_is_old_is_looked_at_anew() -> None:
    async with desk() as at:
        at.let_go.set()
        assert [await at.ask("a", edition, seconds=9) for edition in ("1", "2", "2")] == ["a 1", "a 2", "a 2"]
        at.time += KEPT_SECONDS + 1
        assert await at.ask("a", "2", seconds=9) == "a 3"


async def test_what_is_not_to_be_kept_is_found_each_time() -> None:
    async with desk() as at:
        at.let_go.set()
        assert [await at.ask("a", seconds=9, keep=False) for _ in range(2)] == ["a 1", "a 2"]


async def test_only_the_newest_outcomes_are_kept() -> None:
    async with desk() as at:
        at.let_go.set()
        for name in "abcdefghijklm":
            await at.ask(name, seconds=9)
        await at.ask("m", seconds=9)
        assert at.found.count("m") == 1
        await at.ask("a", seconds=9)
        assert at.found.count("a") == 2


async def test_a_failure_is_that_of_who_waits_and_is_not_kept() -> None:
    async with desk() as at:

        async def fails(_: JobProgress) -> str:
            raise Refused("No.", code="NO")

        for _ in range(2):
            with pytest.raises(Problem, match="No"):
                await at.looks.of("f", "1", fails, seconds=9)
        at.let_go.set()
        assert await at.ask("f", seconds=9) == "f 1"
