"""Work that may take longer than one answer: it goes on by itself, and who asks the same again gets the outcome."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from pingone_mcp.errors import Problem, Refused
from pingone_mcp.heavy_work import heavy_work

T = TypeVar("T")

MOST_AT_ONCE = 4
KEPT = 8
KEPT_SECONDS = 600.0

_logger = logging.getLogger(__name__)


class Stopped(Exception):
    """Nobody needs the outcome any more."""


@dataclass(slots=True, kw_only=True)
class JobProgress:
    """How many have been looked at so far, of about how many, and doing what.

    It is counted in a worker thread, and read and stopped from outside.
    """

    stage: str = "reading the local copy"
    done: int = 0
    about: int | None = None
    stopped: bool = False

    def expect(self, more: int) -> None:
        """Say that so many more will be looked at."""
        self.about = (self.about or 0) + more

    def of(self, items: Iterable[T]) -> Iterator[T]:
        """Give the items, and count them. Raises Stopped when somebody has stopped it."""
        for item in items:
            if self.stopped:
                raise Stopped
            self.done += 1
            yield item


@dataclass(slots=True, kw_only=True)
class _Job(Generic[T]):
    """One question under way, or answered: `version` is that of the copy it is about."""

    question: Hashable
    version: int
    progress: JobProgress
    ended: anyio.Event = field(default_factory=anyio.Event)
    ended_at: float | None = None
    outcome: T | Problem = field(
        default_factory=lambda: Problem("The server ended before this was answered.", "Ask again.", code="ENDED")
    )


class Jobs(Generic[T]):
    """Run work in `tasks`: at most `MOST_AT_ONCE` at a time, whether somebody waits for it or not.

    What nobody waited for is kept for the next one who asks, for `KEPT_SECONDS` and while the copy is the same; of all
    questions at most the `kept` newest.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        now: Callable[[], float] = anyio.current_time,
        report_seconds: float = 1.0,
        *,
        kept: int = KEPT,
    ) -> None:
        self._tasks = tasks
        self._now = now
        self._report_seconds = report_seconds
        self._most_kept = kept
        self._jobs: list[_Job[T]] = []

    async def wait(
        self,
        question: Hashable,
        version: int,
        work: Callable[[JobProgress], Awaitable[T]],
        *,
        seconds: float,
        report: Callable[[JobProgress], Awaitable[None]],
    ) -> T | JobProgress:
        """Begin some work, or join what is under way for the same question; return what came of it.

        After so many seconds return how far it is. `report` is called about once a second, where there is more to
        report. Raises the Problem that ended it, and Refused while too much is under way.
        """
        deadline = self._now() + seconds
        self._forget()
        same = (job for job in self._jobs if (job.question, job.version) == (question, version))
        job = next(same, None) or self._begin(question, version, work)
        reported = 0
        while not job.ended.is_set():
            left = deadline - self._now()
            if left <= 0:
                return job.progress
            with anyio.move_on_after(min(self._report_seconds, left)):
                await job.ended.wait()
            if job.progress.done > reported:
                reported = job.progress.done
                await report(job.progress)
        if job in self._jobs:  # who asks after this wants to know it anew
            self._jobs.remove(job)
        if isinstance(job.outcome, Problem):
            raise job.outcome
        return job.outcome

    def _begin(self, question: Hashable, version: int, work: Callable[[JobProgress], Awaitable[T]]) -> _Job[T]:
        if sum(job.ended_at is None for job in self._jobs) >= MOST_AT_ONCE:
            raise Refused(
                f"{MOST_AT_ONCE} long reviews or comparisons are running already.",
                "Ask again for one of them, or for this one a little later.",
                code="BUSY",
            )
        job = _Job[T](question=question, version=version, progress=JobProgress())
        self._jobs.append(job)
        self._tasks.start_soon(self._run, job, work)
        return job

    async def _run(self, job: _Job[T], work: Callable[[JobProgress], Awaitable[T]]) -> None:
        try:
            with heavy_work():
                async with anyio.create_task_group() as beside:
                    beside.start_soon(_stop_in_the_end, job.progress)
                    job.outcome = await outcome_of(work, job.progress)
                    beside.cancel_scope.cancel()
        finally:
            job.ended_at = self._now()
            job.ended.set()

    def _forget(self) -> None:
        """Let go of what has ended and is old, or too much to keep."""
        oldest = self._now() - KEPT_SECONDS
        ended = [job for job in self._jobs if job.ended_at is not None]
        kept = [job for job in ended if (job.ended_at or 0.0) >= oldest]
        kept = sorted(kept, key=lambda job: -(job.ended_at or 0.0))[: self._most_kept]
        self._jobs = [job for job in self._jobs if job.ended_at is None or job in kept]


async def outcome_of(work: Callable[[JobProgress], Awaitable[T]], progress: JobProgress) -> T | Problem:
    """Return what came of some work, or why nothing did; what is a bug of ours is logged."""
    try:
        return await work(progress)
    except Problem as problem:
        return problem
    except Exception:  # whatever it is, it must not end the server in the middle of a conversation
        if not progress.stopped:
            _logger.exception("A review or comparison failed")
        return Problem("This failed for a reason of its own, which was logged.", "Try again.", code="FAILED")


async def _stop_in_the_end(progress: JobProgress) -> None:
    """Stop what a worker thread does when the server ends: a thread cannot be cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        progress.stopped = True
