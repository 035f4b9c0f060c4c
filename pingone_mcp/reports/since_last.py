"""What is kept of a check of a roster, so that the next one can say what is new and what is resolved.

It is a text of lines, written and read one by one, because a check may have found hundreds of thousands of things:
first what the check was, then each thing by what makes it the same one in two checks. What it says is kept of the first
ones of each kind: of the others it is known later that they are resolved, but no more who they were.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.matching.identity import IdentityKind, address_key, folded
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.errors import Refused
from pingone_mcp.reports.drift import KINDS, Drift, Finding, Kind, grouped
from pingone_mcp.reports.matching import Account, order
from pingone_mcp.reports.rosters.columns import Columns

KEPT = 1_000
"""Findings of each kind that are kept whole; all are counted."""

_VERSION = 2
_DIGEST_BYTES = 16


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


_CHECK, _FINDING = TypeAdapter(_Check), TypeAdapter(Finding)


@dataclass(slots=True)
class _Side:
    """What is new, or what is resolved: counted, and the first of each kind."""

    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    first: list[Finding] = field(default_factory=list[Finding])

    def add(self, kind: Kind, finding: Finding | None) -> None:
        self.counts[kind] += 1
        if finding is not None and self.counts[kind] <= KEPT:
            self.first.append(finding)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def kept(drift: Drift) -> Iterator[str]:
    """Yield the lines to be kept of a check, each with its line break."""
    yield _CHECK.dump_json(_check_of(drift)).decode() + "\n"
    counts = dict.fromkeys(KINDS, 0)
    for key, finding in _keyed(drift):
        counts[finding.kind] += 1
        whole = counts[finding.kind] <= KEPT or finding.kind == "unexpected"  # who is needed to compare cut lists
        yield json.dumps([key.hex(), finding.kind, *([plain(finding)] if whole else [])]) + "\n"
    yield "\n"  # an end: what was cut short says too little


def since(lines: Iterable[str], now: Drift) -> Changes:
    """Return what is new and what is resolved since the check of which these lines were kept.

    An account is known by its identities, so that a roster in another order changes nothing. Raises Refused when the
    two cannot be compared: another way of matching, other attributes or columns, other gaps, or lines that are damaged.
    That both asked for the same `expected` users is up to the caller.
    """
    given, current = iter(lines), _check_of(now)
    before = _comparable(next(given, ""), current)
    left = {key for key, _ in _keyed(now)}
    new, resolved, unsure = _Side(), _Side(), 0
    for key, kind, kept_facts in _findings(given):
        if key in left:
            left.remove(key)
            continue
        finding = _read(kept_facts[0]) if kept_facts else None
        if finding is None or _within(finding, current.horizon):
            resolved.add(kind, finding)
        else:
            unsure += 1
    for key, finding in _keyed(now):
        if key not in left:
            continue
        if _within(finding, before.horizon):
            new.add(finding.kind, finding)
        else:
            unsure += 1
    counts = {f"new_{kind}": count for kind, count in new.counts.items()}
    counts |= {f"resolved_{kind}": count for kind, count in resolved.counts.items()}
    return Changes(
        since=before.checked_at,
        counts={"new": new.total, "resolved": resolved.total, **counts},
        new=tuple(new.first),
        resolved=tuple(resolved.first),
        unsure=unsure,
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
    try:
        facts = json.loads(line)
        if facts["version"] != _VERSION:
            raise _not_comparable("was written by another version")
        before = _CHECK.validate_python(facts)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise _damaged() from error
    if (before.match_on, before.fold_plus) != (now.match_on, now.fold_plus):
        raise _not_comparable("matched people in another way")
    if before.compare != now.compare:
        raise _not_comparable("compared other attributes")
    if before.mapped != now.mapped:
        raise _not_comparable("took other columns for the same")
    if before.gaps != now.gaps:
        raise _not_comparable("could read another part of the directory")
    return before


def _findings(lines: Iterator[str]) -> Iterator[tuple[bytes, Kind, list[Any]]]:
    """Yield key and kind of each finding of a check, and what it says, not read yet, if that was kept.

    Raises Refused where they break off.
    """
    for line in lines:
        if line == "\n":
            return
        try:
            key, kind, *facts = json.loads(line)
            if kind not in KINDS:
                raise _damaged()
            yield bytes.fromhex(key), kind, facts
        except (ValueError, TypeError) as error:
            raise _damaged() from error
    raise _damaged()


def _read(facts: Any) -> Finding:
    try:
        return _FINDING.validate_python(facts)
    except ValidationError as error:
        raise _damaged() from error


def _keyed(drift: Drift) -> Iterator[tuple[bytes, Finding]]:
    """Yield the findings under what makes them the same one in two checks, each attribute on its own, each key once."""
    seen: set[bytes] = set()
    for key, finding in _every_key(drift):
        if key not in seen:
            seen.add(key)
            yield key, finding


def _every_key(drift: Drift) -> Iterator[tuple[bytes, Finding]]:
    for finding in drift.findings:
        account = finding.account or Account(line=0)
        # A missing user is the account alone; an account without an identity is known by its name.
        person = finding.person.id if finding.person and finding.kind != "missing" else ""
        named = account.name if finding.kind == "unidentified" else account.external_id
        who = (address_key(account.email or ""), folded(account.username or ""), folded(named or ""), person)
        if not finding.differences:
            yield _digest(finding.kind, *who), finding
        for difference in finding.differences:
            values = (difference.attribute, folded(difference.app), folded(difference.directory))
            yield _digest(finding.kind, *who, *values), dataclasses.replace(finding, differences=(difference,))


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def _horizon(drift: Drift) -> str | None:
    """Return how far the unexpected users of a check are known, in the order of `order`; None: to the end."""
    people = [finding.person for finding in drift.of("unexpected") if finding.person]
    if len(people) >= drift.counts.get("unexpected", 0):
        return None
    return order(people[-1]) if people else ""


def _within(finding: Finding, horizon: str | None) -> bool:
    """Say whether a check that knows unexpected users so far would show this finding if it had made it."""
    if horizon is None or finding.kind != "unexpected" or finding.person is None:
        return True
    return order(finding.person) <= horizon


def _damaged() -> Refused:
    return _not_comparable("is damaged")


def _not_comparable(why: str) -> Refused:
    return Refused(
        f"The earlier check cannot be compared with this one: it {why}.",
        "Check again without it, and keep the new one to compare with.",
        code="NOT_COMPARABLE",
    )
