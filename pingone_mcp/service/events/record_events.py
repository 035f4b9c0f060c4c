"""A change of the directory as an event: what it is called, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pingone_mcp.control.outbox import NewEvent
from pingone_mcp.directory.changes import Change, ChangeKind
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.asking.shown_user import shown_user

if TYPE_CHECKING:
    from pydantic import JsonValue

USERS = "user-directory/users"
LONGEST_TEXT = 4_096
"""Characters of one text in an event; of a longer one the beginning is there."""
LARGEST = 128 * 1024
"""Bytes of a payload; of a larger one the largest members are left out, and named in `truncated`."""
_CALLED: Mapping[ChangeKind, str] = MappingProxyType(
    {
        "user.created": "record:created",
        "user.entered_scope": "record:created",
        "user.removed": "record:deleted",
        "user.left_scope": "record:deleted",
    }
)
_UPDATED = "record:updated"
RECORD_EVENTS = frozenset({*_CALLED.values(), _UPDATED})


def record_event(change: Change, record: JsonObject | None, *, feed: str, connection: str) -> NewEvent:
    """Return the event of a change; `record` is the plain record of its user, as it is now or was when it went.

    Its name tells it from all others: the same change of the same feed is the same event whenever it is written.
    """
    user = {"id": change.user.id, "username": change.user.username, "email": change.user.email}
    row = shown_user(record) if record is not None else {name: text for name, text in user.items() if text is not None}
    before, after = _sides(change)
    payload: dict[str, Any] = {
        "resource": USERS,
        "change": change.kind,
        "records": [row],
        "before": before,
        "after": after,
        "evidence": {"type": change.evidence, "at": timestamp(change.at), "actor": change.actor},
        "integrated_account_id": connection,
    }
    return NewEvent(
        event=_CALLED.get(change.kind, _UPDATED),
        payload=bounded(payload),
        name=f"{connection}|{feed}|{change.id}|{timestamp(change.at)}|{change.user.id}",
        at=change.at,
    )


def bounded(payload: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return a payload that is no larger than an event may be."""
    kept: dict[str, Any] = shortened(payload)
    left_out: list[str] = []
    while len(json.dumps(kept)) > LARGEST:
        parts = [(f"{where}.{name}", part, name) for where, part in _parts(kept) for name in part if name != "id"]
        if not parts:
            break
        where, part, name = max(parts, key=lambda one: len(json.dumps(one[1][one[2]])))
        del part[name]
        left_out.append(where)
    if left_out:
        kept["truncated"] = sorted(left_out)
    return kept


def _sides(change: Change) -> tuple[JsonObject | None, JsonObject | None]:
    """Return what changed, as it was and as it is; of memberships only the one that it is about."""
    if change.group is None:
        return (
            None if change.before is None else shown_user(change.before),
            None if change.after is None else shown_user(change.after),
        )
    group: dict[str, Any] = {"id": change.group.id, "name": change.group.name}
    return tuple(  # type: ignore[return-value] # of two
        {"groups": [] if side is None else [{**group, **side}]} for side in (change.before, change.after)
    )


def _parts(payload: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the objects of a payload of which members may be left out."""
    sides = [(name, payload[name]) for name in ("before", "after") if payload.get(name) is not None]
    return [*sides, *(("records", record) for record in payload.get("records", ()))]


def shortened(value: Any) -> Any:
    """Return JSON in which no text is longer than one of an event may be."""
    match value:
        case str() if len(value) > LONGEST_TEXT:
            return f"{value[:LONGEST_TEXT]}…"
        case Mapping():
            return {name: shortened(one) for name, one in value.items()}
        case list() | tuple():
            return [shortened(one) for one in value]
    return value
