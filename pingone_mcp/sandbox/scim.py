"""The filter language of each list: what may be asked, and whether a resource answers it."""

from __future__ import annotations

import json
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pingone_mcp.sandbox.times import parse_timestamp

Kind: TypeAlias = Literal["string", "boolean", "time"]
Membership: TypeAlias = Literal["DIRECT", "INDIRECT"]

_MAX_DEPTH = 64
_TOKEN = re.compile(r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+)|(?P<mark>[()\[\]]))', re.DOTALL)
_OPERATORS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"})


class InvalidFilter(ValueError):
    """The filter cannot be read, or asks for something the list does not support."""

    def __init__(
        self, message: str, *, attributes: list[str] | None = None, operators: list[str] | None = None
    ) -> None:
        super().__init__(message)
        self.attributes, self.operators = attributes, operators


@dataclass(frozen=True)
class AttributeCondition:
    """`attribute operator value`; instants are held in milliseconds, text in lower case."""

    attribute: str
    operator: str
    value: str | bool | int | None
    accents: bool = True


@dataclass(frozen=True)
class MemberCondition:
    """`memberOfGroups[id eq "…"]`, perhaps with `and type eq "DIRECT"`."""

    group_id: str
    type: Membership | None


@dataclass(frozen=True)
class Conjunction:
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Disjunction:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Negation:
    """The part does not hold."""

    part: Node


Node: TypeAlias = AttributeCondition | MemberCondition | Conjunction | Disjunction | Negation


@dataclass(frozen=True)
class Attribute:
    """What an attribute holds and which operators it supports."""

    kind: Kind
    operators: frozenset[str]


@dataclass(frozen=True)
class Language:
    """The filters one list supports."""

    attributes: Mapping[str, Attribute]
    connectives: frozenset[str] = frozenset({"and", "or"})
    members: bool = False
    any_case: bool = False
    quoted_boolean: bool = True
    negation: bool = False
    accents: bool = True

    def named(self, word: str) -> str | None:
        """Find the attribute a word names; the audit list takes any case (`recordedat`)."""
        if word in self.attributes:
            return word
        if self.any_case:
            return next((name for name in self.attributes if name.lower() == word.lower()), None)
        return None


def language(table: Mapping[str, str], **rest: bool) -> Language:
    """Build a language from `{"attribute": "eq sw"}`; a name ending in `?` is a boolean, in `@` an instant."""
    kinds: dict[str, Kind] = {"?": "boolean", "@": "time"}
    attributes = {
        name.rstrip("?@"): Attribute(kinds.get(name[-1], "string"), frozenset(operators.split()))
        for name, operators in table.items()
    }
    connectives = {"and"} if rest.pop("only_and", False) else {"and", "or"}
    return Language(attributes, frozenset(connectives), **rest)


# ------------------------------------------------------------------------------------------------------- reading


