"""What pages show of everybody: found once for a state of the copy, and kept for the next page of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio

from pingone_mcp.service.jobs import KEPT_SECONDS, JobProgress, Jobs

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

T = TypeVar("T")
WAITED_SECONDS = 3.0
"""How long somebody waits for a page before it says how far its work is."""
_KEPT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept(Generic[T]):
    """An outcome, of which edition of the copy, and when it was found."""

    edition: str
    at: float
    outcome: T


class Looks:
    """The newest outcomes of one connection. What is under way goes on when nobody waits any more, and is joined."""

    def __init__(self, tasks: TaskGroup, now: Callable[[], float] = anyio.current_time) -> None:
        self._jobs: Jobs[object] = Jobs(tasks, now)
        self._now = now
        self._kept: OrderedDict[Hashable, _Kept[object]] = OrderedDict()

    async def of(
        self,
        question: Hashable,
        edition: str,
        work: Callable[[JobProgress], Awaitable[T]],
        *,
        seconds: float = WAITED_SECONDS,
        keep: bool = True,
    ) -> T | JobProgress:
        """Return what `work` found for a question in this edition of the copy, or how far it is after so many seconds.

        Without `keep` the outcome is for who waits for it, and not kept.
        Raises the Problem that ended it, and Refused while too much is under way.
        """
        if (kept := self._find(question, edition)) is not None:
            return cast(T, kept.outcome)

        async def kept_work(progress: JobProgress) -> object:
            outcome = await work(progress)
            if keep:
                self._keep(question, _Kept(edition=edition, at=self._now(), outcome=outcome))
            return outcome

        found = await self._jobs.wait((question, edition), 0, kept_work, seconds=seconds, report=_silent)
        return cast(T, found)

    def _find(self, question: Hashable, edition: str) -> _Kept[object] | None:
        kept = self._kept.get(question)
        if kept is None or kept.edition != edition or self._now() - kept.at > KEPT_SECONDS:
            return None
        self._kept.move_to_end(question)
        return kept

    def _keep(self, question: Hashable, kept: _Kept[object]) -> None:
        self._kept[question] = kept
        self._kept.move_to_end(question)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


async def _silent(_: JobProgress) -> None:
    """Tell nobody how far it is: a page says so when it is asked."""
