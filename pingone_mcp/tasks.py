"""Work that is not its caller's alone: in threads of our own, behind a block, or for all who wait for the same.

The SDK reads stdin and writes stdout in threads of anyio's default limiter, 40 for everything. A hundred slow questions
in that pool are a server that neither hears nor says anything.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup

from pingone_mcp.errors import Problem

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

Pool = Literal["disk", "copy", "answers"]
"""Kinds of work that do not wait for each other: small files (tokens, notes), the local copy, and large answers of
PingOne, which are work of Python and no faster for more threads."""

AT_ONCE: Mapping[Pool, int] = MappingProxyType({"disk": 8, "copy": 8, "answers": 2})

_LIMITERS: anyio.lowlevel.RunVar[dict[Pool, anyio.CapacityLimiter]] = anyio.lowlevel.RunVar("pools")


async def in_thread(
    work: Callable[[*Ts], T], *arguments: *Ts, pool: Pool | anyio.CapacityLimiter, abandon: bool = False
) -> T:
    """Return what `work` returns in a worker thread, one of as many as the pool has, or a limiter of the caller's own.

    A caller who is cancelled waits for the end of the work, and with `abandon` leaves it alone: it must end by itself,
    soon, because it does not count in the pool any more.
    """
    limiter = pool if isinstance(pool, anyio.CapacityLimiter) else _limiter(pool)
    return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter, abandon_on_cancel=abandon)


def _limiter(pool: Pool) -> anyio.CapacityLimiter:
    """Return the limiter of a pool; one event loop has one."""
    try:
        limiters = _LIMITERS.get()
    except LookupError:
        limiters = {kind: anyio.CapacityLimiter(most) for kind, most in AT_ONCE.items()}
        _LIMITERS.set(limiters)
    return limiters[pool]


@asynccontextmanager
async def background() -> AsyncIterator[TaskGroup]:
    """Give a group for tasks that go on behind the block, and are cancelled at its end.

    What the block raises leaves it as it is, and not in the ExceptionGroup of a task group.
    """
    raised: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            raised = error
        tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised


_FAN_OUT = 6


async def each(act: Callable[[T], Awaitable[R]], items: Iterable[T], *, at_once: int = _FAN_OUT) -> list[R]:
    """Return what `act` makes of each item, in order, a few at a time. Raises the first Problem and ends the others."""
    limiter = anyio.CapacityLimiter(at_once)
    done: dict[int, R] = {}

    async def one(index: int, item: T) -> None:
        async with limiter:
            done[index] = await act(item)

    try:
        async with anyio.create_task_group() as tasks:
            for index, item in enumerate(items):
                tasks.start_soon(one, index, item)
    except* Problem as several:
        raise first_failure(several) from None
    return [done[index] for index in sorted(done)]


def first_failure(failure: BaseException) -> BaseException:
    """Return the first of the failures that a task group has put together, however deep; any other one itself."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


_FLIGHT: ContextVar[_Flight[Any] | None] = ContextVar("flight", default=None)


def left() -> float:
    """Return the seconds after which nobody waits any more for what this task does (infinite: never).

    For what is done for several, that is when the last of them leaves; what goes on without any has all the time.
    """
    flight = _FLIGHT.get()
    waiting = max(flight.waiting, default=math.inf) if flight is not None else math.inf
    return min(anyio.current_effective_deadline(), waiting) - anyio.current_time()


class SingleFlight:
    """Do one piece of work per key at a time, in `tasks`, for all who ask for it meanwhile; each of them may leave.

    As Go's `singleflight` does (pkg.go.dev/golang.org/x/sync/singleflight), among tasks that are cancelled.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._flights: dict[Hashable, _Flight[Any]] = {}

    async def do(self, key: Hashable, work: Callable[[], Awaitable[T]], *, lasting: bool = False) -> T:
        """Return what comes of the work under this key: what is under way, or is begun now. Raises what it raises.

        It ends when nobody waits any more; `lasting` work, which is worth its while for those who come later, goes on.
        Raises Problem once `tasks` have ended.
        """
        flight: _Flight[T] = self._flights.get(key) or self._begin(key, work)
        flight.waiting.append(until := anyio.current_time() + left())
        try:
            await flight.ended.wait()
        finally:
            flight.waiting.remove(until)
            if not (flight.waiting or lasting or flight.ended.is_set()):
                self._leave(key, flight)
                flight.scope.cancel()
        return flight.outcome()

    def _begin(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> _Flight[T]:
        flight = _Flight[T]()
        try:
            self._tasks.start_soon(self._fly, key, flight, work)
        except RuntimeError:  # anyio: the group is not active
            raise flight.error from None
        self._flights[key] = flight
        return flight

    async def _fly(self, key: Hashable, flight: _Flight[T], work: Callable[[], Awaitable[T]]) -> None:
        _FLIGHT.set(flight)
        try:
            with flight.scope:
                flight.value.append(await work())
        except Exception as error:  # noqa: BLE001 - it is raised for those who wait, and must not end the others' work
            flight.error = error
        finally:
            self._leave(key, flight)
            flight.ended.set()

    def _leave(self, key: Hashable, flight: _Flight[Any]) -> None:
        """Let those who come from now on begin anew."""
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Flight(Generic[T]):
    """Work under way: the instants until which its callers wait, and what came of it."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.waiting: list[float] = []
        self.value: list[T] = []
        self.error: Exception = Problem("The connection ended before this was answered.", "Ask again.", code="ENDED")

    def outcome(self) -> T:
        if self.value:
            return self.value[0]
        raise self.error
