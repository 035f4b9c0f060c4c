"""What a route takes in its query, as data; and a query that was held to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from pingone_mcp.directory.matching.unified import Comparison, FieldCondition, Sorting
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.web.rest.query import Written, pairs_of, read_query

UNKNOWN_PARAMETER = "UNKNOWN_PARAMETER"
WRONG_PARAMETER = "WRONG_PARAMETER"
_NAMED = 5  # of unknown parameters

ParameterKind = Literal["text", "integer", "boolean", "list", "filter", "members", "sorting"]
"""`list`: several texts. `filter`: compared with a field of rows. `members`: texts by names of the caller's choice, in
brackets. `sorting`: the name of a field, or `sort_by[field]=asc|desc`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a query.

    `choices` are the values of a text or list, or the fields of a sorting. An integer lies between `least` and `most`.
    A filter is compared by `comparisons`, and goes by its `other_names` too; where `is_open`, the field's name follows
    in brackets. `aliases` are the fields of a sorting by the other names that they go by.
    """

    name: str
    about: str
    kind: ParameterKind = "text"
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    default: int | None = None
    comparisons: tuple[Comparison, ...] = ()
    other_names: tuple[str, ...] = ()
    is_open: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_prefix(self) -> bool:
        """Say whether more of its name follows in brackets."""
        return self.is_open or self.kind in ("members", "sorting")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenQuery:
    """A query that holds nothing but what its route takes; every value is of its kind."""

    texts: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    integers: Mapping[str, int]
    flags: Mapping[str, bool]
    members: Mapping[str, Mapping[str, str]]
    conditions: tuple[FieldCondition, ...] = ()
    sorting: Sorting | None = None


class _Reading:
    """A query while it is read."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = {name: one for one in parameters for name in (one.name, *one.other_names)}
        self._names = [one.name for one in parameters]
        self._unknown: list[str] = []
        self._seen: set[str] = set()
        self.texts: dict[str, str] = {}
        self.lists: dict[str, tuple[str, ...]] = {}
        self.integers: dict[str, int] = {one.name: one.default for one in parameters if one.default is not None}
        self.flags: dict[str, bool] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.conditions: list[FieldCondition] = []
        self.sorting: Sorting | None = None

    def take(self, written: Written) -> None:
        parameter, rest = self._find(written)
        if parameter is None:
            self._unknown.append(written.name)
            return
        if parameter.kind == "filter":
            self._take_filter(parameter, rest, written)
            return
        if written.comparison is not None:
            raise _wrong(written, "is no filter, and is not compared")
        if parameter.kind == "members":
            self._take_member(parameter, rest, written)
        elif parameter.kind == "sorting":
            self._take_sorting(parameter, rest, written)
        elif any(written.values):  # an empty text is absent: some clients send every parameter
            self._take_value(parameter, written)

    def check(self) -> None:
        """Raise Refused where a parameter is none of the route's."""
        if self._unknown:
            names = ", ".join(
                f"`{Written(name=name, values=(), is_list=False).shown}`" for name in self._unknown[:_NAMED]
            )
            near = " ".join(filter(None, (did_you_mean(name, self._names) for name in self._unknown[:_NAMED])))
            raise Refused(
                f"There is no parameter {names} here.",
                f"{near} Known are: {', '.join(self._names)}.".strip(),
                code=UNKNOWN_PARAMETER,
            )

    def _find(self, written: Written) -> tuple[Parameter | None, str]:
        """Return the parameter that a name means, and what of the name follows in brackets."""
        exact = self._parameters.get(written.name)
        if exact is not None:
            return exact, ""
        first, _, rest = written.name.partition(".")
        prefix = self._parameters.get(first)
        return (prefix, rest) if prefix is not None and prefix.is_prefix else (None, "")

    def _take_filter(self, parameter: Parameter, rest: str, written: Written) -> None:
        if parameter.is_open and not rest:
            raise _wrong(written, f"needs the name of a field: {parameter.name}[name]=…")
        field = f"{parameter.name}.{rest}" if rest else parameter.name
        comparison = written.comparison or "eq"
        values = written.separated() if comparison == "in" else written.values
        if comparison == "eq" and len(values) > 1:
            comparison = "in"
        if comparison not in parameter.comparisons:
            raise _wrong(written, f"is compared by {', '.join(parameter.comparisons)}")
        self.conditions.append(FieldCondition(field=field, comparison=comparison, values=values))

    def _take_member(self, parameter: Parameter, rest: str, written: Written) -> None:
        if not rest or len(written.values) > 1:
            raise _wrong(written, f"is written {parameter.name}[name]=value, each name once")
        if parameter.choices and rest not in parameter.choices:
            raise _wrong(written, f"is none of what is passed on here: {', '.join(parameter.choices)}")
        self.members.setdefault(parameter.name, {})[rest] = written.values[0]

    def _take_sorting(self, parameter: Parameter, rest: str, written: Written) -> None:
        named, direction = (rest, written.values[0].casefold() or "asc") if rest else (written.values[0], "asc")
        if not named:
            return
        by = parameter.aliases.get(named, named)
        if by not in parameter.choices:
            near = did_you_mean(named, parameter.choices)
            raise _wrong(written, f"names no field to sort by. {near} It takes {', '.join(parameter.choices)}")
        if len(written.values) > 1 or direction not in ("asc", "desc") or self.sorting is not None:
            raise _wrong(written, f"is one field: {parameter.name}={by}, or {parameter.name}[{by}]=desc")
        self.sorting = Sorting(field=by, descending=direction == "desc")

    def _take_value(self, parameter: Parameter, written: Written) -> None:
        if parameter.kind == "list":
            values = tuple(filter(None, written.separated()))
            for value in values:
                _check_choice(parameter, value, written)
            self.lists[parameter.name] = values
            return
        if len(written.values) > 1:
            raise _wrong(written, "is given more than once")
        value = written.values[0]
        match parameter.kind:
            case "integer":
                self.integers[parameter.name] = _integer(parameter, value, written)
            case "boolean":
                self.flags[parameter.name] = _flag(value, written)
            case _:
                _check_choice(parameter, value, written)
                self.texts[parameter.name] = value


