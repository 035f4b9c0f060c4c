"""What an application's roster says that the directory does not, and the other way round.

Of users whom no entry can name it is enough to know how many there are, and the first of them.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from pingone_mcp.directory.gaps import Gap, sentences
from pingone_mcp.directory.matching.attributes import attribute_of, squeezed
from pingone_mcp.directory.matching.identity import IdentityKind, address_key, folded
from pingone_mcp.directory.models import JsonObject, Named, Reviewed
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.reports.matching import (
    MATCH_ON,
    Account,
    Ambiguity,
    FirstPeople,
    Matched,
    Matching,
    Person,
    account_of,
    person_of,
)
from pingone_mcp.reports.rosters.columns import Columns, quoted
from pingone_mcp.reports.rosters.roster import Roster, RosterEntry

Kind = Literal["missing", "status_mismatches", "ambiguous", "attribute_mismatches", "unexpected", "unidentified"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KEPT_UNEXPECTED = 1_000
_SAID_AS: Mapping[IdentityKind, str] = {"email": "email", "username": "username", "external_id": "external id"}
_VERSION = 1
_PARTS_OF_NAME = ("first_name", "last_name")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An attribute that both sides carry, with what the application and the directory say."""

    attribute: str
    app: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    missing: the account's user is gone; `person` where the directory still knows who it was.
    status_mismatches: active in the application, not active in the directory.
    ambiguous: `candidates` fit (at most 20 are shown of `candidate_count`), or the entries at `also` fit the same user.
    attribute_mismatches: `differences`. unexpected: a user whom no entry names. unidentified: no identity to look for.
    """

    kind: Kind
    account: Account | None = None
    person: Person | None = None
    differences: tuple[Difference, ...] = ()
    candidates: tuple[Person, ...] = ()
    candidate_count: int | None = None
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The outcome of one check. `counts` are exact; of the unexpected users the first ones by id are kept.

    The order of findings is that of `KINDS`, then of the roster (missing: active accounts first). `gaps` name what of
    the directory could not be read: with any, an account that is `missing` may have its user there. `columns` say what
    of the roster was read as what; `expected_group` is the group whose members ought to have an account (None: who
    ought to is not said, and unexpected are all active users without one).
    """

    checked_at: datetime
    match_on: tuple[IdentityKind, ...]
    fold_plus: bool
    compare: tuple[str, ...] | None = None
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    columns: Columns | None = None
    expected_group: Named | None = None

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.kind == kind)

    @property
    def compared_nobody(self) -> bool:
        """Say that there was no account to look for: what was not found then says nothing."""
        return self.counts["entries"] == self.counts["unidentified"]

    @property
    def matched_nobody(self) -> bool:
        """Say that no account fits anybody, not even one who is gone: as if the wrong columns were compared."""
        found = self.counts["matched"] or self.counts["ambiguous"] or any(one.person for one in self.of("missing"))
        return not found and not self.compared_nobody

    def to_json(self, rows: int | None = None) -> JsonObject:
        """Return JSON-ready data, counts first, with at most `rows` findings of each kind."""
        about = {
            "version": _VERSION,
            "checked_at": plain(self.checked_at),
            "match_on": list(self.match_on),
            "fold_plus": self.fold_plus,
            "compare": None if self.compare is None else list(self.compare),
            "expected_group": plain(self.expected_group),
            "columns": self.columns.to_json() if self.columns is not None else None,
            "counts": dict(self.counts),
            "notes": list(self.notes),
            "gaps": sentences(self.gaps),
        }
        return about | grouped(self.findings, rows)


