"""What is kept of a comparison of roles, so that the next one can say what is new and what is resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from pydantic import TypeAdapter

from pingone_mcp.directory.matching.identity import address_key, folded
from pingone_mcp.reports.matching import Account, Person
from pingone_mcp.reports.role_drift import RoleDrift, RoleMismatch
from pingone_mcp.reports.since.lines import (
    FindingForm,
    compared,
    horizon_of,
    kept_lines,
    key_of,
    not_comparable,
    read_check,
)

_VERSION = 1
RoleKind = Literal["extra", "lacking", "unmatched", "ambiguous", "without_account", "unruled_roles"]
ROLE_KINDS: tuple[RoleKind, ...] = get_args(RoleKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFinding:
    """One role of one account, or one account or user, to look at.

    extra: in the application, given by no rule. lacking: given by a rule, not in the application. unmatched: a role of
    an account whose user is gone. ambiguous: an account that fits several users, or shares one. without_account: a user
    with roles by the rules whom the roster does not name. unruled_roles: a role of the application that no rule can
    give.
    """

    kind: RoleKind
    account: Account | None = None
    person: Person | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChanges:
    """What is new since the comparison of `since`, and what is resolved, role by role; as in `since_last.Changes`."""

    since: datetime
    counts: Mapping[str, int]
    new: tuple[RoleFinding, ...] = ()
    resolved: tuple[RoleFinding, ...] = ()
    unsure: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _RoleCheck:
    version: int
    checked_at: datetime
    gaps: frozenset[str]
    horizon: str | None


_CHECK = TypeAdapter(_RoleCheck)
_FORM = FindingForm(ROLE_KINDS, "without_account", TypeAdapter(RoleFinding))


def kept_roles(drift: RoleDrift, checked_at: datetime) -> Iterator[str]:
    """Yield the lines to be kept of a comparison, each with its line break."""
    yield from kept_lines(_FORM, _CHECK.dump_json(_check_of(drift, checked_at)).decode(), _keyed(drift))


def roles_since(lines: Iterable[str], now: RoleDrift, checked_at: datetime) -> RoleChanges:
    """Return what is new and what is resolved since the comparison of which these lines were kept.

    Rules that give other roles than before make news as another roster does. Raises Refused when the two cannot be
    compared: other gaps, or lines that are damaged.
    """
    given, current = iter(lines), _check_of(now, checked_at)
    before = read_check(next(given, ""), _CHECK, _VERSION)
    if before.gaps != current.gaps:
        raise not_comparable("could read another part of the directory")
    found = compared(_FORM, given, lambda: _keyed(now), before=before.horizon, now=current.horizon)
    return RoleChanges(
        since=before.checked_at, counts=found.counts, new=found.new, resolved=found.resolved, unsure=found.unsure
    )


def role_findings(drift: RoleDrift) -> Iterator[RoleFinding]:
    """Yield all findings one by one, in the order of `ROLE_KINDS`."""
    for one in drift.mismatches:
        yield from (_of(one, "extra", role) for role in one.extra)
    for one in drift.mismatches:
        yield from (_of(one, "lacking", role) for role in one.lacking)
    for one in drift.unmatched:
        yield from (_of(one, "unmatched", role) for role in one.extra)
    yield from (RoleFinding(kind="ambiguous", account=account) for account in drift.ambiguous)
    yield from (RoleFinding(kind="without_account", person=person) for person in drift.without_account)
    yield from (RoleFinding(kind="unruled_roles", role=role) for role in drift.unruled_roles)


def _of(mismatch: RoleMismatch, kind: RoleKind, role: str) -> RoleFinding:
    return RoleFinding(kind=kind, account=mismatch.account, person=mismatch.person, role=role)


def _keyed(drift: RoleDrift) -> Iterator[tuple[bytes, RoleFinding]]:
    """Yield the findings under what makes them the same one in two comparisons."""
    for finding in role_findings(drift):
        account = finding.account or Account(line=0)
        # A gone user is the account alone; an account without an identity is known by its name.
        person = finding.person.id if finding.person and finding.kind != "unmatched" else ""
        identities = (
            address_key(account.email or ""),
            folded(account.username or ""),
            folded(account.external_id or ""),
        )
        name = "" if any(identities) else folded(account.name or "")
        yield key_of(finding.kind, *identities, name, person, folded(finding.role or "")), finding


def _check_of(drift: RoleDrift, checked_at: datetime) -> _RoleCheck:
    return _RoleCheck(
        version=_VERSION,
        checked_at=checked_at,
        gaps=frozenset(gap.lack() for gap in drift.gaps),
        horizon=horizon_of(drift.without_account, drift.counts["without_account"]),
    )
