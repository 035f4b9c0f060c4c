"""Who has other roles in an application than those that the rules give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import Gap, NoRolesInRoster, sentences
from pingone_mcp.directory.matching.identity import IdentityKind, folded
from pingone_mcp.directory.models import JsonObject, Reviewed
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.matching import MATCH_ON, Account, FirstPeople, Matching, Person, account_of, person_of
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.roles import Granted, HeldGroups, Mapped, MappingRoles
from pingone_mcp.reports.rosters.roster import Roster, RosterEntry

KEPT = 1_000
"""So many users without an account are kept; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMismatch:
    """A person whose roles in the application are not those that the rules give.

    `extra`: in the application, given by no rule. `lacking`: given by a rule, not in the application. `why` names
    the rules behind what is lacking, and expired ones behind what is extra.
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
        lists = {part: plain(getattr(self, part)[:rows]) for part in parts}
        return {"counts": dict(self.counts), "notes": list(self.notes), "gaps": sentences(self.gaps)} | lists


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
        self._mapping = MappingRoles(rules, now)
        self._matching = Matching(roster, match_on=match_on, fold_plus=fold_plus)
        self._mapped: dict[str, Mapped] = {}
        self._without = FirstPeople(keep)

    def see(self, user: Reviewed, groups: HeldGroups) -> None:
        """Take note of a user with all groups that it is in."""
        mapped = self._mapping.of(user, groups)
        if self._matching.see(user):
            self._mapped[user.id] = mapped
        elif mapped.granted:
            self._without.add(person_of(user))

    def compared(self, gaps: Iterable[Gap] = ()) -> RoleDrift:
        """Return the outcome for the users seen so far; `gaps` name what of the directory was not."""
        matched = self._matching.matched()
        active = [pair for pair in matched.pairs if pair.entry.active is not False]
        mismatches = tuple(filter(None, (self._mismatch(*pair) for pair in active)))
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
                "compared": len(active),
                "mismatches": len(mismatches),
                "with_extra_roles": sum(bool(one.extra) for one in mismatches),
                "with_lacking_roles": sum(bool(one.lacking) for one in mismatches),
                "unmatched": len(unmatched),
                "ambiguous": len(matched.ambiguous),
                "unidentified": len(matched.unidentified),
                "inactive_accounts": len(matched.pairs) - len(active),
                "without_account": self._without.count,
                "unruled_roles": len(unruled),
            },
            mismatches=mismatches,
            unmatched=tuple(unmatched),
            ambiguous=tuple(account_of(ambiguity.entry) for ambiguity in matched.ambiguous),
            without_account=self._without.people(),
            unruled_roles=tuple(unruled),
            notes=(*self._roster.notes, *matched.notes()),
            gaps=(*matched.gaps(), *roleless, *gaps),
        )

    def _mismatch(self, entry: RosterEntry, user: Reviewed, kinds: tuple[IdentityKind, ...]) -> RoleMismatch | None:
        """Return how the roles of an account differ from those of its user; None where they do not."""
        mapped = self._mapped[user.id]
        extra, lacking = _beside(entry.roles, mapped.roles), _beside(mapped.roles, entry.roles)
        if not extra and not lacking:
            return None
        wanted = {folded(role) for role in (*extra, *lacking)}
        why = tuple(one for one in (*mapped.granted, *mapped.expired) if folded(one.role) in wanted)
        return RoleMismatch(
            account=account_of(entry), person=person_of(user, kinds), extra=extra, lacking=lacking, why=why
        )


def compare(
    rules: Rules,
    roster: Roster,
    users: Iterable[tuple[Reviewed, HeldGroups]],
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
