"""Who in the directory an account of an application belongs to.

An entry and a user belong together when they share an identity (email, username, external id). Where that leads to
several users or several entries, both are shown and nothing is guessed; where identities of one entry lead to different
users, too. Users are seen once, in any order; what is kept is proportional to the roster, not to the directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

from pingone_mcp.directory.gaps import Gap, NothingCompared
from pingone_mcp.directory.matching.identity import IdentityKind, identity_key
from pingone_mcp.directory.models import Reviewed
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.rosters.roster import Roster, RosterEntry

MATCH_ON: tuple[IdentityKind, ...] = get_args(IdentityKind)
_CANDIDATES = 20
# What spreadsheets make of ids that look like numbers; lost zeros show by an id of the directory that begins with them.
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


class Match(NamedTuple):
    """An entry and its user, and by which identities they belong together."""

    entry: RosterEntry
    user: Reviewed
    matched_on: tuple[IdentityKind, ...]


class Missing(NamedTuple):
    """An entry without a user; the removed user where the directory still knows it."""

    entry: RosterEntry
    gone: Reviewed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguity:
    """An entry that fits several users, or that shares its user with the entries at `also`."""

    entry: RosterEntry
    candidates: tuple[tuple[Reviewed, tuple[IdentityKind, ...]], ...]
    candidate_count: int
    also: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Who belongs to whom: every entry is in one of these, in the order of the roster.

    `changed_ids` are those of the missing whose id seems to have been changed by a spreadsheet.
    """

    pairs: tuple[Match, ...]
    missing: tuple[Missing, ...]
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

    users: tuple[tuple[Reviewed, tuple[IdentityKind, ...]], ...] = ()
    count: int = 0
    gone: Reviewed | None = None
    also: tuple[int, ...] = ()

    def take(self, user: Reviewed, kinds: tuple[IdentityKind, ...], also: tuple[int, ...]) -> None:
        """Take note of a user whom the entry names by some identities, as do the entries at the lines `also`."""
        if user.status == "deleted":
            if self.gone is None or user.id < self.gone.id:
                self.gone = user
        elif not self.users or all(user.id != known.id for known, _ in self.users):
            self.count += 1
            if len(self.users) < _CANDIDATES:
                self.users += ((user, kinds),)
            if also:
                self.also = tuple(sorted({*self.also, *also}))[: _CANDIDATES + 1]


class _Numbers:
    """Which entries have an identity of one kind, by their numbers.

    Of most there is one. A list for each would be hundreds of thousands of things at which Python looks again and again
    when it looks for garbage, and stops everything else meanwhile.
    """

    def __init__(self) -> None:
        self._one: dict[str, int] = {}
        self._more: dict[str, list[int]] = {}

    def add(self, key: str, number: int) -> None:
        if self._one.setdefault(key, number) != number:
            self._more.setdefault(key, []).append(number)

    def of(self, key: str) -> Sequence[int]:
        number = self._one.get(key)
        return () if number is None else (number, *self._more.get(key, ()))

    def identities(self) -> Iterable[str]:
        return self._one


