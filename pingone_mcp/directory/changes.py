"""What changed: one change, and the changes between two versions of a user.

Versions are plain records (`directory.rows.plain` of a `User`). Both sides of a change name the same fields, null where
there was nothing, so that laying `after` over an older record gives the newer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from pingone_mcp.directory.models import JsonObject, Named
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position

ChangeKind = Literal[
    "user.created",
    "user.updated",
    "user.deactivated",
    "user.reactivated",
    "user.locked",
    "user.unlocked",
    "user.removed",
    "user.entered_scope",
    "user.left_scope",
    "membership.added",
    "membership.removed",
]
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
Evidence = Literal["walk", "event", "read", "accepted"]
"""How a change is known: by a walk over everybody, by an audit event, by reading the one it is about, or because a
person said so of those who were not found any more."""

# A sign-on is no change of the directory; the others are not always asked for, so that their absence says nothing.
UNCOMPARED = frozenset({"last_login_at", "groups", "roles", "remote_data", "unreadable"})
_STATUS = ("status", "status_reasons", "status_source")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedUser:
    """Whom a change is about, as the user was called then."""

    id: str
    username: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the directory: when, of whom, from what to what, and how it is known.

    `before` and `after` hold the unified fields that changed; None where there was nothing, or is nothing any more. A
    membership has a `group`, and its `type` in them. Who enters or leaves scope was there before, or still is: in a
    population that is not served, or beyond the role of the credentials.
    """

    id: int
    at: datetime
    kind: ChangeKind
    user: ChangedUser
    before: JsonObject | None = None
    after: JsonObject | None = None
    evidence: Evidence
    group: Named | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class ObservedChange:
    """What one observation of a user says: one kind of change, with the fields that it concerns."""

    kind: ChangeKind
    before: JsonObject | None
    after: JsonObject | None


def changes_between(before: JsonObject | None, after: JsonObject | None) -> tuple[ObservedChange, ...]:
    """Return the changes that lead from one plain record of a user to another; None means that there is no user.

    One observation may give several: who was disabled and renamed since the last look was deactivated and updated.
    """
    if before is None:
        return () if after is None else (ObservedChange("user.created", None, after),)
    if after is None:
        return (ObservedChange("user.removed", before, None),)
    unread = _unread(before, after)
    compared = {*before, *after} - UNCOMPARED - unread
    changed = [name for name in sorted(compared) if _differ(name, before, after)]
    turned: list[_StatusTurn] = []
    if before.get("status_reasons") != after.get("status_reasons") and "status" not in unread:
        turned = [turn for turn in _TURNS if turn.holds(before) != turn.holds(after)]
    if not turned:
        return (_observed("user.updated", changed, before, after),) if changed else ()
    found = [
        _observed(
            turn.gained if turn.holds(after) else turn.lost,
            [name for name in changed if name in turn.fields or name == _ALWAYS],
            before,
            after,
        )
        for turn in turned
    ]
    covered = frozenset().union(*(turn.fields for turn in turned))
    others = [name for name in changed if name not in covered]
    if set(others) - {_ALWAYS}:
        found.append(_observed("user.updated", others, before, after))
    return tuple(found)


# Every change carries it, and by itself it is one only if there is no other.
_ALWAYS = "updated_at"


@dataclass(frozen=True, slots=True)
class _StatusTurn:
    """A reason not to be active that a user may gain or lose, the changes that this is, and the fields it shows in."""

    reason: str
    gained: ChangeKind
    lost: ChangeKind
    fields: frozenset[str]

    def holds(self, record: JsonObject) -> bool:
        """Say whether a plain record of a user has the reason."""
        return self.reason in record.get("status_reasons", ())


_TURNS = (
    _StatusTurn("disabled", "user.deactivated", "user.reactivated", frozenset(_STATUS)),
    _StatusTurn("locked", "user.locked", "user.unlocked", frozenset((*_STATUS, "locked_at"))),
)


def replayed(record: JsonObject | None, change: ObservedChange | Change) -> JsonObject | None:
    """Return a plain record after a change of its user, memberships aside."""
    if change.after is None:
        return None
    laid = change.after if change.before is None else {**(record or {}), **change.after}
    return {name: value for name, value in laid.items() if value is not None}


def _unread(before: JsonObject, after: JsonObject) -> set[str]:
    """Return the fields that could not be read in one of two records: their absence is no change."""
    unread = {*before.get("unreadable", ()), *after.get("unreadable", ())}
    return unread.union(_STATUS) if "status" in unread else unread


def _observed(kind: ChangeKind, names: list[str], before: JsonObject, after: JsonObject) -> ObservedChange:
    return ObservedChange(kind, {name: before.get(name) for name in names}, {name: after.get(name) for name in names})


def _differ(name: str, before: JsonObject, after: JsonObject) -> bool:
    return bool(_compared(name, before.get(name)) != _compared(name, after.get(name)))


def _compared(name: str, value: Any) -> Any:
    """Return what counts of a field: of a place its id, whatever it is called; of a manager the raw reference."""
    if name in ("organizations", "workspaces") and value is not None:
        return [place["id"] for place in value]
    if name == "manager" and value is not None:
        return value["reference"]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeQuestion:
    """Which changes: those since a time, of some kinds (empty: all), of one user (id, username or email of then)."""

    since: datetime | None = None
    kinds: tuple[ChangeKind, ...] = ()
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage(Page[Change]):
    """A page of changes; `newest` is the position behind all there were when it was read, found or not.

    `known_since` is from when on every change was written down. Of the time before it there are only the removals,
    deactivations and locks that the audit still showed when the first sync was taken over.
    """

    newest: Position
    known_since: datetime | None = None
