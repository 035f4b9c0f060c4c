"""Slow work in threads makes nobody wait but those who ask for more of its kind."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.tasks import AT_ONCE, Pool, in_thread
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