class Matching:
    """Finds the users of a roster while they pass by, each of them once.

    A removed user fits an entry only when no other user does. `fold_plus` as in `address_key`.
    """

    def __init__(self, roster: Roster, *, match_on: Sequence[IdentityKind] = MATCH_ON, fold_plus: bool = False) -> None:
        self._entries = roster.entries
        self._match_on = tuple(dict.fromkeys(match_on))
        self._fold_plus = fold_plus
        self._index = {kind: _Numbers() for kind in self._match_on}
        self._found: dict[int, _Found] = {}
        self._nameless: set[int] = set()
        self._numbers = {kind: _Numbers() for kind in self._match_on}
        self._without_zeros: set[int] = set()
        for number, entry in enumerate(self._entries):
            keys = self._entry_keys(entry)
            for kind, key in keys:
                self._index[kind].add(key, number)
                if is_number(key) and not key.startswith("0"):
                    self._numbers[kind].add(key, number)
            if not keys:
                self._nameless.add(number)

    def keys(self) -> Iterable[tuple[IdentityKind, str]]:
        """Return the identities of all entries, as `identity_key` makes them."""
        return ((kind, key) for kind, numbers in self._index.items() for key in numbers.identities())

    def see(self, user: Reviewed) -> bool:
        """Take note of a user, and say whether an entry names it."""
        hits = self._hits(user)
        also: tuple[int, ...] = ()
        if len(hits) > 1:
            # A short list, shared by all its entries: a thousand equal entries do not make a million lines.
            also = tuple(self._entries[number].line for number in sorted(hits)[: _CANDIDATES + 1])
        for number, kinds in hits.items():
            found = self._found.get(number)
            if found is None:
                found = self._found[number] = _Found()
            found.take(user, kinds, also)
        return bool(hits)

    def _hits(self, user: Reviewed) -> Mapping[int, tuple[IdentityKind, ...]]:
        """Return the numbers of the entries that name a user, each with the identities by which it does."""
        hits: dict[int, tuple[IdentityKind, ...]] = {}
        for kind, key in self._user_keys(user):
            for number in self._index[kind].of(key):
                kinds = hits.get(number, ())
                hits[number] = kinds if kind in kinds else (*kinds, kind)
            if key[0] == "0" and is_number(key):
                self._without_zeros.update(self._numbers[kind].of(key.lstrip("0")))
        return hits

    def matched(self) -> Matched:
        """Return who belongs to whom by what has been seen so far."""
        pairs: list[Match] = []
        missing: list[Missing] = []
        ambiguous: list[Ambiguity] = []
        changed_ids: list[RosterEntry] = []
        for number, entry in enumerate(self._entries):
            found = self._found.get(number) or _Found()
            if number in self._nameless:
                continue
            if not found.users:
                missing.append(Missing(entry, found.gone))
                if number in self._without_zeros or self._is_rewritten(entry):
                    changed_ids.append(entry)
            elif found.count == 1 and not found.also:
                pairs.append(Match(entry, *found.users[0]))
            else:
                ambiguous.append(
                    Ambiguity(
                        entry=entry,
                        candidates=tuple(sorted(found.users, key=lambda one: one[0].id)),
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
        addresses = (entry.email, *entry.more_emails) if entry.email else ()
        return self._keys(addresses, entry.username, entry.external_id)

    def _user_keys(self, user: Reviewed) -> list[tuple[IdentityKind, str]]:
        return self._keys(user.addresses, user.username, user.external_id)

    def _keys(
        self, addresses: Sequence[str], username: str | None, external_id: str | None
    ) -> list[tuple[IdentityKind, str]]:
        """Return the identities of somebody, each once. Who has no address may have a username that is one."""
        found: list[tuple[IdentityKind, str]] = []
        for kind in self._match_on:
            values: Sequence[str | None]
            if kind == "email":
                values = addresses or ((username,) if username and "@" in username else ())
            else:
                values = (username if kind == "username" else external_id,)
            for value in values:
                key = identity_key(kind, value, fold_plus=self._fold_plus) if value else ""
                if key and (len(values) == 1 or (kind, key) not in found):
                    found.append((kind, key))
        return found


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


def account_of(entry: RosterEntry) -> Account:
    return Account(
        line=entry.line,
        email=entry.email,
        username=entry.username,
        external_id=entry.external_id,
        name=entry.name,
        active=entry.active,
    )


def person_of(user: Reviewed, matched_on: tuple[IdentityKind, ...] = ()) -> Person:
    return Person(
        id=user.id,
        username=_shown(user.username),
        email=_shown(user.email),
        name=_shown(user.name),
        status=harmless(user.status),
        status_reasons=user.status_reasons,
        matched_on=matched_on,
    )


def _shown(text: str | None) -> str | None:
    return None if text is None else harmless(text)
