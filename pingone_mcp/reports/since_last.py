"""What is kept of a check of a roster, so that the next one can say what is new and what is resolved."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.matching.identity import IdentityKind, address_key, folded
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.drift import KINDS, Drift, Finding, grouped
from pingone_mcp.reports.matching import Account
from pingone_mcp.reports.rosters.columns import Columns
from pingone_mcp.reports.since.lines import (
    KEPT,
    FindingForm,
    compared,
    horizon_of,
    kept_lines,
    key_of,
    not_comparable,
    read_check,
)

__all__ = ["KEPT", "Changes", "kept", "since"]

_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is new since the check of `since`, and what is resolved; attributes one by one.

    `counts` are exact; of each kind there are at most `KEPT`, resolved ones where they were kept. `unsure` counts
    findings on either side of which it cannot be said, because unexpected users were cut.
    """

    since: datetime
    counts: Mapping[str, int]
    new: tuple[Finding, ...] = ()
    resolved: tuple[Finding, ...] = ()
    unsure: int = 0

    def to_json(self, rows: int | None = None) -> JsonObject:
        """Return JSON-ready data, counts first, with at most `rows` findings of each kind on each side."""
        return {
            "since": plain(self.since),
            "counts": dict(self.counts),
            "unsure": self.unsure,
            "new": grouped(self.new, rows),
            "resolved": grouped(self.resolved, rows),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """What is to be known of a check beside its findings; `horizon` is what `_horizon` returns.

    `mapped`: the fields of which a person said which column they are, and that column.
    """

    version: int
    checked_at: datetime
    match_on: frozenset[IdentityKind]
    fold_plus: bool
    compare: tuple[str, ...] | None
    gaps: frozenset[str]
    horizon: str | None
    mapped: frozenset[tuple[str, str]] = frozenset()


_CHECK = TypeAdapter(_Check)
_FORM = FindingForm(KINDS, "unexpected", TypeAdapter(Finding))


def kept(drift: Drift) -> Iterator[str]:
    """Yield the lines to be kept of a check, each with its line break."""
    yield from kept_lines(_FORM, _CHECK.dump_json(_check_of(drift)).decode(), _keyed(drift))


def since(lines: Iterable[str], now: Drift) -> Changes:
    """Return what is new and what is resolved since the check of which these lines were kept.

    An account is known by its identities, so that a roster in another order changes nothing. Raises Refused when the
    two cannot be compared: another way of matching, other attributes or columns, other gaps, or lines that are damaged.
    That both asked for the same `expected` users is up to the caller.
    """
    given, current = iter(lines), _check_of(now)
    before = _comparable(next(given, ""), current)
    found = compared(_FORM, given, lambda: _keyed(now), before=before.horizon, now=current.horizon)
    return Changes(
        since=before.checked_at, counts=found.counts, new=found.new, resolved=found.resolved, unsure=found.unsure
    )


def _check_of(drift: Drift) -> _Check:
    return _Check(
        version=_VERSION,
        checked_at=drift.checked_at,
        match_on=frozenset(drift.match_on),
        fold_plus=drift.fold_plus,
        compare=drift.compare,
        gaps=frozenset(gap.lack() for gap in drift.gaps),
        horizon=_horizon(drift),
        mapped=_mapped(drift.columns) if drift.columns is not None else frozenset(),
    )


def _mapped(columns: Columns) -> frozenset[tuple[str, str]]:
    said = ((name, heading) for name in columns.mapped for heading in columns.fields.get(name, ()))
    return frozenset((name, squeezed(heading)) for name, heading in said)


def _comparable(line: str, now: _Check) -> _Check:
    """Return the check that a first line describes. Raises Refused where the one of now cannot be compared with it."""
    before = read_check(line, _CHECK, _VERSION)
    if (before.match_on, before.fold_plus) != (now.match_on, now.fold_plus):
        raise not_comparable("matched people in another way")
    if before.compare != now.compare:
        raise not_comparable("compared other attributes")
    if before.mapped != now.mapped:
        raise not_comparable("took other columns for the same")
    if before.gaps != now.gaps:
        raise not_comparable("could read another part of the directory")
    return before


def _keyed(drift: Drift) -> Iterator[tuple[bytes, Finding]]:
    """Yield the findings under what makes them the same one in two checks, each attribute on its own."""
    for finding in drift.findings:
        account = finding.account or Account(line=0)
        # A missing user is the account alone; an account without an identity is known by its name.
        person = finding.person.id if finding.person and finding.kind != "missing" else ""
        named = account.name if finding.kind == "unidentified" else account.external_id
        who = (address_key(account.email or ""), folded(account.username or ""), folded(named or ""), person)
        if not finding.differences:
            yield key_of(finding.kind, *who), finding
        for difference in finding.differences:
            values = (difference.attribute, folded(difference.app), folded(difference.directory))
            yield key_of(finding.kind, *who, *values), dataclasses.replace(finding, differences=(difference,))


def _horizon(drift: Drift) -> str | None:
    return horizon_of((one.person for one in drift.of("unexpected")), drift.counts.get("unexpected", 0))
