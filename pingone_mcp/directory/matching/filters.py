"""SCIM filters as values: built, parsed and written with all quoting and parentheses in one place.

The grammar is that of RFC 7644 §3.4.2.2: comparisons, `pr`, `and`, `or`, `not`, parentheses, and `attribute[…]`. Which
attributes and operators a provider supports is for it to say (`Filterable`); a text that is no filter at all is refused
here, before any request.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import nearest

Value = str | bool | int | float | None

OPERATORS = ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le")
_LONGEST = 4_000
_DEEPEST = 40


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
        return " and ".join(grouped(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(grouped(part) for part in self.parts)


Filter = Compare | Present | Not | Within | All | AnyOf


def grouped(part: Filter) -> str:
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


def renamed(node: Filter, names: Mapping[str, str]) -> Filter:
    """Return a filter with other names for some attributes; those inside brackets stay."""
    match node:
        case Compare(attribute, operator, value):
            return Compare(names.get(attribute, attribute), operator, value)
        case Present(attribute):
            return Present(names.get(attribute, attribute))
        case Within(attribute, inner):
            return Within(names.get(attribute, attribute), inner)
        case Not(inner):
            return Not(renamed(inner, names))
        case All(parts):
            return All(tuple(renamed(part, names) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(renamed(part, names) for part in parts))


def negates(node: Filter) -> bool:
    """Say whether a filter holds a `not` that is not inside a condition on one element."""
    match node:
        case All(parts) | AnyOf(parts):
            return any(negates(part) for part in parts)
    return isinstance(node, Not)


def conditions(node: Filter) -> Iterator[tuple[str, str]]:
    """Yield attribute and operator of each condition, `pr` and `[]` among the operators."""
    match node:
        case Compare(attribute, operator, _):
            yield attribute, operator
        case Present(attribute):
            yield attribute, "pr"
        case Within(attribute, _):
            yield attribute, "[]"
        case Not(inner):
            yield from conditions(inner)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from conditions(part)


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
        """Return what the tokens state. Raises Refused where they state no filter, or more than one."""
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
            near = nearest(operator, OPERATORS, most=1) if kind == "word" else []
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
