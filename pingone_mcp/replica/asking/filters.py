"""The SCIM filters of PingOne as conditions on users of the local copy.

What PingOne documents for filters of users is answered; what it does not support is refused with the sentence that a
live answer has, so that nothing depends on where it is read. Of some attributes the copy knows nothing (`NotHeld`):
those are for PingOne to answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from pingone_mcp.directory.filters import All, AnyOf, Compare, Filter, Not, Present, Value, Within
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused
from pingone_mcp.pingone import filters, wire
from pingone_mcp.pingone.answers import filter_advice
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

_COMPARE = {"eq": equals, "sw": starts, "ew": ends}
_TEXTS: dict[str, str] = {
    "username": "u.username",
    "email": "u.email",
    "externalId": "u.external_id",
    "name.given": "u.first_name",
    "name.family": "u.last_name",
    "title": "u.title",
    "type": "u.type",
    "locale": "u.locale",
    "timezone": "u.timezone",
    "preferredLanguage": "u.preferred_language",
    "primaryPhone": "u.phone",
    "mobilePhone": "u.mobile_phone",
    "address.locality": "u.city",
    "address.countryCode": "u.country",
    "address.streetAddress": "json_extract(u.record, '$.address.street')",
    "address.region": "json_extract(u.record, '$.address.region')",
    "address.postalCode": "json_extract(u.record, '$.address.postal_code')",
    "accountId": "json_extract(u.record, '$.identifiers.account_id')",
    "photo.href": "json_extract(u.record, '$.avatar_url')",
}
_IDS = {"id": "u.id", "population.id": "u.population_id"}
# Documented ones that the unified user does not carry: only what PingOne sent tells them, where that is kept too. A
# whole name is carried, but whether it is PingOne's `name.formatted` or was put together from its parts is not said.
_REMOTE = frozenset({"name.formatted", "name.middle", "name.honorificPrefix", "name.honorificSuffix", "nickname"})


@dataclass(frozen=True, slots=True)
class Language:
    """What filters may speak of beside the documented attributes: `custom` ones that somebody in the copy has.

    `department` is the custom attribute that has a column of its own. `remote_data` says that what PingOne sent is in
    the copy; `shown_names` compares `name.formatted` with names as they are shown, which is what a search
    means by it. Without `accents` the start of a text is compared as if there were none.
    """

    custom: Collection[str] = ()
    department: str | None = None
    remote_data: bool = False
    shown_names: bool = False
    accents: bool = True

    def condition(self, wanted: Filter) -> Condition:
        """Return a filter as a condition. Raises FilterRefused for what PingOne does not support, and NotHeld."""
        match wanted:
            case All(parts):
                return both(*[self.condition(part) for part in parts])
            case AnyOf(parts):
                return either([self.condition(part) for part in parts])
            case Within("memberOfGroups", inner):
                return _member(inner)
            case Compare(attribute, operator, value):
                return self._compare(attribute, operator, value)
            case Present(attribute) | Within(attribute, _):
                raise _refused(operators=sorted(filters.USER_ATTRIBUTES.get(attribute, ("eq", "sw"))))
            case Not():
                raise _refused(operators=["and", "or"])

    def _compare(self, attribute: str, operator: str, value: Value) -> Condition:
        known = filters.USER_ATTRIBUTES.get(attribute)
        if known is None:
            if attribute in filters.NOT_FILTERABLE or attribute.split(".", maxsplit=1)[0] in wire.CORE_ATTRIBUTES:
                raise _refused(attributes=sorted(filters.USER_ATTRIBUTES))
            if attribute not in self.custom:
                raise NotHeld
            known = ("eq", "sw")
        if attribute == "memberOfGroups":
            raise _refused()
        if operator not in known:
            raise _refused(operators=sorted(known))
        if attribute == "enabled":
            return Condition("u.enabled = ?", (_flag(value),))
        if not isinstance(value, str):
            raise _refused()
        if attribute == "updatedAt":
            return Condition(f"u.updated_at {'>=' if operator == 'ge' else '<='} ?", (_instant(value),))
        if attribute in _IDS:
            return Condition(f"{_IDS[attribute]} = ?", (bindable(value).lower(),))
        column = self._column(attribute)
        if column is None:
            return _custom(attribute, operator, value)
        if operator == "sw" and not self.accents:
            return starts_unaccented(column, value)
        return _COMPARE[operator](column, value)

    def _column(self, attribute: str) -> str | None:
        if attribute == self.department:
            return "u.department"
        if attribute == "name.formatted" and self.shown_names:
            return "u.name"
        if attribute in _REMOTE and not self.remote_data:
            raise NotHeld
        return f"json_extract(u.record, '$.remote_data.{attribute}')" if attribute in _REMOTE else _TEXTS.get(attribute)


def custom_attributes(wanted: Filter) -> set[str]:
    """Return the attributes of a filter that PingOne does not document: custom ones, or none at all."""
    match wanted:
        case All(parts) | AnyOf(parts):
            return set[str]().union(*(custom_attributes(part) for part in parts))
        case Compare(attribute, _, _) if attribute not in filters.USER_ATTRIBUTES:
            return {attribute}
    return set()


def speaks_of_groups(wanted: Filter) -> bool:
    match wanted:
        case All(parts) | AnyOf(parts):
            return any(speaks_of_groups(part) for part in parts)
        case Within():
            return True
    return False


def json_path(attribute: str) -> str:
    """Return the JSON path of a custom attribute; no word of a filter holds a quotation mark."""
    return f'$."{attribute}"'


def _custom(attribute: str, operator: str, value: str) -> Condition:
    """Return a condition on a custom attribute: on its text, or on one of several."""
    inner = _COMPARE[operator]("one.value", value)
    path = json_path(attribute)
    return Condition(
        "(json_type(u.custom_attributes, ?) IN ('text', 'array') AND EXISTS (SELECT 1 "  # noqa: S608 - our own text
        f"FROM json_each(u.custom_attributes, ?) one WHERE one.type = 'text' AND {inner.sql}))",
        (path, path, *inner.values),
    )


def _member(inner: Filter) -> Condition:
    if isinstance(inner, AnyOf):
        raise _refused(operators=["and"])
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
        raise _refused(attributes=["id", "type"])
    return member(bindable(group).lower(), kind.lower())


def _flag(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else None  # a shipped client quotes it
    if word not in ("true", "false"):
        raise _refused()
    return word == "true"


def _instant(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise _refused()
        return timestamp(at.astimezone(UTC))
    except (ValueError, OverflowError):
        raise _refused() from None


def _refused(*, attributes: list[str] | None = None, operators: list[str] | None = None) -> FilterRefused:
    hints = {"supportedAttributes": attributes, "supportedOperators": operators}
    told = filter_advice({name: words for name, words in hints.items() if words is not None})
    return FilterRefused("PingOne does not support this filter.", told, code="INVALID_FILTER")
