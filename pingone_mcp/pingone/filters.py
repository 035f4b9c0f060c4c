"""SCIM filters as values: built, parsed and written with all quoting and parentheses in one place.

The grammar is that of RFC 7644 §3.4.2.2 as far as PingOne documents it (PingOne, "Filtering"): comparisons,
`pr`, `and`, `or`, `not`, parentheses, and `attribute[…]`. Which attributes and operators an endpoint supports is
for PingOne to say; a text that is no filter at all is refused here, before any request.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from urllib.parse import quote

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused, Refused

Value = str | bool | int | float | None

_NAMES = ("name.given", "name.family", "name.formatted")
OPERATORS = ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le")
_LONGEST = 4_000
_DEEPEST = 40
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Compare:
    attribute: str
    operator: str
    value: Value

    def __str__(self) -> str:
        value = json.dumps(self.value, ensure_ascii=False)
        # A lone surrogate cannot be sent as it is; backslashreplace writes the escape that JSON has for it.
        return f"{self.attribute} {self.operator} {value.encode('utf-8', 'backslashreplace').decode()}"


@dataclass(frozen=True, slots=True)
class Present:
    attribute: str

    def __str__(self) -> str:
        return f"{self.attribute} pr"


@dataclass(frozen=True, slots=True)
class Not:
    inner: Filter

    def __str__(self) -> str:
        return f"not ({self.inner})"


@dataclass(frozen=True, slots=True)
class Within:
    """A condition on one element of a multi-valued attribute, such as `memberOfGroups[id eq "…"]`."""

    attribute: str
    inner: Filter

    def __str__(self) -> str:
        return f"{self.attribute}[{self.inner}]"


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(_grouped(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(_grouped(part) for part in self.parts)


Filter = Compare | Present | Not | Within | All | AnyOf


def _grouped(part: Filter) -> str:
    return f"({part})" if isinstance(part, All | AnyOf) else str(part)


def eq(attribute: str, value: Value) -> Compare:
    return Compare(attribute, "eq", value)


def sw(attribute: str, value: str) -> Compare:
    return Compare(attribute, "sw", value)


def ge(attribute: str, at: datetime) -> Compare:
    return Compare(attribute, "ge", timestamp(at))


def le(attribute: str, at: datetime) -> Compare:
    return Compare(attribute, "le", timestamp(at))


def all_of(parts: Iterable[Filter | None]) -> Filter | None:
    """Return what demands every part that is there; None when none is."""
    kept = tuple(part for part in parts if part is not None)
    return kept[0] if len(kept) == 1 else All(kept) if kept else None


def any_of(parts: Iterable[Filter]) -> Filter:
    """Return what demands one of the parts (at least one must be given)."""
    kept = tuple(parts)
    return kept[0] if len(kept) == 1 else AnyOf(kept)


def people(text: str, *, longest: int | None = None) -> Filter:
    """Return the filter for what a person types to find people.

    An address: start of username or email. A single word: start of username, email, given, family or whole name.
    Several words: all of them as family, given or whole name, and every division of them into a given and a family
    name, in either order; the words between the first and the last may be missing, as middle names are. `Family, Given`
    is understood too. With `longest`, the likeliest of these that take no more characters of a URL (see
    `people_are_cut`).
    """
    parts = _people(text)
    return any_of(parts if longest is None else parts[: _within(parts, longest)])


def people_are_cut(text: str, longest: int) -> bool:
    """Say whether not all ways to read what a person types fit into so many characters of a URL."""
    parts = _people(text)
    return _within(parts, longest) < len(parts)


def _within(parts: Sequence[Filter], longest: int) -> int:
    """Return how many of the parts fit, at least one."""
    sizes = accumulate(len(quote(f"{_grouped(part)} or ", safe="")) for part in parts)
    return max(1, sum(size <= longest for size in sizes))


def _people(text: str) -> list[Filter]:
    """Return the ways to read what a person types, the likeliest first. Raises Refused where nothing is typed."""
    whole, words = " ".join(text.split()), _words(text)
    if len(words) == 1:
        attributes = ("username", "email") if "@" in words[0] else ("username", "email", *_NAMES)
        return [sw(attribute, words[0]) for attribute in attributes]
    turned = " ".join(words)
    parts: list[Filter] = [_called(words[0], words[-1]), _called(words[-1], words[0])]
    parts += [sw(attribute, turned) for attribute in ("name.family", "name.given", "name.formatted")]
    parts += [sw("name.formatted", whole), sw("username", whole)]
    divisions = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words) - 1)]
    parts += [_called(first, last) for first, last in divisions]
    parts += [_called(last, first) for first, last in divisions]
    # Where logins are made of names, accents are left out of them.
    parts += [sw(attribute, ".".join(words)) for attribute in ("username", "email")]
    return list(dict.fromkeys(parts))


def _words(text: str) -> list[str]:
    """Return the words of a name, those behind a comma first. Raises Refused where there are none."""
    family, _, given = text.partition(",")
    words = f"{given} {family}".replace(",", " ").split()
    if not words:
        raise Refused("`query` is empty.", "Give the start of a name, username or email.", code="EMPTY_QUERY")
    return words


def certain_words(text: str) -> set[str]:
    """Return the words that everybody has whom `people` finds: the first and the last."""
    words = _words(text)
    return {words[0], words[-1]}


def _called(given: str, family: str) -> Filter:
    return All((sw("name.given", given), sw("name.family", family)))


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.:-]))
      | (?P<word>[A-Za-z_$][\w.$:-]*)
      | (?P<mark>[()\[\]])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SIGN = re.compile(r"\s*[=<>!&|~]{1,3}")
_SINGLE = re.compile(r"\\.|\"", re.DOTALL)
_DOUBLE = {"\\'": "'", '"': '\\"'}
_EXAMPLE = 'Write it like: name.family sw "Li" and enabled eq true'


def parse(text: str) -> Filter:
    """Return the filter that a text states. Raises Refused, saying where, when it states none."""
    if len(text) > _LONGEST:
        raise _refuse(f"is longer than {_LONGEST} characters")
    return _Parser(text).filter()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._index = 0
        self._depth = 0

    def filter(self) -> Filter:
        found = self._either()
        if self._index < len(self._tokens):
            raise _refuse(f"goes on where it should end, {self._where()}")
        return found

    def _either(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _refuse("is nested too deeply")
        parts = [self._both()]
        while self._take_word("or"):
            parts.append(self._both())
        self._depth -= 1
        return any_of(parts)

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take_word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Filter:
        if self._take_mark("("):
            return self._closed(")")
        if self._take_word("not"):
            if not self._take_mark("("):
                raise _refuse(f"needs ( behind not, {self._where()}")
            return Not(self._closed(")"))
        kind, attribute = self._next("an attribute")
        if kind != "word":
            raise _refuse(f"has no attribute where one should be, {self._where(-1)}")
        if self._take_mark("["):
            return Within(attribute, self._closed("]"))
        kind, operator = self._next("an operator")
        operator = operator.lower()
        if kind == "word" and operator == "pr":
            return Present(attribute)
        if kind != "word" or operator not in OPERATORS:
            near = difflib.get_close_matches(operator, OPERATORS, n=1) if kind == "word" else []
            raise _refuse(f"has no operator where one should be, {self._where(-1)}", *near)
        return Compare(attribute, operator, self._value())

    def _closed(self, mark: str) -> Filter:
        inner = self._either()
        if not self._take_mark(mark):
            raise _refuse(f"lacks a closing {mark}, {self._where()}")
        return inner

    def _value(self) -> Value:
        kind, text = self._next("a value")
        if kind == "string":
            return _unquote(text)
        if kind == "number":
            return _number(text)
        literals: dict[str, Value] = {"true": True, "false": False, "null": None}
        if kind == "word" and text.lower() in literals:
            return literals[text.lower()]
        raise _refuse(f"has a value without quotes, {self._where(-1)}")

    def _next(self, what: str) -> tuple[str, str]:
        if self._index >= len(self._tokens):
            raise _refuse(f"ends where {what} should follow")
        self._index += 1
        return self._tokens[self._index - 1]

    def _take_word(self, word: str) -> bool:
        return self._take("word", word)

    def _take_mark(self, mark: str) -> bool:
        return self._take("mark", mark)

    def _take(self, kind: str, text: str) -> bool:
        found = self._index < len(self._tokens) and self._tokens[self._index]
        if not found or (found[0], found[1].lower()) != (kind, text):
            return False
        self._index += 1
        return True

    def _where(self, offset: int = 0) -> str:
        return f"at its part {min(self._index + offset, len(self._tokens)) + 1} of {len(self._tokens)}"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            if sign := _SIGN.match(text, position):
                raise _refuse(f"has {sign[0].strip()} where a word belongs: eq, sw, ge, le, and, or")
            raise _refuse(f"cannot be read from character {position + 1} on (an open quote?)")
        yield match.lastgroup, match.group(match.lastgroup)
        position = match.end()


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise _refuse("has a number that is too large")
    return value if set(text) & set(".eE") else int(text)


def _unquote(text: str) -> str:
    if text.startswith("'"):  # as in some of PingOne's examples; written with double quotes from here on
        text = '"' + _SINGLE.sub(lambda found: _DOUBLE.get(found[0], found[0]), text[1:-1]) + '"'
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        raise _refuse('has a string with a wrong escape; only \\" and \\\\ need one') from None
    assert isinstance(value, str)
    return value


def _refuse(what: str, *near: str) -> Refused:
    hint = f"Did you mean {near[0]}? " if near else ""
    return Refused(f"`filter` {what}.", f"{hint}{_EXAMPLE}.", code="INVALID_FILTER")


# What PingOne documents for filters of /users (PingOne, "Read All Users" and "SCIM operators"). Custom attributes of
# type STRING work too; they are not listed.
_TEXT_OPERATORS = ("eq", "sw")
USER_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        "accountId address.streetAddress address.locality address.region address.postalCode address.countryCode "
        "externalId locale mobilePhone name.formatted name.middle name.honorificPrefix name.honorificSuffix nickname "
        "photo.href preferredLanguage primaryPhone timezone title type username".split(),
        _TEXT_OPERATORS,
    ),
    **dict.fromkeys(("email", "name.given", "name.family"), (*_TEXT_OPERATORS, "ew")),
    **dict.fromkeys(("id", "enabled", "startDate", "endDate"), ("eq",)),
    "population.id": ("eq",),
    "updatedAt": ("ge", "le"),
    "memberOfGroups": ("[id eq]", '[id eq and type eq "DIRECT"]'),
}
# Attributes of a user that PingOne's documentation leaves out, with the column of the local copy that holds each. Where
# PingOne is asked they are decided from the rows instead.
NOT_FILTERABLE: dict[str, str | None] = {
    "createdAt": "created_at",
    "lastSignOn.at": "last_login_at",
    "account.status": "account_status",
    "account.lockedAt": "locked_at",
    "lifecycle.status": "lifecycle_status",
    "emailVerified": "is_email_verified",
    "mfaEnabled": "is_2fa_enabled",
    "verifyStatus": None,
    "identityProvider.type": None,
}
# What other directories and the unified user call an attribute.
_MEANT: dict[str, str] = {
    **dict.fromkeys(("emails", "emails.value", "mail"), "email"),
    **dict.fromkeys(("name.givenname", "givenname", "given_name", "firstname", "first_name"), "name.given"),
    **dict.fromkeys(("name.familyname", "familyname", "family_name", "lastname", "last_name", "sn"), "name.family"),
    **dict.fromkeys(("name", "displayname", "display_name"), "name.formatted"),
    **dict.fromkeys(("active", "isenabled"), "enabled"),
    **dict.fromkeys(("population", "population_id", "workspace"), "population.id"),
    **dict.fromkeys(("meta.lastmodified", "lastmodified", "updated_at"), "updatedAt"),
    **dict.fromkeys(("meta.created", "created", "created_at"), "createdAt"),
    **dict.fromkeys(("lastsignon", "lastlogin", "last_login", "last_login_at"), "lastSignOn.at"),
    **dict.fromkeys(("account", "account_status", "locked"), "account.status"),
    **dict.fromkeys(("lifecycle", "lifecycle_status"), "lifecycle.status"),
    **dict.fromkeys(("is_2fa_enabled", "mfa"), "mfaEnabled"),
    **dict.fromkeys(("phone", "phonenumbers", "phonenumbers.value"), "primaryPhone"),
    **dict.fromkeys(("external_id",), "externalId"),
}
_ARGUMENTS = {
    "status": "status",
    **dict.fromkeys(
        ("group", "groups", "groups.value", "groups.display", "memberofgroups.name", "group.name"), "group"
    ),
    "population.name": "population",
    **dict.fromkeys(("environment", "environment.id", "environment.name"), "environment"),
}
# What is documented for filters of other lists (PingOne, "Query parameter quick reference").
OTHER_LISTS: dict[str, str] = {
    "groups": 'id, name, externalId and population.id with eq, externalId with sw, memberOfGroups[id eq "…"]',
    "populations": "id with eq, name with eq and sw",
    "environments": "name with sw; id, organization.id, license.id and status with eq",
    "activities": 'a range of the last 14 days (recordedAt ge "…" and recordedAt le "…"), and with it at most one of '
    "action.type, actors.user.id, actors.user.name, actors.client.id, resources.id, resources.type, correlationid and tags "
    "with eq, and resources.population.id",
}


def advised(refused: FilterRefused, text: str | None, custom: Iterable[str] = ()) -> FilterRefused:
    """Return the refusal of a filter of users with what is wrong in the filter itself put first."""
    try:
        told = advice(parse(text), custom) if text is not None else ""
    except Refused as unreadable:
        told = f"{unreadable.what} {unreadable.next_step}"
    return FilterRefused(
        refused.what,
        f"{told} {refused.next_step}".strip(),
        code=refused.code,
        correlation_id=refused.correlation_id,
    )


def advice(refused: Filter, custom: Iterable[str] = ()) -> str:
    """Say which parts of a refused filter are not documented, and what to do instead; empty if all of them are."""
    known = {name.casefold(): name for name in (*USER_ATTRIBUTES, *custom)}
    told: list[str] = []
    for attribute, operator in dict.fromkeys(_conditions(refused)):
        name = known.get(attribute.casefold())
        if name is None:
            told.append(_unknown(attribute, known))
        elif name != attribute:
            told.append(f"{attribute[:_SHOWN]} is written {name}")
        elif name in USER_ATTRIBUTES and operator not in USER_ATTRIBUTES[name] and operator != "[]":
            told.append(f"{name} takes {', '.join(USER_ATTRIBUTES[name])}, not {operator}")
        elif name not in USER_ATTRIBUTES and operator not in _TEXT_OPERATORS:
            told.append(f"custom attributes take {', '.join(_TEXT_OPERATORS)}, not {operator}")
    if _negates(refused):
        told.append("not is not supported: say it the other way round (enabled eq false), or ask query_directory")
    return f"In it {'; '.join(told)}." if told else ""


def _unknown(attribute: str, known: Mapping[str, str]) -> str:
    """Say what to do instead of filtering by an attribute that is none, or that PingOne does not filter by."""
    meant = attribute.casefold()
    if meant in _ARGUMENTS:
        return f"{attribute} is no attribute: give `{_ARGUMENTS[meant]}` to list_users"
    unfiltered = {name.casefold(): name for name in NOT_FILTERABLE}
    name = unfiltered.get(meant) or _MEANT.get(meant)
    if name in NOT_FILTERABLE:
        column = NOT_FILTERABLE[name]
        instead = f": ask query_directory, column {column} of users" if column else ""
        return f"PingOne does not filter by {name}{instead}"
    if name is not None:
        return f"{attribute} is called {name}"
    near = difflib.get_close_matches(attribute, list(known.values()), n=2)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"the attribute {attribute[:_SHOWN]} is not documented{hint}"


def _negates(node: Filter) -> bool:
    match node:
        case All(parts) | AnyOf(parts):
            return any(_negates(part) for part in parts)
    return isinstance(node, Not)


def _conditions(node: Filter) -> Iterator[tuple[str, str]]:
    match node:
        case Compare(attribute, operator, _):
            yield attribute, operator
        case Present(attribute):
            yield attribute, "pr"
        case Within(attribute, _):
            yield attribute, "[]"
        case Not(inner):
            yield from _conditions(inner)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from _conditions(part)
