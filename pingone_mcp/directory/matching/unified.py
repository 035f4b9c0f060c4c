"""Conditions on fields of the unified directory, by their names and by operators, as programs write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Literal, get_args

from pingone_mcp.directory.matching.references import as_id
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused

Comparison = Literal["eq", "in", "gt", "gte", "lt", "lte"]
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
FieldKind = Literal["text", "flag", "time", "id"]
_TAKEN: Mapping[FieldKind, tuple[Comparison, ...]] = MappingProxyType(
    {"text": ("eq", "in"), "flag": ("eq",), "time": COMPARISONS, "id": ("eq", "in")}
)
_PRECISION = timedelta(milliseconds=1)  # of the times that rows have


@dataclass(frozen=True, slots=True)
class ComparedField:
    """A field that rows are chosen by: how its values are compared, and the path of it in a row (`address.city`)."""

    kind: FieldKind
    path: str

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return _TAKEN[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCondition:
    """That a field compares so with a value, or (`in`) with one of several."""

    field: str
    comparison: Comparison = "eq"
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """By which field rows are sorted; those without a value come last."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSelection:
    """Which users of the local copy, in which order (None: by id): every condition narrows further."""

    conditions: tuple[FieldCondition, ...] = ()
    sorting: Sorting | None = None
    remote_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBounds:
    """A range of times, both ends included; None where it has no end."""

    least: datetime | None = None
    most: datetime | None = None

    def within(self, other: TimeBounds) -> TimeBounds:
        """Return what is in both ranges."""
        least = max(filter(None, (self.least, other.least)), default=None)
        most = min(filter(None, (self.most, other.most)), default=None)
        return TimeBounds(least=least, most=most)


def checked(condition: FieldCondition, known: ComparedField) -> None:
    """Raise Refused for a comparison that a field does not take, or a value that it cannot have."""
    name, taken = condition.field, known.comparisons
    if condition.comparison not in taken:
        raise Refused(
            f"`{name}` is not compared with {condition.comparison}.",
            f"It takes {', '.join(taken)}.",
            code="WRONG_FILTER",
        )
    if not condition.values or "" in condition.values:
        raise Refused(f"`{name}` has no value.", "Give one, or leave it out.", code="WRONG_FILTER")
    if condition.comparison != "in" and len(condition.values) > 1:
        several = "Compare with `in` to ask for several." if "in" in taken else "Give one."
        raise Refused(f"`{name}` has several values.", several, code="WRONG_FILTER")
    match known.kind:
        case "time":
            if condition.comparison != "in":
                bounds_of(condition)
            for value in condition.values:
                instant(name, value)
        case "flag":
            flag(condition)
        case "id" if any(as_id(value) is None for value in condition.values):
            raise Refused(f"`{name}` is compared by id.", "Give the id, a UUID.", code="WRONG_FILTER")


def instant(name: str, text: str) -> datetime:
    """Read a time with its offset, or a date, which is its first moment in UTC. Raises Refused."""
    try:
        if len(text) == len("2026-11-20"):
            return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
        # A plus sign that was not encoded arrives as a space.
        at = datetime.fromisoformat(text.strip().upper().replace(" ", "+"))
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        pass
    raise Refused(
        f"`{name}` has a value that is no time.",
        "Write 2026-11-20, or 2026-11-20T08:00:00Z with Z or an offset.",
        code="WRONG_FILTER",
    )


def flag(condition: FieldCondition) -> bool:
    """Return the truth value that a field is compared with. Raises Refused."""
    word = condition.values[0].casefold()
    if word not in ("true", "false"):
        raise Refused(f"`{condition.field}` is true or false.", code="WRONG_FILTER")
    return word == "true"


