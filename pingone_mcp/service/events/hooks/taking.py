"""Deliveries of events are taken: kept in the inbox, so that the provider is answered at once, and worked on later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pingone_mcp.control.inbox import IncomingEvent
from pingone_mcp.service.events.hooks.counts import HookCounts
from pingone_mcp.service.events.hooks.reading import id_of_unreadable, read_delivery

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.directory.models import JsonObject

_ALL = "all"
_logger = logging.getLogger(__name__)

IsForeign = Callable[["JsonObject", Collection[str]], bool]
"""Says whether all that an event is about is in other environments than these."""
Arrived = Callable[[str], None]
"""Hears the id of a connection for which events have come."""


class HookTaking:
    """Take what comes for the connections of one set of control data."""

    def __init__(self, control: ControlData, is_foreign: IsForeign, counts: HookCounts | None = None) -> None:
        self._control, self._is_foreign = control, is_foreign
        self._listeners: list[Arrived] = []
        self.counts = counts or HookCounts()

    @contextmanager
    def on_arrival(self, listener: Arrived) -> Iterator[None]:
        """Call a listener, for as long as the block lasts, whenever new events have been kept."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def take(self, connection: str, body: bytes) -> int:
        """Keep the events of a delivery that are new, all of them or none; return how many those are.

        What is of foreign environments is dropped, and what cannot be read is kept aside. Raises LookupError for a
        connection that there is not, and ControlUnavailable where nothing can be kept.
        """
        linked = await self._control.connections.get(connection)
        if linked is None:
            raise LookupError("no such connection")
        delivery, own = read_delivery(body), _environments(linked)
        events = [
            IncomingEvent(event_id=event.id, body=event.body)
            for event in delivery.events
            if own is None or not self._is_foreign(event.activity, own)
        ]
        aside = [
            IncomingEvent(event_id=id_of_unreadable(part), body=part, is_readable=False) for part in delivery.unreadable
        ]
        kept = await self._control.inbox.add(connection, [*events, *aside]) if events or aside else 0
        if aside:
            self.counts.unreadable[connection] += len(aside)
            _logger.error(
                "%d of what was sent to the hook of connection %s could not be read, and is kept aside for 14 days",
                len(aside),
                connection,
            )
        if kept:
            for listener in self._listeners:
                listener(connection)
        return kept


def _environments(linked: LinkedConnection) -> tuple[str, ...] | None:
    """Return the environments that a connection serves; None where those are all that it can see, or unknown."""
    named, home = linked.settings.get("environments"), linked.settings.get("environment_id")
    if isinstance(named, list) and named:
        return None if _ALL in named else tuple(map(str, named))
    return (home,) if isinstance(home, str) and home else None
