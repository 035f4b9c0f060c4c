"""Which roles of an application follow from groups, populations and attributes, by rules that somebody wrote down.

    [[rule]]
    role = "ledger-reader"
    group = "Finance*"                        # id, name, or a pattern of names: * and ?
    population = "Employees"                  # id or name
    attributes = { department = "Finance" }   # unified or custom attributes; a list means: any of these
    status = "active"                         # the default; any, inactive, invited
    expires = 2026-12-31                      # the last day (UTC), or a moment with its offset
    note = "approved by audit"

    [[exclusive]]
    roles = ["ledger-reader", "ledger-approver"]   # nobody should have two of these

A rule applies when all that it names is true of a user; it names at least a group, a population or an attribute.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.attributes import attribute_of, squeezed
from pingone_mcp.directory.gaps import Gap, NoRolesInRoster, sentences
from pingone_mcp.directory.identity import IdentityKind, address_key, folded
from pingone_mcp.directory.models import Group, GroupMembership, JsonObject, Named, User
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.drift import MATCH_ON, Account, FirstPeople, Matching, Person, account_of, person_of
from pingone_mcp.reports.roster import Roster
from pingone_mcp.reports.toml_lines import KeyPath, line_of, line_of_long_key, lines_of

MAX_BYTES = 1024 * 1024
MAX_RULES = 2_000
KEPT = 1_000
_LONGEST = 256
_MOST_PARTS = 16  # of a key; a rule needs two
_SHOWN_MISTAKES = 50
_STATUSES = ("active", "inactive", "invited", "any")
_RULE_KEYS = ("role", "group", "population", "attributes", "status", "expires", "note")
_EXCLUSIVE_KEYS = ("roles", "note")


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

    def wants(self, rule: Rule, user: User) -> bool:
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
class Conflict:
    """Roles that one person has although nobody should have two of them; `line` is that of the [[exclusive]]."""

    line: int
    roles: tuple[str, ...]
    note: str | None = None


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
        told: JsonObject = {"roles": list(self.roles), **plain(self)}
        return told


# --- Reading the rules


def parse_rules(text: str) -> Rules:
    """Read roles.toml. Raises Refused with every mistake and its line in one message."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        raise _refused([f"it is longer than {MAX_BYTES:,} characters"])
    if line := line_of_long_key(text, _MOST_PARTS):
        raise _refused([f"line {line}: a key has more than {_MOST_PARTS} parts"])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused([_syntax(str(error), text)]) from error
    except (RecursionError, ValueError) as error:  # lists in lists without end; a number of thousands of digits
        raise _refused(["it is nested too deeply, or holds an endless number"]) from error
    return _Reader(document, lines_of(text)).rules()


