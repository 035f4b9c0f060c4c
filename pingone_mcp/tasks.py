"""Blocking work in worker threads of our own, apart from those that carry the messages of a client.

The SDK reads stdin and writes stdout in threads of anyio's default limiter, 40 for everything. A hundred slow questions
in that pool are a server that neither hears nor says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")
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
