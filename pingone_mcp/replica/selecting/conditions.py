"""Conditions on fields of the unified user, as conditions of SQL on the local copy."""

from __future__ import annotations

from collections.abc import Sequence

from pingone_mcp.directory.matching.unified import (
    CUSTOM,
    GROUP,
    STATUS,
    FieldCondition,
    bounds_of,
    flag,
    user_field,
)
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.conditions import Condition, bindable, both, either, equals, member
from pingone_mcp.replica.asking.filters import custom_equals
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS
from pingone_mcp.replica.store.schema import REMOVED

_GONE = Condition(f"({REMOVED})")
_DELETED = "deleted"


def wants_removed(wanted: Sequence[FieldCondition]) -> bool:
    """Say whether removed users are asked for. Raises Refused where others are asked for as well."""
    statuses = {value.casefold() for one in wanted if one.field == STATUS for value in one.values}
    if _DELETED in statuses and statuses != {_DELETED}:
        raise Refused(
            "Removed users and others are two lists.", "Ask for `status` deleted by itself.", code="WRONG_FILTER"
        )
    return _DELETED in statuses


def selected(copy: Snapshot, wanted: Sequence[FieldCondition]) -> Condition:
    """Return that a user is served, and chosen by all conditions. Raises Refused, and NotHeld."""
    removed = wants_removed(wanted)
    there = _GONE if removed else EXISTS
    narrowing = [one for one in wanted if not (removed and one.field == STATUS)]
    if any(one.field == GROUP for one in narrowing):
        copy.need_memberships()
    return both(copy.places.served(copy.places.environments(None)), there, *map(_condition, narrowing))


def _condition(wanted: FieldCondition) -> Condition:
    known = user_field(wanted.field)
    column = f"u.{known.path}"
    if wanted.field.startswith(CUSTOM):
        return either(custom_equals(wanted.field.removeprefix(CUSTOM), value) for value in wanted.values)
    match known.kind:
        case "time":
            return either(_in_time(column, one) for one in _each(wanted))
        case "flag":
            return Condition(f"{column} = ?", (flag(wanted),))
        case "id" if wanted.field == GROUP:
            return either(member(value.lower()) for value in wanted.values)
        case "id":
            return either(Condition(f"{column} = ?", (bindable(value).lower(),)) for value in wanted.values)
    return either(equals(column, value) for value in wanted.values)


def _each(wanted: FieldCondition) -> list[FieldCondition]:
    if wanted.comparison != "in":
        return [wanted]
    return [FieldCondition(field=wanted.field, values=(value,)) for value in wanted.values]


def _in_time(column: str, wanted: FieldCondition) -> Condition:
    bounds = bounds_of(wanted)
    ends = [(">=", bounds.least), ("<=", bounds.most)]
    return both(*(Condition(f"{column} {sign} ?", (timestamp(at),)) for sign, at in ends if at is not None))
