"""Turns of lists that are read side by side."""

from __future__ import annotations

import asyncio
import math

import anyio
from anyio.lowlevel import checkpoint

from pingone_mcp.pingone.feed.turns import Turns


async def settled() -> None:
    for _ in range(5):
        await checkpoint()


async def test_the_list_with_most_pages_before_it_goes_on_first_and_an_unknown_one_before_all() -> None:
    turns, order = Turns(1), list[float]()

    async def read(to_follow: float) -> None:
        async with turns.turn(to_follow):
            order.append(to_follow)

    async with anyio.create_task_group() as tasks, turns.turn(0):
        for number in (2, 5, 0, math.inf, 5, 3):
            tasks.start_soon(read, number)
        await settled()
    assert order == [math.inf, 5, 5, 3, 2, 0]


async def test_no_more_pages_are_read_at_a_time_and_none_is_left_waiting() -> None:
    turns, under_way, most, read_in_all = Turns(3), 0, 0, 0

    async def read(pages: int) -> None:
        nonlocal under_way, most, read_in_all
        for left in range(pages, 0, -1):
            async with turns.turn(left - 1):
                under_way += 1
                most = max(most, under_way)
                await settled()
                under_way -= 1
                read_in_all += 1

    async with anyio.create_task_group() as tasks:
        for pages in (1, 9, 4, 6, 2):
            tasks.start_soon(read, pages)
    assert (most, read_in_all) == (3, 22)


async def test_a_list_that_is_given_up_takes_no_turn_with_it() -> None:
    turns, passed = Turns(1), list[str]()

    async def read(name: str) -> None:
        async with turns.turn():
            passed.append(name)

    async with turns.turn():
        in_line, at_its_turn, behind = (asyncio.create_task(read(name)) for name in ("first", "second", "third"))
        await settled()
        in_line.cancel()
        await settled()
    at_its_turn.cancel()  # its turn has come, and it has not heard of it yet
    with anyio.fail_after(10):
        await behind
    assert passed == ["third"]
