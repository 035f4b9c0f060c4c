"""PingOne's audit events as a sync understands them: what is to be read again, and what is known without reading.

Events carry no values (PingOne, "Audit activities"): who is named is read again. Only that a user was deleted, and when
and by whom something was done, is taken from them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.changes import ChangeKind
from pingone_mcp.directory.models import Event, JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone import wire
from pingone_mcp.replica.source import Pair, PastEvent, Trace, Wanted

USER_TYPES = ("USER.CREATED", "USER.UPDATED", "USER.MOVED", "USER.DELETED", "USER.LOCKED", "USER.UNLOCKED")
PASSWORD_TYPES = ("PASSWORD.UNLOCKED", "PASSWORD.CHECK_FAILED")
"""A failed check may have locked its user, and then no other event need say so. Which does is not documented."""
ROLE_TYPES = ("ROLE_ASSIGNMENT.CREATED", "ROLE_ASSIGNMENT.DELETED")
TYPES = (
    *USER_TYPES,
    "MEMBER_OF_GROUP.CREATED",
    "MEMBER_OF_GROUP.DELETED",
    "GROUP.UPDATED",
    "GROUP.DELETED",
    *ROLE_TYPES,
)
"""What is asked for by type where there are too many events of all kinds to read them all."""

_ACTIONS: Mapping[ChangeKind, tuple[str, ...]] = MappingProxyType(
    {
        "user.created": ("USER.CREATED",),
        "user.updated": ("USER.UPDATED", "USER.MOVED"),
        "user.deactivated": ("USER.UPDATED",),
        "user.reactivated": ("USER.UPDATED",),
        "user.locked": ("USER.LOCKED", "PASSWORD.CHECK_FAILED"),
        "user.unlocked": ("USER.UNLOCKED", "PASSWORD.UNLOCKED"),
        "user.removed": ("USER.DELETED",),
        "membership.added": ("MEMBER_OF_GROUP.CREATED",),
        "membership.removed": ("MEMBER_OF_GROUP.DELETED",),
    }
)
"""The events that are about a kind of change; of several, the first that there is says when it was."""
_PAST_KINDS: Mapping[str, ChangeKind] = MappingProxyType(
    {"USER.DELETED": "user.removed", "USER.LOCKED": "user.locked", "USER.UPDATED": "user.deactivated"}
)

_IN_ENVIRONMENT = re.compile(r"/environments/([^/?#]+)/")
_IN_USER = re.compile(r"/users/([^/?#]+)(?:/memberOfGroups/([^/?#]+))?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def wanted_by(activities: Iterable[JsonObject]) -> Wanted:
    """Return what activities ask for, as the audit API or a webhook gives them, in any order, some of them twice.

    What is no activity, or about other things, asks for nothing.
    """
    reading = _EventReading()
    for activity in activities:
        try:
            event = wire.event(activity)
        except UnexpectedAnswer:  # without an id or a readable time
            continue
        reading.read(activity, event)
    return reading.outcome()


def wanted_by_environment(activities: Iterable[JsonObject]) -> dict[str, Wanted]:
    """Return what activities ask for by the environment of what they are about, as a webhook brings them.

    What does not say where it is, or says two different places, asks for nothing.
    """
    places = defaultdict[str, list[JsonObject]](list)
    for activity in map(_object, activities):
        inside = defaultdict[str, list[JsonObject]](list)
        for resource in _resources(activity):
            if (environment := _environment(resource)) is not None:
                inside[environment].append(resource)
        for environment, some in inside.items():
            places[environment].append({**activity, "resources": some})
    return {environment: wanted_by(some) for environment, some in places.items()}


def is_foreign(activity: JsonObject, environments: Collection[str]) -> bool:
    """Say whether all that an activity is about is in other environments than these; what does not say is not."""
    own = {environment.lower() for environment in environments}
    places = [_environment(resource) for resource in _resources(activity)]
    return bool(places) and all(place is not None and place not in own for place in places)


def about(activity: JsonObject) -> frozenset[str]:
    """Return the ids of all that an activity is about; its own where it names nothing."""
    named = {found for resource in _resources(activity) if (found := _named(resource)) is not None}
    return frozenset(named or {str(activity.get("id"))})


def _named(resource: JsonObject) -> str | None:
    """Return the user of a resource, or else itself."""
    href = resource.get("href")
    inside = _IN_USER.search(href) if isinstance(href, str) else None
    return (_id(inside[1]) if inside else None) or _id(resource.get("id"))


def _resources(activity: JsonObject) -> Iterable[JsonObject]:
    resources = activity.get("resources")
    return map(_object, resources if isinstance(resources, list) else ())


def _environment(resource: JsonObject) -> str | None:
    """Return the environment of a resource: as itself and its address say, which must be the same."""
    named, href = _id(_object(resource.get("environment")).get("id")), resource.get("href")
    found = _IN_ENVIRONMENT.search(href) if isinstance(href, str) else None
    said = {one.lower() for one in (named, _id(found[1]) if found else None) if one is not None}
    return said.pop() if len(said) == 1 else None


class _EventReading:
    """Events that are read one after the other."""

    def __init__(self) -> None:
        self._wanted = Wanted()
        self._latest: dict[tuple[str, str, str], Trace] = {}  # by user, group or '', and action
        self._homes: dict[str, Trace] = {}

    def outcome(self) -> Wanted:
        """Return what all that was read asks for."""
        pairs = {(user, group) for user, group, _ in self._latest}
        for user, group in pairs:
            for kind, actions in _ACTIONS.items():
                found = (self._latest.get((user, group, action)) for action in actions)
                trace = next((one for one in found if one is not None), None)
                if trace is not None:
                    self._wanted.traces[user, group, kind] = trace
        return self._wanted

    def read(self, activity: JsonObject, event: Event) -> None:
        if not event.action or event.id in self._wanted.seen:
            return
        at = timestamp(event.at)
        self._wanted.seen[event.id] = at
        action, trace = event.action.upper(), Trace(at, event.actor)
        failed = _object(activity.get("result")).get("status") not in ("SUCCESS", None)  # an attempt: it did nothing
        for resource in _resources(activity):
            self._read_resource(resource, action, trace, failed=failed)

    def _read_resource(self, resource: JsonObject, action: str, trace: Trace, *, failed: bool) -> None:
        about, href = _id(resource.get("id")), resource.get("href")
        inside = _IN_USER.search(href) if isinstance(href, str) else None
        user, group = (_id(inside[1]), _id(inside[2])) if inside else (None, None)
        match action.partition(".")[0]:
            case "USER" if about and resource.get("type") in ("USER", None):
                self._user(about, action, trace, failed=failed)
                self._home(about, _id(_object(resource.get("population")).get("id")), trace)
            case "PASSWORD" if about and action in PASSWORD_TYPES:
                self._user(user or about, action, trace, failed=failed)
            case "MEMBER_OF_GROUP" if user and group:
                self._wanted.memberships.add(Pair(user, group))
                self._keep_latest((user, group, action), trace)
            case "ROLE_ASSIGNMENT" if user:
                self._wanted.roles.add(user)
            case "GROUP" if about:
                deleted = action == "GROUP.DELETED" and not failed
                (self._wanted.removed_groups if deleted else self._wanted.groups).add(about)
            case _:
                pass

    def _user(self, user: str, action: str, trace: Trace, *, failed: bool) -> None:
        if action not in USER_TYPES and action not in PASSWORD_TYPES:
            return  # sign-ons and such: there may be millions
        self._keep_latest((user, "", action), trace)
        if action == "USER.DELETED" and not failed:
            self._wanted.removed[user] = trace
        else:
            self._wanted.users.add(user)

    def _home(self, user: str, population: str | None, trace: Trace) -> None:
        """Note in which population a user was by the latest event: who was moved out of sight is not gone."""
        known = self._homes.get(user)
        if population is not None and (known is None or known.at <= trace.at):
            self._homes[user] = trace
            self._wanted.homes[user] = population

    def _keep_latest(self, key: tuple[str, str, str], trace: Trace) -> None:
        known = self._latest.get(key)
        if known is None or known.at < trace.at:
            self._latest[key] = trace


def past_of(activities: Iterable[JsonObject], environment: str, scope: Scope) -> tuple[PastEvent, ...]:
    """Return what events say of the time before a first sync, the newest of each kind and user, oldest first."""
    newest: dict[tuple[ChangeKind, str], Event] = {}
    for raw in activities:
        found = _past_change(raw)
        if found is None:
            continue
        key, event = found
        if key not in newest or newest[key].at < event.at:
            newest[key] = event
    return tuple(
        PastEvent(
            kind=kind,
            user=user,
            trace=Trace(timestamp(event.at), event.actor),
            removed=row_of(wire.removed_user(event, environment, environments={}, populations={}), environment)
            if kind == "user.removed"
            else None,
        )
        for (kind, user), event in sorted(newest.items(), key=lambda one: one[1].at)
        if kind != "user.removed" or scope.has_population(event.subject_workspace_id)
    )


def _past_change(raw: JsonObject) -> tuple[tuple[ChangeKind, str], Event] | None:
    """Return which change of which user an event says was made; None for one that says nothing of the kind."""
    try:
        event = wire.event(raw)
    except UnexpectedAnswer:
        return None
    kind = _PAST_KINDS.get(event.action.upper())
    failed = _object(raw.get("result")).get("status") == "FAILED"
    if kind is None or failed or event.subject_id is None:
        return None
    if kind == "user.deactivated" and not event.summary.startswith(
        "Updated enabled"
    ):  # PingOne says so in its text only
        return None
    return (kind, event.subject_id), event


def _id(value: Any) -> str | None:
    """Return an id that may go into a path or a filter: PingOne's are UUIDs."""
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
