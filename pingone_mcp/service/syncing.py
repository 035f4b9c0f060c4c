"""The sync that runs behind the answers: one at a time, begun by a question or by the clock, and longer than either.

What came of a sync is owed to those who asked for it. A caller that was answered "still running" asks again, and finds
then what came of it, not the next sync.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

import anyio
from anyio.abc import TaskGroup

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Problem

if TYPE_CHECKING:  # loaded by the first sync, not by the start of the server
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.replica.syncing.reread import RereadReport as RereadReport  # noqa: PLC0414 - as below
    from pingone_mcp.replica.syncing.run import SyncReport as SyncReport  # noqa: PLC0414 - faces name it from here

Mode = Literal["auto", "full", "incremental"]

# For so long after its end a sync that nobody heard of answers the next question; later it would not be news.
OWED_FOR = timedelta(minutes=10)

_logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Running:
    """A sync on its way: what it is doing, and how far it is (`about`: of how much, where that is known).

    `then` is what begins at its end, because somebody asks for more than it is.
    """

    mode: Mode
    started_at: datetime
    stage: str = "starting"
    done: int = 0
    about: int | None = None
    then: Mode | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ended:
    """A sync that has come to its end, and what came of it."""

    mode: Mode
    started_at: datetime
    ended_at: datetime
    outcome: SyncReport | Problem

    def covers(self, mode: Mode) -> bool:
        """Say whether it was what is asked for, or more."""
        ran = self.mode if isinstance(self.outcome, Problem) else self.outcome.mode
        return mode != "full" or ran == "full"

    def report(self, *, late: bool = False) -> SyncReport:
        """Return what was done. Raises the Problem that came in its place; where it comes `late`, it says when."""
        problem = self.outcome
        if not isinstance(problem, Problem):
            return problem
        if not late:
            raise problem
        raise Failed(
            f"The sync that ended at {timestamp(self.ended_at)} failed: {problem.what}",
            problem.next_step,
            code=problem.code,
            correlation_id=problem.correlation_id,
        )


class Failed(Problem):
    """A sync failed while nobody waited for it."""


class CutOff(Problem):
    """A sync came to no end of its own: its connection was closed meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            "The sync was cut off, because the connection was closed.",
            "What it had read is kept, and the next sync goes on.",
            code="SYNC_CUT_OFF",
        )


class Synced(Protocol):
    """What can be brought up to date. Raises Problem."""

    def now(self) -> datetime: ...

    async def sync(
        self,
        mode: Mode,
        *,
        report: Callable[[str, int, int | None], None],
        accept_removals: bool = False,
        as_shown: str | None = None,
    ) -> SyncReport: ...

    async def reread(self, events: Iterable[JsonObject]) -> RereadReport: ...


