"""The sync that runs behind the answers: one at a time, begun by a question or by the clock, and longer than either."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import anyio
from anyio.abc import TaskGroup

from pingone_mcp.errors import Problem

if TYPE_CHECKING:  # loaded by the first sync, not by the start of the server
    from pingone_mcp.replica.sync import SyncReport

Mode = Literal["auto", "full", "incremental"]

_logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Running:
    """A sync on its way: what it is doing, and how far it is (`about`: of how much, where that is known)."""

    mode: Mode
    stage: str = "starting"
    done: int = 0
    about: int | None = None


class Synced(Protocol):
    """What can be brought up to date. Raises Problem."""

    async def sync(self, mode: Mode, *, report: Callable[[str, int, int | None], None]) -> SyncReport: ...


class Syncing:
    """Run syncs in `tasks`, and tell with `tell` when one has found changes."""

    def __init__(self, copy: Synced, tasks: TaskGroup, tell: Callable[[], Awaitable[None]]) -> None:
        self._copy = copy
        self._tasks = tasks
        self._tell = tell
        self._ended = anyio.Event()
        self._outcome: SyncReport | Problem | None = None
        self.running: Running | None = None

    async def wait(
        self, mode: Mode, seconds: float, report: Callable[[Running], Awaitable[None]]
    ) -> SyncReport | Running:
        """Begin a sync, or join the one that runs; return what came of it, or how far it is after so many seconds.

        `report` is told from time to time. Raises the Problem that ended it.
        """
        deadline = anyio.current_time() + seconds
        begun = self.running is None
        if begun:
            self._begin(mode)
        while self.running is not None:
            if anyio.current_time() >= deadline:
                return self.running
            await report(self.running)
            with anyio.move_on_after(min(1.0, max(0.0, deadline - anyio.current_time()))):
                await self._ended.wait()
            if mode == "full" and not begun and self._ended.is_set() and not self._was_full():
                begun = True  # what was joined was less than what is asked for
                self._begin(mode)
        if isinstance(self._outcome, Problem):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def _was_full(self) -> bool:
        return not isinstance(self._outcome, Problem) and self._outcome is not None and self._outcome.mode == "full"

    async def every(self, seconds: float) -> None:
        """Sync again and again, with so much time between the end of one and the beginning of the next."""
        while True:
            if self.running is None:
                self._begin("auto")
            await self._ended.wait()
            await anyio.sleep(seconds)

    def _begin(self, mode: Mode) -> None:
        self.running, self._ended = Running(mode=mode), anyio.Event()
        self._tasks.start_soon(self._run, self.running)

    async def _run(self, running: Running) -> None:
        def report(stage: str, done: int, about: int | None) -> None:
            running.stage, running.done, running.about = stage, done, about

        try:
            found = await self._copy.sync(running.mode, report=report)
            self._outcome = found
            if found.changes:
                await self._tell()
        except Problem as problem:
            _logger.warning("The local copy was not brought up to date: %s", problem)
            self._outcome = problem
        except Exception:  # whatever it is, it must not end the server in the middle of a conversation
            _logger.exception("The sync of the local copy failed")
            self._outcome = Problem(
                "The sync failed for a reason of its own, which was logged.", "Try again.", code="SYNC_FAILED"
            )
        finally:
            self.running = None
            self._ended.set()
