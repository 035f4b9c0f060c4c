"""What pages show of everybody is found once for a state of the copy, joined meanwhile, and not kept for ever.

It comes to an end, too, where the copy changes faster than it is found.
"""

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
from pingone_mcp.service.looks import AWAITED_SECONDS, Looks


@dataclass
class Desk:
    """Looks whose work waits until it is let go; `found` says what was looked for."""

    tasks: TaskGroup
    time: float = 0.0
    begun: int = 0
    found: list[str] = field(default_factory=list[str])
    let_go: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.looks = Looks(self.tasks, lambda: self.time)

    def work(self, name: str) -> Callable[[JobProgress], Awaitable[str]]:
        async def work(progress: JobProgress) -> str:
            self.begun += 1
            await self.let_go.wait()
            self.found.append(name)
            progress.done += 1
            return f"{name} {len(self.found)}"

        return work

    async def ask(
        self, name: str, edition: str = "1", *, seconds: float = 0.0, keep: bool = True, asker: str = "me"
    ) -> str | JobProgress:
        found = await self.looks.of(name, edition, self.work(name), asker=asker, seconds=seconds, keep=keep)
        return found if isinstance(found, JobProgress) else f"{found.outcome} of {found.edition}"

    async def finish(self) -> None:
        """Let all work that is under way come to its end, and what begins from now on wait again."""
        self.let_go.set()
        await anyio.wait_all_tasks_blocked()
        self.let_go = anyio.Event()


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
        assert [await at.ask("a"), await at.ask("a")] == ["a 1 of 1", "a 1 of 1"]


async def test_another_edition_or_one_that_is_old_is_looked_at_anew() -> None:
    async with desk() as at:
        at.let_go.set()
        assert [await at.ask("a", edition, seconds=9) for edition in ("1", "2", "2")] == [
            "a 1 of 1",
            "a 2 of 2",
            "a 2 of 2",
        ]
        at.time += KEPT_SECONDS + 1
        assert await at.ask("a", "2", seconds=9) == "a 3 of 2"


async def test_what_is_not_to_be_kept_is_found_each_time() -> None:
    async with desk() as at:
        at.let_go.set()
        assert [await at.ask("a", seconds=9, keep=False) for _ in range(2)] == ["a 1 of 1", "a 2 of 1"]


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
                await at.looks.of("f", "1", fails, asker="me", seconds=9)
        at.let_go.set()
        assert await at.ask("f", seconds=9) == "f 1 of 1"


@pytest.mark.parametrize("keep", [True, False], ids=["page", "file"])
async def test_who_comes_again_while_the_copy_changes_joins_what_is_under_way_and_gets_its_outcome_once(
    keep: bool,
) -> None:
    async with desk() as at:
        for edition in range(20):
            assert isinstance(await at.ask("a", str(edition), keep=keep), JobProgress)
            await anyio.wait_all_tasks_blocked()
            at.time += 2
        assert at.begun == 1, "nothing else is found of the same question meanwhile"
        await at.finish()
        at.time += 2
        assert await at.ask("a", "20", keep=keep) == "a 1 of 0", "what it is of is said"
        assert isinstance(await at.ask("a", "20", keep=keep), JobProgress), "who asks anew gets what is so now"
        await at.finish()
        assert await at.ask("a", "21", keep=keep) == "a 2 of 20"


async def test_all_who_wait_get_the_outcome_and_who_did_not_wait_what_is_so_now() -> None:
    async with desk() as at:
        for asker in ("me", "you"):
            assert isinstance(await at.ask("a", asker=asker), JobProgress)
        await at.finish()
        assert [await at.ask("a", "2", asker=asker) for asker in ("me", "you")] == ["a 1 of 1", "a 1 of 1"]
        for edition in ("2", "3"):
            at.time += 1
            assert isinstance(await at.ask("a", edition, asker="she"), JobProgress)
        await anyio.wait_all_tasks_blocked()
        assert at.begun == 2


async def test_twenty_at_once_begin_one_work_and_who_leaves_takes_it_from_nobody() -> None:
    async with desk() as at:
        came: list[str | JobProgress] = []
        scopes: list[anyio.CancelScope] = []

        async def ask(number: int) -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                came.append(await at.ask("a", f"{number}", asker=f"{number}", seconds=60.0))

        async with anyio.create_task_group() as askers:
            for number in range(20):
                askers.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
            for scope in scopes[:10]:
                scope.cancel()
            await anyio.wait_all_tasks_blocked()
            at.let_go.set()
        assert (at.begun, came) == (1, ["a 1 of 0"] * 10)


async def test_an_outcome_waits_only_so_long_for_who_was_asked_to_come_again() -> None:
    async with desk() as at:
        await at.ask("a")
        await at.finish()
        at.time += AWAITED_SECONDS + 1
        assert isinstance(await at.ask("a", "2"), JobProgress)


async def test_who_has_the_answer_from_elsewhere_does_not_wait_any_more() -> None:
    async with desk() as at:
        await at.ask("a", keep=False)
        await at.finish()
        at.looks.shown("a", "me")
        assert isinstance(await at.ask("a", "2", keep=False), JobProgress)


async def test_a_failure_is_there_for_who_comes_again_once() -> None:
    async with desk() as at:

        async def fails(_: JobProgress) -> str:
            await at.let_go.wait()
            raise Refused("No.", code="NO")

        assert isinstance(await at.looks.of("f", "1", fails, asker="me", seconds=0), JobProgress)
        await at.finish()
        with pytest.raises(Problem, match="No"):
            await at.looks.of("f", "2", fails, asker="me", seconds=0)
        at.time += 1
        assert isinstance(await at.looks.of("f", "2", fails, asker="me", seconds=0), JobProgress)
        await anyio.wait_all_tasks_blocked()
        at.let_go.set()
        with pytest.raises(Problem, match="No"):
            await at.looks.of("f", "2", fails, asker="me", seconds=9)
        at.let_go = anyio.Event()
        assert isinstance(await at.looks.of("f", "3", fails, asker="me", seconds=0), JobProgress)
