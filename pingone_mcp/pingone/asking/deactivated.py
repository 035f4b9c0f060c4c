"""Users who cannot sign in any more: disabled, locked or removed, found as far as PingOne lets one see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pingone_mcp.clock import CLOCK_SKEW
from pingone_mcp.directory.coverage import Coverage, DeactivatedPage, Reason, by_reason, in_order, refuse_future
from pingone_mcp.directory.gaps import AuditUnreadable, Gap, UnattributedEvents
from pingone_mcp.directory.matching.filters import Filter, all_of, eq, ge
from pingone_mcp.directory.models import Deactivated, Event, User
from pingone_mcp.directory.paging.parts import find
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import DeactivatedQuestion
from pingone_mcp.errors import NotPermitted
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.asking.events import events_page
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.filters import population_filters
from pingone_mcp.pingone.pages import NO_ROWS, page_or_gap
from pingone_mcp.pingone.parts import Collection, ListPart, ListPlace, page_of
from pingone_mcp.pingone.served import Served
from pingone_mcp.tasks import each

_WHO_DISABLED_PAGES = 3
_LOCKED_PAGE = 25
_ACTIONS: dict[Collection, str] = {"locked events": "USER.LOCKED", "removed events": "USER.DELETED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """What PingOne answered at a path, and whom of it the question is about, kept or not."""

    path: str
    hal: HalPage
    found: list[Deactivated]
    left_out: int
    gaps: tuple[Gap, ...]


class DeactivatedUsers:
    """Answer who cannot sign in any more, one reason after the other, and how far that can be known."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def page(
        self, question: DeactivatedQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> DeactivatedPage:
        """Return one page. Raises Refused for a time that has not come, unknown names, and a stale position."""
        refuse_future(question.since, self._now())
        place = find(await self._parts(question), at, source="live")
        part = place.part
        read = await (
            self._by_users(place, question, page_size)
            if part.collection == "users"
            else self._by_events(place, question)
        )
        kept = (item for item in read.found if part.keep is None or part.keep(item.user))
        gaps = (*await self._served.unserved(question.environment), *read.gaps)
        page = page_of(place, read.path, read.hal, kept, left_out=read.left_out, gaps=gaps)
        return DeactivatedPage.of(page, self._coverage(question, page.gaps))

    async def _by_users(self, place: ListPlace, question: DeactivatedQuestion, page_size: int | None) -> _Answered:
        """Read users whom a filter finds: who is disabled, and, among all others, who is locked."""
        part = place.part
        size = part.page_size(page_size, self._served.connection.pace.page_size)
        path = place.position.after or self._served.people.path(part.environment, part.filter, size)
        hal, gaps = await page_or_gap(self._served.client, path, "users", place)
        users, left_out = await self._served.people.readable(part.environment, hal)
        found = await self._annotated(part, question, users)
        return _Answered(path=path, hal=hal, found=found, left_out=left_out, gaps=gaps)

    async def _by_events(self, place: ListPlace, question: DeactivatedQuestion) -> _Answered:
        """Read users whom audit events name: who was removed, or locked since a time."""
        part = place.part
        path, hal, gaps = await self._events(place, question)
        events, left_out = wire.readable(hal.items, wire.event)
        read = self._removed if part.collection == "removed events" else self._still_locked
        found = await read(part, question, events)
        limited = question.population is not None or bool(self._served.connection.scope.populations)
        if any(not event.subject_id or (limited and not event.subject_workspace_id) for event in events):
            gaps = (*gaps, UnattributedEvents(place=part.environment, part=part.label))
        return _Answered(path=path, hal=hal, found=found, left_out=left_out, gaps=gaps)

    async def _events(self, place: ListPlace, question: DeactivatedQuestion) -> tuple[str, HalPage, tuple[Gap, ...]]:
        """Return the path of a page of events, the page, and what of it may not be read."""
        path = place.position.after or self._events_path(place.part, question, None)
        try:
            before = partial(self._events_path, place.part, question)
            return path, await events_page(self._served.client, path, place, before), ()
        except NotPermitted:
            if len(question.reasons) == 1:
                raise
            return path, NO_ROWS, (AuditUnreadable(place=place.part.environment, part=place.part.label),)

    def _events_path(self, part: ListPart, question: DeactivatedQuestion, until: datetime | None) -> str:
        # Each user who was locked is read again: small pages keep an answer within its time.
        size = _LOCKED_PAGE if part.collection == "locked events" else self._served.connection.pace.page_size
        action = _ACTIONS[part.collection]
        return audit.path(part.environment, self._now(), limit=size, since=question.since, until=until, action=action)

    def _coverage(self, question: DeactivatedQuestion, gaps: tuple[Gap, ...]) -> dict[Reason, Coverage]:
        """Return how each reason is covered when all its pages are read; `gaps` are what could not be."""
        coverage: dict[Reason, Coverage] = {}
        for reason in in_order(question.reasons):
            how = _how(reason, question.since, self._now())
            missing = [gap.note() for gap in gaps if gap.part in ("", reason)]
            coverage[reason] = Coverage(
                how=how.how,
                complete=how.complete and not missing,
                note=" ".join(filter(None, (*missing, how.note))) or None,
            )
        return coverage

    async def _parts(self, question: DeactivatedQuestion) -> list[ListPart]:
        environments = await self._served.environment_ids(question.environment)
        homes = await self._served.homes(environments, question.population)
        return by_reason(
            part
            for home in homes
            for reason in in_order(question.reasons)
            for part in _reason_parts(
                reason, home.environment, population_filters(self._served.connection.scope, home.population), question
            )
        )

    async def _removed(
        self, part: ListPart, question: DeactivatedQuestion, events: Sequence[Event]
    ) -> list[Deactivated]:
        environments = (
            await self._served.names.environment_names()
            if self._served.connection.scope.has_several_environments
            else {}
        )
        populations = await self._served.names.population_names(part.environment)
        wanted = await self._served.wanted_populations(part.environment, question.population)
        return [
            Deactivated(
                user=wire.removed_user(event, part.environment, environments=environments, populations=populations),
                at=event.at,
                by=event.actor,
            )
            for event in events
            if event.subject_id and (wanted is None or event.subject_workspace_id in wanted)
        ]

    async def _still_locked(
        self, part: ListPart, question: DeactivatedQuestion, events: Sequence[Event]
    ) -> list[Deactivated]:
        """Read each user that was locked, and keep who still is: events carry no values."""
        newest: dict[str, Event] = {}
        for event in events:
            if event.subject_id:
                newest.setdefault(event.subject_id, event)
        wanted = await self._served.wanted_populations(part.environment, question.population)
        populations = await self._served.names.population_names(part.environment)
        environments = (
            await self._served.names.environment_names()
            if self._served.connection.scope.has_several_environments
            else {}
        )

        async def still(event: Event) -> Deactivated | None:
            raw = await self._served.people.by_id(part.environment, event.subject_id or "")
            if raw is None:
                return None
            user = self._served.people.unify(raw, environments, populations)
            inside = wanted is None or any(place.id in wanted for place in user.workspaces)
            # An older lock than the one in force is no news, and would bring the user twice.
            newest = user.locked_at is None or event.at >= user.locked_at - CLOCK_SKEW
            return Deactivated(user=user, at=event.at, by=event.actor) if inside and newest else None

        return [found for found in await each(still, newest.values()) if found is not None]

    async def _annotated(
        self, part: ListPart, question: DeactivatedQuestion, users: tuple[User, ...]
    ) -> list[Deactivated]:
        """Add when and by whom users were disabled, where one of the newest events since `since` says so."""
        if part.label != "disabled" or question.since is None or not users:
            return [
                Deactivated(user=user, at=user.locked_at if user.status_reasons == ("locked",) else None)
                for user in users
            ]
        events = await self._served.names.keep(
            f"disabled {part.environment} {question.since}",
            lambda: self._who_disabled(part.environment, question.since),
        )
        return [
            Deactivated(user=user, at=event.at, by=event.actor)
            if (event := events.get(user.id)) is not None
            else Deactivated(user=user)
            for user in users
        ]

    async def _who_disabled(self, environment: str, since: datetime | None) -> dict[str, Event]:
        """Return the newest event per user that changed `enabled`; PingOne says so only in its text."""
        newest: dict[str, Event] = {}
        path: str | None = audit.path(
            environment, self._now(), limit=self._served.connection.pace.page_size, since=since, action="USER.UPDATED"
        )
        try:
            for _ in range(_WHO_DISABLED_PAGES):
                if path is None:
                    break
                page = await self._served.client.page(path, "activities", environment=environment)
                for event in wire.readable(page.items, wire.event)[0]:
                    if event.subject_id and event.summary.startswith("Updated enabled"):
                        newest.setdefault(event.subject_id, event)
                path = page.next
        except NotPermitted:
            return {}
        return newest

    def _now(self) -> datetime:
        return self._served.now()


