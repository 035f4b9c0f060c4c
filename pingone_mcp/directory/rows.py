"""Unified objects as rows of an answer: which fields, in which order, without what is absent."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.models import Deactivated, JsonObject, Named, User
from pingone_mcp.errors import Refused

EVERY_FIELD = "*"

USER_FIELDS: tuple[str, ...] = tuple(f.name for f in dataclasses.fields(User))
# Short forms for lists: one value where the full user carries a structure.
_SHORT: Mapping[str, Callable[[User], Any]] = MappingProxyType(
    {
        "email": lambda user: user.email,
        "workspace": lambda user: _label(user.workspaces),
        "organization": lambda user: _label(user.organizations),
    }
)
DEFAULT_FIELDS: tuple[str, ...] = (
    "id",
    "username",
    "name",
    "email",
    "title",
    "department",
    "status",
    "status_reasons",
    "workspace",
    "organization",
    "last_login_at",
)
ROW_FIELDS: tuple[str, ...] = (*USER_FIELDS, *_SHORT)


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and Z, as PingOne writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """Return JSON-ready data: dataclasses as objects without absent members, times as RFC 3339, tuples as arrays."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: plain(member) for name, member in members if _is_said(name, member)}
    return value


def user_row(user: User, fields: tuple[str, ...]) -> JsonObject:
    """Return the chosen fields of one user; absent ones are left out."""
    row: JsonObject = {}
    for name in fields:
        value = _SHORT[name](user) if name in _SHORT else getattr(user, name)
        if _is_said(name, value):
            row[name] = plain(value)
    return row


def deactivated_row(found: Deactivated, fields: tuple[str, ...]) -> JsonObject:
    """Return one deactivated user, with `deactivated_at` and `deactivated_by` where the audit says so."""
    row = user_row(found.user, fields)
    if found.user.locked_at is not None:
        row["locked_at"] = timestamp(found.user.locked_at)
    if found.at is not None:
        row["deactivated_at"] = timestamp(found.at)
    if found.by is not None:
        row["deactivated_by"] = found.by
    return row


def fitted(row: JsonObject, characters: int) -> JsonObject:
    """Return one object within a size of compact JSON, saying in `truncated` what was left out.

    Long lists are cut to as many items as fit; then whole members go, the largest first, `id` and `status` never.
    """
    kept, told = dict(row), dict[str, Any]()
    while (excess := _size(kept) + _size(told) - characters) > 0:
        sizes = {name: _size(value) for name, value in kept.items() if name not in ("id", "status", "truncated")}
        if not sizes:
            break
        name = max(sizes, key=lambda key: sizes[key])
        whole = row[name]
        items = kept[name]
        if isinstance(items, list) and len(items) > 1:
            room = max(0, sizes[name] - excess - 100)
            kept[name] = items[: min(len(items) - 1, len(items) * room // sizes[name])]
            told[name] = {"shown": len(kept[name]), "of": len(whole)}
        else:
            del kept[name]
            told[name] = {"characters": _size(whole)}
        kept["truncated"] = told
    return kept


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def choose_fields(wanted: list[str] | None, *, several_organizations: bool) -> tuple[str, ...]:
    """Return the fields of a list row: the default ones, all (`*`), or the ones asked for plus `id`.

    Raises Refused for a field that does not exist, naming the nearest ones.
    """
    if not wanted:
        return tuple(f for f in DEFAULT_FIELDS if several_organizations or f != "organization")
    if EVERY_FIELD in wanted:
        return tuple(f for f in USER_FIELDS if f != "remote_data")
    unknown = [name for name in wanted if name not in ROW_FIELDS]
    if unknown:
        near = [match for name in unknown for match in difflib.get_close_matches(name, ROW_FIELDS, n=2)]
        hint = f"Did you mean {', '.join(dict.fromkeys(near))}? " if near else ""
        raise Refused(
            f"{len(unknown)} of the {len(wanted)} fields do not exist.",
            f"{hint}The fields are: {', '.join(ROW_FIELDS)}; * means all.",
            code="UNKNOWN_FIELD",
        )
    return tuple(dict.fromkeys(("id", *wanted)))


def _is_said(name: str, value: Any) -> bool:
    """Leave out what is absent; but an empty list of groups or roles is an answer: there are none."""
    if value is None:
        return False
    return name in ("groups", "roles") or value not in ((), {})


def _label(places: tuple[Named, ...]) -> str | None:
    return (places[0].name or places[0].id) if places else None
