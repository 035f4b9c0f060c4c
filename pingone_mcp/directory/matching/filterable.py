"""What filters of users a provider takes, and what is said of a filter that it does not take.

Attributes are the provider's own; where the unified user has each is what lets the local copy answer the same filter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pingone_mcp.directory.matching.filters import Filter, conditions, negates, parse
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import FilterRefused, Refused
from pingone_mcp.nearest import nearest

_SHOWN = 64


@dataclass(frozen=True, slots=True)
class FilterAttribute:
    """An attribute that users are filtered by, with its operators.

    `held_in` is where the unified user has it: a column of users as query_directory shows them, or a path of a user as
    get_user does (`address.street`, `custom_attributes.badge`; `remote_data.…` where nothing but the provider's own
    object has it). `kind` is how it is compared; `groups` are the groups that a user is in, asked in brackets.
    """

    operators: tuple[str, ...]
    held_in: str
    kind: Literal["text", "flag", "time", "id", "groups"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filterable:
    """The filters of users that a provider takes.

    `attributes` are documented, `configured` ones hold unified fields by settings; any other one that is not
    `of_core` (by its first word) may be a custom one, with `custom_operators`. `not_filterable` are those that only
    query_directory can compare, by its columns (None: it has none either). `meant` says by which attribute another
    directory's one is meant, `arguments` which argument of list_users takes its place, both in small letters. `beyond`
    is what else to try, said where the attributes are not listed.
    """

    provider: str
    attributes: Mapping[str, FilterAttribute]
    configured: Mapping[str, FilterAttribute] = field(default_factory=dict[str, FilterAttribute])
    custom_operators: tuple[str, ...] = ()
    of_core: frozenset[str] = frozenset()
    not_filterable: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    combine: tuple[str, ...] = ("and", "or", "( )")
    usual_operators: tuple[str, ...] = ("eq", "and", "or")
    beyond: str = ""
    meant: Mapping[str, str] = field(default_factory=dict[str, str])
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: tuple[str, ...] = ()

    def facts(self) -> JsonObject:
        """Return what a filter may hold, as it is shown to who writes one: attributes with their operators first."""
        configured = {name: one.operators for name, one in self.configured.items()}
        return {
            "attributes": {name: one.operators for name, one in self.attributes.items()} | configured,
            "custom_attributes": self.custom_operators,
            "combine": self.combine,
            "not_filterable": dict(self.not_filterable),
            "examples": self.examples,
        }

    def refused(self, *, attributes: tuple[str, ...] = (), operators: tuple[str, ...] = ()) -> FilterRefused:
        """Return the refusal of a filter, naming the attributes or operators that would be taken in its place."""
        return FilterRefused(
            f"{self.provider} does not support this filter.",
            self.supported(attributes=attributes, operators=operators),
            code="INVALID_FILTER",
        )

    def supported(self, *, attributes: tuple[str, ...] = (), operators: tuple[str, ...] = ()) -> str:
        """Name what is taken; where no attributes are given, what to try beyond them."""
        shown = f"Supported operators: {', '.join(operators or self.usual_operators)}."
        return (
            f"{shown} Supported attributes: {', '.join(attributes)}."
            if attributes
            else f"{shown} {self.beyond}".strip()
        )

    def advised(self, refused: FilterRefused, text: str | None) -> FilterRefused:
        """Return a refusal with what is wrong in the filter itself put first."""
        try:
            mistakes = self.advice(parse(text)) if text is not None else ""
        except Refused as unreadable:
            mistakes = f"{unreadable.what} {unreadable.next_step}"
        return FilterRefused(
            refused.what,
            f"{mistakes} {refused.next_step}".strip(),
            code=refused.code,
            correlation_id=refused.correlation_id,
        )

    def advice(self, refused: Filter) -> str:
        """Say which parts of a refused filter are not taken, and what to do instead; empty where all of them are."""
        mistakes = [*self._mistakes(refused)]
        if negates(refused):
            mistakes.append(
                "not is not supported: say it the other way round (enabled eq false), or ask query_directory"
            )
        return f"In it {'; '.join(mistakes)}." if mistakes else ""

    def _mistakes(self, refused: Filter) -> Iterator[str]:
        known = {name.casefold(): name for name in (*self.attributes, *self.configured)}
        for attribute, operator in dict.fromkeys(conditions(refused)):
            name = known.get(attribute.casefold())
            if name is None:
                yield self._unknown(attribute, known)
            elif name != attribute:
                yield f"{attribute[:_SHOWN]} is written {name}"
            elif name in self.attributes:
                operators = self.attributes[name].operators
                if operator not in (*operators, "[]"):
                    yield f"{name} takes {', '.join(operators)}, not {operator}"
            elif operator not in self.custom_operators:
                yield f"custom attributes take {', '.join(self.custom_operators)}, not {operator}"

    def _unknown(self, attribute: str, known: Mapping[str, str]) -> str:
        """Say what to do instead of filtering by an attribute that is none, or that is not filtered by."""
        meant = attribute.casefold()
        if meant in self.arguments:
            return f"{attribute} is no attribute: give `{self.arguments[meant]}` to list_users"
        unfiltered = {name.casefold(): name for name in self.not_filterable}
        name = unfiltered.get(meant) or self.meant.get(meant)
        if name is not None and name in self.not_filterable:
            column = self.not_filterable[name]
            instead = f": ask query_directory, column {column} of users" if column else ""
            return f"{self.provider} does not filter by {name}{instead}"
        if name is not None:
            return f"{attribute} is called {name}"
        near = nearest(attribute, known.values())
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return f"the attribute {attribute[:_SHOWN]} is not documented{hint}"


def configured(filterable: Filterable, fields: Mapping[str, str]) -> Filterable:
    """Return what is filterable where settings name the attributes that hold some unified fields (by field)."""
    held = {
        attribute: FilterAttribute(
            filterable.custom_operators, name if name == "department" else f"custom_attributes.{attribute}"
        )
        for name, attribute in fields.items()
    }
    return dataclasses.replace(filterable, configured=held)
