"""Unified objects as rows of an answer: which fields, in which order, without what is absent."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import Deactivated, Group, JsonObject, Member, Named, User
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import nearest

EVERY_FIELD = "*"
# Characters of one whole user, `remote_data` aside, that are about 600 tokens: fewer where every group has its id.
_WITH_IDS, _WITHOUT_IDS = 1_650, 1_800
_HINTED = 5  # of unknown fields: looking for near ones takes time for each
_NATIVE_LEFT_OUT = 60  # what it takes to say that the provider's own object had no room

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
_OF_A_USER = frozenset(USER_FIELDS) - {"groups", "roles", "unreadable", "remote_data"}
# A hundred rows of all default fields are too much for one answer: who asks for more rows at once than WIDE_ROWS gets
# these, which tell people apart and say whether they are active.
LEAN_FIELDS: tuple[str, ...] = (
    "id",
    "username",
    "name",
    "email",
    "department",
    "status",
    "status_reasons",
    "organization",
)
WIDE_ROWS = 60
_PLAIN = frozenset((str, bool, int, float))
_TIMES = frozenset(name for name in USER_FIELDS if name.endswith("_at"))
_IN_MICROSECONDS = len("2026-01-31T23:59:59.999999Z")
_AS_IT_CAME = frozenset(("custom_attributes", "identifiers", "remote_data"))
_MAY_BE_EMPTY = frozenset(("groups", "roles"))
"""Of these an empty list is an answer: there are none."""
ROW_FIELDS: tuple[str, ...] = (*USER_FIELDS, *_SHORT)


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and Z, as PingOne writes it."""
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(timespec="milliseconds")[:-6] + "Z"


def plain(value: Any) -> Any:
    """Return JSON-ready data: dataclasses as objects without absent members, times as RFC 3339, tuples as arrays.

    A gap is the sentence that it is shown as.
    """
    kind = type(value)
    if kind in _PLAIN:  # nearly all that there is
        return value
    if kind in _MEMBERS:
        return _object(value, *_MEMBERS[kind])
    if kind is tuple or kind is list:
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Gap):
        return value.sentence()
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _MEMBERS[kind] = _members(kind)
        return plain(value)
    return value


# What looks up the members of a dataclass each time takes longer than to read them.
_MEMBERS: dict[type[Any], tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}


