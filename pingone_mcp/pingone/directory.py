"""PingOne as a `Directory`: environments and populations as one flat list, page by page.

A listing is a row of parts (one per environment, reason or batch of populations), read one after the other.
A position names the part and the link inside it, so that any process of the same connection can go on there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote

import anyio
import httpx

from pingone_mcp.directory.models import (
    Deactivated,
    Event,
    GroupMembership,
    JsonObject,
    Manager,
    Page,
    RoleAssignment,
    User,
)
from pingone_mcp.directory.provider import (
    Coverage,
    DeactivatedQuestion,
    Include,
    ProxyAnswer,
    ProxyQuestion,
    Reason,
    UserQuestion,
)
from pingone_mcp.errors import NotFound, NotPermitted, Problem, Refused, RequestRefused, UnexpectedAnswer
from pingone_mcp.pingone import filters, wire
from pingone_mcp.pingone.answers import correlation_id, problem
from pingone_mcp.pingone.client import Client, HalPage, collection, path_with
from pingone_mcp.pingone.filters import Filter, all_of, any_of, eq
from pingone_mcp.pingone.names import Names
from pingone_mcp.pingone.redaction import redacted
from pingone_mcp.pingone.transport import Clock
from pingone_mcp.settings import Connection

T = TypeVar("T")
R = TypeVar("R")

AUDIT_WINDOW = timedelta(days=14)  # "Audit activities": older ones are not answered
# Our clock and PingOne's differ: the lower bound stays inside the window, and the upper one beyond the newest event.
_AUDIT_MARGIN = timedelta(minutes=1)
_CLOCK_SKEW = timedelta(minutes=10)
_POPULATIONS_PER_FILTER = 50  # 50 ids stay well below the 6 KB that PingOne allows for headers
_INCLUDE_PAGE = 25
_FAN_OUT = 6
_WHO_DISABLED_PAGES = 3

Source = Literal["users", "locked events", "removed events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One stretch of a listing: where it is read, and which of what is read there belongs to it."""

    key: str
    environment: str
    source: Source = "users"
    filter: Filter | None = None
    keep: Callable[[User], bool] | None = None
    reason: Reason | None = None

    @property
    def name(self) -> str:
        """Name the part in positions, filter included: one made under other settings names no part of today's."""
        return f"{self.key} {hashlib.blake2s(str(self.filter).encode(), digest_size=6).hexdigest()}"


@asynccontextmanager
async def open_directory(
    connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
) -> AsyncIterator[PingOneDirectory]:
    """Open the directory behind a connection; nothing is sent before the first question."""
    clock = clock or Clock()
    client = Client(connection, transport=transport, clock=clock)
    try:
        yield PingOneDirectory(client, clock)
    finally:
        await client.aclose()


