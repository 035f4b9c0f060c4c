"""What stands on the cover of an access review: of what, by whom, with what, when, and totals that reconcile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from pingone_mcp.directory.models import Named
from pingone_mcp.directory.text.harmless import harmless


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRead:
    """An environment that a review is about: when it was read, how old that is, and what of it is not known."""

    id: str
    name: str | None = None
    type: str | None = None
    read_at: datetime
    age_seconds: int
    groups: str
    roles: str
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who made the file: the user of the operating system, on which host."""

    user: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQuery:
    """What was asked for, in words, and what the names meant; `populations` are those that are served (none: all)."""

    words: str
    group: Named | None = None
    roles: tuple[Named, ...] = ()
    population: tuple[Named, ...] = ()
    populations_served: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBy:
    """A group or a role, and how many people of a review have it."""

    kind: str
    what: Named
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """All that is known of a review before its rows are written.

    `totals` count people and entitlements: people_in_directory = people_outside_question + people_with_access +
    people_without_access, and entitlements = the sum of entitlements.*. `counts` are those of `counts_of`; `largest`
    are the entitlements that most people have. `gaps` are sentences: with any, the review is not complete.
    """

    program: str
    created_at: datetime
    data_as_of: datetime
    everybody_read_at: datetime
    query: ReviewQuery
    environments: tuple[PlaceRead, ...]
    application: str | None = None
    operator: Operator | None = None
    totals: Mapping[str, int] = field(default_factory=dict[str, int])
    counts: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    largest: tuple[HeldBy, ...] = ()
    gaps: tuple[str, ...] = ()

    def totals_reconcile(self) -> bool:
        """Say whether everybody of the directory is counted once, and every entitlement."""
        totals = self.totals
        parts = ("people_outside_question", "people_with_access", "people_without_access")
        return totals["people_in_directory"] == sum(totals[part] for part in parts) and totals["entitlements"] == sum(
            number for name, number in totals.items() if name.startswith("entitlements.")
        )

    @property
    def rows(self) -> int:
        """How many rows there are: one for each entitlement, and one for each person who has none."""
        return self.totals["entitlements"] + self.totals["people_in_file"] - self.totals["people_with_access"]

    def facts(self) -> list[tuple[str, str]]:
        """Return what is to be known of a review, as names and texts that are harmless to show."""
        return [
            ("Question", self.query.words),
            *[("Group", _labelled(self.query.group))][: self.query.group is not None],
            *(("Role", _labelled(role)) for role in self.query.roles),
            *(("Population", _labelled(one)) for one in self.query.population),
            *(("Population served", _labelled(one)) for one in self.query.populations_served),
            *(fact for place in self.environments for fact in _facts_of(place)),
            ("Worker application", self.application or "not known"),
            ("Made by", f"{self.operator.user} on {self.operator.host}" if self.operator is not None else "not known"),
            ("Made with", self.program),
            ("Made at", _time(self.created_at)),
            ("Data as of", f"{_time(self.data_as_of)} ({_age(self.created_at, self.data_as_of)} old)"),
            ("Everybody read at", _time(self.everybody_read_at)),
        ]

    def status(self) -> str:
        """Say whether anything is missing."""
        if self.gaps:
            return f"Incomplete: {len(self.gaps)} thing{'s' * (len(self.gaps) > 1)} could not be known"
        return "Complete" if self.totals_reconcile() else "Incomplete: the totals do not reconcile"

    def totals_in_words(self) -> list[tuple[str, int]]:
        """Return the totals as a reader adds them up."""
        shown = [(name, number) for name, number in self.totals.items() if number or name != "people_outside_question"]
        words = {**_TOTALS, "people_without_access": f"+ {self.without_access}"}
        return [(words[name], number) for name, number in shown]

    @property
    def without_access(self) -> str:
        """What is to be said of those of whom no access was found: that there is none, or that none is known."""
        return "without access that is known" if self.gaps else "without access"

    def flags_in_words(self) -> list[tuple[str, int | None, str]]:
        """Return of each flag its name, how many people have it (None: unknown), and what more is to be said."""
        unknown = {"flag.privileged": self.counts.get("roles_unknown"), "flag.no_mfa": self.counts.get("mfa_unknown")}
        return [
            (
                name.removeprefix("flag.").replace("_", " "),
                count,
                f"unknown of {unknown[name]:,}" if unknown.get(name) else "",
            )
            for name, count in self.counts.items()
            if name.startswith("flag.")
        ]


_TOTALS: Mapping[str, str] = MappingProxyType(
    {
        "people_in_directory": "People in the directory",
        "people_outside_question": "= outside the population asked for",
        "people_with_access": "+ with access",
        "people_in_file": "People in this file",
        "entitlements": "Entitlements in this file",
        "entitlements.group_direct": "= group, directly",
        "entitlements.group_indirect": "+ group, through another or by a filter",
        "entitlements.role": "+ administrator role",
    }
)


def _facts_of(place: PlaceRead) -> list[tuple[str, str]]:
    kind = f", type {harmless(place.type)}" if place.type else ""
    return [
        ("Environment", f"{_labelled(Named(id=place.id, name=place.name))}{kind}"),
        ("… read at", f"{_time(place.read_at)} ({place.age_seconds:,} s before this file)"),
        ("… groups", place.groups),
        ("… administrator roles", place.roles),
        *(("… missing", gap) for gap in place.gaps),
    ]


def _labelled(thing: Named | None) -> str:
    if thing is None:
        return ""
    return f"{harmless(thing.name)} ({thing.id})" if thing.name else thing.id


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _age(now: datetime, then: datetime) -> str:
    return f"{max(0, round((now - then).total_seconds())):,} s"