class Syncing:
    """Run syncs in `tasks`, and call `changed` when one has found changes."""

    def __init__(self, copy: Synced, tasks: TaskGroup, changed: Callable[[], Awaitable[None]]) -> None:
        self._copy = copy
        self._tasks = tasks
        self._changed = changed
        self._run: _Run | None = None
        self._owed: list[Ended] = []  # to those who asked, until one of them has got it
        self._rereading = anyio.Lock()

    async def wait(
        self, mode: Mode, seconds: float, report: Callable[[Running], Awaitable[None]]
    ) -> tuple[SyncReport, Ended] | Running:
        """Return what came of a sync, or how far it is after so many seconds.

        That is one that has ended where its result is owed, else the one that runs, else a new one; a full one where
        that is asked for. `report` is called for each stage, and from time to time. Raises the Problem that ended it.
        """
        deadline = anyio.current_time() + seconds
        if (owed := self._oldest_owed(mode)) is not None:
            self._owed.remove(owed)
            return owed.report(late=True), owed
        while True:
            run = self._run or self._begin(mode)
            run.ask(mode)
            while run.ended is None:
                left = deadline - anyio.current_time()
                if left <= 0:
                    return run.running
                news = run.news  # what comes while it is reported, too
                await report(run.running)
                with anyio.move_on_after(min(1.0, left)):
                    await news.wait()
            if run.ended.covers(mode) or isinstance(run.ended.outcome, CutOff):
                if run.ended in self._owed:
                    self._owed.remove(run.ended)
                return run.ended.report(), run.ended

    async def release(self, as_shown: str) -> tuple[SyncReport, Ended]:
        """Sync with a person's word that those who could not be found are gone, as the person was shown them.

        What runs already ends first: it does not know of that word. Raises the Problem that ended it, OtherRemovals
        where they are others by now.
        """
        while self._run is not None:
            await self._run.end_of()
        run = self._begin("full", as_shown)
        ended = await run.end_of()
        return ended.report(), ended

    async def reread(self, events: Sequence[JsonObject]) -> RereadReport:
        """Read again what events of the provider name, beside a sync that may run, and return what came of it.

        One reread at a time: others wait for it. Raises Problem, and NoReplica before the first sync.
        """
        async with self._rereading:
            found = await self._copy.reread(events)
        if found.changes:
            await self._changed()
        return found

    def _oldest_owed(self, mode: Mode) -> Ended | None:
        since = self._copy.now() - OWED_FOR
        self._owed = [ended for ended in self._owed if ended.ended_at >= since]
        return next((ended for ended in self._owed if ended.covers(mode)), None)

    async def every(self, seconds: float) -> None:
        """Sync again and again, with so much time between the end of one and the beginning of the next."""
        while True:
            run = self._run or self._begin("auto")
            await run.end_of()
            await anyio.sleep(seconds)

    def _begin(self, mode: Mode, as_shown: str | None = None) -> _Run:
        self._run = run = _Run(mode, self._copy.now(), as_shown)
        self._tasks.start_soon(self._carry_out, run)
        return run

    async def _carry_out(self, run: _Run) -> None:
        outcome: SyncReport | Problem = CutOff()
        try:
            outcome = await self._synced(run)
        finally:  # who waits for it need not wait for ever
            self._end(run, outcome)

    def _end(self, run: _Run, outcome: SyncReport | Problem) -> None:
        begun, is_cut_off = run.running, isinstance(outcome, CutOff)
        ended = Ended(mode=begun.mode, started_at=begun.started_at, ended_at=self._copy.now(), outcome=outcome)
        self._run, run.ended = None, ended
        if any(ended.covers(mode) for mode in run.asked):
            self._owed.append(ended)
        if not is_cut_off and any(not ended.covers(mode) for mode in run.asked):
            self._begin("full").ask("full")
        run.wake()

    async def _synced(self, run: _Run) -> SyncReport | Problem:
        try:
            found = await self._copy.sync(
                run.running.mode,
                report=run.report,
                accept_removals=run.as_shown is not None,
                as_shown=run.as_shown,
            )
            if found.changes:
                await self._changed()
        except Problem as problem:
            _logger.warning("The local copy was not brought up to date: %s", problem)
            return problem
        except Exception:  # whatever it is, it must not end the server in the middle of a conversation
            _logger.exception("The sync of the local copy failed")
            return Problem(
                "The sync failed for a reason of its own, which was logged.", "Try again.", code="SYNC_FAILED"
            )
        return found


class _Run:
    """One sync, and the modes of those who asked for what comes of it: nobody, where the clock has begun it.

    `as_shown` is the edition of those of whom a person has said that they are gone (None: nobody has).
    """

    def __init__(self, mode: Mode, now: datetime, as_shown: str | None) -> None:
        self.running = Running(mode=mode, started_at=now)
        self.as_shown = as_shown
        self.asked = set[Mode]()
        self.ended: Ended | None = None
        self.news = anyio.Event()  # another stage, or the end

    def ask(self, mode: Mode) -> None:
        self.asked.add(mode)
        if mode == "full" and self.running.mode == "incremental":
            self.running.then = "full"

    def report(self, stage: str, done: int, about: int | None) -> None:
        another = stage != self.running.stage
        self.running.stage, self.running.done, self.running.about = stage, done, about
        if another:
            self.wake()

    async def end_of(self) -> Ended:
        """Wait for its end."""
        while self.ended is None:
            await self.news.wait()
        return self.ended

    def wake(self) -> None:
        """Let those who wait for news look again."""
        news, self.news = self.news, anyio.Event()
        news.set()
