"""What is due by the hour is done: once however often it was missed, a few at once, none of them twice at a time.

A schedule is due until what came of it is written, together with the events that say so. A process that dies before
does it again, and one that dies after has done it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.service.schedules.cron import next_time
from pingone_mcp.service.schedules.runs import Ran, ScheduledRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import TaskGroup

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.schedules.kinds import ScheduleKind

LOOK_SECONDS = 5.0
"""Between two looks at what is due."""
AGAIN = timedelta(minutes=1)
"""A schedule of which nothing could be written down rests for so long."""
AT_ONCE = 2
WAITING_AT_ONCE = 8
"""Of what waits for servers of others: one of each connection, so that who names a slow one holds up nobody else."""
_WITHOUT_TIME = timedelta(days=1)
_logger = logging.getLogger(__name__)


class Schedules:
    """Do what is due, in `tasks`. What one schedule does harms no other, and only one process does it for a fleet."""

    def __init__(
        self,
        control: ControlData,
        fleet: Fleet,
        kinds: Mapping[str, ScheduleKind],
        tasks: TaskGroup,
        clock: Clock,
    ) -> None:
        self._control, self._fleet, self._kinds = control, fleet, kinds
        self._tasks, self._clock = tasks, clock
        self._places, self._waiting = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(WAITING_AT_ONCE)
        self._connections_waiting = set[str]()
        self._under_way = set[str]()
        self._rests: dict[str, datetime] = {}

    async def run(self) -> None:
        """Do what is due, again and again, for as long as this task lives."""
        while True:
            try:
                await self.begin_due()
            except Problem as problem:
                _logger.warning("What is due by the hour was not looked at just now: %s", problem)
            await self._clock.sleep(LOOK_SECONDS)

    async def begin_due(self) -> None:
        """Begin with what is due and does not rest."""
        now = self._clock.now()
        for schedule in await self._control.schedules.due(now):
            rests = self._rests.get(schedule.id)
            if schedule.id in self._under_way or (rests is not None and rests > now):
                continue
            if waits := schedule.kind in self._kinds and self._kinds[schedule.kind].waits:
                if schedule.connection_id in self._connections_waiting:
                    continue
                self._connections_waiting.add(schedule.connection_id)
            self._under_way.add(schedule.id)
            self._tasks.start_soon(self._one, schedule, waits)

    async def do(self, schedule: ScheduleRecord) -> bool:
        """Do what a schedule says, and write down what came of it; say whether that was written.

        It is not where the schedule was changed meanwhile, or done by another process. Nothing is done for a connection
        that is paused, or gone. Raises Problem where nothing can be written.
        """
        linked = await self._control.connections.get(schedule.connection_id)
        if linked is None or linked.is_paused:
            return False
        with working_for(linked.id):
            ran = await self._ran(schedule, linked)
        following = self._following(schedule)
        async with self._control.transaction():
            is_written = await self._control.schedules.settle(
                schedule, outcome=ran.outcome, summary=ran.summary, next_at=following, found=ran.found
            )
            if is_written and ran.events:
                await self._control.outbox.add_all(ran.events, connection_id=linked.id, tenant=linked.tenant)
            if is_written and ran.asks_full_sync:
                await self._control.sync_runs.request(linked.id, "full_sync")
        return is_written

    async def _one(self, schedule: ScheduleRecord, waits: bool) -> None:  # noqa: FBT001 - a task takes no names
        try:
            async with self._waiting if waits else self._places:
                await self.do(schedule)
            self._rests.pop(schedule.id, None)
        except LookupError:  # its connection was removed just now
            self._rests.pop(schedule.id, None)
        except Problem as problem:
            _logger.warning("What came of a schedule was not written down: %s", problem)
            self._rests[schedule.id] = self._clock.now() + AGAIN
        except Exception:  # whatever it is, it harms no other schedule
            _logger.exception("What came of a schedule was not written down")
            self._rests[schedule.id] = self._clock.now() + AGAIN
        finally:
            self._under_way.discard(schedule.id)
            if waits:
                self._connections_waiting.discard(schedule.connection_id)

    async def _ran(self, schedule: ScheduleRecord, linked: LinkedConnection) -> Ran:
        """Return what came of the work; what went wrong is that too."""
        try:
            kind = self._kind(schedule)
            asked = kind.read(schedule.arguments)
            before = await self._control.schedules.found(schedule)
            backend = await (await self._fleet.current(linked)).backend()
            return await kind.work(ScheduledRun(schedule=schedule, backend=backend, before=before), asked)
        except Problem as problem:
            return Ran(outcome="failed", summary=str(problem))
        except Exception:  # whatever it is, the schedule goes on
            _logger.exception("A schedule failed")
            return Ran(outcome="failed", summary="It failed for a reason of its own, which was logged.")

    def _kind(self, schedule: ScheduleRecord) -> ScheduleKind:
        if schedule.kind not in self._kinds:
            raise Refused("Nothing here does what this schedule is for.", "Remove it.", code="NO_SUCH_KIND")
        return self._kinds[schedule.kind]

    def _following(self, schedule: ScheduleRecord) -> datetime:
        """Return when a schedule is due next; what was missed until now is done."""
        try:
            return next_time(schedule.cron, schedule.zone, self._clock.now())
        except Refused:  # of zones this machine may know fewer than the one where it was added
            return self._clock.now() + _WITHOUT_TIME
