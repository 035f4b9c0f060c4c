"""JSON objects of PingOne read member by member: one of another type than expected is left out, and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pingone_mcp.directory.models import JsonObject, Named
from pingone_mcp.errors import UnexpectedAnswer

T = TypeVar("T")
Read = tuple[T, tuple[str, ...]]
"""What was read, and the paths of what could not be."""

EMPTY: JsonObject = {}
UNREADABLE = "UNREADABLE_ANSWER"


def readable(raws: Iterable[JsonObject], read: Callable[[JsonObject], T]) -> tuple[tuple[T, ...], int]:
    """Return what could be read, and how many things were left out: they have no id, or an event has no time."""
    found: list[T] = []
    left_out = 0
    for raw in raws:
        try:
            found.append(read(raw))
        except UnexpectedAnswer:
            left_out += 1
    return tuple(found), left_out


class OtherType(Exception):
    """The member `key` of `holder` is not what PingOne documents."""

    def __init__(self, holder: JsonObject, key: str) -> None:
        self.holder, self.key = holder, key
        super().__init__(key)


def leniently(raw: JsonObject, read: Callable[[JsonObject], T]) -> Read[T]:
    """Return what `read` makes of an object without the members of another type than it expects, and their paths.

    What is well is read once, at full speed; only where it is not, member after member is taken out.
    """
    try:
        return read(raw), ()
    except OtherType:
        pass
    left = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    unread: list[str] = []
    while True:
        try:
            return read(left), tuple(unread)
        except OtherType as wrong:
            outer = next((f"{key}." for key, value in left.items() if value is wrong.holder), "")
            unread.append(outer + wrong.key)
            del wrong.holder[wrong.key]


def unified_names(unread: Iterable[str], names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the unified names of PingOne's, in their order."""
    return tuple(dict.fromkeys(name for path in unread for name in names[path]))


def identity(raw: JsonObject, what: str) -> str:
    """Return the id of `what`. Raises UnexpectedAnswer for an object without one."""
    value = raw.get("id")
    if not isinstance(value, str) or not value:
        raise without_id(what)
    return value


def without_id(what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"PingOne's answer holds a {what} without an id.", "Try again.", code=UNREADABLE)


def inner(raw: JsonObject, key: str) -> JsonObject:
    """Return the object under a key; an empty one where there is none."""
    value = raw.get(key)
    if isinstance(value, dict):
        return value
    if value is not None:
        raise OtherType(raw, key)
    return EMPTY


def text(raw: JsonObject, key: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value
    raise OtherType(raw, key)


def as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def count(raw: JsonObject, key: str) -> int | None:
    value = raw.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise OtherType(raw, key)


def flag(raw: JsonObject, key: str) -> bool | None:
    value = raw.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise OtherType(raw, key)


def time(raw: JsonObject, key: str) -> datetime | None:
    value = raw.get(key)
    try:
        return None if value is None else as_time(value)
    except (TypeError, ValueError, OverflowError):
        raise OtherType(raw, key) from None


def as_time(value: str) -> datetime:
    """Return a time in UTC; PingOne writes RFC 3339 with milliseconds and Z, and one without an offset is in UTC.

    Raises ValueError, OverflowError and TypeError for what is none.
    """
    at = datetime.fromisoformat(value)
    if at.tzinfo is UTC:
        return at
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def named(raw: JsonObject, key: str, names: Mapping[str, str | None] | None) -> Named | None:
    """Return the place whose id stands in an object under a key."""
    found = text(inner(raw, key), "id")
    return None if found is None else Named(id=found, name=names.get(found) if names else None)