class _FilterReader:
    """A filter as tokens, read from left to right."""

    def __init__(self, text: str, spoken: Language) -> None:
        self.language = spoken
        self._tokens = _tokens(text)
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self._at += 1
        return token

    def takes(self, word: str) -> bool:
        kind, text = self.peek()
        if kind != "string" and text.lower() == word:
            self._at += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.takes(mark):
            raise InvalidFilter(f"{mark} is missing")

    def chain(self, word: Literal["or", "and"], depth: int) -> Node:
        parts = [self.link(word, depth)]
        while self.takes(word):
            if word not in self.language.connectives:
                raise InvalidFilter(f"{word} is not supported", operators=sorted(self.language.connectives))
            parts.append(self.link(word, depth))
        if len(parts) == 1:
            return parts[0]
        return Disjunction(tuple(parts)) if word == "or" else Conjunction(tuple(parts))

    def link(self, word: Literal["or", "and"], depth: int) -> Node:
        return self.chain("and", depth) if word == "or" else self.term(depth)

    def term(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise InvalidFilter("the filter is nested too deeply")
        if self.takes("("):
            inner = self.chain("or", depth + 1)
            self.expect(")")
            return inner
        kind, word = self.take()
        if kind != "word":
            raise InvalidFilter("an attribute is missing")
        if word.lower() == "not" and self.peek() == ("mark", "("):
            return self.negation(depth)
        if self.language.members and word == "memberOfGroups":
            return self.member()
        return self.comparison(word)

    def negation(self, depth: int) -> Node:
        if not self.language.negation:
            raise InvalidFilter("not is not supported", operators=sorted(self.language.connectives))
        self.expect("(")
        inner = self.chain("or", depth + 1)
        self.expect(")")
        return Negation(inner)

    def comparison(self, word: str) -> AttributeCondition:
        name = self.language.named(word)
        if name is None:
            raise InvalidFilter("the attribute is not supported", attributes=sorted(self.language.attributes))
        attribute = self.language.attributes[name]
        kind, operator = self.take()
        operator = operator.lower()
        if kind != "word" or operator not in _OPERATORS or operator not in attribute.operators:
            raise InvalidFilter("the operator is not supported", operators=sorted(attribute.operators))
        return AttributeCondition(
            name, operator, None if operator == "pr" else self.value(attribute), self.language.accents
        )

    def value(self, attribute: Attribute) -> str | bool | int:
        kind, text = self.take()
        if attribute.kind == "boolean":
            quoted = kind == "string"
            word = (_unquoted(text) if quoted else text).lower()
            if word not in {"true", "false"} or (quoted and not self.language.quoted_boolean):
                raise InvalidFilter("the value must be true or false")
            return word == "true"
        if kind != "string":
            raise InvalidFilter("the value must be in double quotes")
        if attribute.kind == "string":
            return _text(_unquoted(text), accents=self.language.accents)
        try:
            return parse_timestamp(_unquoted(text))
        except ValueError as problem:
            raise InvalidFilter("the value must be a date and time") from problem

    def member(self) -> MemberCondition:
        self.expect("[")
        inner = _FilterReader("", _MEMBER)
        inner._tokens, inner._at = self._tokens, self._at
        asked = inner.chain("or", 0)
        self._at = inner._at
        self.expect("]")
        parts = asked.parts if isinstance(asked, Conjunction) else (asked,)
        wanted = {part.attribute: str(part.value) for part in parts if isinstance(part, AttributeCondition)}
        type_ = wanted.get("type", "").upper()
        if len(wanted) != len(parts) or "id" not in wanted or type_ not in {"", "DIRECT", "INDIRECT"}:
            raise InvalidFilter("memberOfGroups takes an id, and perhaps a type", attributes=["id", "type"])
        return MemberCondition(wanted["id"], "DIRECT" if type_ == "DIRECT" else "INDIRECT" if type_ else None)


_MEMBER = language({"id": "eq", "type": "eq"}, only_and=True)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise InvalidFilter("a string does not end")
        tokens.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
        at = match.end()
    return tokens


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError as problem:
        raise InvalidFilter("a string holds an unknown escape") from problem


def parse(text: str, spoken: Language) -> Node:
    """Read a filter; raises InvalidFilter for anything the language does not support."""
    reader = _FilterReader(text, spoken)
    node = reader.chain("or", 0)
    if reader.peek()[0] != "end":
        raise InvalidFilter("the filter goes on where it should end")
    return node


# ----------------------------------------------------------------------------------------------------- answering


def holds(
    node: Node,
    value_of: Callable[[str], object],
    member_of: Callable[[str], Membership | None] = lambda _: None,
) -> bool:
    """Say whether a filter holds for one resource, by its values (`value_of`) and its memberships (`member_of`)."""
    if isinstance(node, Conjunction):
        return all(holds(part, value_of, member_of) for part in node.parts)
    if isinstance(node, Disjunction):
        return any(holds(part, value_of, member_of) for part in node.parts)
    if isinstance(node, Negation):
        return not holds(node.part, value_of, member_of)
    if isinstance(node, MemberCondition):
        membership = member_of(node.group_id)
        return membership is not None and node.type in {None, membership}
    return compares(node, value_of(node.attribute))


def _text(value: object, *, accents: bool) -> str:
    """Return a text as it is compared: in lower case, and without accents where they make no difference."""
    text = str(value).lower()
    if accents:
        return text
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def compares(asked: AttributeCondition, actual: object) -> bool:
    """Compare one value; an absent attribute matches nothing."""
    if actual is None:
        return False
    if asked.operator == "pr":
        return True
    if isinstance(asked.value, bool):
        return actual is asked.value
    if isinstance(asked.value, int):
        at = parse_timestamp(actual) if isinstance(actual, str) else actual
        assert isinstance(at, int)
        return _OF_INSTANTS.get(asked.operator, _OF_INSTANTS["eq"])(at, asked.value)
    return _OF_TEXTS.get(asked.operator, _OF_TEXTS["eq"])(_text(actual, accents=asked.accents), str(asked.value))


_OF_INSTANTS: Mapping[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ge": operator.ge,
    "le": operator.le,
    "gt": operator.gt,
    "lt": operator.lt,
}
_OF_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "eq": operator.eq,
    "sw": str.startswith,
    "ew": str.endswith,
    "co": operator.contains,
    "ne": operator.ne,
}


def speaks_of_groups(node: Node) -> bool:
    """Say whether a filter asks for memberships."""
    if isinstance(node, Conjunction | Disjunction):
        return any(speaks_of_groups(part) for part in node.parts)
    return isinstance(node, MemberCondition) or (isinstance(node, Negation) and speaks_of_groups(node.part))


def bounds(node: Node, attribute: str) -> set[str]:
    """Collect the directions in which a filter bounds an instant: `from`, `to`."""
    if isinstance(node, Conjunction | Disjunction):
        return set().union(*(bounds(part, attribute) for part in node.parts))
    if isinstance(node, AttributeCondition) and node.attribute == attribute:
        return (
            {"from"} if node.operator in {"ge", "gt"} else {"to"} if node.operator in {"le", "lt"} else {"from", "to"}
        )
    return set()
