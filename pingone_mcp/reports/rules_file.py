"""The file in which somebody writes down the rules of roles, roles.toml.

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

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import nearest
from pingone_mcp.reports.role_rules import Exclusive, Rule, Rules
from pingone_mcp.reports.toml_lines import KeyPath, line_of, line_of_long_key, lines_of

MAX_BYTES = 1024 * 1024
MAX_RULES = 2_000
_LONGEST = 256
_MOST_PARTS = 16  # of a key; a rule needs two
_SHOWN_MISTAKES = 50
_STATUSES = ("active", "inactive", "invited", "any")
_RULE_KEYS = ("role", "group", "population", "attributes", "status", "expires", "note")
_EXCLUSIVE_KEYS = ("roles", "note")


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
    return _RulesReader(document, lines_of(text)).rules()


class _RulesReader:
    """Makes rules of a TOML document, and collects every mistake on the way with its line."""

    def __init__(self, document: Mapping[str, Any], lines: Mapping[KeyPath, int]) -> None:
        self._document = document
        self._lines = lines
        self._mistakes: list[tuple[int, str]] = []

    def rules(self) -> Rules:
        """Return the rules. Raises Refused with all mistakes in one message."""
        self._unknown((), self._document, ("rule", "exclusive"))
        rules = [self._rule(number, table) for number, table in self._tables("rule")]
        exclusive = [self._exclusive(number, table) for number, table in self._tables("exclusive")]
        if "rule" not in self._document:
            self._mistake((), "there is no [[rule]]; a rule is [[rule]], role = …, group = …")
        self._find_repeated(rules)
        self._find_other_spellings(rules)
        self._find_roles_without_rule(rules, exclusive)
        if self._mistakes:
            raise _refused([f"line {line}: {what}" for line, what in sorted(self._mistakes)])
        return Rules(rules=tuple(rules), exclusive=tuple(exclusive))

    def _find_repeated(self, rules: Sequence[Rule]) -> None:
        seen: dict[tuple[Any, ...], Rule] = {}
        for rule in rules:
            first = seen.setdefault(_essence(rule), rule)
            if first is not rule:
                self._mistake(("rule", rule.number - 1), f"says the same as the rule on line {first.line}")

    def _find_other_spellings(self, rules: Sequence[Rule]) -> None:
        given: dict[str, Rule] = {}
        for rule in rules:
            first = given.setdefault(folded(rule.role), rule)
            if first.role != rule.role:
                self._mistake(("rule", rule.number - 1, "role"), f"spells the role of line {first.line} in another way")

    def _find_roles_without_rule(self, rules: Sequence[Rule], exclusive: Sequence[Exclusive]) -> None:
        given = {folded(rule.role) for rule in rules}
        for number, table in enumerate(exclusive):
            for role in table.roles:
                if folded(role) not in given:
                    near = _near(role[:_LONGEST], rules) if self._hints() else ""
                    self._mistake(("exclusive", number, "roles"), f"no rule gives the role {_quoted(role)}{near}")

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
                near = nearest(key, known, most=1) if self._hints() else []
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
    near = nearest(role, sorted({rule.role for rule in rules}), most=1)
    return f"; did you mean {_quoted(near[0])}?" if near else ""


def _quoted(text: str) -> str:
    return f"`{harmless(text)[:64]}`"


def _syntax(message: str, text: str) -> str:
    """Return what the TOML parser says with the line in front; a text that ends too early is wrong on its last line."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
    what = harmless(message[: place.start()] if place else message)[:200]
    return f"line {line}: {what[:1].lower()}{what[1:]}"


def _refused(mistakes: Sequence[str]) -> Refused:
    shown = "".join(f"\n  {mistake}" for mistake in mistakes[:_SHOWN_MISTAKES])
    more = f"\n  and {len(mistakes) - _SHOWN_MISTAKES} more" if len(mistakes) > _SHOWN_MISTAKES else ""
    return Refused(f"The rules of roles cannot be used:{shown}{more}\n", "Mend each of these lines.", code="BAD_RULES")
