"""Answers that are asked for at the same time, some of them before it is known that they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from pingone_mcp.errors import Problem
from pingone_mcp.tasks import background

T = TypeVar("T")

_AT_ONCE = 6


class Awaited(Generic[T]):
    """One answer on its way. Its failure is raised where the answer is taken, and nowhere else."""

    def __init__(self, read: Callable[[], Awaitable[T]], limiter: anyio.CapacityLimiter) -> None:
        self._read = read
        self._limiter = limiter
        self._arrived = anyio.Event()
        self._values: list[T] = []
        self._problem: Problem | None = None

    async def arrive(self) -> None:
        try:
            async with self._limiter:
                self._values.append(await self._read())
        except Problem as problem:
            self._problem = problem
        self._arrived.set()

    async def taken(self) -> T:
        """Wait for the answer. Raises the Problem that came in its place."""
        await self._arrived.wait()
        if self._problem is not None:
            raise self._problem
        return self._values[0]


class Ahead:
    """Ask without waiting; a few at a time."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)

    def ask(self, read: Callable[[], Awaitable[T]]) -> Awaited[T]:
        asked = Awaited(read, self._limiter)
        self._tasks.start_soon(asked.arrive)
        return asked


@asynccontextmanager
async def ahead() -> AsyncIterator[Ahead]:
    """Ask ahead for as long as the block lasts. What nobody has taken by its end, or by its failure, is given up.

    A Problem leaves the block as it is, so that the order of taking decides which of several is raised.
    """
    async with background() as tasks:
        yield Ahead(tasks)
