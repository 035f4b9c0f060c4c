"""The rules by which roles follow from groups, populations and attributes, prepared for finding those that apply."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from pingone_mcp.directory.matching.attributes import attribute_of, squeezed
from pingone_mcp.directory.matching.identity import address_key, folded
from pingone_mcp.directory.models import Group, GroupMembership, Reviewed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, by its number from 1 and its line. It gives nothing from the moment `expires` on."""

    number: int
    line: int
    role: str
    group: str | None = None
    population: str | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    status: str = "active"
    expires: datetime | None = None
    note: str | None = None

    @property
    def is_pattern(self) -> bool:
        return self.group is not None and ("*" in self.group or "?" in self.group)

    def over(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusive:
    """Roles of which nobody should have two (separation of duties)."""

    line: int
    roles: tuple[str, ...]
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All rules; `rules[n - 1]` is number n.

    What applies to a user is found by what the user has, not by going through all that was written: there are many
    users, and there may be many rules. So everything is prepared for comparison once.
    """

    rules: tuple[Rule, ...] = ()
    exclusive: tuple[Exclusive, ...] = ()

    @cached_property
    def without_group(self) -> tuple[int, ...]:
        """Return the numbers of the rules that may apply whatever groups a user is in."""
        return tuple(rule.number for rule in self.rules if rule.group is None)

    def of_group(self, group: Group | GroupMembership) -> tuple[int, ...]:
        """Return the numbers of the rules that name a group: by id, by name, or by a pattern of names.

        Kept: there are few groups and many members.
        """
        key = (group.id, group.name)
        if key not in self._of_group:
            name = folded(group.name or "")
            named = (*self._by_reference.get(group.id, ()), *self._by_name.get(name, ()))
            fitting = (number for number, fits in self._patterns if fits(name))
            self._of_group[key] = tuple(sorted({*named, *fitting}))
        return self._of_group[key]

    def seen_of(self, user: Reviewed) -> tuple[object, ...]:
        """Return all that makes a difference to the rules of a user, beside status and groups; it can be hashed."""
        places = user.workspaces if self._by_population else ()
        return (places, *(attribute_of(user, name, several=True) for name in self._attribute_names))

    def wants(self, rule: Rule, user: Reviewed) -> bool:
        """Say whether a user has every attribute that a rule names."""
        return all(
            not values.isdisjoint(map(key, attribute_of(user, name, several=True)))
            for name, key, values in self._attributes[rule.number]
        )

    def conflicts(self, roles: Iterable[str]) -> tuple[Conflict, ...]:
        """Return what nobody should have together, of the roles that somebody has."""
        held = set(map(folded, roles))
        found = Counter(place for role in held for place in self._excluding.get(role, ()))
        return tuple(
            Conflict(line=one.line, roles=tuple(role for role in one.roles if folded(role) in held), note=one.note)
            for one in (self.exclusive[place] for place in sorted(found) if found[place] > 1)
        )

    @cached_property
    def _of_group(self) -> dict[tuple[str, str | None], tuple[int, ...]]:
        return {}

    @cached_property
    def _by_reference(self) -> Mapping[str, Sequence[int]]:
        return _indexed((rule.group, rule.number) for rule in self.rules if rule.group is not None)

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[int]]:
        return _indexed((folded(rule.group), rule.number) for rule in self.rules if rule.group is not None)

    @cached_property
    def _patterns(self) -> Sequence[tuple[int, Callable[[str], object]]]:
        # Brackets stand for themselves: groups are called [EU] Sales.
        return [
            (rule.number, re.compile(fnmatch.translate(folded(rule.group).replace("[", "[[]"))).match)
            for rule in self.rules
            if rule.group is not None and rule.is_pattern
        ]

    @cached_property
    def _by_population(self) -> bool:
        return any(rule.population is not None for rule in self.rules)

    @cached_property
    def _attribute_names(self) -> Sequence[str]:
        return list(dict.fromkeys(name for rule in self.rules for name in rule.attributes))

    @cached_property
    def _attributes(self) -> Mapping[int, Sequence[tuple[str, Callable[[str], str], frozenset[str]]]]:
        return {
            rule.number: [
                (name, key := address_key if squeezed(name) == "email" else folded, frozenset(map(key, values)))
                for name, values in rule.attributes.items()
            ]
            for rule in self.rules
        }

    @cached_property
    def _excluding(self) -> Mapping[str, Sequence[int]]:
        return _indexed((folded(role), place) for place, one in enumerate(self.exclusive) for role in one.roles)


def _indexed(pairs: Iterable[tuple[str, int]]) -> Mapping[str, Sequence[int]]:
    found: dict[str, list[int]] = {}
    for key, number in pairs:
        found.setdefault(key, []).append(number)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Roles that one person has although nobody should have two of them; `line` is that of the [[exclusive]]."""

    line: int
    roles: tuple[str, ...]
    note: str | None = None
