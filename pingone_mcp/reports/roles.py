"""Which roles of an application follow for a user from its groups, population and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.models import GroupMembership, JsonObject, Named, Reviewed
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.role_rules import Conflict, Rule, Rules

_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A role with the rule that gives it and what of the user made the rule apply."""

    role: str
    rule: int
    line: int
    groups: tuple[GroupMembership, ...] = ()
    population: str | None = None
    attributes: tuple[str, ...] = ()
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """The roles of one user, each with its reason; `expired` rules would apply, and give nothing any more."""

    granted: tuple[Granted, ...] = ()
    expired: tuple[Granted, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(sorted({granted.role for granted in self.granted}))

    def to_json(self) -> JsonObject:
        """Return JSON-ready data, the names of the roles first."""
        facts: JsonObject = {"roles": list(self.roles), **plain(self)}
        return facts


@dataclass(frozen=True, slots=True, eq=False)
class HeldGroups:
    """All groups that somebody is in. One such object may be that of many, and is known by which one it is."""

    memberships: tuple[GroupMembership, ...] = ()


class MappingRoles:
    """Maps the roles of many users, once for all of whom the rules see the same."""

    def __init__(self, rules: Rules, now: datetime) -> None:
        self._rules = rules
        self._now = now
        self._known: dict[tuple[object, ...], Mapped] = {}

    def of(self, user: Reviewed, groups: HeldGroups) -> Mapped:
        """Return the roles that follow for a user who is in these groups, as `map_roles` does."""
        seen = (user.status, groups, *self._rules.seen_of(user))
        mapped = self._known.get(seen)
        if mapped is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            mapped = self._known[seen] = map_roles(self._rules, user, groups.memberships, self._now)
        return mapped


def map_roles(rules: Rules, user: Reviewed, groups: Sequence[GroupMembership], now: datetime) -> Mapped:
    """Return the roles that follow for a user who is in these groups, directly or not, in the order of the rules."""
    granted: list[Granted] = []
    expired: list[Granted] = []
    through: dict[int, list[GroupMembership]] = {}
    for group in groups:
        for number in rules.of_group(group):
            through.setdefault(number, []).append(group)
    for number in sorted({*through, *rules.without_group}):
        rule = rules.rules[number - 1]
        if (given := _given(rules, rule, user, through.get(number, []))) is not None:
            (expired if rule.over(now) else granted).append(given)
    conflicts = rules.conflicts(one.role for one in granted)
    return Mapped(granted=tuple(granted), expired=tuple(expired), conflicts=conflicts)


def _given(rules: Rules, rule: Rule, user: Reviewed, through: Sequence[GroupMembership]) -> Granted | None:
    """Return what a rule gives to a user who is in these of its groups, whether it has expired or not."""
    if (rule.group is not None and not through) or user.status == "deleted" or rule.status not in (user.status, "any"):
        return None
    place = next((place for place in user.workspaces if _is(rule.population, place)), None)
    if rule.population is not None and place is None:
        return None
    if not rules.wants(rule, user):
        return None
    return Granted(
        role=rule.role,
        rule=rule.number,
        line=rule.line,
        groups=tuple(sorted(through, key=lambda group: (group.type != "direct", folded(group.name or ""), group.id))),
        population=(place.name or place.id) if place and rule.population is not None else None,
        attributes=tuple(rule.attributes),
        expires=rule.expires,
    )


def _is(reference: str | None, place: Named) -> bool:
    return reference is not None and (place.id == reference or folded(place.name or "") == folded(reference))