def _members(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of the members of a dataclass, and what reads all of them."""
    names = tuple(member.name for member in dataclasses.fields(kind))
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda value: tuple(getattr(value, name) for name in names)


def _object(value: Any, names: tuple[str, ...], read: Callable[[Any], tuple[Any, ...]]) -> JsonObject:
    row: JsonObject = {}
    for name, member in zip(names, read(value), strict=True):
        if member is None:
            continue
        if type(member) in _PLAIN:
            row[name] = member
        elif _is_said(name, member):
            row[name] = plain(member)
    return row


def user_row(user: User, fields: tuple[str, ...]) -> JsonObject:
    """Return the chosen fields of one user; absent ones are left out."""
    from msgspec import to_builtins  # noqa: PLC0415 - start-up: before rows there are tools

    members: JsonObject = to_builtins(user)
    row: JsonObject = {}
    for name in fields:
        value = members[name] if name in members else _SHORT[name](user)
        if value is None:
            continue
        if name in _TIMES:
            row[name] = f"{value[:23]}Z" if len(value) == _IN_MICROSECONDS else timestamp(getattr(user, name))
        elif type(value) in _PLAIN or name in _AS_IT_CAME:
            if value != {}:
                row[name] = value
        elif value or name in _MAY_BE_EMPTY:
            row[name] = _without_absent(value)
    if user.unreadable:  # whatever was chosen: what is absent may be there
        row["unreadable"] = list(user.unreadable)
    return row


def _without_absent(value: Any) -> Any:
    """Return what was made of a part of a user without the members that are absent."""
    kind = type(value)
    if kind is tuple:
        return [item if type(item) is str else _without_absent(item) for item in value]
    if kind is not dict:
        return value
    if None in value.values():
        value = {name: member for name, member in value.items() if member is not None}
    for name, member in value.items():
        if type(member) is dict:
            value[name] = _without_absent(member)
    return value


def list_row(user: User, fields: tuple[str, ...]) -> JsonObject:
    """Return a row of the default fields: an email that repeats the username is left out, no email at all is null."""
    row = user_row(user, fields)
    if user.email is None and user.status != "deleted":
        row["email"] = None
    elif user.email == user.username:
        row.pop("email", None)
    return row


def member_row(member: Member, row: JsonObject) -> JsonObject:
    """Return the row of one member of a group, with `membership` direct or indirect."""
    return row | {"membership": member.type}


def group_row(group: Group, *, several_organizations: bool) -> JsonObject:
    """Return one group of a list: names instead of structures, and nothing that is absent."""
    row = plain(dataclasses.replace(group, created_at=None, updated_at=None))
    if not several_organizations:
        row.pop("organization")
    for place in ("organization", "workspace"):
        if place in row:
            row[place] = row[place].get("name") or row[place]["id"]
    kept: JsonObject = row
    return kept


def deactivated_row(found: Deactivated, fields: tuple[str, ...]) -> JsonObject:
    """Return one deactivated user, with `deactivated_at` and `deactivated_by` where the audit says so."""
    row = list_row(found.user, fields)
    if found.user.locked_at is not None:
        row["locked_at"] = timestamp(found.user.locked_at)
    if found.at is not None:
        row["deactivated_at"] = timestamp(found.at)
    if found.by is not None:
        row["deactivated_by"] = found.by
    return row


def is_truncated(row: JsonObject) -> bool:
    """Say whether a row was cut to fit into an answer."""
    return "truncated" in row


def user_row_lacks(row: JsonObject, fields: tuple[str, ...]) -> bool:
    """Say whether a single get of the user would return what a row of these fields does not have.

    Of who was deleted there is none. Every field is not enough: groups and roles come on request, and a single get
    also looks up who the manager is.
    """
    if row.get("status") == "deleted":
        return False
    manager = row.get("manager")
    added = {"groups", "roles"} <= {*row, *row.get("unreadable", ())} and (manager is None or "id" in manager)
    return is_truncated(row) or not added or not {*fields} >= _OF_A_USER


def is_short(row: JsonObject) -> bool:  # noqa: ARG001 - whatever is in it
    """Say that a single get always returns more: of a group where it is nested, of roles the rules that give them."""
    return True


def whole_user(user: User, characters: int) -> JsonObject:
    """Return one user whole, within the size of one answer, saying in `truncated` what had no room.

    First the ids of groups and roles that have a name give way (a name is enough to ask on with), then the custom
    attributes behind the first ones, then what `fitted` chooses. What the provider itself has, if it was asked for,
    takes no room from the rest.
    """
    row: JsonObject = plain(user)
    if user.manager is not None and user.manager.email == user.manager.username:
        row["manager"].pop("email", None)
    native = row.pop("remote_data", None)
    most = characters - (0 if native is None else _NATIVE_LEFT_OUT)
    cut: JsonObject = {}
    _leave_out_ids(row, cut, min(most, _WITH_IDS))
    room = min(most, _WITHOUT_IDS)
    _leave_out_attributes(row, cut, room)
    row = fitted(row, room - (_size({"truncated": cut}) if cut else 0))
    for name, more in row.pop("truncated", {}).items():
        cut[name] = {**cut.get(name, {}), **more} if isinstance(more, dict) else more
    bounded = row | _truncated(cut)
    if native is None:
        return bounded
    whole = row | {"remote_data": native} | _truncated(cut)
    if _size(whole) <= characters:
        return whole
    return row | _truncated(cut | {"remote_data": {"characters": _size(native)}})


def _truncated(cut: JsonObject) -> JsonObject:
    return {"truncated": cut} if cut else {}


def _leave_out_ids(row: JsonObject, cut: JsonObject, characters: int) -> None:
    """Leave the ids of groups, then of roles, out of a row that is longer; `cut` takes note of it."""
    for name in ("groups", "roles"):
        slim = [_by_name(item) for item in row.get(name, ())]
        if _size(row | {"truncated": cut}) > characters and slim != row.get(name, []):
            row[name] = slim
            cut[name] = {"without": "id"}


def _leave_out_attributes(row: JsonObject, cut: JsonObject, characters: int) -> None:
    """Leave custom attributes behind the first ones out of a row that is longer; `cut` takes note of it."""
    custom = row.get("custom_attributes", {})
    if not custom or _size(row | {"truncated": cut}) <= characters:
        return
    cut["custom_attributes"] = {"shown": len(custom), "of": len(custom)}
    left = characters - _size(row | {"custom_attributes": {}, "truncated": cut})
    first = _first([{name: value} for name, value in custom.items()], left)
    row["custom_attributes"] = {name: value for one in first for name, value in one.items()}
    cut["custom_attributes"]["shown"] = len(first)


def _by_name(item: JsonObject) -> JsonObject:
    """Return a group or role without the ids that a name stands beside, down to its scope."""
    kept = {name: _by_name(value) if isinstance(value, dict) else value for name, value in item.items()}
    if "name" in kept:
        del kept["id"]
    return kept


def fitted(row: JsonObject, characters: int) -> JsonObject:
    """Return one object within a size of compact JSON, saying in `truncated` what was left out.

    The largest members give way first, `id` and `status` never: of a list as many items are shown as fit, anything
    else goes whole. Where the names of what is missing would take too much room themselves, they are counted.
    """
    sizes = {name: _size({name: value}) - 1 for name, value in row.items()}
    size = sum(sizes.values()) + 1
    if size <= characters:
        return row
    cutting = _Cutting(row, size, characters)
    for name in sorted(row.keys() - {"id", "status"}, key=lambda name: (name != "truncated", -sizes[name], name)):
        if cutting.is_done():
            break
        cutting.leave_out(name, sizes[name])
    return cutting.result()


class _Cutting:
    """An object that is cut to a number of characters, and what is said in `truncated` of each member that gave way."""

    def __init__(self, row: JsonObject, size: int, characters: int) -> None:
        self._row = row
        self._kept = dict(row)
        self._size = size
        self._characters = characters
        self._cut: JsonObject = {}
        self._cut_size = 0

    def is_done(self) -> bool:
        return bool(self._cut) and self._room() >= 0

    def leave_out(self, name: str, size: int) -> None:
        """Leave out a member of that size, or as many items of a list as have no room."""
        value = self._kept.pop(name)
        self._size -= size
        # Never the whole list: it would not be named in `truncated`, and the room counts on that.
        is_list = isinstance(value, list)
        most = {"shown": len(value), "of": len(value)} if is_list else {"characters": _size(value)}
        self._cut_size += _size({name: most})
        first = _first(value, self._room() - _size(name) - 4)[: len(value) - 1] if is_list and value else []
        if first:
            self._kept[name] = first
            self._size += _size({name: first}) - 1
            self._cut[name] = {"shown": len(first), "of": len(value)}
        else:
            self._cut[name] = {"characters": _size(value)}

    def result(self) -> JsonObject:
        shown = {name: self._kept[name] for name in self._row if name in self._kept}
        return {**shown, "truncated": self._cut if self._is_named() else {"members": len(self._cut)}}

    def _room(self) -> int:
        """Return what is left beside the members that stay and `truncated`."""
        return self._characters - self._size - (15 + self._cut_size if self._is_named() else 35)

    def _is_named(self) -> bool:
        """Say whether the names of what is missing take no more than a fair share of the room."""
        return self._cut_size <= self._characters // 4


def _first(items: list[Any], characters: int) -> list[Any]:
    """Return as many of the first items as fit."""
    for count, item in enumerate(items):
        characters -= _size(item) + 1
        if characters < 0:
            return items[:count]
    return items


# Made once: `json.dumps` makes one per call.
compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _size(value: Any) -> int:
    return len(compact(value))


def choose_fields(wanted: list[str] | None, *, several_organizations: bool, limit: int = WIDE_ROWS) -> tuple[str, ...]:
    """Return the fields of a list row: the ones asked for, all (`*`), or the default ones of so many rows at once.

    Raises Refused for a field that does not exist, naming the nearest ones.
    """
    if not wanted:
        default = DEFAULT_FIELDS if limit <= WIDE_ROWS else LEAN_FIELDS
        return tuple(f for f in default if several_organizations or f != "organization")
    if EVERY_FIELD in wanted:
        return tuple(f for f in USER_FIELDS if f != "remote_data")
    unknown = [name for name in wanted if name not in ROW_FIELDS]
    if unknown:
        near = [match for name in unknown[:_HINTED] for match in nearest(name, ROW_FIELDS)]
        hint = f"Did you mean {', '.join(dict.fromkeys(near))}? " if near else ""
        raise Refused(
            f"{len(unknown)} of the {len(wanted)} fields do not exist.",
            f"{hint}The fields are: {', '.join(ROW_FIELDS)}; * means all.",
            code="UNKNOWN_FIELD",
        )
    return tuple(dict.fromkeys(wanted))


def _is_said(name: str, value: Any) -> bool:
    """Leave out what is absent."""
    return value is not None and (name in _MAY_BE_EMPTY or value not in ((), {}))


def _label(places: tuple[Named, ...]) -> str | None:
    return (places[0].name or places[0].id) if places else None
