"""A delivery of events, taken apart: an array, a single event, or one on each line, whatever it says that it is.

Nothing is refused here, for a provider sends again what was refused, and nothing behind it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from pingone_mcp.control.inbox import UNREADABLE
from pingone_mcp.directory.models import JsonObject

MOST_EVENTS = 10_000
"""In one delivery; PingOne sends 500 at most, so what has more is something else."""
_MARK = b"\xef\xbb\xbf"
_LINE = re.compile(rb"[^\r\n]+")
_ID = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEvent:
    """An event as it was sent: its id, its bytes, and what they say."""

    id: str
    body: bytes = field(repr=False)
    activity: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDelivery:
    """The events of a delivery in their order, and the bytes of what is none."""

    events: tuple[ReadEvent, ...] = ()
    unreadable: tuple[bytes, ...] = field(default=(), repr=False)


def read_delivery(body: bytes) -> ReadDelivery:
    """Take a delivery apart. Where nothing of it can be read, it is unreadable as a whole."""
    text = body.removeprefix(_MARK).strip()
    if not text:
        return ReadDelivery()
    found = _document(text)
    if found is None:
        found = _lines(text)
    if len(found) > MOST_EVENTS:
        return ReadDelivery(unreadable=(text,))
    events: list[ReadEvent] = []
    unreadable: list[bytes] = []
    for raw, value in found:
        event = _event(raw, value)
        if event is None:
            unreadable.append(raw)
        else:
            events.append(event)
    if unreadable and not events:
        return ReadDelivery(unreadable=(text,))
    return ReadDelivery(events=tuple(events), unreadable=tuple(unreadable))


def id_of_unreadable(body: bytes) -> str:
    """Return the id of what has none: the same bytes are kept once."""
    return f"{UNREADABLE}{hashlib.sha256(body).hexdigest()}"


def decoded(body: bytes) -> Any:
    """Return what JSON says, also with a number that no float holds or half a letter. Raises ValueError for no JSON."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.DecodeError:
        pass
    try:
        return json.loads(body.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _document(text: bytes) -> list[tuple[bytes, Any]] | None:
    """Return the members of an array, or the only value; None where this is not one document of JSON.

    A member that cannot be read is there without a value, and so are all where there are too many to be events.
    """
    try:
        members = [bytes(one) for one in islice(msgspec.json.decode(text, type=list[msgspec.Raw]), MOST_EVENTS + 1)]
    except (msgspec.DecodeError, RecursionError):
        return _loosely(text)
    if len(members) > MOST_EVENTS:
        return [(member, None) for member in members]
    return [(member, _value(member)) for member in members]


def _loosely(text: bytes) -> list[tuple[bytes, Any]] | None:
    """Return the same of one value that is no array, or of an array with a text that is no Unicode, written anew."""
    try:
        value = decoded(text)
    except ValueError:
        return None
    if not isinstance(value, list):
        return [(text, value)]
    return [(json.dumps(member).encode(), member) for member in value[: MOST_EVENTS + 1]]


def _value(member: bytes) -> Any:
    try:
        return decoded(member)
    except ValueError:
        return None


def _lines(text: bytes) -> list[tuple[bytes, Any]]:
    """Return the values of lines; what is none on its line is there without a value."""
    found: list[tuple[bytes, Any]] = []
    for line in filter(None, (one[0].strip() for one in _LINE.finditer(text))):
        if len(found) > MOST_EVENTS:
            break
        found += _document(line) or [(line, None)]
    return found


def _event(raw: bytes, value: Any) -> ReadEvent | None:
    """Return an event; None for what has no id that could be one."""
    if not isinstance(value, dict):
        return None
    identity = value.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        return None
    return ReadEvent(id=identity, body=raw, activity=value)
