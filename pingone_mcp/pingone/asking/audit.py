"""PingOne's audit, as far as it shows it: fourteen days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from pingone_mcp.directory.gaps import AuditUnreadable, Gap, UnattributedEvents
from pingone_mcp.directory.models import AuditEntry, Named
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import find
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import AuditQuestion
from pingone_mcp.errors import NotFound, NotPermitted
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.asking.events import events_page
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.pages import NO_ROWS
from pingone_mcp.pingone.parts import ListPart, ListPlace, page_of
from pingone_mcp.pingone.served import Served


class Audit:
    """Answer what was done, environment after environment, the newest first."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def page(
        self, question: AuditQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[AuditEntry]:
        """Return one page. Raises Refused for an unknown environment and a stale position.

        Raises NotPermitted where the events of the only environment may not be read.
        """
        environments = await self._served.environment_ids(question.environment)
        parts = [
            ListPart(
                key=f"audit {place} {question.since} {question.until} {question.action}",
                environment=place,
                collection="audit events",
                keep=self._keep(question),
            )
            for place in environments
        ]
        place = find(parts, at, source="live")
        path, hal, gaps = await self._read(place, question, page_size)
        names = await self._served.names.environment_names()
        home = Named(id=place.part.environment, name=names.get(place.part.environment))
        read = partial(wire.audit_entry, environment=home, remote_data=question.remote_data)
        entries, left_out = wire.readable(hal.items, read)
        if self._served.connection.scope.populations and any(one.workspace is None for one in entries):
            gaps = (*gaps, UnattributedEvents(place=place.part.environment))
        kept = (one for one in entries if place.part.keep is None or place.part.keep(one))
        gaps = (*await self._served.unserved(question.environment), *gaps)
        return page_of(place, path, hal, kept, left_out=left_out, gaps=gaps)

    async def _read(
        self, place: ListPlace, question: AuditQuestion, page_size: int | None
    ) -> tuple[str, HalPage, tuple[Gap, ...]]:
        """Return the path of a page of events, the page, and what of it may not be read."""
        size = place.part.page_size(page_size, self._served.connection.pace.page_size)
        before = partial(self._path, place.part.environment, question, size)
        path = place.position.after or before(question.until)
        try:
            return path, await events_page(self._served.client, path, place, before), ()
        except (NotPermitted, NotFound):
            if len(place.parts) == 1:
                raise
            return path, NO_ROWS, (AuditUnreadable(place=place.part.environment),)

    def _path(self, environment: str, question: AuditQuestion, size: int, until: datetime | None) -> str:
        event = wire.event_of(question.action) if question.action is not None else None
        now = self._served.now()
        return audit.path(environment, now, limit=size, since=question.since, until=until, action=event)

    def _keep(self, question: AuditQuestion) -> Callable[[AuditEntry], bool] | None:
        """Return what says of an event that it is shown, where not all that are read are."""
        scope, action = self._served.connection.scope, question.action
        if not scope.populations and (action is None or wire.event_of(action) is not None):
            return None

        def is_shown(entry: AuditEntry) -> bool:
            inside = not scope.populations or (entry.workspace is not None and scope.has_population(entry.workspace.id))
            return inside and (action is None or action in (entry.action, entry.event))

        return is_shown
