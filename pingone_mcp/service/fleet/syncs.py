"""The syncs of all connections: each in its time or when asked for, a few at once, and each run is written down."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import Problem
from pingone_mcp.replica.evidence import OtherRemovals
from pingone_mcp.service.fleet.outcomes import note_outcome
from pingone_mcp.service.fleet.schedule import DEFAULT_MINUTES, next_sync
from pingone_mcp.service.syncing import CutOff

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.sync_runs import RunEnd, RunRecord
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.syncing import Ended, Mode, Running, Syncing, SyncReport

LOOK_SECONDS = 5.0
"""Between two looks at who is due."""
AT_ONCE = 3
RELEASE_MINUTES = 30.0
"""For so long what a person has said of held removals is good, where its sync does not begin at once."""
KEEP_RUNS = timedelta(days=30)
KEEP_DELIVERED = timedelta(days=14)
SWEEP_EVERY = timedelta(hours=1)
_logger = logging.getLogger(__name__)

TakenOver = Callable[[str], Awaitable[None]]
"""Hears the id of a connection whose copy has changed, perhaps. Raises nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """What a person has said: that those are gone who were shown; good for one run, and until a clock says so much."""

    as_shown: str
    run: str
    until: float


class FleetSyncs:
    """Sync connections in `tasks`. What one of them does harms no other, and only one process does it for a fleet.

    `taken_over` is called with the id of a connection when a sync of it was taken over, before that is written down.
    """

    def __init__(
        self, control: ControlData, fleet: Fleet, tasks: TaskGroup, clock: Clock, taken_over: TakenOver | None = None
    ) -> None:
        self._control = control
        self._fleet = fleet
        self._tasks = tasks
        self._clock = clock
        self._taken_over = taken_over
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._under_way: set[str] = set()
        self._failures: dict[str, int] = {}
        self._released: dict[str, _Release] = {}  # until the sync begins that it is good for
        self._releasing: dict[str, str] = {}

    async def run(self) -> None:
        """Sync whoever is due, again and again, for as long as this task lives."""
        await self._control.sync_runs.end_interrupted()
        swept = None
        while True:
            now = self._clock.now()
            try:
                await self.begin_due()
                if swept is None or now - swept >= SWEEP_EVERY:
                    swept = now
                    await self._sweep(now)
            except Problem as problem:
                _logger.warning("Nobody was synced just now: %s", problem)
            await self._clock.sleep(LOOK_SECONDS)

    async def _sweep(self, now: datetime) -> None:
        """Remove from control data what nobody looks at any more."""
        await self._control.sync_runs.forget_before(now - KEEP_RUNS)
        await self._control.inbox.sweep()
        await self._control.outbox.sweep(now - KEEP_DELIVERED)

    async def begin_due(self) -> None:
        """Begin the syncs of those that are due, or whose run somebody has asked for."""
        now = self._clock.now()
        asked = {run.connection_id for run in await self._control.sync_runs.listed(status="created")}
        listed = await self._control.connections.listed()
        served = {linked.id for linked in listed if not linked.is_paused}
        self._released = {one: released for one, released in self._released.items() if one in served}
        for linked in listed:
            due = linked.next_sync_at is None or linked.next_sync_at <= now
            if linked.is_paused or linked.id in self._under_way or not (due or linked.id in asked):
                continue
            self._begin(linked)

    async def request(self, linked: LinkedConnection) -> RunRecord:
        """Ask for a sync of a connection now; return its run: the one that waits already, or a new one."""
        run = await self._control.sync_runs.request(linked.id, "request")
        self._begin_unless(linked)
        return run

    async def release(self, linked: LinkedConnection, as_shown: str) -> RunRecord:
        """Ask for a sync with a person's word that those who could not be found are gone, as they were shown.

        Return its run. What was said is good for that run alone, if it begins within RELEASE_MINUTES, without a pause
        before; and it goes no further than this process: where that ends before, nothing is released.
        """
        run = await self._control.sync_runs.request(linked.id, "request")
        if self._releasing.get(linked.id) != as_shown:  # else somebody has pressed twice
            until = self._clock.monotonic() + RELEASE_MINUTES * 60
            self._released[linked.id] = _Release(as_shown=as_shown, run=run.id, until=until)
        self._begin_unless(linked)
        return run

    def _begin_unless(self, linked: LinkedConnection) -> None:
        """Begin to sync a connection that may be served, unless that goes on already."""
        if linked.id not in self._under_way and not linked.is_paused:
            self._begin(linked)

    def _begin(self, linked: LinkedConnection) -> None:
        self._under_way.add(linked.id)
        self._tasks.start_soon(self._one, linked)

    async def _one(self, linked: LinkedConnection) -> None:
        try:
            async with self._places:
                now = await self._control.connections.get(linked.id)  # it may have waited for long
                if now is not None and not now.is_paused:
                    with working_for(now.id):
                        await self._synced(now)
        except Problem as problem:
            _logger.warning("What came of a sync was not written down: %s", problem)
        except Exception:  # whatever it is, it ends no sync of another connection
            _logger.exception("What came of a sync was not written down")
        finally:
            self._under_way.discard(linked.id)

    async def _synced(self, linked: LinkedConnection) -> None:
        run = await self._started(linked)
        if (as_shown := self._said(linked, run)) is not None:
            self._releasing[linked.id] = as_shown
        try:
            served = await self._fleet.current(linked)
            report, ended = await _outcome(served.syncing(await served.backend()), run, as_shown)
        except Problem as problem:
            await self._failed(linked, run, problem)
            return
        except Exception:
            _logger.exception("The sync failed")
            await self._failed(linked, run, Problem("It failed for a reason of its own, which was logged."))
            return
        finally:
            self._releasing.pop(linked.id, None)
        await self._done(linked, run, report, ended.ended_at)

    def _said(self, linked: LinkedConnection, run: RunRecord) -> str | None:
        """Return what a person has said that is good for a run, and for no other from now on."""
        released = self._released.pop(linked.id, None)
        if released is None or released.run != run.id or self._clock.monotonic() >= released.until:
            return None
        return released.as_shown

    async def _started(self, linked: LinkedConnection) -> RunRecord:
        """Begin a run, having given up one whose end could not be written down: nothing else syncs this connection."""
        runs = self._control.sync_runs
        for stale in await runs.listed(connections=[linked.id], status="running"):
            await runs.end(stale.id, "failed", reason="What came of it could not be written down.")
        waiting = await runs.request(linked.id, "schedule")
        started = await runs.start(waiting.id)
        if started is None:
            raise Problem("Another process syncs this connection too.", code="SYNCED_ELSEWHERE")
        return started

    async def _done(self, linked: LinkedConnection, run: RunRecord, report: SyncReport, ended_at: datetime) -> None:
        if report.taken_over and self._taken_over is not None:
            await self._taken_over(linked.id)
        status: RunEnd = "held" if report.held else "completed" if report.taken_over else "failed"
        connections = self._control.connections
        await note_outcome(connections, linked, report, ended_at)
        await connections.set_next_sync(linked.id, await self._next(linked, failed=not report.taken_over))
        # Last: whoever sees that it has ended sees what came of it too.
        await self._control.sync_runs.end(run.id, status, counts=report.counts, reason=report.reason)

    async def _failed(self, linked: LinkedConnection, run: RunRecord, problem: Problem) -> None:
        if isinstance(problem, CutOff):  # as by a pause: what was said behind this sync may be of long ago at the next
            self._released.pop(linked.id, None)
        await note_outcome(self._control.connections, linked, problem, self._clock.now())
        is_failure = not isinstance(problem, OtherRemovals)  # that was decided before anything was asked
        at = self._clock.now() if isinstance(problem, CutOff) else await self._next(linked, failed=is_failure)
        await self._control.connections.set_next_sync(linked.id, at)
        await self._control.sync_runs.end(run.id, "failed", reason=str(problem))

    async def _next(self, linked: LinkedConnection, *, failed: bool) -> datetime:
        """Return when a connection is due again, by the interval that it has by now."""
        self._failures[linked.id] = failures = self._failures.get(linked.id, 0) + 1 if failed else 0
        interval = timedelta(minutes=minutes_of(await self._control.connections.get(linked.id) or linked))
        return next_sync(self._clock.now(), interval, failures=failures, jitter=self._clock.jitter())


async def _outcome(syncing: Syncing, run: RunRecord, as_shown: str | None) -> tuple[SyncReport, Ended]:
    """Sync as it is asked for, with a person's word where there is one."""
    if as_shown is not None:
        return await syncing.release(as_shown)
    mode: Mode = "full" if run.cause == "full_sync" else "auto"
    outcome = await syncing.wait(mode, math.inf, _unheard)
    assert isinstance(outcome, tuple)
    return outcome


def minutes_of(linked: LinkedConnection) -> float:
    """Return how many minutes lie between two syncs of a connection."""
    given = linked.settings.get("sync_minutes")
    return float(given) if isinstance(given, (int, float)) else DEFAULT_MINUTES


async def _unheard(_: Running) -> None:
    """Hear nothing: nobody waits for this sync."""
