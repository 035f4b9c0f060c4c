"""What pages show of everybody: found once for a state of the copy, and kept for the next page of it.

The copy may change while something is being found, and again while it is being found anew. So whoever asks joins what
is under way whatever the copy was when that began, and gets what comes of it; it says of which edition it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio

from pingone_mcp.errors import Problem
from pingone_mcp.service.jobs import KEPT_SECONDS, JobProgress, Jobs, outcome_of

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
WAITED_SECONDS = 3.0
"""How long somebody waits for a page before it says how far its work is."""
AWAITED_SECONDS = 120.0
"""How long an outcome is there for who was asked to come again, although the copy is another one by now."""
_KEPT = 12
_MOST_WAITING = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked(Generic[T_co]):
    """What was found, in the copy of this edition or a later one."""

    outcome: T_co
    edition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What came of a look, and when it ended; where it is not `for_all`, it is for who waits for it."""

    found: Looked[object] | Problem
    edition: str
    at: float
    for_all: bool


class Looks:
    """The newest outcomes of one connection. What is under way goes on when nobody waits any more, and is joined."""

    def __init__(self, tasks: TaskGroup, now: Callable[[], float] = anyio.current_time) -> None:
        self._jobs: Jobs[Looked[object]] = Jobs(tasks, now, kept=0)
        self._now = now
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._waiting: OrderedDict[tuple[Hashable, str], float] = OrderedDict()

    async def of(
        self,
        question: Hashable,
        edition: str,
        work: Callable[[JobProgress], Awaitable[T]],
        *,
        asker: str,
        seconds: float = WAITED_SECONDS,
        keep: bool = True,
    ) -> Looked[T] | JobProgress:
        """Return what `work` found for a question, or how far it is after so many seconds.

        It is of this edition of the copy, of one since, or what was under way when `asker` asked: who was said how far
        that is gets its outcome once, within `AWAITED_SECONDS` of its end. Without `keep` the outcome is for those who
        wait for it, and not kept. Raises the Problem that ended it, and Refused while too much is under way.
        """
        kept = self._find(question, edition, asker)
        if kept is not None:
            self.shown(question, asker)
            if isinstance(kept.found, Problem):
                raise kept.found
            return cast(Looked[T], kept.found)

        async def kept_work(progress: JobProgress) -> Looked[object]:
            came = await outcome_of(work, progress)
            if isinstance(came, Problem):
                self._keep(question, _Kept(found=came, edition=edition, at=self._now(), for_all=False))
                raise came
            found: Looked[object] = Looked(outcome=came, edition=edition)
            self._keep(question, _Kept(found=found, edition=edition, at=self._now(), for_all=keep))
            return found

        try:
            found = await self._jobs.wait(question, 0, kept_work, seconds=seconds, report=_silent)
        except Problem:
            self.shown(question, asker)
            raise
        if isinstance(found, JobProgress):
            self._wait(question, asker)
            return found
        self.shown(question, asker)
        return cast(Looked[T], found)

    def shown(self, question: Hashable, asker: str) -> None:
        """Note that somebody has an answer: when they ask again, they want to know it anew."""
        self._waiting.pop((question, asker), None)

    def _find(self, question: Hashable, edition: str, asker: str) -> _Kept | None:
        kept = self._kept.get(question)
        if kept is None:
            return None
        age = self._now() - kept.at
        asked_at = self._waiting.get((question, asker))
        is_awaited = asked_at is not None and asked_at <= kept.at and age <= AWAITED_SECONDS
        is_current = kept.for_all and kept.edition == edition and age <= KEPT_SECONDS
        if not is_awaited and not is_current:
            return None
        self._kept.move_to_end(question)
        return kept

    def _wait(self, question: Hashable, asker: str) -> None:
        self._waiting[question, asker] = self._now()
        self._waiting.move_to_end((question, asker))
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def _keep(self, question: Hashable, kept: _Kept) -> None:
        self._kept[question] = kept
        self._kept.move_to_end(question)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


async def _silent(_: JobProgress) -> None:
    """Tell nobody how far it is: a page says so when it is asked."""
