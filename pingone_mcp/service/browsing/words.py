"""What people are shown of a directory, in sentences: of the copy, of somebody's status, of groups and of changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pingone_mcp.directory.gaps import sentences

if TYPE_CHECKING:
    from pingone_mcp.directory.changes import Change, ChangeKind, Evidence
    from pingone_mcp.directory.models import JsonObject, User
    from pingone_mcp.service.browsing.copied import CopyAge

_LONGEST = 300  # characters of a value
_LONGEST_ATTRIBUTE = 4_000
_MOST_ATTRIBUTES = 200
_LONGEST_OF_ALL = 20_000  # characters of all attributes together: a page stays small

KIND_WORDS: Mapping[ChangeKind, str] = MappingProxyType(
    {
        "user.created": "Created",
        "user.updated": "Changed",
        "user.deactivated": "Disabled",
        "user.reactivated": "Enabled again",
        "user.locked": "Locked",
        "user.unlocked": "Unlocked",
        "user.removed": "Removed",
        "user.entered_scope": "Came into what is served",
        "user.left_scope": "Left what is served",
        "membership.added": "Added to a group",
        "membership.removed": "Taken out of a group",
    }
)
EVIDENCE_WORDS: Mapping[Evidence, str] = MappingProxyType(
    {
        "walk": "seen when everybody was read",
        "event": "an event of the provider says so",
        "read": "seen when this one was read again",
        "accepted": "a person said that those who could not be found are gone",
    }
)
STATUS_WORDS: Mapping[str, str] = MappingProxyType(
    {"active": "Active", "inactive": "Inactive", "invited": "Invited", "deleted": "Removed"}
)
_REASON_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "disabled": "An administrator has disabled the account.",
        "locked": "The account is locked.",
        "verification_required": "The address has still to be verified.",
        "removed": "The account was removed from the directory.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyNote:
    """What is said of the copy that something is from: when that was right, how long ago, and what it lacks.

    `has_changed` says that the copy is another one by now.
    """

    synced_at: datetime
    age: str
    lacks: tuple[str, ...]
    is_held: bool
    edition: str
    has_changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One field that changed, as it was and as it is."""

    name: str
    before: str | None
    after: str | None


def copy_note(copy: CopyAge) -> CopyNote:
    return CopyNote(
        synced_at=copy.synced_at,
        age=ago(copy.age_seconds),
        lacks=tuple(sentences(copy.gaps)),
        is_held=copy.is_held,
        edition=copy.edition,
    )


def ago(seconds: int) -> str:
    """Return how long ago something was, as people say it; empty for what is still to come."""
    if seconds < 0:
        return ""
    if seconds < 60:
        return "less than a minute ago"
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            number = seconds // length
            return f"{number:,} {name}{'' if number == 1 else 's'} ago"
    return ""


def status_label(user: User) -> str:
    """Return the status in a word or two; a lock is worth its own."""
    label = STATUS_WORDS.get(user.status, user.status)
    return f"{label}, locked" if "locked" in user.status_reasons and user.status != "deleted" else label


def status_class(user: User) -> str:
    """Return the class of the style that a status has; nothing that a directory says gets into it."""
    return user.status if user.status in STATUS_WORDS else "other"


def status_reasons(user: User, provider: str) -> list[str]:
    """Return why somebody has this status."""
    reasons = [_REASON_WORDS[one] for one in user.status_reasons if one in _REASON_WORDS]
    if reasons:
        return reasons
    if user.status == "active":
        return ["Nothing keeps this account from signing in."]
    if user.status == "invited":
        return ["The account was made, and nobody has taken it into use yet."]
    return [f"{provider} gives no reason."]


def raw_status(user: User) -> list[tuple[str, str]]:
    """Return the provider's own words behind the status."""
    source = user.status_source
    said = (
        ("enabled", None if source.enabled is None else "yes" if source.enabled else "no"),
        ("account", source.account_status),
        ("lifecycle", source.lifecycle_status),
    )
    return [(name, value) for name, value in said if value is not None]


def attributes(user: User) -> list[tuple[str, str]]:
    """Return the custom attributes by name, as texts: the first of them, where there are more than a page can show."""
    shown: list[tuple[str, str]] = []
    room = _LONGEST_OF_ALL
    for name, value in sorted(user.custom_attributes.items()):
        text = as_text(value, _LONGEST_ATTRIBUTE)
        room -= len(name) + len(text)
        if room < 0 or len(shown) == _MOST_ATTRIBUTES:
            break
        shown.append((name, text))
    return shown


def details(change: Change) -> list[Detail]:
    """Return the fields that a change is about; of somebody new or gone none, because that is all of them."""
    if change.group is not None or change.before is None or change.after is None:
        return []
    names = sorted({*change.before, *change.after} - {"updated_at"})
    return [
        Detail(name=name.replace("_", " "), before=_side(change.before, name), after=_side(change.after, name))
        for name in names
    ]


def _side(record: JsonObject, name: str) -> str | None:
    value = record.get(name)
    return None if value is None else as_text(value, _LONGEST)


def as_text(value: Any, longest: int) -> str:
    """Return a value of a directory as a text that is not too long."""
    match value:
        case bool():
            text = "yes" if value else "no"
        case str():
            text = value
        case list() if all(isinstance(one, str) for one in value):
            text = ", ".join(value)
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} more characters)"
