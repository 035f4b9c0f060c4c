"""The filters that the dictionary takes: a few attributes under names of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pingone_mcp.directory.matching.filterable import Filterable, FilterAttribute
from pingone_mcp.directory.matching.filters import All, AnyOf, Compare, Filter, Not, Present, Value, Within, parse
from pingone_mcp.directory.models import User
from pingone_mcp.errors import FilterRefused

_TEXT = ("eq", "sw")
FILTERABLE = Filterable(
    provider="The dictionary",
    attributes={
        "key": FilterAttribute(("eq",), "id", "id"),
        "login": FilterAttribute(_TEXT, "username"),
        "mail": FilterAttribute((*_TEXT, "ew"), "email"),
        "given": FilterAttribute(_TEXT, "first_name"),
        "family": FilterAttribute(_TEXT, "last_name"),
        "job": FilterAttribute(_TEXT, "title"),
        "desk": FilterAttribute(_TEXT, "department"),
        "town": FilterAttribute(_TEXT, "city"),
        "badge": FilterAttribute(("eq",), "custom_attributes.badge"),
        "active": FilterAttribute(("eq",), "enabled", "flag"),
        "changed": FilterAttribute(("ge", "le"), "updated_at", "time"),
    },
    not_filterable={"born": "created_at"},
    meant={"username": "login"},
    arguments={"group": "group"},
    beyond="For anything else ask query_directory.",
    examples=('family sw "Br" and active eq true',),
)
SEARCHED = Filterable(
    provider="The dictionary",
    attributes={
        name: FilterAttribute(_TEXT, name) for name in ("username", "email", "first_name", "last_name", "name")
    },
)
_READ: Mapping[str, Callable[[User], Any]] = {
    "email": lambda user: user.email,
    "city": lambda user: user.address.city if user.address is not None else None,
    "custom_attributes.badge": lambda user: user.custom_attributes.get("badge"),
    "enabled": lambda user: user.status_source.enabled,
}
_SAME: Mapping[str, Callable[[str, str], bool]] = {"eq": str.__eq__, "sw": str.startswith, "ew": str.endswith}
Holds = Callable[[User], bool]


def holding(text: str) -> Holds:
    """Return whether a filter holds of a user. Raises Refused for no filter, FilterRefused for what is not taken."""
    wanted = parse(text)
    try:
        return holds(wanted, FILTERABLE)
    except FilterRefused as refused:
        raise FILTERABLE.advised(refused, text) from None


def holds(wanted: Filter, filterable: Filterable) -> Holds:
    match wanted:
        case All(parts):
            tests = [holds(part, filterable) for part in parts]
            return lambda user: all(test(user) for test in tests)
        case AnyOf(parts):
            tests = [holds(part, filterable) for part in parts]
            return lambda user: any(test(user) for test in tests)
        case Compare(attribute, operator, value) if (known := filterable.attributes.get(attribute)) is not None:
            return _compared(known, operator, value, filterable)
        case Compare():
            raise filterable.refused(attributes=tuple(sorted(filterable.attributes)))
        case Present(attribute) | Within(attribute, _):
            operators = filterable.attributes[attribute].operators if attribute in filterable.attributes else ()
            raise filterable.refused(operators=tuple(sorted(operators)))
        case Not():
            raise filterable.refused(operators=("and", "or"))


def _reader(held_in: str) -> Callable[[User], Any]:
    return _READ[held_in] if held_in in _READ else lambda user: getattr(user, held_in)


def _compared(known: FilterAttribute, operator: str, value: Value, filterable: Filterable) -> Holds:
    if operator not in known.operators:
        raise filterable.refused(operators=tuple(sorted(known.operators)))
    if not isinstance(value, bool if known.kind == "flag" else str):
        raise filterable.refused()
    read = _reader(known.held_in)
    if known.kind == "flag":
        return lambda user: bool(read(user) == value)
    if known.kind == "time":
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            raise filterable.refused() from None
        return lambda user: bool(read(user) >= at if operator == "ge" else read(user) <= at)
    wanted = str(value).lower()
    return lambda user: isinstance(held := read(user), str) and _SAME[operator](held.lower(), wanted)