def _reason_parts(
    reason: Reason, environment: str, populations: list[Filter | None], question: DeactivatedQuestion
) -> list[ListPart]:
    since = question.since
    key = f"{reason} {environment}"
    if reason == "removed":
        return [ListPart(key=key, environment=environment, collection="removed events", label=reason)]
    if reason == "locked" and since is not None:
        return [
            ListPart(
                key=key,
                environment=environment,
                collection="locked events",
                label=reason,
                keep=lambda user: _is_locked(user) and not _is_listed_as_disabled(user, question),
            )
        ]
    changed = ge("updatedAt", since) if since is not None else None
    enabled: Filter | None = eq("enabled", value=False)
    keep: Callable[[User], bool] | None = None
    if reason == "locked":
        enabled = eq("enabled", value=True) if "disabled" in question.reasons else None
        keep = _is_locked
    return [
        ListPart(
            key=f"{key} {batch}",
            environment=environment,
            filter=all_of((enabled, changed, population)),
            keep=keep,
            label=reason,
        )
        for batch, population in enumerate(populations)
    ]


def _is_locked(user: User) -> bool:
    return "locked" in user.status_reasons


def _is_listed_as_disabled(user: User, question: DeactivatedQuestion) -> bool:
    """Say whether a locked user is found under `disabled` already, so that nobody comes twice."""
    if "disabled" not in question.reasons or "disabled" not in user.status_reasons or question.since is None:
        return False
    return user.updated_at is not None and user.updated_at >= question.since


def _how(reason: Reason, since: datetime | None, now: datetime) -> Coverage:
    """Say how a reason is found, and whether reading all its pages leaves nobody out."""
    if reason == "disabled":
        if since is None:
            return Coverage(how="PingOne's filter enabled eq false", complete=True)
        return Coverage(
            how="PingOne's filter enabled eq false and updatedAt since then; when and by whom from audit events",
            complete=False,
            note="Found by last change: includes users disabled earlier and changed since; assumes that disabling "
            "moves updatedAt. Without `since` the list is complete.",
        )
    if reason == "locked":
        if since is None:
            return Coverage(how="every user read, those with account status LOCKED kept", complete=True)
        return Coverage(
            how="USER.LOCKED audit events since then, each user read again",
            complete=False,
            note="Events reach back 14 days, and locks by failed sign-ons may raise none. Without `since` all users "
            "are read and the list is complete.",
        )
    reaches = since is not None and since >= now - audit.WINDOW + audit.MARGIN
    return Coverage(
        how="USER.DELETED audit events",
        complete=reaches,
        note="Events of the last minutes may not have arrived yet."
        if reaches
        else "PingOne's audit reaches back 14 days; who was removed earlier cannot be seen here.",
    )
