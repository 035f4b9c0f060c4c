"""The schedules of connections: which there are, one more, another time for one, and one that is done now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pingone_mcp.errors import NoSuchConnection, NotFound, Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.service.fleet.cursors import ListAsked, ListCursors, Paged
from pingone_mcp.service.fleet.fleet import Paused
from pingone_mcp.service.schedules.cron import check_cron, check_zone, next_time

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.schedules.kinds import ScheduleKind

MOST = 100
"""Schedules of one connection."""


class NoSchedule(NotFound):
    """There is no such schedule, or it is none of the caller's."""

    def __init__(self) -> None:
        super().__init__("There is no such schedule.", "List those that there are.", code="NO_SCHEDULE")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule that is wanted: `arguments` are those of its `kind` (`kinds.py`)."""

    kind: str
    cron: str
    zone: str = "UTC"
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """What is changed of a schedule; None leaves it as it is. Other arguments begin with a first check again."""

    cron: str | None = None
    zone: str | None = None
    arguments: Mapping[str, JsonValue] | None = None
    is_active: bool | None = None


class ConnectionSchedules:
    """The use cases of schedules, for whoever may do everything."""

    def __init__(self, control: ControlData, kinds: Mapping[str, ScheduleKind]) -> None:
        self.kinds = kinds
        self._control = control

    async def listed(self, connections: Collection[str] | None = None) -> list[ScheduleRecord]:
        """Return the schedules of these connections (None: of all), the oldest first."""
        return await self._control.schedules.listed(connections=connections)

    async def find(self, schedule: str) -> ScheduleRecord:
        """Return a schedule. Raises NoSchedule."""
        found = await self._control.schedules.get(schedule)
        if found is None:
            raise NoSchedule
        return found

    async def add(self, connection: str, new: NewSchedule) -> ScheduleRecord:
        """Add a schedule to a connection. Raises Refused for what it cannot be, NoSuchConnection."""
        arguments = self._read(new.kind, new.arguments)
        cron, zone = check_cron(new.cron), check_zone(new.zone)
        try:
            return await self._control.schedules.add(
                connection,
                kind=new.kind,
                cron=cron,
                zone=zone,
                arguments=arguments,
                next_at=next_time(cron, zone, self._control.clock.now()),
                is_active=new.is_active,
                most=MOST,
            )
        except LookupError:
            raise NoSuchConnection from None

    async def change(self, schedule: ScheduleRecord, change: ScheduleChange) -> ScheduleRecord:
        """Change a schedule. Raises Refused for what it cannot be, NoSchedule where it is gone."""
        cron = check_cron(change.cron if change.cron is not None else schedule.cron)
        zone = check_zone(change.zone if change.zone is not None else schedule.zone)
        arguments = None if change.arguments is None else self._read(schedule.kind, change.arguments)
        is_begun = change.is_active is True and not schedule.is_active
        other_time = is_begun or (cron, zone) != (schedule.cron, schedule.zone)
        changed = await self._control.schedules.update(
            schedule.id,
            cron=cron,
            zone=zone,
            arguments=None if arguments == schedule.arguments else arguments,
            is_active=change.is_active,
            next_at=next_time(cron, zone, self._control.clock.now()) if other_time else None,
        )
        if changed is None:
            raise NoSchedule
        return changed

    async def remove(self, schedule: ScheduleRecord) -> None:
        """Remove a schedule, and what its checks found. Raises NoSchedule."""
        if not await self._control.schedules.remove(schedule.id):
            raise NoSchedule

    async def run(self, schedule: ScheduleRecord) -> ScheduleRecord:
        """Let a schedule be due now; the process that serves does it. Raises Refused, Paused and NoSchedule."""
        linked = await self._control.connections.get(schedule.connection_id)
        if linked is not None and linked.is_paused:
            raise Paused
        if not schedule.is_active:
            raise Refused(
                "This schedule is switched off, so nothing of it is done.",
                "Switch it on (`is_active`), and run it then.",
                code="SCHEDULE_OFF",
            )
        now = self._control.clock.now()
        if schedule.next_at <= now:
            return schedule  # it is due already, and whoever may be doing it writes down what comes of it
        changed = await self._control.schedules.update(schedule.id, next_at=now)
        if changed is None:
            raise NoSchedule
        return changed

    def _read(self, kind: str, arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the arguments of a kind as they are kept. Raises Refused."""
        if kind not in self.kinds:
            raise Refused(
                f"There is no such kind of schedule. {did_you_mean(kind, self.kinds)}".rstrip(),
                f"There are: {', '.join(f'{name} ({one.does})' for name, one in self.kinds.items())}.",
                code="NO_SUCH_KIND",
            )
        read: dict[str, JsonValue] = self.kinds[kind].read(arguments).model_dump(mode="json", exclude_unset=True)
        return read


class CallerSchedules:
    """The use cases for a caller. Of a connection that it does not reach it hears as if there were none."""

    def __init__(self, control: ControlData, fleet: Fleet, kinds: Mapping[str, ScheduleKind]) -> None:
        self._every, self._fleet = ConnectionSchedules(control, kinds), fleet
        self._cursors = ListCursors(control.derive("cursors of lists"), "schedules")

    async def listed(self, asked: ListAsked, *, connection: str | None = None) -> Paged[ScheduleRecord]:
        """Return schedules, the oldest first, of one connection or of all that the caller reaches.

        Raises NoSuchConnection, and Refused for a cursor that is none.
        """
        if connection is None:
            ids = [one.id for one in await self._fleet.reached(asked.caller)]
        else:
            ids = [(await self._fleet.find(asked.caller, connection)).id]
        after = self._cursors.after(asked)
        found = [one for one in await self._every.listed(ids) if after is None or _place(one) > after]
        page, more = found[: asked.limit], len(found) > asked.limit
        return Paged(items=page, next_cursor=self._cursors.behind(asked, _place(page[-1])) if more else None)

    async def find(self, caller: Caller, schedule: str) -> ScheduleRecord:
        """Return a schedule of a connection that the caller reaches. Raises NoSchedule for any other."""
        found = await self._every.find(schedule)
        try:
            await self._fleet.find(caller, found.connection_id)
        except NoSuchConnection:
            raise NoSchedule from None
        return found

    async def add(self, caller: Caller, connection: str | None, new: NewSchedule) -> ScheduleRecord:
        """Add a schedule to a connection (None: the only one that is reached). Raises Refused, NoSuchConnection."""
        return await self._every.add((await self._fleet.find(caller, connection)).id, new)

    async def change(self, caller: Caller, schedule: str, change: ScheduleChange) -> ScheduleRecord:
        """Change a schedule. Raises as `find` and `add` do."""
        return await self._every.change(await self.find(caller, schedule), change)

    async def remove(self, caller: Caller, schedule: str) -> None:
        """Remove a schedule. Raises as `find` does."""
        await self._every.remove(await self.find(caller, schedule))

    async def run(self, caller: Caller, schedule: str) -> ScheduleRecord:
        """Let a schedule be due now. Raises as `find` does, Refused and Paused."""
        return await self._every.run(await self.find(caller, schedule))


def _place(schedule: ScheduleRecord) -> str:
    return f"{schedule.created_at.isoformat(timespec='microseconds')} {schedule.id}"