class PingOneDirectory:
    """Answer directory questions from PingOne, live."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._connection = client.connection
        self._clock = clock
        self._names = Names(client, clock)

    def several_organizations(self) -> bool:
        configured = self._connection.environments
        return configured is None or len(configured) > 1

    # Users

    async def users(self, question: UserQuestion, at: str | None = None, *, page_size: int | None = None) -> Page[User]:
        parts = await self._user_parts(question)
        part, link = _find(parts, at)
        most = _INCLUDE_PAGE if question.include else self._connection.page_size
        path = link or self._users_path(part, self._page_size(part, page_size, most))
        hal = await self._page(path, "users", part, followed=link is not None)
        users = await self._users(part.environment, hal, remote_data=question.remote_data)
        users = tuple(user for user in users if part.keep is None or part.keep(user))
        if question.include:
            users = await self._with(question.include, part.environment, users)
        whole = len(parts) == 1 and part.keep is None
        return Page(
            items=users,
            at=_position(part, path),
            next=_following(parts, part, hal.next),
            scanned=len(hal.items),
            total=_trusted_total(part, link, hal) if whole else None,
            about=hal.count if len(parts) == 1 else None,
        )

    async def _user_parts(self, question: UserQuestion) -> list[_Part]:
        text = filters.people(question.query) if question.query is not None else None
        raw = filters.parse(question.filter) if question.filter is not None else None

        async def parts_of(environment: str) -> list[_Part]:
            group = None
            if question.group is not None:
                group_id = await self._names.find_group(environment, question.group)
                group = filters.Within("memberOfGroups", eq("id", group_id))
            populations = await self._population_filters(environment, question.population)
            return [
                _Part(
                    key=f"{environment} {batch}{name}",
                    environment=environment,
                    filter=all_of((status, text, raw, group, population)),
                    keep=keep,
                )
                for batch, population in enumerate(populations)
                for name, status, keep in _status_parts(question)
            ]

        return await self._in_each(await self._environment_ids(question.environment), parts_of)

    async def _in_each(
        self, environments: Sequence[str], parts_of: Callable[[str], Awaitable[list[_Part]]]
    ) -> list[_Part]:
        """Return the parts of all environments. One without the group or population that was named has none.

        Raises Refused when no environment knows the name.
        """
        parts: list[_Part] = []
        unknown: Refused | None = None
        for environment in environments:
            try:
                parts.extend(await parts_of(environment))
            except Refused as refused:
                if refused.code != "UNKNOWN_NAME":
                    raise
                unknown = refused
        if not parts:
            raise unknown or Refused(
                "The credentials see no environment.",
                "Give the worker application a role over one.",
                code="NOTHING_SERVED",
            )
        return parts

    async def _environment_ids(self, reference: str | None) -> Sequence[str]:
        """Return the environments to read, in one order for all processes, so that positions stay valid."""
        if reference is not None:
            return (await self._names.find_environment(reference),)
        configured = self._connection.environments
        if configured is not None:
            return sorted(configured)
        return [place.id for place in await self._names.environments()]

    async def _population_filters(self, environment: str, reference: str | None) -> list[Filter | None]:
        if reference is not None:
            return [eq("population.id", await self._names.find_population(environment, reference))]
        allowed = sorted(self._connection.populations)
        if not allowed:
            return [None]
        batches = [allowed[i : i + _POPULATIONS_PER_FILTER] for i in range(0, len(allowed), _POPULATIONS_PER_FILTER)]
        return [any_of(eq("population.id", identity) for identity in batch) for batch in batches]

    async def _page(self, path: str, key: str, part: _Part, *, followed: bool) -> HalPage:
        try:
            return await self._client.page(path, key, environment=part.environment)
        except RequestRefused as refused:
            if not followed:
                raise
            raise RequestRefused(
                "PingOne does not accept this place in the list any more, so the rest was not read.",
                "Start again without `cursor`.",
                code=refused.code,
                correlation_id=refused.correlation_id,
            ) from None

    def _page_size(self, part: _Part, wanted: int | None, most: int) -> int:
        """Ask for no more than is wanted, unless part of what is read will be dropped here."""
        return most if wanted is None or part.keep is not None else min(wanted, most)

    def _users_path(self, part: _Part, size: int) -> str:
        wanted = str(part.filter) if part.filter is not None else None
        return path_with(f"/environments/{part.environment}/users", {"limit": size, "filter": wanted})

    async def _users(self, environment: str, hal: HalPage, *, remote_data: bool) -> tuple[User, ...]:
        if not hal.items:
            return ()
        environments = await self._names.environment_names() if self.several_organizations() else {}
        populations = await self._names.population_names(environment)
        return tuple(self._unify(raw, environments, populations, remote_data=remote_data) for raw in hal.items)

    def _unify(
        self,
        raw: JsonObject,
        environments: dict[str, str | None],
        populations: dict[str, str | None],
        *,
        remote_data: bool = False,
    ) -> User:
        return wire.user(
            raw,
            attributes=self._connection.attributes,
            environments=environments,
            populations=populations,
            remote_data=remote_data,
        )

    # One user

    async def user(self, reference: str, *, environment: str | None = None, remote_data: bool = False) -> User:
        place, raw = await self._find_user(reference.strip(), await self._environment_ids(environment))
        names = await self._names.environment_names()
        found = self._unify(raw, names, await self._names.population_names(place), remote_data=remote_data)
        self._check_population(found)
        (full,) = await self._with(("groups", "roles"), place, (found,))
        if full.manager is None:
            return full
        return dataclasses.replace(full, manager=await self._manager(place, full.manager))

    async def _find_user(self, reference: str, environments: Sequence[str]) -> tuple[str, JsonObject]:
        """Return the environment and the object of the one user that a reference means."""
        found: list[tuple[str, JsonObject]] = []
        for environment in environments:
            raw = await self._user_by_id(environment, reference)
            found.extend([(environment, raw)] if raw else await self._users_by_name(environment, reference))
        exact = [item for item in found if _is_called(item[1], reference)]
        found = exact if len(exact) == 1 else found
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(
                "There is no such user in the configured environments.",
                "Give an id, username, email or external id; `list_users` with `query` finds people by parts of a name.",
                code="NOT_FOUND",
            )
        ids = ", ".join(f"{raw.get('id')} (environment {environment})" for environment, raw in found[:10])
        raise Refused(f"{len(found)} users match: {ids}.", "Give one of these ids as `user`.", code="AMBIGUOUS_USER")

    async def _user_by_id(self, environment: str, reference: str) -> JsonObject | None:
        try:
            identity = str(uuid.UUID(reference))
        except ValueError:
            return None
        try:
            return await self._client.get(f"/environments/{environment}/users/{identity}")
        except NotFound:
            return None

    async def _users_by_name(self, environment: str, reference: str) -> list[tuple[str, JsonObject]]:
        called = any_of(eq(attribute, reference) for attribute in ("username", "email", "externalId"))
        path = self._users_path(_Part(key="", environment=environment, filter=called), 10)
        return [(environment, raw) for raw in (await self._client.page(path, "users", environment=environment)).items]

    def _serves(self, user: User) -> bool:
        allowed = self._connection.populations
        return not allowed or any(place.id in allowed for place in user.workspaces)

    def _check_population(self, user: User) -> None:
        if not self._serves(user):
            raise Refused(
                "This user's population is outside the configured ones.",
                "PINGONE_POPULATIONS widens this.",
                code="OUTSIDE_CONFIGURATION",
            )

    async def _manager(self, environment: str, manager: Manager) -> Manager:
        """Return the manager with id and names where the reference leads to exactly one user."""
        try:
            _, raw = await self._find_user(manager.reference, (environment,))
        except (NotFound, Refused):
            return manager
        user = self._unify(raw, {}, {})
        if not self._serves(user):
            return manager
        return Manager(
            reference=manager.reference, id=user.id, username=user.username, email=user.email, name=user.name
        )

    async def _with(self, include: Sequence[Include], environment: str, users: tuple[User, ...]) -> tuple[User, ...]:
        """Return the users with groups and roles."""

        async def complete(user: User) -> User:
            return await self._complete(user, include, environment)

        return tuple(await _each(complete, users))

    async def _complete(self, user: User, include: Sequence[Include], environment: str) -> User:
        groups: tuple[GroupMembership, ...] | None = None
        roles: tuple[RoleAssignment, ...] | None = None
        unreadable: list[str] = []
        root = f"/environments/{environment}/users/{user.id}"
        if "groups" in include:
            try:
                path = path_with(f"{root}/memberOfGroups", {"limit": self._connection.page_size})
                groups = tuple([wire.membership(raw) async for raw in self._all(path, "groupMemberships", environment)])
            except NotPermitted:
                unreadable.append("groups")
        if "roles" in include:
            try:
                roles = await self._role_assignments(f"{root}/roleAssignments", environment)
            except NotPermitted:
                unreadable.append("roles")
        return dataclasses.replace(user, groups=groups, roles=roles, unreadable=tuple(unreadable))

    async def _role_assignments(self, path: str, environment: str) -> tuple[RoleAssignment, ...]:
        raws = [raw async for raw in self._all(path, "roleAssignments", environment)]
        if not raws:
            return ()
        roles = await self._names.role_names()
        places = await self._names.environment_names() | await self._names.population_names(environment)
        return tuple(wire.role_assignment(raw, roles=roles, places=places) for raw in raws)

    async def _all(self, path: str, key: str, environment: str) -> AsyncIterator[JsonObject]:
        async for page in self._client.pages(path, key, environment=environment):
            for item in page.items:
                yield item

    # Who cannot sign in any more

    async def deactivated(
        self, question: DeactivatedQuestion, at: str | None = None, *, page_size: int | None = None
    ) -> Page[Deactivated]:
        parts = await self._deactivated_parts(question)
        part, link = _find(parts, at)
        if part.source == "users":
            path = link or self._users_path(part, self._page_size(part, page_size, self._connection.page_size))
            hal = await self._page(path, "users", part, followed=link is not None)
            found = await self._annotated(part, question, await self._users(part.environment, hal, remote_data=False))
        else:
            path = link or self._activities_path(part.environment, _ACTIONS[part.source], question.since)
            hal = await self._page(path, "activities", part, followed=link is not None)
            read = self._removed if part.source == "removed events" else self._still_locked
            found = await read(part, question, [wire.event(raw) for raw in hal.items])
        whole = len(parts) == 1 and part.source == "users" and part.keep is None
        return Page(
            items=tuple(item for item in found if part.keep is None or part.keep(item.user)),
            at=_position(part, path),
            next=_following(parts, part, hal.next),
            scanned=len(hal.items),
            total=_trusted_total(part, link, hal) if whole else None,
            about=hal.count if len(parts) == 1 else None,
        )

    def coverage(self, question: DeactivatedQuestion, read_to: str | None) -> dict[Reason, Coverage]:
        order = _reasons(question)
        current = json.loads(read_to)[0].split(" ")[0] if read_to is not None else None
        done = order.index(current) if current in order else len(order)
        told = {reason: _how(reason, question.since, self._now()) for reason in order}
        return {
            reason: dataclasses.replace(how, complete=how.complete and index < done)
            for index, (reason, how) in enumerate(told.items())
        }

    async def _deactivated_parts(self, question: DeactivatedQuestion) -> list[_Part]:
        async def parts_of(environment: str) -> list[_Part]:
            populations = await self._population_filters(environment, question.population)
            return [
                part
                for reason in _reasons(question)
                for part in _reason_parts(reason, environment, populations, question)
            ]

        order = _reasons(question)
        parts = await self._in_each(await self._environment_ids(question.environment), parts_of)
        return sorted(parts, key=lambda part: order.index(part.reason or order[0]))

    def _activities_path(self, environment: str, action: str, since: datetime | None) -> str:
        """Return the path of one kind of events, newest first; a range is obligatory (PingOne, "Audit activities")."""
        now = self._now()
        start = max(since or now - AUDIT_WINDOW, now - AUDIT_WINDOW + _AUDIT_MARGIN)
        until = now + _CLOCK_SKEW
        wanted = all_of((filters.ge("recordedAt", start), filters.le("recordedAt", until), eq("action.type", action)))
        return path_with(
            f"/environments/{environment}/activities", {"limit": self._connection.page_size, "filter": str(wanted)}
        )

    async def _removed(self, part: _Part, question: DeactivatedQuestion, events: list[Event]) -> list[Deactivated]:
        environments = await self._names.environment_names() if self.several_organizations() else {}
        populations = await self._names.population_names(part.environment)
        wanted = await self._wanted_populations(part.environment, question.population)
        return [
            Deactivated(
                user=wire.removed_user(event, part.environment, environments=environments, populations=populations),
                at=event.at,
                by=event.actor,
            )
            for event in events
            if event.subject_id and (wanted is None or event.subject_workspace_id in wanted)
        ]

    async def _wanted_populations(self, environment: str, reference: str | None) -> frozenset[str] | None:
        if reference is not None:
            return frozenset((await self._names.find_population(environment, reference),))
        return frozenset(self._connection.populations) or None

    async def _still_locked(self, part: _Part, question: DeactivatedQuestion, events: list[Event]) -> list[Deactivated]:
        """Read each user that was locked, and keep who still is: events carry no values."""
        newest: dict[str, Event] = {}
        for event in events:
            if event.subject_id:
                newest.setdefault(event.subject_id, event)
        wanted = await self._wanted_populations(part.environment, question.population)
        populations = await self._names.population_names(part.environment)
        environments = await self._names.environment_names() if self.several_organizations() else {}

        async def still(event: Event) -> Deactivated | None:
            raw = await self._user_by_id(part.environment, event.subject_id or "")
            if raw is None:
                return None
            user = self._unify(raw, environments, populations)
            inside = wanted is None or any(place.id in wanted for place in user.workspaces)
            return Deactivated(user=user, at=event.at, by=event.actor) if inside else None

        return [found for found in await _each(still, newest.values()) if found is not None]

    async def _annotated(
        self, part: _Part, question: DeactivatedQuestion, users: tuple[User, ...]
    ) -> list[Deactivated]:
        """Say when and by whom users were disabled, where the newest events since `since` tell."""
        if part.reason != "disabled" or question.since is None or not users:
            return [
                Deactivated(user=user, at=user.locked_at if user.status_reasons == ("locked",) else None)
                for user in users
            ]
        events = await self._names.keep(
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
        path: str | None = self._activities_path(environment, "USER.UPDATED", since)
        try:
            for _ in range(_WHO_DISABLED_PAGES):
                if path is None:
                    break
                page = await self._client.page(path, "activities", environment=environment)
                for event in map(wire.event, page.items):
                    if event.subject_id and event.summary.startswith("Updated enabled"):
                        newest.setdefault(event.subject_id, event)
                path = page.next
        except NotPermitted:
            return {}
        return newest

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)

    # The provider's own API

    async def proxy(self, question: ProxyQuestion, at: str | None = None) -> ProxyAnswer:
        path, _, written = question.path.partition("?")
        self._client.fence.url(path)
        environment = next(iter(unquote(path).strip("/").split("/")[1:2]), None)
        parameters = dict(parse_qsl(written)) | question.query
        target = at or path_with("/" + path.strip("/"), parameters)
        response = await self._client.send(question.method, self._connection.api_base + target)
        if not response.is_success:
            raise problem(response)
        answer = ProxyAnswer(status=response.status_code, correlation_id=correlation_id(response))
        if question.method == "HEAD" or not response.content:
            return answer
        return dataclasses.replace(answer, **self._proxied(response, target, environment))

    def _proxied(self, response: httpx.Response, target: str, environment: str | None) -> dict[str, Any]:
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if not (kind.endswith("json") or kind.startswith("text/")):
            raise UnexpectedAnswer(
                "The answer is neither JSON nor text, so it is not shown.", "Ask for another path.", code="BINARY_BODY"
            )
        if not kind.endswith("json"):
            return {"body": response.text}
        try:
            body = redacted(response.json())
        except (ValueError, RecursionError):
            raise UnexpectedAnswer(
                "PingOne's answer is not the JSON that it says it is.", "Try again.", code="UNREADABLE_ANSWER"
            ) from None
        found = collection(body) if isinstance(body, dict) else None
        if found is None:
            return {"body": body}
        hal = self._client.hal_page(body, found[1], environment=environment)
        items = tuple({key: value for key, value in item.items() if key != "_links"} for item in hal.items)
        return {
            "page": Page(items=items, at=target, next=hal.next, scanned=len(items), total=hal.count, about=hal.count)
        }


_ACTIONS: dict[Source, str] = {"locked events": "USER.LOCKED", "removed events": "USER.DELETED"}


def _find(parts: list[_Part], at: str | None) -> tuple[_Part, str | None]:
    """Return the part and the link that a position names; the first part when there is none yet."""
    if at is None:
        return parts[0], None
    name, link = json.loads(at)
    for part in parts:
        if part.name == name:
            return part, link
    raise Refused(
        "The environments or populations served have changed since this cursor was made.",
        "Start again without `cursor`.",
        code="STALE_CURSOR",
    )


def _position(part: _Part, link: str | None) -> str:
    return json.dumps([part.name, link], separators=(",", ":"))


def _following(parts: list[_Part], part: _Part, link: str | None) -> str | None:
    if link is not None:
        return _position(part, link)
    index = parts.index(part) + 1
    return _position(parts[index], None) if index < len(parts) else None


def _trusted_total(part: _Part, link: str | None, page: HalPage) -> int | None:
    """Return the server's count, unless something says that it is wrong.

    PingOne's documentation warns of it for ranges of updatedAt; a first and only page must hold just as many.
    """
    if page.count is None or page.count < len(page.items) or "updatedAt" in str(part.filter or ""):
        return None
    if link is None and (page.next is None) != (page.count == len(page.items)):
        return None
    return page.count


def _status_parts(question: UserQuestion) -> list[tuple[str, Filter | None, Callable[[User], bool] | None]]:
    """Say how users of a status are read: `enabled` can be filtered by PingOne, the rest is decided here."""
    wanted = question.status
    if wanted is None:
        return [("", None, None)]
    enabled = eq("enabled", value=True)
    if wanted == "inactive":
        return [
            ("d", eq("enabled", value=False), None),
            ("l", enabled, lambda user: user.status == "inactive"),
        ]
    return [("", enabled, lambda user: user.status == wanted)]


def _reasons(question: DeactivatedQuestion) -> list[Reason]:
    order: tuple[Reason, ...] = ("disabled", "locked", "removed")
    return [reason for reason in order if reason in question.reasons]


def _reason_parts(
    reason: Reason, environment: str, populations: list[Filter | None], question: DeactivatedQuestion
) -> list[_Part]:
    since = question.since
    key = f"{reason} {environment}"
    if reason == "removed":
        return [_Part(key=key, environment=environment, source="removed events", reason=reason)]
    if reason == "locked" and since is not None:
        return [
            _Part(
                key=key,
                environment=environment,
                source="locked events",
                reason=reason,
                keep=lambda user: _is_locked(user) and not _is_listed_as_disabled(user, question),
            )
        ]
    changed = filters.ge("updatedAt", since) if since is not None else None
    enabled: Filter | None = eq("enabled", value=False)
    keep: Callable[[User], bool] | None = None
    if reason == "locked":
        enabled = eq("enabled", value=True) if "disabled" in question.reasons else None
        keep = _is_locked
    return [
        _Part(
            key=f"{key} {batch}",
            environment=environment,
            filter=all_of((enabled, changed, population)),
            keep=keep,
            reason=reason,
        )
        for batch, population in enumerate(populations)
    ]


def _is_locked(user: User) -> bool:
    return "locked" in user.status_reasons


def _is_called(raw: JsonObject, reference: str) -> bool:
    """Say whether a reference is the id or username itself, which outweigh an email or external id."""
    return reference.casefold() in (str(raw.get("id", "")).casefold(), str(raw.get("username", "")).casefold())


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
    reaches = since is not None and since >= now - AUDIT_WINDOW
    return Coverage(
        how="USER.DELETED audit events",
        complete=reaches,
        note=None if reaches else "PingOne's audit reaches back 14 days; who was removed earlier cannot be seen here.",
    )


async def _each(act: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Return what `act` makes of each item, in order, a few at a time. Raises the first Problem."""
    limiter = anyio.CapacityLimiter(_FAN_OUT)
    done: dict[int, R] = {}

    async def one(index: int, item: T) -> None:
        async with limiter:
            done[index] = await act(item)

    try:
        async with anyio.create_task_group() as tasks:
            for index, item in enumerate(items):
                tasks.start_soon(one, index, item)
    except* Problem as several:
        raise _first(several) from None
    return [done[index] for index in sorted(done)]


def _first(several: BaseExceptionGroup[Problem]) -> Problem:
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Problem)
    return error
