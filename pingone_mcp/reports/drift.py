"""What an application's roster says that the directory does not, and the other way round.

An entry and a user belong together when they share an identity (email, username, external id). Where that leads to
several users or several entries, it is told and not guessed; where identities of one entry lead to different users,
too. Users are seen once, in any order; what is kept is proportional to the roster, not to the directory. Of users whom
no entry can name it is enough to know how many there are, and the first of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from pingone_mcp.directory.attributes import attribute_of, squeezed
from pingone_mcp.directory.gaps import Gap, NothingCompared, sentences
from pingone_mcp.directory.identity import IdentityKind, address_key, folded, identity_key
from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text import harmless
from pingone_mcp.reports.roster import Roster, RosterEntry

Kind = Literal["missing", "status_mismatches", "ambiguous", "attribute_mismatches", "unexpected", "unidentified"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MATCH_ON: tuple[IdentityKind, ...] = get_args(IdentityKind)
KEPT_UNEXPECTED = 1_000
_CANDIDATES = 20
_VERSION = 1
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# What spreadsheets make of ids that look like numbers; that of leading zeros the directory tells.
_REWRITTEN = re.compile(r'="[^"]*"|\d(?:[.,]\d+)?e[+-]?\d+|\d+[.,]0+', re.IGNORECASE)
LONGEST_NUMBER = 24
"""Digits of an id beyond which nobody looks for lost zeros; a spreadsheet keeps 15."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who a roster entry is about. `line` is its line or place in the roster."""

    line: int
    email: str | None = None
    username: str | None = None
    external_id: str | None = None
    name: str | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who a finding is about on the side of the directory; `matched_on` says by which identities it was found."""

    id: str
    username: str | None = None
    email: str | None = None
    name: str | None = None
    status: str
    status_reasons: tuple[str, ...] = ()
    matched_on: tuple[IdentityKind, ...] = ()


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
    the directory could not be read: with any, an account that is `missing` may have its user there.
    """

    checked_at: datetime
    match_on: tuple[IdentityKind, ...]
    fold_plus: bool
    compare: tuple[str, ...] | None = None
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.kind == kind)

    @property
    def compared_nobody(self) -> bool:
        """Say that there was no account to look for: what was not found then says nothing."""
        return self.counts["entries"] == self.counts["unidentified"]

    def to_json(self, rows: int | None = None) -> JsonObject:
        """Return JSON-ready data, counts first, with at most `rows` findings of each kind."""
        about = {
            "version": _VERSION,
            "checked_at": plain(self.checked_at),
            "match_on": list(self.match_on),
            "fold_plus": self.fold_plus,
            "compare": None if self.compare is None else list(self.compare),
            "counts": dict(self.counts),
            "notes": list(self.notes),
            "gaps": sentences(self.gaps),
        }
        return about | grouped(self.findings, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguity:
    """An entry that fits several users, or that shares its user with the entries at `also`."""

    entry: RosterEntry
    candidates: tuple[tuple[User, tuple[IdentityKind, ...]], ...]
    candidate_count: int
    also: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Who belongs to whom: every entry is in one of these, in the order of the roster.

    `missing` carries the removed user where the directory still knows it; `changed_ids` are those of the missing whose
    id seems to have been changed by a spreadsheet.
    """

    pairs: tuple[tuple[RosterEntry, User, tuple[IdentityKind, ...]], ...]
    missing: tuple[tuple[RosterEntry, User | None], ...]
    ambiguous: tuple[Ambiguity, ...]
    unidentified: tuple[RosterEntry, ...]
    changed_ids: tuple[RosterEntry, ...]

    def notes(self) -> tuple[str, ...]:
        """Return in plain words what of the roster makes the outcome doubtful."""
        if not self.changed_ids:
            return ()
        count, first = len(self.changed_ids), self.changed_ids[0].line
        return (
            (
                f"Of the missing accounts, {count:,} with an id that a spreadsheet seems to have changed, the first at line "
                f"{first:,}: "
                'leading zeros lost, or written like 1.00E+05 or ="000124". Export again, with that column as text.'
            ),
        )

    def gaps(self) -> tuple[Gap, ...]:
        """Return that nothing was compared, where that is so."""
        if self.pairs or self.missing or self.ambiguous:
            return ()
        return (NothingCompared(accounts=bool(self.unidentified)),)


@dataclass(slots=True)
class _Found:
    """What was seen for one entry: users that exist (the first ones, and how many), one that is gone."""

    users: dict[str, tuple[User, tuple[IdentityKind, ...]]] = field(
        default_factory=dict[str, tuple[User, tuple[IdentityKind, ...]]]
    )
    count: int = 0
    gone: User | None = None
    also: tuple[int, ...] = ()


class _Numbers:
    """Which entries have an identity, by their numbers.

    Of most there is one. A list for each would be hundreds of thousands of things at which Python looks again and again
    when it looks for garbage, and stops everything else meanwhile.
    """

    def __init__(self) -> None:
        self._one: dict[tuple[IdentityKind, str], int] = {}
        self._more: dict[tuple[IdentityKind, str], list[int]] = {}

    def add(self, key: tuple[IdentityKind, str], number: int) -> None:
        if self._one.setdefault(key, number) != number:
            self._more.setdefault(key, []).append(number)

    def of(self, key: tuple[IdentityKind, str]) -> Iterator[int]:
        if key in self._one:
            yield self._one[key]
            yield from self._more.get(key, ())

    def keys(self) -> Iterable[tuple[IdentityKind, str]]:
        return self._one.keys()


class Matching:
    """Finds the users of a roster while they pass by, each of them once.

    A removed user fits an entry only when no other user does. `fold_plus` as in `address_key`.
    """

    def __init__(self, roster: Roster, *, match_on: Sequence[IdentityKind] = MATCH_ON, fold_plus: bool = False) -> None:
        self._entries = roster.entries
        self._match_on = tuple(dict.fromkeys(match_on))
        self._fold_plus = fold_plus
        self._index = _Numbers()
        self._found: dict[int, _Found] = {}
        self._nameless: set[int] = set()
        self._numbers = _Numbers()
        self._without_zeros: set[int] = set()
        for number, entry in enumerate(self._entries):
            keys = self._entry_keys(entry)
            for key in keys:
                self._index.add(key, number)
                if is_number(key[1]) and not key[1].startswith("0"):
                    self._numbers.add(key, number)
            if not keys:
                self._nameless.add(number)

    def keys(self) -> Iterable[tuple[IdentityKind, str]]:
        """Return the identities of all entries, as `identity_key` makes them."""
        return self._index.keys()

    def see(self, user: User) -> bool:
        """Take note of a user, and say whether an entry names it."""
        hits: dict[int, tuple[IdentityKind, ...]] = {}
        for key in self._user_keys(user):
            for number in self._index.of(key):
                kinds = hits.get(number, ())
                hits[number] = kinds if key[0] in kinds else (*kinds, key[0])
            if key[1].startswith("0") and is_number(key[1]):
                self._without_zeros.update(self._numbers.of((key[0], key[1].lstrip("0"))))
        # A short list of lines, shared by all its entries: a thousand equal entries do not make a million lines.
        also = tuple(self._entries[number].line for number in sorted(hits)[: _CANDIDATES + 1])
        for number, kinds in hits.items():
            found = self._found.setdefault(number, _Found())
            if user.status == "deleted":
                if found.gone is None or (user.id < found.gone.id):
                    found.gone = user
            elif user.id not in found.users:
                found.count += 1
                if len(found.users) < _CANDIDATES:
                    found.users[user.id] = (user, kinds)
                if len(hits) > 1:
                    found.also = tuple(sorted({*found.also, *also}))[: _CANDIDATES + 1]
        return bool(hits)

    def matched(self) -> Matched:
        """Return who belongs to whom by what has been seen so far."""
        pairs: list[tuple[RosterEntry, User, tuple[IdentityKind, ...]]] = []
        missing: list[tuple[RosterEntry, User | None]] = []
        ambiguous: list[Ambiguity] = []
        changed_ids: list[RosterEntry] = []
        for number, entry in enumerate(self._entries):
            found = self._found.get(number, _Found())
            if number in self._nameless:
                continue
            if not found.users:
                missing.append((entry, found.gone))
                if number in self._without_zeros or self._is_rewritten(entry):
                    changed_ids.append(entry)
            elif found.count == 1 and not found.also:
                pairs.append((entry, *next(iter(found.users.values()))))
            else:
                ambiguous.append(
                    Ambiguity(
                        entry=entry,
                        candidates=tuple(found.users[id_] for id_ in sorted(found.users)),
                        candidate_count=found.count,
                        also=tuple(line for line in found.also if line != entry.line)[:_CANDIDATES],
                    )
                )
        return Matched(
            pairs=tuple(pairs),
            missing=tuple(missing),
            ambiguous=tuple(ambiguous),
            unidentified=tuple(self._entries[number] for number in sorted(self._nameless)),
            changed_ids=tuple(changed_ids),
        )

    def _is_rewritten(self, entry: RosterEntry) -> bool:
        return any(kind != "email" and _REWRITTEN.fullmatch(key) for kind, key in self._entry_keys(entry))

    def _entry_keys(self, entry: RosterEntry) -> list[tuple[IdentityKind, str]]:
        said: Mapping[IdentityKind, str | None] = {
            "email": entry.email or _address(entry.username),
            "username": entry.username,
            "external_id": entry.external_id,
        }
        return self._keys((kind, said[kind]) for kind in self._match_on)

    def _user_keys(self, user: User) -> list[tuple[IdentityKind, str]]:
        said: Mapping[IdentityKind, tuple[str | None, ...]] = {
            "email": tuple(email.email for email in user.emails) or (_address(user.username),),
            "username": (user.username,),
            "external_id": (user.external_id,),
        }
        return self._keys((kind, value) for kind in self._match_on for value in said[kind])

    def _keys(self, said: Iterable[tuple[IdentityKind, str | None]]) -> list[tuple[IdentityKind, str]]:
        keys = [(kind, identity_key(kind, value, fold_plus=self._fold_plus)) for kind, value in said if value]
        return [(kind, key) for kind, key in dict.fromkeys(keys) if key]


def is_number(key: str) -> bool:
    """Say whether a spreadsheet would take an identity for a number whose leading zeros mean nothing."""
    return key.isascii() and key.isdigit() and len(key) <= LONGEST_NUMBER


def order(person: Person) -> str:
    """Return what stays when everything else about somebody changes, so that cut lists can be compared."""
    return person.id


class FirstPeople:
    """Counts people who pass by and keeps the first ones by id, however many there are."""

    def __init__(self, keep: int) -> None:
        self.count = 0
        self._keep = keep
        self._kept: list[tuple[str, Person]] = []

    def add(self, person: Person) -> None:
        self.count += 1
        self._kept.append((order(person), person))
        if len(self._kept) > 2 * self._keep:
            self._shorten()

    def people(self) -> tuple[Person, ...]:
        self._shorten()
        return tuple(person for _, person in self._kept)

    def _shorten(self) -> None:
        self._kept.sort(key=lambda item: item[0])
        del self._kept[self._keep :]


class Comparison:
    """One check of a roster while the users of the directory pass by, each of them once.

    `expected` says who ought to have an account: active users by default. `compare` names the attributes to compare
    (default: all that both sides carry; none: an empty list). `keep` bounds the unexpected users that are kept.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        match_on: Sequence[IdentityKind] = MATCH_ON,
        fold_plus: bool = False,
        expected: Callable[[User], bool] = lambda user: user.status == "active",
        compare: Iterable[str] | None = None,
        keep: int = KEPT_UNEXPECTED,
    ) -> None:
        self._roster = roster
        self._match_on = tuple(dict.fromkeys(match_on))
        self._fold_plus = fold_plus
        self._matching = Matching(roster, match_on=self._match_on, fold_plus=fold_plus)
        self._expected = expected
        self._compare = None if compare is None else tuple(sorted(set(map(squeezed, compare))))
        self._unexpected = FirstPeople(keep)
        self._users = 0

    def see(self, user: User) -> None:
        """Take note of a user of the directory."""
        self._users += user.status != "deleted"
        if self._matching.see(user) or user.status == "deleted" or not self._expected(user):
            return
        self._unexpected.add(person_of(user))

    def see_rest(self, *, users: int, expected: int, first: Sequence[User]) -> None:
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
        findings: dict[Kind, list[Finding]] = {kind: [] for kind in KINDS}
        for entry, gone in sorted(matched.missing, key=lambda item: item[0].active is False):
            person = person_of(gone) if gone else None
            findings["missing"].append(Finding(kind="missing", account=account_of(entry), person=person))
        inactive_in_app = 0
        for entry, user, kinds in matched.pairs:
            account, person = account_of(entry), person_of(user, kinds)
            if entry.active is False:
                inactive_in_app += user.status == "active"
            elif user.status != "active" and folded(entry.status or "") != user.status:
                findings["status_mismatches"].append(Finding(kind="status_mismatches", account=account, person=person))
            if told := self._differences(entry, user):
                findings["attribute_mismatches"].append(
                    Finding(kind="attribute_mismatches", account=account, person=person, differences=told)
                )
        findings["ambiguous"] = [_ambiguous(ambiguity) for ambiguity in matched.ambiguous]
        findings["unexpected"] = [Finding(kind="unexpected", person=person) for person in self._unexpected.people()]
        findings["unidentified"] = [
            Finding(kind="unidentified", account=account_of(entry)) for entry in matched.unidentified
        ]
        counts: dict[str, int] = {
            "entries": len(self._roster.entries),
            "users": self._users,
            "matched": len(matched.pairs),
            **{kind: len(findings[kind]) for kind in KINDS},
            "unexpected": self._unexpected.count,
            "missing_active": sum(entry.active is not False for entry, _ in matched.missing),
            "inactive_in_app_only": inactive_in_app,
        }
        differing = Counter(d.attribute for f in findings["attribute_mismatches"] for d in f.differences)
        counts |= {f"attribute_mismatches.{name}": count for name, count in sorted(differing.items())}
        return Drift(
            checked_at=now.replace(microsecond=now.microsecond // 1_000 * 1_000),
            match_on=self._match_on,
            fold_plus=self._fold_plus,
            compare=self._compare,
            counts=counts,
            findings=tuple(finding for kind in KINDS for finding in findings[kind]),
            notes=(*self._roster.notes, *matched.notes()),
            gaps=(*matched.gaps(), *gaps),
        )

    def _differences(self, entry: RosterEntry, user: User) -> tuple[Difference, ...]:
        if self._compare is not None and not self._compare:
            return ()
        said = {
            "username": entry.username,
            "email": entry.email,
            "external_id": entry.external_id,
            "name": entry.name,
            **entry.attributes,
        }
        found: list[Difference] = []
        for attribute, app in said.items():
            if not app or (self._compare is not None and squeezed(attribute) not in self._compare):
                continue
            spellings = attribute_of(user, attribute)
            if attribute == "manager":
                spellings = tuple(spelling for spelling in spellings if _shape(spelling) == _shape(app))
            if spellings and not self._same(attribute, app, spellings):
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
    users: Iterable[User],
    *,
    now: datetime,
    match_on: Sequence[IdentityKind] = MATCH_ON,
    fold_plus: bool = False,
    expected: Callable[[User], bool] = lambda user: user.status == "active",
    compare: Iterable[str] | None = None,
    keep: int = KEPT_UNEXPECTED,
    gaps: Iterable[Gap] = (),
) -> Drift:
    """Compare a roster with users of the directory, each of whom comes once; arguments as in `Comparison`."""
    comparison = Comparison(
        roster, match_on=match_on, fold_plus=fold_plus, expected=expected, compare=compare, keep=keep
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


def account_of(entry: RosterEntry) -> Account:
    return Account(
        line=entry.line,
        email=entry.email,
        username=entry.username,
        external_id=entry.external_id,
        name=entry.name,
        active=entry.active,
    )


def person_of(user: User, matched_on: tuple[IdentityKind, ...] = ()) -> Person:
    return Person(
        id=user.id,
        username=_shown(user.username),
        email=_shown(user.email),
        name=_shown(user.name),
        status=harmless(user.status),
        status_reasons=user.status_reasons,
        matched_on=matched_on,
    )


def _ambiguous(found: Ambiguity) -> Finding:
    people = tuple(person_of(user, kinds) for user, kinds in found.candidates)
    return Finding(
        kind="ambiguous",
        account=account_of(found.entry),
        candidates=people,
        candidate_count=found.candidate_count,
        also=found.also,
    )


def _shown(text: str | None) -> str | None:
    return None if text is None else harmless(text)


def _address(username: str | None) -> str | None:
    """Return the username as an address, for who has no other."""
    return username if username and "@" in username else None


def _shape(reference: str) -> str:
    """Tell addresses, names and the rest apart: two ways of naming one manager are no difference."""
    if "@" in reference:
        return "address"
    if " " in reference.strip():
        return "name"
    return "id" if _UUID.fullmatch(reference.strip()) else "login"