def read(raw: bytes, parameters: Sequence[Parameter]) -> GivenQuery:
    """Return a query as its route takes it. Raises Refused, naming what is not taken and what is meant perhaps."""
    reading = _Reading(parameters)
    for written in read_query(raw):
        reading.take(written)
    reading.check()
    return GivenQuery(
        texts=reading.texts,
        lists=reading.lists,
        integers=reading.integers,
        flags=reading.flags,
        members=reading.members,
        conditions=tuple(reading.conditions),
        sorting=reading.sorting,
    )


def read_own(raw: bytes, parameters: Sequence[Parameter]) -> tuple[GivenQuery, dict[str, tuple[str, ...]]]:
    """Return a query whose route passes on what is not its own: its own part, and the rest as it was written.

    Raises Refused for what is wrong in its own part.
    """
    own = {one.name for one in parameters}
    pairs = pairs_of(raw)
    others: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name not in own:
            others[name] = (*others.get(name, ()), value)
    return read(urlencode([pair for pair in pairs if pair[0] in own]).encode(), parameters), others


def _check_choice(parameter: Parameter, value: str, written: Written) -> None:
    if parameter.choices and value not in parameter.choices:
        near = did_you_mean(value, parameter.choices)
        raise _wrong(written, f"has a value that it does not take. {near} It takes {', '.join(parameter.choices)}")


def _integer(parameter: Parameter, value: str, written: Written) -> int:
    number = int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else -1
    if not parameter.least <= number <= parameter.most:
        raise _wrong(written, f"is a whole number from {parameter.least} to {parameter.most}")
    return number


def _flag(value: str, written: Written) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if value.casefold() not in known:
        raise _wrong(written, "is true or false")
    return known[value.casefold()]


def _wrong(written: Written, what: str) -> Refused:
    return Refused(f"`{written.shown}` {what}.".replace("  ", " "), code=WRONG_PARAMETER)
