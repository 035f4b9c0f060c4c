"""Slow work in threads makes nobody wait but those who ask for more of its kind."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.tasks import AT_ONCE, Pool, SingleFlight, background, first_failure, in_thread, left
from tests.world import World

LONG = 30.0


@asynccontextmanager
async def busy(work: Callable[[threading.Event], None], pool: Pool) -> AsyncIterator[None]:
    """Have a hundred of these under way, as many as the pool lets, for as long as the block lasts."""
    over, begun = threading.Event(), threading.Semaphore(0)

    def one() -> None:
        begun.release()
        work(over)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(partial(in_thread, one, pool=pool))
        for _ in range(AT_ONCE[pool]):
            while not begun.acquire(blocking=False):
                await anyio.lowlevel.checkpoint()
        try:
            yield
        finally:
            over.set()


async def test_a_hundred_slow_questions_hold_up_neither_the_token_nor_the_pipes(world: World) -> None:
    """The SDK reads and writes the pipes in the threads that anyio has for everybody."""
    with anyio.fail_after(LONG):
        async with busy(assert_over, "copy"), world.directory() as directory:
            assert len((await directory.users(UserQuestion())).items) > 0
            assert await anyio.to_thread.run_sync(lambda: "a line") == "a line"


def assert_over(over: threading.Event) -> None:
    assert over.wait(LONG)


def test_each_event_loop_has_its_own_pools() -> None:
    for _ in range(2):
        assert anyio.run(partial(in_thread, threading.get_ident, pool="disk")) != threading.get_ident()


async def test_work_for_several_knows_when_the_last_of_them_leaves() -> None:
    told: list[float] = []
    ask, go_on = anyio.Event(), anyio.Event()

    async with background() as tasks, background() as callers:
        flights = SingleFlight(tasks)

        async def inner() -> None:
            await ask.wait()
            told.append(left())
            go_on.set()
            await anyio.sleep_forever()

        async def outer() -> None:
            await flights.do("inner", inner, lasting=True)

        async def caller(seconds: float) -> None:
            with anyio.move_on_after(seconds):
                await flights.do("outer", outer, lasting=True)

        for seconds in (LONG, 2 * LONG):
            callers.start_soon(caller, seconds)
        await anyio.wait_all_tasks_blocked()
        ask.set()
        await go_on.wait()
    assert LONG < told[0] <= 2 * LONG


async def test_work_that_goes_on_for_nobody_has_all_the_time() -> None:
    leave, told = anyio.Event(), anyio.Event()
    seconds: list[float] = []

    async def lasting() -> None:
        await leave.wait()
        seconds.append(left())
        told.set()

    async with background() as tasks:
        with anyio.move_on_after(LONG) as caller:

            async def leaves() -> None:
                await anyio.wait_all_tasks_blocked()
                caller.cancel()

            tasks.start_soon(leaves)
            await SingleFlight(tasks).do("it", lasting, lasting=True)
        leave.set()
        await told.wait()
    assert seconds == [math.inf]


async def test_who_asks_when_the_work_cannot_be_done_any_more_hears_so() -> None:
    async with background() as tasks:
        flights = SingleFlight(tasks)
    for _ in range(2):
        with pytest.raises(Problem, match="ended before"):
            await flights.do("it", anyio.lowlevel.checkpoint)


def test_the_first_failure_is_found_however_deep_the_groups_are() -> None:
    first = ValueError()
    assert first_failure(ExceptionGroup("outer", [ExceptionGroup("inner", [first, KeyError()]), KeyError()])) is first
    assert first_failure(first) is first
