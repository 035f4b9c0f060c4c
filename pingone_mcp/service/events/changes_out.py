"""Changes of local copies become events: read out of the feed, and written into the outbox in their order.

The copy and the outbox are two databases. What was read is written together with the place up to which it was read, in
one transaction: a process that dies before reads the same changes again, and one that dies after has written them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Hashable
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.control.announcing.sent_changes import SentUntil
from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.replica.exporting.feed import FeedPlace
from pingone_mcp.service.events.record_events import RECORD_EVENTS, record_event

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.webhooks import Webhook
    from pingone_mcp.replica.replica import Replica
    from pingone_mcp.service.fleet.fleet import Fleet

LOOK_SECONDS = 5.0
"""Between two looks at what could not be passed on, and at copies that somebody else has synced."""
_logger = logging.getLogger(__name__)


class ChangesOut:
    """Pass changes on. One process does so for a fleet; `changed` is called whenever a copy has new ones."""

    def __init__(self, control: ControlData, fleet: Fleet, clock: Clock) -> None:
        self._control, self._fleet, self._clock = control, fleet, clock
        self._turns = defaultdict[str, anyio.Lock](anyio.Lock)
        self._left = set[str]()
        self._written: dict[str, Hashable] = {}

    async def run(self) -> None:
        """Pass on what was left when the last process ended, and what fails later, for as long as this task lives.

        What another process has synced, or a caller here, is passed on soon afterwards.
        """
        self._left.update(one.id for one in await self._control.connections.listed())
        while True:
            for connection in sorted(self._left):
                await self.changed(connection)
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except Problem as problem:
                _logger.warning("Whether copies have changed was not looked at just now: %s", problem)

    async def changed(self, connection: str) -> None:
        """Pass on the new changes of a connection; what cannot be now is passed on later. Raises nothing."""
        self._left.add(connection)
        with working_for(connection):
            try:
                await self.pass_on(connection)
            except Problem as problem:
                _logger.warning("What has changed was not passed on yet: %s", problem)
            except Exception:  # whatever it is, it harms no sync and no other connection
                _logger.exception("What has changed was not passed on yet")
            else:
                self._left.discard(connection)

    async def pass_on(self, connection: str) -> int:
        """Write the events of all new changes of a connection; return how many. Raises Problem.

        Where no webhook wants any, the changes are passed over: a later one gets what changes from then on.
        """
        written = 0
        async with self._turns[connection]:
            linked = await self._control.connections.get(connection)
            if linked is None or linked.is_paused:
                return 0
            served = await self._fleet.current(linked)
            replica = (await served.backend()).replica
            while True:
                count, has_more = await self._page(linked, replica)
                written += count
                if not has_more:
                    return written

    async def _page(self, linked: LinkedConnection, replica: Replica) -> tuple[int, bool]:
        """Write the events of one page of changes; return how many, and whether there are more changes."""
        control = self._control
        before = await control.sent_changes.until(linked.id)
        place = None if before is None else FeedPlace(before.copy, before.number)
        try:
            page = await replica.feed(place, skip=not await self._are_wanted(linked))
        except NoReplica:
            return 0, False
        if page is None or page.until == place:
            return 0, False
        events = [
            record_event(change, page.users.get(change.user.id), feed=page.until.feed, connection=linked.id)
            for change in page.changes
        ]
        written = 0
        try:
            after = SentUntil(page.until.feed, page.until.number)
            async with control.sent_changes.moving(linked.id, before, after) as is_there:
                if is_there:
                    written = await control.outbox.add_all(events, connection_id=linked.id, tenant=linked.tenant)
        except LookupError:  # it was removed meanwhile
            return 0, False
        return written, page.has_more

    async def _look(self) -> None:
        """Find the copies that were written to since the last look, as far as a webhook wants to hear of them."""
        wanting = [one for one in await self._control.webhooks.listed() if one.is_active and _wants_records(one)]
        for linked in await self._control.connections.listed() if wanting else ():
            if linked.is_paused or not any(one.tenant in (None, linked.tenant) for one in wanting):
                continue
            with working_for(linked.id):
                try:
                    served = await self._fleet.current(linked)
                    written = await (await served.backend()).replica.store.written()
                except Problem:  # its sync says why
                    continue
            if self._written.get(linked.id) != written:
                self._written[linked.id] = written
                self._left.add(linked.id)

    async def _are_wanted(self, linked: LinkedConnection) -> bool:
        return any(map(_wants_records, await self._control.webhooks.active(linked.tenant)))


def _wants_records(webhook: Webhook) -> bool:
    return any(map(webhook.wants, RECORD_EVENTS))
