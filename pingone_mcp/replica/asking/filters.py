"""Filters of users as conditions on the local copy.

What the provider takes (`Filterable`) is answered; what it does not take is refused with the sentence that a live
answer has, so that nothing depends on where it is read. Of some attributes the copy knows nothing (`NotHeld`): those
are for the provider to answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from pingone_mcp.directory.matching.filterable import Filterable, FilterAttribute
from pingone_mcp.directory.matching.filters import All, AnyOf, Compare, Filter, Not, Present, Value, Within
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused
from pingone_mcp.replica.asking.conditions import (
    Condition,
    NotHeld,
    bindable,
    both,
    either,
    ends,
    equals,
    member,
    starts,
    starts_unaccented,
)
from pingone_mcp.replica.store.schema import USER_COLUMNS

_COMPARE = {"eq": equals, "sw": starts, "ew": ends}
_CUSTOM, _REMOTE = "custom_attributes.", "remote_data."


@dataclass(frozen=True, slots=True)
class FilterLanguage:
    """What filters may speak of: what the provider takes, and `custom` attributes that somebody in the copy has.

    `has_remote_data` says that the provider's own objects are in the copy. Without `accents` the start of a text is
    compared as if there were none.
    """

    filterable: Filterable
    custom: Collection[str] = ()
    has_remote_data: bool = False
    accents: bool = True

    def condition(self, wanted: Filter) -> Condition:
        """Return a filter as a condition. Raises FilterRefused for what the provider does not take, and NotHeld."""
        match wanted:
            case All(parts):
                return both(*[self.condition(part) for part in parts])
            case AnyOf(parts):
                return either([self.condition(part) for part in parts])
            case Within(attribute, inner) if self._are_groups(attribute):
                return self._member(inner)
            case Compare(attribute, operator, value):
                return self._compare(self._known(attribute), operator, value)
            case Present(attribute) | Within(attribute, _):
                known = self.filterable.attributes.get(attribute)
                operators = known.operators if known is not None else self.filterable.custom_operators
                raise self._refused(operators=operators)
            case Not():
                raise self._refused(operators=("and", "or"))

    def _are_groups(self, attribute: str) -> bool:
        known = self.filterable.attributes.get(attribute)
        return known is not None and known.kind == "groups"

    def _known(self, attribute: str) -> FilterAttribute:
        """Return what is compared. Raises FilterRefused for what is no attribute, NotHeld where that is not known."""
        if (known := self.filterable.attributes.get(attribute)) is not None:
            return known
        if (
            attribute in self.filterable.not_filterable
            or attribute.split(".", maxsplit=1)[0] in self.filterable.of_core
        ):
            raise self._refused(attributes=self.filterable.attributes)
        if (known := self.filterable.configured.get(attribute)) is not None:
            return known
        if attribute in self.custom:
            return FilterAttribute(self.filterable.custom_operators, f"{_CUSTOM}{attribute}")
        raise NotHeld

    def _compare(self, known: FilterAttribute, operator: str, value: Value) -> Condition:
        if known.kind == "groups":
            raise self._refused()
        if operator not in known.operators:
            raise self._refused(operators=known.operators)
        if known.kind == "flag":
            return Condition(f"{_sql(known.held_in)} = ?", (self._flag(value),))
        if not isinstance(value, str):
            raise self._refused()
        if known.kind == "time":
            return Condition(f"{_sql(known.held_in)} {'>=' if operator == 'ge' else '<='} ?", (self._instant(value),))
        if known.kind == "id":
            return Condition(f"{_sql(known.held_in)} = ?", (bindable(value).lower(),))
        return self._text(known.held_in, operator, value)

    def _text(self, held_in: str, operator: str, value: str) -> Condition:
        if held_in.startswith(_CUSTOM):
            return _custom(held_in.removeprefix(_CUSTOM), operator, value)
        if held_in.startswith(_REMOTE) and not self.has_remote_data:
            raise NotHeld
        if operator == "sw" and not self.accents:
            return starts_unaccented(_sql(held_in), value)
        return _COMPARE[operator](_sql(held_in), value)

    def _member(self, inner: Filter) -> Condition:
        if isinstance(inner, AnyOf):
            raise self._refused(operators=("and",))
        parts = inner.parts if isinstance(inner, All) else (inner,)
        wanted = {
            part.attribute: part.value
            for part in parts
            if isinstance(part, Compare) and part.operator == "eq" and part.attribute in ("id", "type")
        }
        group, kind = wanted.get("id"), wanted.get("type", "")
        if (
            len(wanted) != len(parts)
            or not isinstance(group, str)
            or not isinstance(kind, str)
            or kind.upper() not in ("", "DIRECT", "INDIRECT")
        ):
            raise self._refused(attributes=("id", "type"))
        return member(bindable(group).lower(), kind.lower())

    def _flag(self, value: Value) -> bool:
        if isinstance(value, bool):
            return value
        word = value.lower() if isinstance(value, str) else None  # a shipped client quotes it
        if word not in ("true", "false"):
            raise self._refused()
        return word == "true"

    def _instant(self, text: str) -> str:
        try:
            at = datetime.fromisoformat(text)
            if at.tzinfo is None:
                raise self._refused()
            return timestamp(at.astimezone(UTC))
        except (ValueError, OverflowError):
            raise self._refused() from None

    def _refused(self, *, attributes: Collection[str] = (), operators: Collection[str] = ()) -> FilterRefused:
        return self.filterable.refused(attributes=tuple(sorted(attributes)), operators=tuple(sorted(operators)))


def json_path(attribute: str) -> str:
    """Return the JSON path of a custom attribute; no word of a filter holds a quotation mark."""
    return f'$."{attribute}"'


def _sql(held_in: str) -> str:
    """Return where the copy has what the unified user has in a field or a path of its fields."""
    first, _, rest = held_in.partition(".")
    if first == "address" or held_in in USER_COLUMNS:
        return f"u.{rest or held_in}"
    return (
        f"json_extract(u.remote_data, '$.{rest}')" if first == "remote_data" else f"json_extract(u.more, '$.{held_in}')"
    )


def custom_equals(attribute: str, value: str) -> Condition:
    """Return that a custom attribute, or one of several in it, is a text, in any case."""
    return _custom(attribute, "eq", value)


def _custom(attribute: str, operator: str, value: str) -> Condition:
    """Return a condition on a custom attribute: on its text, or on one of several."""
    inner = _COMPARE[operator]("one.value", value)
    path = json_path(attribute)
    return Condition(
        "(json_type(u.custom_attributes, ?) IN ('text', 'array') AND EXISTS (SELECT 1 "  # noqa: S608 - our own text
        f"FROM json_each(u.custom_attributes, ?) one WHERE one.type = 'text' AND {inner.sql}))",
        (path, path, *inner.values),
    )
