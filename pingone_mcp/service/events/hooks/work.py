"""The work of events that came: what they name is read again, many of them at once, and into the copy.

An event is done once what it names was taken over: a process that dies before does the same work again. The sync is
what makes a copy complete; it is asked for where events may have been lost.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import anyio

from pingone_mcp.current_connection import working_for
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.service.events.hooks.apart import work_apart
from pingone_mcp.service.events.hooks.counts import HookCounts
from pingone_mcp.service.events.hooks.reading import decoded

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.inbox import ReceivedEvent
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.service.backend import Backend
    from pingone_mcp.service.events.hooks.taking import HookTaking
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.syncs import TakenOver

QUIET_SECONDS = 0.15
"""Work begins when nothing has come for so long: events about the same users come together."""
LONGEST_QUIET_SECONDS = 1.0
"""It begins after so long although more is coming."""
LOOK_SECONDS = 3.0
"""Between two looks at what another process has taken, or what rests; what this one takes is begun with at once."""
MOST_EVENTS = 10_000
"""Events whose work is done together."""
AT_ONCE = 8
"""Connections whose events are worked on at the same time."""
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0
PATIENCE = 5
"""So many times in a row the work may fail as a whole; then it is found out which events make it fail."""
SILENCE = timedelta(hours=1)
"""Where nothing has come for so long from a provider that has sent events, a sync looks whether some were lost."""
SILENCE_LOOK_SECONDS = 60.0
_logger = logging.getLogger(__name__)


About = Callable[["JsonObject"], Hashable]
"""Says what an event is about: those about the same are worked on, or given up, together."""


class _Rest(NamedTuple):
    failures: int
    until: float  # by the monotonic clock


class HookWork:
    """Do the work of pending events in `tasks`. Only one process does so for a fleet.

    `changed` is called with the id of a connection whose events are done. Events that make the work fail again and
    again are set aside, counted, and a sync is asked for in their place; `about` says which belong together.
    """

    def __init__(
        self,
        control: ControlData,
        fleet: Fleet,
        changed: TakenOver,
        tasks: TaskGroup,
        clock: Clock,
        *,
        about: About | None = None,
        counts: HookCounts | None = None,
        silence: timedelta = SILENCE,
    ) -> None:
        self._control, self._fleet, self._changed = control, fleet, changed
        self._tasks, self._clock, self._silence = tasks, clock, silence
        self._about, self._counts = about or _by_id, counts or HookCounts()
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._under_way = set[str]()
        self._rests: dict[str, _Rest] = {}
        self._arrivals = Counter[str]()
        self._heard_at: dict[str, datetime] = {}
        self._news = anyio.Event()

    async def run(self, taking: HookTaking) -> None:
        """Do what is pending and what comes, for as long as this task lives."""
        with taking.on_arrival(self.arrived):
            while True:
                news = self._news
                try:
                    await self.begin_due()
                except Problem as problem:
                    _logger.warning("The events that came were not looked at just now: %s", problem)
                with self._clock.within(LOOK_SECONDS):
                    await news.wait()

    async def watch(self) -> None:
        """Ask for syncs where events may have been lost: before this process began, and in a long silence."""
        has_begun = False
        while True:
            try:
                await (self.ask_where_silent() if has_begun else self.ask_at_start())
                has_begun = True
            except Problem as problem:
                _logger.warning("Whether events were lost was not looked at just now: %s", problem)
            await self._clock.sleep(SILENCE_LOOK_SECONDS)

    def arrived(self, connection: str) -> None:
        """Hear that events of a connection have come."""
        self._arrivals[connection] += 1
        self._heard_at[connection] = self._clock.now()
        self._wake()

    async def begin_due(self) -> None:
        """Begin with the connections that have pending events and do not rest."""
        now = self._clock.monotonic()
        for connection in await self._control.inbox.depth():
            rest = self._rests.get(connection)
            if connection in self._under_way or (rest is not None and rest.until > now):
                continue
            self._under_way.add(connection)
            self._tasks.start_soon(self._one, connection)

    async def work(self, connection: str) -> int:
        """Read again what the pending events of a connection name; return how many are done then, or set aside.

        Nothing is done for one that is paused, or gone. Raises Problem; the events are pending then as before.
        """
        linked = await self._control.connections.get(connection)
        if linked is None or linked.is_paused:
            return 0
        received = await self._control.inbox.pending(connection, limit=MOST_EVENTS)
        if not received:
            return 0
        with working_for(connection):
            served = await self._fleet.current(linked)
            backend = await served.backend()
            syncing = served.syncing(backend)

            async def reread(events: Sequence[ReceivedEvent]) -> None:
                try:
                    await syncing.reread([decoded(one.event.body) for one in events])
                except NoReplica:
                    await self._ask_for_sync(connection)
                    raise
                await self._control.inbox.done([one.number for one in events])
                await self._changed(connection)

            rest = self._rests.get(connection)
            if rest is None or rest.failures < PATIENCE:
                await reread(received)
            else:
                await self._work_apart(connection, received, backend, reread)
        return len(received)

    async def _work_apart(
        self,
        connection: str,
        received: Sequence[ReceivedEvent],
        backend: Backend,
        reread: Callable[[Sequence[ReceivedEvent]], Awaitable[None]],
    ) -> None:
        """Do what can be done, and set aside what makes the rest fail. Raises Problem where it is not the events."""
        parts: dict[Hashable, list[ReceivedEvent]] = defaultdict(list)
        for one in received:
            parts[self._about(decoded(one.event.body))].append(one)

        async def control() -> None:
            await backend.directory.users(UserQuestion(), page_size=1)

        failed = await work_apart(list(parts.values()), reread, control)
        numbers = [one.number for failing in failed for one in failing.part]
        if not numbers:
            return
        await self._control.inbox.set_aside(numbers)
        self._counts.set_aside[connection] += len(numbers)
        _logger.error(
            "What %d events of connection %s name could not be read again, while the provider answered otherwise (%s). They are set aside "
            "for 14 days, and a sync is asked for in their place",
            len(numbers),
            connection,
            ", ".join(sorted({one.reason for one in failed})),
        )
        await self._ask_for_sync(connection)

    async def ask_at_start(self) -> None:
        """Ask for a sync of each connection that events have come for: some may have been lost meanwhile."""
        for connection, at in (await self._control.inbox.latest()).items():
            await self._ask_for_sync(connection)
            self._heard_at.setdefault(connection, max(at, self._clock.now()))

    async def ask_where_silent(self) -> None:
        """Ask for a sync of each connection whose events have stopped, again after each such silence."""
        now = self._clock.now()
        for connection, at in list(self._heard_at.items()):
            if now - at >= self._silence:
                await self._ask_for_sync(connection)
                self._heard_at[connection] = now

    async def _ask_for_sync(self, connection: str) -> None:
        try:
            await self._control.sync_runs.request(connection, "event")
        except LookupError:  # it was removed
            self._heard_at.pop(connection, None)

    async def _one(self, connection: str) -> None:
        seen = 0
        try:
            async with self._places:
                goes_on = True
                while goes_on:
                    await self._settle(connection)
                    seen = self._arrivals[connection]
                    goes_on = bool(await self.work(connection))
            self._rests.pop(connection, None)
        except LookupError:  # it was removed just now
            self._rests.pop(connection, None)
        except Problem as problem:
            _logger.warning("What events name was not read again yet: %s", problem)
            self._rest(connection)
        except Exception:  # whatever it is, it harms no other connection
            _logger.exception("What events name was not read again yet")
            self._rest(connection)
        finally:
            self._under_way.discard(connection)
            if self._arrivals[connection] != seen:  # what came since the last look was not begun
                self._wake()

    async def _settle(self, connection: str) -> None:
        """Wait until nothing has come for a little while, but not for long."""
        began = self._clock.monotonic()
        while True:
            before = self._arrivals[connection]
            await self._clock.sleep(QUIET_SECONDS)
            if before == self._arrivals[connection] or self._clock.monotonic() - began >= LONGEST_QUIET_SECONDS:
                return

    def _rest(self, connection: str) -> None:
        known = self._rests.get(connection)
        failures = 1 if known is None else known.failures + 1
        wait = min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 16), LONGEST_WAIT_SECONDS)
        wait *= 1 + self._clock.jitter() / 2
        self._rests[connection] = _Rest(failures, self._clock.monotonic() + wait)

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


def _by_id(activity: JsonObject) -> Hashable:
    return str(activity.get("id"))
