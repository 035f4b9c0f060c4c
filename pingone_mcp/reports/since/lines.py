"""What is kept of a check, as a text of lines, and how two checks are compared by them.

It is written and read line by line, because a check may have found hundreds of thousands of things: first what the
check was, then each thing by what makes it the same one in two checks. What it says is kept of the first ones of each
kind: of the others it is known later that they are resolved, but no more who they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from pingone_mcp.directory.rows import plain
from pingone_mcp.errors import Refused
from pingone_mcp.reports.matching import Person, order

KEPT = 1_000
"""Findings of each kind that are kept whole; all are counted."""

_DIGEST_BYTES = 16


class KindOfFinding(Protocol):
    """What a finding of any check has: its kind, and whom of the directory it is about, if anybody."""

    @property
    def kind(self) -> str: ...
    @property
    def person(self) -> Person | None: ...


F = TypeVar("F", bound=KindOfFinding)
C = TypeVar("C")

Keyed = Iterable[tuple[bytes, F]]
"""Findings under what makes them the same one in two checks (`key_of`)."""


@dataclass(frozen=True, slots=True)
class FindingForm(Generic[F]):
    """How findings are kept: their `kinds`, and which of these, `cut`, are users of whom a check knows the first."""

    kinds: tuple[str, ...]
    cut: str
    finding: TypeAdapter[F]

    def within(self, finding: F, horizon: str | None) -> bool:
        """Say whether a check that knows users so far would show this finding if it had made it."""
        if horizon is None or finding.kind != self.cut or finding.person is None:
            return True
        return order(finding.person) <= horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Generic[F]):
    """What is new in the later of two checks, and what is resolved; members as in `since_last.Changes`."""

    counts: Mapping[str, int]
    new: tuple[F, ...]
    resolved: tuple[F, ...]
    unsure: int


@dataclass(slots=True)
class _Side(Generic[F]):
    """What is new, or what is resolved: counted, and the first of each kind."""

    counts: dict[str, int]
    first: list[F] = field(default_factory=list)

    def add(self, kind: str, finding: F | None) -> None:
        self.counts[kind] += 1
        if finding is not None and self.counts[kind] <= KEPT:
            self.first.append(finding)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def kept_lines(form: FindingForm[F], check: str, keyed: Keyed[F]) -> Iterator[str]:
    """Yield the lines to be kept of a check, each with its line break; `check` says what it was, as JSON."""
    yield check + "\n"
    counts = dict.fromkeys(form.kinds, 0)
    for key, finding in _once(keyed):
        counts[finding.kind] += 1
        whole = counts[finding.kind] <= KEPT or finding.kind == form.cut  # who is needed to compare cut lists
        yield json.dumps([key.hex(), finding.kind, *([plain(finding)] if whole else [])]) + "\n"
    yield "\n"  # an end: what was cut short says too little


def compared(
    form: FindingForm[F],
    lines: Iterator[str],
    keyed: Callable[[], Keyed[F]],
    *,
    before: str | None,
    now: str | None,
) -> Compared[F]:
    """Compare the findings of two checks: those kept in `lines`, behind the first of them, and those of now.

    `before` and `now` are how far each of the two knows users of the kind that is cut (None: to the end). Raises
    Refused for lines that are damaged.
    """
    left = {key for key, _ in _once(keyed())}
    new: _Side[F] = _Side(dict.fromkeys(form.kinds, 0))
    resolved: _Side[F] = _Side(dict.fromkeys(form.kinds, 0))
    unsure = 0
    for key, kind, facts in _findings(form, lines):
        if key in left:
            left.remove(key)
            continue
        finding = _read(form, facts[0]) if facts else None
        if finding is None or form.within(finding, now):
            resolved.add(kind, finding)
        else:
            unsure += 1
    for key, finding in _once(keyed()):
        if key not in left:
            continue
        if form.within(finding, before):
            new.add(finding.kind, finding)
        else:
            unsure += 1
    counts = {f"new_{kind}": count for kind, count in new.counts.items()}
    counts |= {f"resolved_{kind}": count for kind, count in resolved.counts.items()}
    return Compared(
        counts={"new": new.total, "resolved": resolved.total, **counts},
        new=tuple(new.first),
        resolved=tuple(resolved.first),
        unsure=unsure,
    )


def read_check(line: str, form: TypeAdapter[C], version: int) -> C:
    """Return what a first line says of a check. Raises Refused for one of another version, or one that is damaged."""
    try:
        facts = json.loads(line)
        if facts["version"] != version:
            raise not_comparable("was written by another version")
        return form.validate_python(facts)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise _damaged() from error


def key_of(*parts: str) -> bytes:
    """Return what tells a finding from all others."""
    return blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def horizon_of(people: Iterable[Person | None], count: int) -> str | None:
    """Return how far the users of a check are known, of whom there are `count`; None: to the end."""
    known = [person for person in people if person is not None]
    if len(known) >= count:
        return None
    return order(known[-1]) if known else ""


def not_comparable(why: str) -> Refused:
    """Return what is said where two checks cannot be compared."""
    return Refused(
        f"The earlier check cannot be compared with this one: it {why}.",
        "Check again without it, and keep the new one to compare with.",
        code="NOT_COMPARABLE",
    )


def _once(keyed: Keyed[F]) -> Iterator[tuple[bytes, F]]:
    seen: set[bytes] = set()
    for key, finding in keyed:
        if key not in seen:
            seen.add(key)
            yield key, finding


def _findings(form: FindingForm[F], lines: Iterator[str]) -> Iterator[tuple[bytes, str, list[Any]]]:
    """Yield key and kind of each finding of a check, and what it says, not read yet, if that was kept.

    Raises Refused where they break off.
    """
    for line in lines:
        if line == "\n":
            return
        try:
            key, kind, *facts = json.loads(line)
            if kind not in form.kinds:
                raise _damaged()
            yield bytes.fromhex(key), kind, facts
        except (ValueError, TypeError) as error:
            raise _damaged() from error
    raise _damaged()


def _read(form: FindingForm[F], facts: Any) -> F:
    try:
        return form.finding.validate_python(facts)
    except ValidationError as error:
        raise _damaged() from error


def _damaged() -> Refused:
    return not_comparable("is damaged")