class _Reader:
    """Collects mistakes while a document becomes rules."""

    def __init__(self, document: Mapping[str, Any], lines: Mapping[KeyPath, int]) -> None:
        self._document = document
        self._lines = lines
        self._mistakes: list[tuple[int, str]] = []

    def rules(self) -> Rules:
        self._unknown((), self._document, ("rule", "exclusive"))
        rules = [self._rule(number, table) for number, table in self._tables("rule")]
        exclusive = [self._exclusive(number, table) for number, table in self._tables("exclusive")]
        if "rule" not in self._document:
            self._mistake((), "there is no [[rule]]; a rule is [[rule]], role = …, group = …")
        seen: dict[tuple[Any, ...], Rule] = {}
        for rule in rules:
            first = seen.setdefault(_essence(rule), rule)
            if first is not rule:
                self._mistake(("rule", rule.number - 1), f"says the same as the rule on line {first.line}")
        given: dict[str, Rule] = {}
        for rule in rules:
            first = given.setdefault(folded(rule.role), rule)
            if first.role != rule.role:
                self._mistake(("rule", rule.number - 1, "role"), f"spells the role of line {first.line} in another way")
        for number, table in enumerate(exclusive):
            for role in table.roles:
                if folded(role) not in given:
                    near = _near(role[:_LONGEST], rules) if self._hints() else ""
                    self._mistake(("exclusive", number, "roles"), f"no rule gives the role {_quoted(role)}{near}")
        if self._mistakes:
            raise _refused([f"line {line}: {what}" for line, what in sorted(self._mistakes)])
        return Rules(rules=tuple(rules), exclusive=tuple(exclusive))

    def _tables(self, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        tables = self._document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._mistake((name,), f"write [[{name}]] in two pairs of brackets, once for each")
            return
        if len(tables) > MAX_RULES:
            self._mistake((name,), f"there are more than {MAX_RULES:,}")
            return
        yield from enumerate(tables)

    def _rule(self, number: int, table: Mapping[str, Any]) -> Rule:
        path: KeyPath = ("rule", number)
        self._unknown(path, table, _RULE_KEYS)
        if "role" not in table:
            self._mistake(path, 'has no role; write role = "…"')
        if not any(key in table for key in ("group", "population", "attributes")):
            self._mistake(path, "applies to everybody; name a group, a population or attributes")
        status = self._text(path, table, "status") or "active"
        if status not in _STATUSES:
            self._mistake((*path, "status"), f"status is one of {', '.join(_STATUSES)}")
        return Rule(
            number=number + 1,
            line=line_of(self._lines, path),
            role=self._text(path, table, "role") or "",
            group=self._text(path, table, "group"),
            population=self._text(path, table, "population"),
            attributes=MappingProxyType(dict(self._attributes((*path, "attributes"), table.get("attributes")))),
            status=status,
            expires=self._expires((*path, "expires"), table.get("expires")),
            note=self._text(path, table, "note"),
        )

    def _exclusive(self, number: int, table: Mapping[str, Any]) -> Exclusive:
        path: KeyPath = ("exclusive", number)
        self._unknown(path, table, _EXCLUSIVE_KEYS)
        roles = table.get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, str) and role.strip() for role in roles):
            self._mistake((*path, "roles"), 'write roles = ["…", "…"]')
            roles = []
        elif len({folded(role) for role in roles}) < max(2, len(roles)):
            self._mistake((*path, "roles"), "name at least two different roles, each once")
        return Exclusive(
            line=line_of(self._lines, path),
            roles=tuple(role.strip() for role in roles),
            note=self._text(path, table, "note"),
        )

    def _text(self, path: KeyPath, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not folded(value):
            self._mistake((*path, key), f'{key} is a text in quotes: {key} = "…"')
            return None
        if len(value) > _LONGEST and key != "note":
            self._mistake((*path, key), f"{key} is longer than {_LONGEST} characters")
        return value.strip()

    def _attributes(self, path: KeyPath, table: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
        if table is None:
            return
        if not isinstance(table, dict) or not table:
            self._mistake(path, 'write attributes = { department = "Finance" }')
            return
        for name, value in table.items():
            values = value if isinstance(value, list) else [value]
            if not values or not all(isinstance(item, str | bool | int | float) for item in values):
                self._mistake((*path, name), "an attribute equals a text, a number, true or false, or any of a list")
            elif not squeezed(name) or not all(str(item).strip() for item in values):
                self._mistake((*path, name), "an attribute has a name and a value that is not empty")
            else:
                yield name, tuple(str(item) for item in values)

    def _expires(self, path: KeyPath, value: Any) -> datetime | None:
        """Return the moment from which a rule gives nothing: behind the last day, or the one that is written."""
        if value is None:
            return None
        if isinstance(value, datetime):
            if value.tzinfo is None:
                self._mistake(path, "a time needs its offset: expires = 2026-12-31T18:00:00Z")
                return None
            return value
        if not isinstance(value, date):
            self._mistake(path, "write a date without quotes: expires = 2026-12-31")
            return None
        try:
            return datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=1)
        except OverflowError:
            return None  # the last day that there is: it never expires

    def _unknown(self, path: KeyPath, table: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key[:_LONGEST], known, n=1) if self._hints() else []
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self._mistake((*path, key), f"{_quoted(key)} is not known; {hint}")

    def _hints(self) -> bool:
        """Say whether there is still room for a hint at what was meant, for which all that is known is compared."""
        return len(self._mistakes) < _SHOWN_MISTAKES

    def _mistake(self, path: KeyPath, what: str) -> None:
        self._mistakes.append((line_of(self._lines, path), what))


def _essence(rule: Rule) -> tuple[Any, ...]:
    """Return what makes a rule the same as another one: neither its end nor its note."""
    attributes = frozenset((squeezed(name), frozenset(map(folded, values))) for name, values in rule.attributes.items())
    return folded(rule.role), folded(rule.group or ""), folded(rule.population or ""), attributes, rule.status


def _near(role: str, rules: Iterable[Rule]) -> str:
    near = difflib.get_close_matches(role, sorted({rule.role for rule in rules}), n=1)
    return f"; did you mean {_quoted(near[0])}?" if near else ""


def _quoted(text: str) -> str:
    return f"`{harmless(text)[:64]}`"


def _syntax(told: str, text: str) -> str:
    """Return the parser's sentence with the line in front; what is wrong at the end is on the last line."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", told)
    line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
    what = harmless(told[: place.start()] if place else told)[:200]
    return f"line {line}: {what[:1].lower()}{what[1:]}"


def _refused(mistakes: Sequence[str]) -> Refused:
    shown = "".join(f"\n  {mistake}" for mistake in mistakes[:_SHOWN_MISTAKES])
    more = f"\n  and {len(mistakes) - _SHOWN_MISTAKES} more" if len(mistakes) > _SHOWN_MISTAKES else ""
    return Refused(f"The rules of roles cannot be used:{shown}{more}\n", "Mend each of these lines.", code="BAD_RULES")


# --- Applying them


def map_roles(rules: Rules, user: User, groups: Sequence[GroupMembership], now: datetime) -> Mapped:
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


def _given(rules: Rules, rule: Rule, user: User, through: Sequence[GroupMembership]) -> Granted | None:
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


# --- RulesReviewing them against a directory


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
        told = {part: plain(getattr(self, part)[:rows]) for part in parts}
        return {"counts": dict(self.counts), "gaps": sentences(self.gaps)} | told


class RulesReviewing:
    """Reviews rules while the groups and users of a directory pass by, each of them once."""

    def __init__(self, rules: Rules, now: datetime, *, keep: int = KEPT) -> None:
        self._rules = rules
        self._now = now
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
        told = GroupMembership(id=group.id, name=None if group.name is None else harmless(group.name))
        numbers = self._rules.of_group(group)
        for number in numbers:
            if len(self._groups_of[number]) < self._keep:
                self._groups_of[number].append(told)
        if all(self._rules.rules[number - 1].over(self._now) for number in numbers):
            self._counts["unmapped_groups"] += 1
            if len(self._unmapped) < self._keep:
                self._unmapped.append(told)

    def see_user(self, user: User, groups: Sequence[GroupMembership]) -> Mapped:
        """Take note of a user with all groups that it is in, and return its roles."""
        mapped = map_roles(self._rules, user, groups, self._now)
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
        return mapped

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
    users: Iterable[tuple[User, Sequence[GroupMembership]]],
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


# --- Comparing them with an application


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMismatch:
    """A person whose roles in the application are not those that the rules give.

    `extra`: in the application, given by no rule. `lacking`: given by a rule, not in the application. `why` tells the
    rules behind what is lacking, and expired ones behind what is extra.
    """

    account: Account
    person: Person | None = None
    extra: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    why: tuple[Granted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDrift:
    """The roles of an application against the rules; `counts` are exact.

    unmatched: accounts with roles whose user is gone. ambiguous: accounts that fit several users or share one, so that
    their roles were not compared. without_account: users with roles by the rules whom the roster does not name.
    unruled_roles: roles of the application that no rule can give. `gaps` name what could not be read or compared.
    """

    counts: Mapping[str, int]
    mismatches: tuple[RoleMismatch, ...]
    unmatched: tuple[RoleMismatch, ...]
    ambiguous: tuple[Account, ...]
    without_account: tuple[Person, ...]
    unruled_roles: tuple[str, ...]
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def compared_nobody(self) -> bool:
        """Say that there was no account to look for: what was not found then says nothing."""
        return self.counts["entries"] == self.counts["unidentified"]

    def to_json(self, rows: int | None = None) -> JsonObject:
        """Return JSON-ready data, counts first, with at most `rows` of each kind."""
        parts = ("mismatches", "unmatched", "ambiguous", "without_account", "unruled_roles")
        told = {part: plain(getattr(self, part)[:rows]) for part in parts}
        return {"counts": dict(self.counts), "notes": list(self.notes), "gaps": sentences(self.gaps)} | told


class RoleComparison:
    """Compares the roles of a roster with those of the rules while users pass by, each of them once.

    Accounts that are not active in the application have no roles there that matter: they are counted only.
    """

    def __init__(
        self,
        rules: Rules,
        roster: Roster,
        now: datetime,
        *,
        match_on: Sequence[IdentityKind] = MATCH_ON,
        fold_plus: bool = False,
        keep: int = KEPT,
    ) -> None:
        self._rules = rules
        self._roster = roster
        self._now = now
        self._matching = Matching(roster, match_on=match_on, fold_plus=fold_plus)
        self._mapped: dict[str, Mapped] = {}
        self._without = FirstPeople(keep)

    def see(self, user: User, groups: Sequence[GroupMembership]) -> None:
        """Take note of a user with all groups that it is in."""
        mapped = map_roles(self._rules, user, groups, self._now)
        if self._matching.see(user):
            self._mapped[user.id] = mapped
        elif mapped.granted:
            self._without.add(person_of(user))

    def compared(self, gaps: Iterable[Gap] = ()) -> RoleDrift:
        """Return the outcome for the users seen so far; `gaps` name what of the directory was not."""
        matched = self._matching.matched()
        mismatches: list[RoleMismatch] = []
        inactive = 0
        for entry, user, kinds in matched.pairs:
            if entry.active is False:
                inactive += 1
                continue
            mapped = self._mapped[user.id]
            extra, lacking = _beside(entry.roles, mapped.roles), _beside(mapped.roles, entry.roles)
            if extra or lacking:
                wanted = {folded(role) for role in (*extra, *lacking)}
                why = tuple(one for one in (*mapped.granted, *mapped.expired) if folded(one.role) in wanted)
                mismatches.append(
                    RoleMismatch(
                        account=account_of(entry), person=person_of(user, kinds), extra=extra, lacking=lacking, why=why
                    )
                )
        unmatched = [
            RoleMismatch(account=account_of(entry), person=person_of(gone) if gone else None, extra=entry.roles)
            for entry, gone in (*matched.missing, *((entry, None) for entry in matched.unidentified))
            if entry.roles and entry.active is not False
        ]
        held = [role for entry in self._roster.entries for role in entry.roles]
        unruled = sorted(set(_beside(held, (rule.role for rule in self._rules.rules))))
        roleless = () if held or not self._roster.entries else (NoRolesInRoster(),)
        return RoleDrift(
            counts={
                "entries": len(self._roster.entries),
                "compared": len(matched.pairs) - inactive,
                "mismatches": len(mismatches),
                "with_extra_roles": sum(bool(one.extra) for one in mismatches),
                "with_lacking_roles": sum(bool(one.lacking) for one in mismatches),
                "unmatched": len(unmatched),
                "ambiguous": len(matched.ambiguous),
                "unidentified": len(matched.unidentified),
                "inactive_accounts": inactive,
                "without_account": self._without.count,
                "unruled_roles": len(unruled),
            },
            mismatches=tuple(mismatches),
            unmatched=tuple(unmatched),
            ambiguous=tuple(account_of(ambiguity.entry) for ambiguity in matched.ambiguous),
            without_account=self._without.people(),
            unruled_roles=tuple(unruled),
            notes=(*self._roster.notes, *matched.notes()),
            gaps=(*matched.gaps(), *roleless, *gaps),
        )


def compare(
    rules: Rules,
    roster: Roster,
    users: Iterable[tuple[User, Sequence[GroupMembership]]],
    now: datetime,
    *,
    match_on: Sequence[IdentityKind] = MATCH_ON,
    fold_plus: bool = False,
    gaps: Iterable[Gap] = (),
) -> RoleDrift:
    """Compare the roles of a roster with those that the rules give; arguments as in `RoleComparison`."""
    comparison = RoleComparison(rules, roster, now, match_on=match_on, fold_plus=fold_plus)
    for user, groups in users:
        comparison.see(user, groups)
    return comparison.compared(gaps)


def _beside(roles: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return the roles that are not among the others, however they are written, in their order."""
    known = set(map(folded, others))
    return tuple(dict.fromkeys(role for role in roles if folded(role) not in known))