def bounds_of(condition: FieldCondition) -> TimeBounds:
    """Return the range of times that a condition leaves, in the precision of rows. Raises Refused for no time."""
    at = instant(condition.field, condition.values[0])
    floor = at.replace(microsecond=at.microsecond // 1_000 * 1_000)
    try:
        ceiling = floor if floor == at else floor + _PRECISION
        match condition.comparison:
            case "gt":
                return TimeBounds(least=floor + _PRECISION)
            case "gte":
                return TimeBounds(least=ceiling)
            case "lt":
                return TimeBounds(most=ceiling - _PRECISION)
            case "lte":
                return TimeBounds(most=floor)
        return TimeBounds(least=ceiling, most=floor)
    except OverflowError:
        raise Refused(f"`{condition.field}` lies outside the calendar.", code="WRONG_FILTER") from None


def holds(row: JsonObject, conditions: Sequence[FieldCondition], known: Mapping[str, ComparedField]) -> bool:
    """Say whether all conditions, which are `checked`, hold for a row."""
    return all(_holds(row, condition, known[condition.field]) for condition in conditions)


def _holds(row: JsonObject, condition: FieldCondition, known: ComparedField) -> bool:
    value = at_path(row, known.path)
    if value is None:
        return False
    return any(_KINDS[known.kind](value, one) for one in _each(condition))


def _each(condition: FieldCondition) -> list[FieldCondition]:
    """Return one condition for each of the values that would do."""
    if condition.comparison != "in":
        return [condition]
    return [FieldCondition(field=condition.field, values=(value,)) for value in condition.values]


def _same_text(value: Any, condition: FieldCondition) -> bool:
    texts = value if isinstance(value, list) else [value]
    return condition.values[0].casefold() in [str(text).casefold() for text in texts]


def _in_bounds(value: Any, condition: FieldCondition) -> bool:
    bounds = bounds_of(condition)
    least, most = bounds.least, bounds.most
    return (least is None or str(value) >= timestamp(least)) and (most is None or str(value) <= timestamp(most))


_KINDS: Mapping[FieldKind, Callable[[Any, FieldCondition], bool]] = MappingProxyType(
    {
        "text": _same_text,
        "id": _same_text,
        "time": _in_bounds,
        "flag": lambda value, condition: value is flag(condition),
    }
)


def at_path(row: JsonObject, path: str) -> Any:
    """Return what a row has at a path of members, None where there is nothing."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


STATUS = "status"
GROUP, WORKSPACE, ORGANIZATION = "group", "workspace", "organization"
CUSTOM = "custom_attributes."

USER_FIELDS: Mapping[str, ComparedField] = MappingProxyType(
    {
        "id": ComparedField("id", "id"),
        "username": ComparedField("text", "username"),
        "external_id": ComparedField("text", "external_id"),
        "name": ComparedField("text", "name"),
        "first_name": ComparedField("text", "first_name"),
        "last_name": ComparedField("text", "last_name"),
        "email": ComparedField("text", "email"),
        "phone": ComparedField("text", "phone"),
        "mobile_phone": ComparedField("text", "mobile_phone"),
        "title": ComparedField("text", "title"),
        "department": ComparedField("text", "department"),
        "manager": ComparedField("text", "manager"),
        "type": ComparedField("text", "type"),
        STATUS: ComparedField("text", "status"),
        "is_email_verified": ComparedField("flag", "is_email_verified"),
        "is_2fa_enabled": ComparedField("flag", "is_2fa_enabled"),
        "locale": ComparedField("text", "locale"),
        "timezone": ComparedField("text", "timezone"),
        "preferred_language": ComparedField("text", "preferred_language"),
        "address.city": ComparedField("text", "city"),
        "address.country": ComparedField("text", "country"),
        GROUP: ComparedField("id", "group"),
        WORKSPACE: ComparedField("id", "population_id"),
        ORGANIZATION: ComparedField("id", "environment_id"),
        "last_login_at": ComparedField("time", "last_login_at"),
        "locked_at": ComparedField("time", "locked_at"),
        "created_at": ComparedField("time", "created_at"),
        "updated_at": ComparedField("time", "updated_at"),
    }
)
"""What users are chosen by: `path` is a column of users, as query_directory shows them, but for `group`."""
SORTED_BY: tuple[str, ...] = tuple(name for name in USER_FIELDS if name not in (GROUP, "manager"))


def user_field(name: str) -> ComparedField:
    """Return how users are chosen by a field that there is, or by one of their custom attributes."""
    if name.startswith(CUSTOM):
        return ComparedField("text", name)
    return USER_FIELDS[name]
