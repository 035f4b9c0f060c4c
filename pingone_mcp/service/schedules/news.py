"""What a check found, held against what its schedule's last one found: what is new, and the event that says so.

Nothing is new where nothing can be compared, and that is said: no silence stands for "nothing new" that is not that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pingone_mcp.control.outbox import NewEvent
from pingone_mcp.directory.gaps import Gap, sentences
from pingone_mcp.directory.rows import plain, timestamp
from pingone_mcp.directory.text.harmless import clean
from pingone_mcp.errors import Refused
from pingone_mcp.reports.since.lines import not_comparable
from pingone_mcp.service.events.record_events import LARGEST, shortened
from pingone_mcp.service.schedules.runs import Ran, ScheduledRun

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pingone_mcp.replica.state import State
    from pingone_mcp.reports.since.lines import KindOfFinding

DRIFT_NEW = "drift:new"
SHOWN = 100
"""New findings of each kind that stand in an event at most; all are counted."""
_FEWER = (SHOWN, 50, 25, 12, 6, 3, 1, 0)
_VERSION = 1
_SAID_GAPS = 3


class FoundChanges(Protocol):
    """What is new and what is resolved, of whichever check (as in `reports.since_last.Changes`)."""

    @property
    def since(self) -> datetime: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def new(self) -> Sequence[KindOfFinding]: ...
    @property
    def unsure(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One check, whichever it was.

    `findings` are all that it knows, of these `kinds`, and `total` how many there are; of `beyond` of them, users that
    are many, it is not known who they are. `nobody` says why nobody was compared, where that is so. `expected` is the
    id of the group whose members ought to have accounts, where one is given; `roster_at` is when the list was written.
    `lines` are kept for the next check, and `since` compares with such lines, or raises Refused.
    """

    kind: Literal["drift", "role_drift"]
    roster_at: datetime | None
    checked_at: datetime
    counts: Mapping[str, int]
    total: int
    beyond: int
    kinds: tuple[str, ...]
    findings: Sequence[KindOfFinding]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    nobody: str | None
    expected: str | None
    lines: Callable[[], Iterator[str]]
    since: Callable[[Iterable[str]], FoundChanges]
    state: State


def news_of(run: ScheduledRun, look: Look, *, roster: str, tell_first: bool) -> Ran:
    """Return what came of a check; blocks."""
    if look.nobody is not None:
        reason = f"What is new cannot be said: {look.nobody}"
        kept = "" if run.before is None else " The next check is compared with what was found before."
        # Said once, until somebody is compared again.
        events = () if run.schedule.outcome == "compared_nobody" else (_event(run, look, roster, reason=reason),)
        return Ran(outcome="compared_nobody", summary=reason + kept, events=events)
    found = "".join([_head(look), *look.lines()]).encode()
    if run.before is None:
        said = f"The first check found {_counted(look.total)}; the next ones say what is new since.{_lacking(look)}"
        events = (_event(run, look, roster, new=look.findings),) if tell_first else ()
        return Ran(outcome="baseline", summary=said, found=found, events=events)
    try:
        changes = look.since(_comparable(run.before, look))
    except Refused as why:
        reason = f"{why.what} What is new cannot be said this time: the check found {_counted(look.total)} in all."
        events = (_event(run, look, roster, reason=reason),)
        said = f"{reason} The next one is compared with this one.{_lacking(look)}"
        return Ran(outcome="not_comparable", summary=said, found=found, events=events)
    new, resolved, unsure = changes.counts["new"], changes.counts["resolved"], changes.unsure + look.beyond
    said = (
        f"Since {timestamp(changes.since)}: {new:,} new, {resolved:,} resolved, {look.total:,} in all.{_lacking(look)}"
    )
    if unsure:
        said += (
            f" Of {_counted(unsure)} it is not known whether they are new, because there are too many to be kept: "
            "name the group whose members ought to have an account (`expected_group`)."
        )
    if new:
        return Ran(
            outcome="new", summary=said, found=found, events=(_event(run, look, roster, changes, new=changes.new),)
        )
    return Ran(outcome="unsure" if unsure else "nothing_new", summary=said, found=found)


def _head(look: Look) -> str:
    return json.dumps({"version": _VERSION, "expected": look.expected}) + "\n"


def _comparable(before: bytes, look: Look) -> Iterator[str]:
    """Return the lines of a check that was kept. Raises Refused where others were expected, or it is damaged."""
    text = io.StringIO(before.decode())
    if text.readline() != _head(look):
        raise not_comparable("expected the members of another group to have accounts, or was written otherwise")
    return iter(text.readline, "")


def _event(
    run: ScheduledRun,
    look: Look,
    roster: str,
    changes: FoundChanges | None = None,
    *,
    new: Sequence[KindOfFinding] = (),
    reason: str | None = None,
) -> NewEvent:
    """Return the event about what is new, no larger than an event may be."""
    about = {
        "integrated_account_id": run.schedule.connection_id,
        "schedule_id": run.schedule.id,
        "kind": look.kind,
        "roster": roster,
        "roster_at": None if look.roster_at is None else timestamp(look.roster_at),
        "checked_at": timestamp(look.checked_at),
        "since": None if changes is None else timestamp(changes.since),
        "is_comparable": reason is None,
        "reason": reason,
        "counts": dict(look.counts),
        "changes": None if changes is None else dict(changes.counts),
        "unsure": look.beyond + (0 if changes is None else changes.unsure),
        "is_whole": not look.gaps,
        "gaps": sentences(look.gaps),
        "notes": list(look.notes),
        "copy": {"synced_at": timestamp(look.state.synced_at), "age_s": look.state.age_seconds},
    }
    payload: dict[str, JsonValue] = {}
    for most in _FEWER:
        payload = shortened(clean({**about, "new": _rows(look.kinds, new, most)}))
        if len(json.dumps(payload)) <= LARGEST:
            break
    return NewEvent(event=DRIFT_NEW, payload=payload, at=look.checked_at)


def _rows(kinds: tuple[str, ...], findings: Sequence[KindOfFinding], most: int) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for finding in findings:
        if len(rows[finding.kind]) < most:
            row = plain(finding)
            del row["kind"]
            rows[finding.kind].append(row)
    return rows


def _lacking(look: Look) -> str:
    """Say of when the roster is, and what could not be read: what is not found there is not known to be missing."""
    said = [clean(sentence) for sentence in sentences(look.gaps[:_SAID_GAPS])]
    more = len(look.gaps) - len(said)
    if more > 0:
        said.append(f"And {more:,} more of the kind.")
    gaps = f" Not everything could be read, so what is missing may be there: {' '.join(said)}" if said else ""
    # A list that is pushed or pulled no more is compared again and again: who reads this sees how old it is.
    return f"{gaps} The roster is of {timestamp(look.roster_at)}." if look.roster_at is not None else gaps


def _counted(number: int) -> str:
    return f"{number:,} finding{'' if number == 1 else 's'}"
