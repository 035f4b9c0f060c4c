"""Users who cannot sign in any more: disabled, locked or removed, found as far as PingOne lets one see."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime

from pingone_mcp.clock import CLOCK_SKEW
from pingone_mcp.directory.filters import Filter, all_of, eq, ge
from pingone_mcp.directory.gaps import AuditUnreadable, Gap, UnattributedEvents
from pingone_mcp.directory.models import Deactivated, Event, Page, User
from pingone_mcp.directory.provider import Coverage, DeactivatedQuestion, Reason
from pingone_mcp.errors import NotPermitted, Refused
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.asking.parts import Part, Place, Source, find, part_named
from pingone_mcp.pingone.client import HalPage
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.served import NOTHING, Served
from pingone_mcp.tasks import each

_WHO_DISABLED_PAGES = 3
_LOCKED_PAGE = 25
_ACTIONS: dict[Source, str] = {"locked events": "USER.LOCKED", "removed events": "USER.DELETED"}


class DeactivatedUsers:
    """Answer who cannot sign in any more, one reason after the other, and how far that can be known."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def page(
        self, question: DeactivatedQuestion, at: str | None = None, *, page_size: int | None = None
    ) -> Page[Deactivated]:
        if question.since is not None and question.since > self._now():
            raise Refused("`since` lies in the future.", "Give a time that has passed.", code="FUTURE_TIME")
        parts = await self._parts(question)
        place = find(parts, at)
        part = place.part
        if part.source == "users":
            size = part.page_size(page_size, self._served.connection.pace.page_size)
            path = place.link or self._served.users_path(part, size)
            hal, gaps = await self._served.page_or_gap(path, "users", place)
            users, left_out = await self._served.readable_users(part.environment, hal)
            found = await self._annotated(part, question, users)
        else:
            path, hal, gaps = await self._events(place, question)
            events, left_out = wire.readable(hal.items, wire.event)
            read = self._removed if part.source == "removed events" else self._still_locked
            found = await read(part, question, events)
            limited = question.population is not None or bool(self._served.connection.scope.populations)
            if any(not event.subject_id or (limited and not event.subject_workspace_id) for event in events):
                gaps = (*gaps, UnattributedEvents(place=part.environment, part=part.label))
        kept = (item for item in found if part.keep is None or part.keep(item.user))
        gaps = (*await self._served.unserved(question.environment), *gaps)
        page = place.page(path, hal, kept, left_out=left_out, gaps=gaps)
        return page if part.source == "users" else dataclasses.replace(page, total=None)  # events are not users

    async def _events(self, place: Place, question: DeactivatedQuestion) -> tuple[str, HalPage, tuple[Gap, ...]]:
        """Return the path of a page of events, the page, and what of it may not be read.

        PingOne does not count events, so a page that lost its link looks like the last one. Where one ends the list it
        is asked what lies before its oldest event; if something does, the list goes on there.
        """
        part = place.part
        action = _ACTIONS[part.source]

        def until(at: datetime | None) -> str:
            # Each user who was locked is read again: small pages keep an answer within its time.
            size = _LOCKED_PAGE if part.source == "locked events" else self._served.connection.pace.page_size
            return audit.path(part.environment, self._now(), limit=size, since=question.since, until=at, action=action)

        path = place.link or until(None)
        try:
            hal = await self._served.page(path, "activities", place)
            if hal.next is not None or hal.count is not None or not hal.items:
                return path, hal, ()
            times = [event.at for event in wire.readable(hal.items, wire.event)[0]]
            before = until(min(times) - audit.PRECISION) if times else None
            if before is None or not (await self._served.page(before, "activities", place)).items:
                return path, hal, ()
            return path, dataclasses.replace(hal, next=before), ()
        except NotPermitted:
            if len(question.reasons) == 1:
                raise
            return path, NOTHING, (AuditUnreadable(place=part.environment, part=part.label),)

    def coverage(
        self, question: DeactivatedQuestion, read_to: str | None, gaps: tuple[Gap, ...] = ()
    ) -> dict[Reason, Coverage]:
        order = _reasons(question)
        current = part_named(read_to).split(" ")[0] if read_to is not None else None
        done = order.index(current) if current in order else len(order)
        told: dict[Reason, Coverage] = {}
        for index, reason in enumerate(order):
            how = _how(reason, question.since, self._now())
            missing = [gap.note() for gap in gaps if gap.part in ("", reason)]
            told[reason] = Coverage(
                how=how.how,
                complete=how.complete and index < done and not missing,
                note=" ".join(filter(None, (*missing, how.note))) or None,
            )
        return told

    async def _parts(self, question: DeactivatedQuestion) -> list[Part]:
        environments = await self._served.environment_ids(question.environment)
        order = _reasons(question)
        parts = [
            part
            for home in await self._served.homes(environments, question.population)
            for reason in order
            for part in _reason_parts(
                reason, home.environment, self._served.population_filters(home.population), question
            )
        ]
        return sorted(parts, key=lambda part: [str(reason) for reason in order].index(part.label))

    async def _removed(self, part: Part, question: DeactivatedQuestion, events: Sequence[Event]) -> list[Deactivated]:
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
        self, part: Part, question: DeactivatedQuestion, events: Sequence[Event]
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
            raw = await self._served.user_by_id(part.environment, event.subject_id or "")
            if raw is None:
                return None
            user = self._served.unify(raw, environments, populations)
            inside = wanted is None or any(place.id in wanted for place in user.workspaces)
            # An older lock than the one in force is no news, and would bring the user twice.
            newest = user.locked_at is None or event.at >= user.locked_at - CLOCK_SKEW
            return Deactivated(user=user, at=event.at, by=event.actor) if inside and newest else None

        return [found for found in await each(still, newest.values()) if found is not None]

    async def _annotated(self, part: Part, question: DeactivatedQuestion, users: tuple[User, ...]) -> list[Deactivated]:
        """Say when and by whom users were disabled, where the newest events since `since` tell."""
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


def _reasons(question: DeactivatedQuestion) -> list[Reason]:
    order: tuple[Reason, ...] = ("disabled", "locked", "removed")
    return [reason for reason in order if reason in question.reasons]


def _reason_parts(
    reason: Reason, environment: str, populations: list[Filter | None], question: DeactivatedQuestion
) -> list[Part]:
    since = question.since
    key = f"{reason} {environment}"
    if reason == "removed":
        return [Part(key=key, environment=environment, source="removed events", label=reason)]
    if reason == "locked" and since is not None:
        return [
            Part(
                key=key,
                environment=environment,
                source="locked events",
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
        Part(
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