class Comparison:
    """One check of a roster while the users of the directory pass by, each of them once.

    `expected` says who ought to have an account: active users by default, who are the members of `expected_group` where
    that is given. `compare` names the attributes to compare (default: all that both sides carry; none: an empty list).
    Where two have the same address, it is no drift that the application calls them otherwise, unless `compare` names
    the username or a person said which column it is. `keep` bounds the unexpected users that are kept. Raises Refused
    for an attribute to compare that the roster has no column of.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        match_on: Sequence[IdentityKind] = MATCH_ON,
        fold_plus: bool = False,
        expected: Callable[[Reviewed], bool] = lambda user: user.status == "active",
        compare: Iterable[str] | None = None,
        keep: int = KEPT_UNEXPECTED,
        expected_group: Named | None = None,
    ) -> None:
        self._roster = roster
        self._expected_group = expected_group
        self._match_on = tuple(dict.fromkeys(match_on))
        self._fold_plus = fold_plus
        self._matching = Matching(roster, match_on=self._match_on, fold_plus=fold_plus)
        self._expected = expected
        self._compare = None if compare is None else _to_compare(compare, roster.columns)
        mapped = roster.columns is not None and "username" in roster.columns.mapped
        self._compares_usernames = mapped or self._compare is not None
        self._unexpected = FirstPeople(keep)
        self._users = 0

    def see(self, user: Reviewed) -> None:
        """Take note of a user of the directory."""
        self._users += user.status != "deleted"
        if self._matching.see(user) or user.status == "deleted" or not self._expected(user):
            return
        self._unexpected.add(person_of(user))

    def see_rest(self, *, users: int, expected: int, first: Sequence[Reviewed]) -> None:
        """Take note of all users that no entry can name: how many there are, and how many of them are expected.

        `first` are the first of the expected ones by id, at least `keep` of them where there are so many.
        """
        self._users += users
        for user in first:
            self._unexpected.add(person_of(user))
        self._unexpected.count += expected - len(first)

    def keys(self) -> Iterable[tuple[IdentityKind, str]]:
        """Return the identities of all entries, as `identity_key` makes them."""
        return self._matching.keys()

    def drift(self, now: datetime, gaps: Iterable[Gap] = ()) -> Drift:
        """Return the outcome for the users seen so far; `gaps` name what of the directory was not."""
        matched = self._matching.matched()
        findings = self._findings(matched)
        drift = Drift(
            checked_at=now.replace(microsecond=now.microsecond // 1_000 * 1_000),
            match_on=self._match_on,
            fold_plus=self._fold_plus,
            compare=self._compare,
            counts=self._counts(matched, findings),
            findings=tuple(finding for kind in KINDS for finding in findings[kind]),
            notes=(*self._roster.notes, *matched.notes()),
            gaps=(*matched.gaps(), *gaps),
            columns=self._roster.columns,
            expected_group=self._expected_group,
        )
        return dataclasses.replace(drift, notes=(*drift.notes, _unlike(drift))) if drift.matched_nobody else drift

    def _findings(self, matched: Matched) -> Mapping[Kind, Sequence[Finding]]:
        found: dict[Kind, list[Finding]] = {kind: [] for kind in KINDS}
        for entry, gone in sorted(matched.missing, key=lambda one: one.entry.active is False):
            person = person_of(gone) if gone else None
            found["missing"].append(Finding(kind="missing", account=account_of(entry), person=person))
        for entry, user, kinds in matched.pairs:
            differs = (
                entry.active is not False and user.status != "active" and user.status != folded(entry.status or "")
            )
            differences = self._differences(entry, user, kinds)
            if not (differs or differences):
                continue
            account, person = account_of(entry), person_of(user, kinds)
            if differs:
                found["status_mismatches"].append(Finding(kind="status_mismatches", account=account, person=person))
            if differences:
                found["attribute_mismatches"].append(
                    Finding(kind="attribute_mismatches", account=account, person=person, differences=differences)
                )
        found["ambiguous"] = [_ambiguous(ambiguity) for ambiguity in matched.ambiguous]
        found["unexpected"] = [Finding(kind="unexpected", person=person) for person in self._unexpected.people()]
        found["unidentified"] = [
            Finding(kind="unidentified", account=account_of(entry)) for entry in matched.unidentified
        ]
        return found

    def _counts(self, matched: Matched, findings: Mapping[Kind, Sequence[Finding]]) -> Mapping[str, int]:
        differing = Counter(d.attribute for f in findings["attribute_mismatches"] for d in f.differences)
        return {
            "entries": len(self._roster.entries),
            "users": self._users,
            "matched": len(matched.pairs),
            **{kind: len(findings[kind]) for kind in KINDS},
            "unexpected": self._unexpected.count,
            "missing_active": sum(entry.active is not False for entry, _ in matched.missing),
            "inactive_in_app_only": sum(
                entry.active is False and user.status == "active" for entry, user, _ in matched.pairs
            ),
            **{f"attribute_mismatches.{name}": count for name, count in sorted(differing.items())},
        }

    def _differences(
        self, entry: RosterEntry, user: Reviewed, matched_on: Sequence[IdentityKind]
    ) -> tuple[Difference, ...]:
        """Return what an account says otherwise than its user; the identities that they share are the same."""
        if self._compare is not None and not self._compare:
            return ()
        said = {"username": entry.username, "email": entry.email, "external_id": entry.external_id}
        for kind in matched_on:
            del said[kind]
        if "email" in matched_on and not self._compares_usernames:
            said.pop("username", None)
        if entry.name != entry.composed_name or not all(attribute_of(user, part) for part in _PARTS_OF_NAME):
            said["name"] = entry.name  # else it says no more than its parts
        said |= entry.attributes
        found: list[Difference] = []
        for attribute, app in said.items():
            if not app or (self._compare is not None and squeezed(attribute) not in self._compare):
                continue
            spellings = attribute_of(user, attribute)
            if attribute == "manager":
                spellings = tuple(spelling for spelling in spellings if _shape(spelling) == _shape(app))
            if spellings and app not in spellings and not self._same(attribute, app, spellings):
                found.append(Difference(attribute=attribute, app=app, directory=harmless(spellings[0])))
        return tuple(sorted(found, key=lambda difference: difference.attribute))

    def _same(self, attribute: str, app: str, spellings: Sequence[str]) -> bool:
        def key(value: str) -> str:
            if attribute == "email" or (attribute == "manager" and "@" in value):
                return address_key(value, fold_plus=self._fold_plus)
            if attribute in ("name", "manager"):  # Lee, Ann is Ann Lee
                return " ".join(sorted(folded(value).replace(",", " ").split()))
            return folded(value)

        return key(app) in map(key, spellings)


def check(
    roster: Roster,
    users: Iterable[Reviewed],
    *,
    now: datetime,
    match_on: Sequence[IdentityKind] = MATCH_ON,
    fold_plus: bool = False,
    expected: Callable[[Reviewed], bool] = lambda user: user.status == "active",
    compare: Iterable[str] | None = None,
    keep: int = KEPT_UNEXPECTED,
    expected_group: Named | None = None,
    gaps: Iterable[Gap] = (),
) -> Drift:
    """Compare a roster with users of the directory, each of whom comes once; arguments as in `Comparison`."""
    comparison = Comparison(
        roster,
        match_on=match_on,
        fold_plus=fold_plus,
        expected=expected,
        compare=compare,
        keep=keep,
        expected_group=expected_group,
    )
    for user in users:
        comparison.see(user)
    return comparison.drift(now, gaps)


def grouped(findings: Sequence[Finding], rows: int | None) -> JsonObject:
    """Return findings as JSON-ready data by their kind, at most `rows` of each."""
    grouped: dict[str, list[JsonObject]] = {kind: [] for kind in KINDS}
    for finding in findings:
        if rows is None or len(grouped[finding.kind]) < rows:
            row: JsonObject = plain(finding)
            del row["kind"]
            grouped[finding.kind].append(row)
    return dict(grouped)


def _to_compare(names: Iterable[str], columns: Columns | None) -> tuple[str, ...]:
    """Return the attributes to compare, as `squeezed`. Raises Refused for one that no column of the roster is."""
    wanted = {squeezed(name): name for name in names}
    if columns is not None:
        there = {squeezed(name): name for name in columns.compared()}
        for word, name in wanted.items():
            if word not in there:
                meant = did_you_mean(word, there, most=1)
                raise Refused(
                    f"No column of the roster is compared as {quoted([harmless(name)])}.",
                    f"{meant} What can be compared: {quoted(there.values())}.".lstrip(),
                    code="BAD_COMPARE",
                )
    return tuple(sorted(wanted))


def _unlike(drift: Drift) -> str:
    """Say what was compared where no account fits anybody."""
    headings = drift.columns.identities() if drift.columns is not None else {}
    by = [_SAID_AS[kind] + (f" ({quoted(headings[kind])})" if kind in headings else "") for kind in drift.match_on]
    counts = drift.counts
    rows, users = counts["entries"] - counts["unidentified"], counts["users"]
    return f"No account fits anybody: {rows:,} of them and {users:,} users were compared, by {', '.join(by)}."


def _ambiguous(found: Ambiguity) -> Finding:
    people = tuple(person_of(user, kinds) for user, kinds in found.candidates)
    return Finding(
        kind="ambiguous",
        account=account_of(found.entry),
        candidates=people,
        candidate_count=found.candidate_count,
        also=found.also,
    )


def _shape(reference: str) -> str:
    """Return which kind of reference to a person this is: two ways of naming one manager are no difference."""
    if "@" in reference:
        return "address"
    if " " in reference.strip():
        return "name"
    return "id" if _UUID.fullmatch(reference.strip()) else "login"
