"""Audit events as a sync understands them: what is to be read again, and what is known without reading.

Events carry no values (PingOne, "Audit activities"): who is named is read again. Only that a user was deleted, and when
and by whom something was done, is taken from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.changes import ChangeKind
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone import wire

# What is asked for by type where there are too many events of all kinds to read them all.
TYPES = (
    "USER.CREATED",
    "USER.UPDATED",
    "USER.DELETED",
    "USER.LOCKED",
    "USER.UNLOCKED",
    "MEMBER_OF_GROUP.CREATED",
    "MEMBER_OF_GROUP.DELETED",
    "GROUP.UPDATED",
    "GROUP.DELETED",
    "ROLE_ASSIGNMENT.CREATED",
    "ROLE_ASSIGNMENT.DELETED",
)
ROLE_TYPES = TYPES[-2:]
# What a first sync reads of the time before it: who was removed, locked, switched off or on.
PAST_TYPES = ("USER.DELETED", "USER.LOCKED", "USER.UPDATED")
_USER_CHANGES = frozenset(TYPES[:5])
ACTIONS: Mapping[ChangeKind, tuple[str, ...]] = MappingProxyType(
    {
        "user.created": ("USER.CREATED",),
        "user.updated": ("USER.UPDATED",),
        "user.deactivated": ("USER.UPDATED",),
        "user.reactivated": ("USER.UPDATED",),
        "user.locked": ("USER.LOCKED",),
        "user.unlocked": ("USER.UNLOCKED", "PASSWORD.UNLOCKED"),
        "user.removed": ("USER.DELETED",),
        "user.entered_scope": (),
        "user.left_scope": (),
        "membership.added": ("MEMBER_OF_GROUP.CREATED",),
        "membership.removed": ("MEMBER_OF_GROUP.DELETED",),
    }
)
"""The events that tell of a kind of change."""

_IN_USER = re.compile(r"/users/([^/?#]+)(?:/memberOfGroups/([^/?#]+))?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Trace:
    """When something was done and by whom, as an event says."""

    at: str
    actor: str | None


@dataclass(slots=True, kw_only=True)
class Wanted:
    """What some events ask for.

    `users` are to be read again, `removed` are known to be gone, of `memberships` (user, group) it is to be verified
    whether they hold, `groups` were made or changed, `removed_groups` deleted, and the role assignments of `roles` are
    to be read.
    """

    users: set[str] = field(default_factory=set[str])
    removed: dict[str, Trace] = field(default_factory=dict[str, Trace])
    memberships: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    groups: set[str] = field(default_factory=set[str])
    removed_groups: set[str] = field(default_factory=set[str])
    roles: set[str] = field(default_factory=set[str])
    homes: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """By user: when the latest event was, and the population that it names."""
    traces: dict[tuple[str, str, str], Trace] = field(default_factory=dict[tuple[str, str, str], Trace])
    """The latest by (user, group or '', action)."""
    seen: dict[str, str] = field(default_factory=dict[str, str])
    """When each event was, by its id."""

    def trace(self, kind: ChangeKind, user: str, group: str = "") -> Trace | None:
        """Return when and by whom a change was made, where an event says so."""
        found = (self.traces.get((user, group, action)) for action in ACTIONS[kind])
        return next((trace for trace in found if trace is not None), None)

    def left_group(self, user: str, group: str) -> bool:
        """Say whether the last that events tell of a user and a group is that the membership ended."""
        left, joined = self.trace("membership.removed", user, group), self.trace("membership.added", user, group)
        return left is not None and (joined is None or joined.at < left.at)


def changes_from(activities: Iterable[JsonObject]) -> Wanted:
    """Return what activities ask for, as the audit API or a webhook gives them, in any order, some of them twice.

    What is no activity, or about other things, asks for nothing.
    """
    wanted = Wanted()
    for activity in activities:
        try:
            event = wire.event(activity)
        except UnexpectedAnswer:  # without an id or a readable time
            continue
        if event.action and event.id not in wanted.seen:
            at = timestamp(event.at)
            wanted.seen[event.id] = at
            _note(wanted, activity, event.action.upper(), Trace(at, event.actor))
    return wanted


def _note(wanted: Wanted, activity: JsonObject, action: str, trace: Trace) -> None:
    area = action.partition(".")[0]
    resources = activity.get("resources")
    for resource in [_object(one) for one in resources] if isinstance(resources, list) else []:
        about, href = _id(resource.get("id")), resource.get("href")
        inside = _IN_USER.search(href) if isinstance(href, str) else None
        user, group = (_id(inside[1]), _id(inside[2])) if inside else (None, None)
        match area:
            case "USER" if about and resource.get("type") in ("USER", None):
                _note_user(wanted, activity, about, action, trace)
                _note_home(wanted, about, _id(_object(resource.get("population")).get("id")), trace)
            case "PASSWORD" if about and action == "PASSWORD.UNLOCKED":
                _note_user(wanted, activity, user or about, action, trace)
            case "MEMBER_OF_GROUP" if user and group:
                wanted.memberships.add((user, group))
                _keep_latest(wanted, (user, group, action), trace)
            case "ROLE_ASSIGNMENT" if user:
                wanted.roles.add(user)
            case "GROUP" if about:
                (wanted.removed_groups if _succeeded(activity, "GROUP.DELETED", action) else wanted.groups).add(about)
            case _:
                pass


def _note_user(wanted: Wanted, activity: JsonObject, user: str, action: str, trace: Trace) -> None:
    if action not in _USER_CHANGES and action != "PASSWORD.UNLOCKED":
        return  # sign-ons and such: there may be millions
    _keep_latest(wanted, (user, "", action), trace)
    if _succeeded(activity, "USER.DELETED", action):
        wanted.removed[user] = trace
    else:
        wanted.users.add(user)


def _note_home(wanted: Wanted, user: str, population: str | None, trace: Trace) -> None:
    """Note in which population a user was by the latest event: who was moved out of sight is not gone."""
    known = wanted.homes.get(user)
    if population is not None and (known is None or known[0] <= trace.at):
        wanted.homes[user] = (trace.at, population)


def _succeeded(activity: JsonObject, wanted: str, action: str) -> bool:
    """Say whether an activity is the one wanted, done: an attempt that failed (FAILED) deleted nothing."""
    return action == wanted and _object(activity.get("result")).get("status") in ("SUCCESS", None)


def _keep_latest(wanted: Wanted, key: tuple[str, str, str], trace: Trace) -> None:
    known = wanted.traces.get(key)
    if known is None or known.at < trace.at:
        wanted.traces[key] = trace


def _id(value: Any) -> str | None:
    """Return an id that may go into a path or a filter: PingOne's are UUIDs."""
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
