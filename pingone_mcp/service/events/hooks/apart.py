"""Work that fails as a whole is done in parts, so that what fails by itself holds up nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pingone_mcp.errors import NotAuthenticated, Problem, RateLimited, Unreachable, UpstreamProblem

T = TypeVar("T")
Part = Sequence[T]
"""Things that belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPart(Generic[T]):
    """A part whose work fails while that of others does not."""

    part: Part[T]
    reason: str


async def work_apart(
    parts: Sequence[Part[T]],
    work: Callable[[Sequence[T]], Awaitable[None]],
    control: Callable[[], Awaitable[None]],
) -> list[FailedPart[T]]:
    """Work on all parts, in halves where that fails; return those that fail by themselves.

    `control` does something that succeeds where nothing is wrong with the rest of the world: it is asked before a part
    is given up. Raises what it raises, and what no part can be blamed for; what was done until then stays done.
    """
    if not parts:
        return []
    try:
        await work([one for part in parts for one in part])
    except Exception as failure:
        if not _may_be_its_own(failure):
            raise
        if len(parts) == 1:
            await control()
            return [FailedPart(part=parts[0], reason=_reason(failure))]
        middle = len(parts) // 2
    else:
        return []
    return [failed for half in (parts[:middle], parts[middle:]) for failed in await work_apart(half, work, control)]


def _may_be_its_own(failure: Exception) -> bool:
    """Say whether a failure may be that of what was asked: of an answer, or a bug that something unforeseen meets."""
    if isinstance(failure, Problem):
        whole = (NotAuthenticated, RateLimited, Unreachable)
        return isinstance(failure, UpstreamProblem) and not isinstance(failure, whole)
    return not isinstance(failure, OSError)


def _reason(failure: Exception) -> str:
    """Return a word for a failure that holds nothing of a directory."""
    return (failure.code if isinstance(failure, Problem) else None) or type(failure).__name__
