"""What is odd about the rules of roles in the light of a directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import Gap, sentences
from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.models import Group, GroupMembership, JsonObject, Reviewed
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.matching import Person, person_of
from pingone_mcp.reports.role_rules import Conflict, Rule, Rules
from pingone_mcp.reports.roles import HeldGroups, MappingRoles

KEPT = 1_000
"""So much of each kind is kept; all is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAt:
    """A rule that deserves a look."""

    rule: int
    line: int
    role: str
    group: str | None = None
    groups: tuple[GroupMembership, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offender:
    """A person with roles that nobody should have together."""

    person: Person
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesReview:
    """What is odd about rules in the light of a directory; `counts` are exact, long lists are cut.

    unmapped_groups: no rule that is in force gives anything for them. unknown_groups: rules whose group is not there.
    ambiguous_groups: rules that name one group by a name that several have. idle: rules in force that give nobody
    anything. expired: rules that give nothing any more. offenders: people with roles that exclude each other.
    """

    counts: Mapping[str, int]
    unknown_groups: tuple[RuleAt, ...]
    ambiguous_groups: tuple[RuleAt, ...]
    idle: tuple[RuleAt, ...]
    expired: tuple[RuleAt, ...]
    offenders: tuple[Offender, ...]
    unmapped_groups: tuple[GroupMembership, ...]
    gaps: tuple[Gap, ...] = ()

    def to_json(self, rows: int | None = None) -> JsonObject:
        """Return JSON-ready data, counts first, with at most `rows` of each kind."""
        parts = ("unknown_groups", "ambiguous_groups", "idle", "expired", "offenders", "unmapped_groups")
        lists = {part: plain(getattr(self, part)[:rows]) for part in parts}
        return {"counts": dict(self.counts), "gaps": sentences(self.gaps)} | lists


class RulesReviewing:
    """Reviews rules while the groups and users of a directory pass by, each of them once."""

    def __init__(self, rules: Rules, now: datetime, *, keep: int = KEPT) -> None:
        self._rules = rules
        self._now = now
        self._mapping = MappingRoles(rules, now)
        self._keep = keep
        self._groups_of: dict[int, list[GroupMembership]] = {rule.number: [] for rule in rules.rules}
        self._unmapped: list[GroupMembership] = []
        self._used: dict[int, int] = dict.fromkeys(self._groups_of, 0)
        self._offenders: list[Offender] = []
        self._counts = {"users": 0, "users_with_roles": 0, "groups": 0, "unmapped_groups": 0, "offenders": 0}
        self._per_role: dict[str, int] = {rule.role: 0 for rule in rules.rules}

    def see_group(self, group: Group) -> None:
        """Take note of a group."""
        self._counts["groups"] += 1
        shown = GroupMembership(id=group.id, name=None if group.name is None else harmless(group.name))
        numbers = self._rules.of_group(group)
        for number in numbers:
            if len(self._groups_of[number]) < self._keep:
                self._groups_of[number].append(shown)
        if all(self._rules.rules[number - 1].over(self._now) for number in numbers):
            self._counts["unmapped_groups"] += 1
            if len(self._unmapped) < self._keep:
                self._unmapped.append(shown)

    def see_user(self, user: Reviewed, groups: HeldGroups) -> None:
        """Take note of a user with all groups that it is in."""
        mapped = self._mapping.of(user, groups)
        self._counts["users"] += user.status != "deleted"
        self._counts["users_with_roles"] += bool(mapped.granted)
        for number in {granted.rule for granted in mapped.granted}:
            self._used[number] += 1
        for role in mapped.roles:
            self._per_role[role] += 1
        if mapped.conflicts:
            self._counts["offenders"] += 1
            if len(self._offenders) < self._keep:
                self._offenders.append(Offender(person=person_of(user), conflicts=mapped.conflicts))

    def review(self, gaps: Iterable[Gap] = ()) -> RulesReview:
        """Return what was found with the groups and users seen so far; `gaps` name what of the directory was not."""
        rules = self._rules.rules
        unknown = [rule for rule in rules if rule.group is not None and not self._groups_of[rule.number]]
        several = [rule for rule in rules if not rule.is_pattern and len(self._groups_of[rule.number]) > 1]
        expired = [rule for rule in rules if rule.over(self._now)]
        idle = [rule for rule in rules if not rule.over(self._now) and not self._used[rule.number]]
        counts = {
            **self._counts,
            "rules": len(rules),
            "unknown_groups": len(unknown),
            "ambiguous_groups": len(several),
            "idle": len(idle),
            "expired": len(expired),
            **{f"role.{role}": count for role, count in sorted(self._per_role.items())},
        }
        return RulesReview(
            counts=counts,
            unknown_groups=tuple(_at(rule) for rule in unknown),
            ambiguous_groups=tuple(_at(rule, self._groups_of[rule.number]) for rule in several),
            idle=tuple(_at(rule) for rule in idle),
            expired=tuple(_at(rule) for rule in expired),
            offenders=tuple(self._offenders),
            unmapped_groups=tuple(sorted(self._unmapped, key=lambda group: (folded(group.name or ""), group.id))),
            gaps=tuple(gaps),
        )


def review_rules(
    rules: Rules,
    groups: Iterable[Group],
    users: Iterable[tuple[Reviewed, HeldGroups]],
    now: datetime,
    gaps: Iterable[Gap] = (),
) -> RulesReview:
    """Review rules against all groups and users of a directory; each user comes with all groups that it is in."""
    reviewing = RulesReviewing(rules, now)
    for group in groups:
        reviewing.see_group(group)
    for user, memberships in users:
        reviewing.see_user(user, memberships)
    return reviewing.review(gaps)


def _at(rule: Rule, groups: Iterable[GroupMembership] = ()) -> RuleAt:
    return RuleAt(rule=rule.number, line=rule.line, role=rule.role, group=rule.group, groups=tuple(groups))
