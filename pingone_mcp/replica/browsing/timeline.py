"""Changes from the newest back, and how many there were on each day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from pingone_mcp.directory.changes import Change, ChangeKind, ChangeQuestion
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.asking.changes import SHOWN_CHANGE, ShownChange, where_of
from pingone_mcp.replica.asking.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePage(Page[Change]):
    """A page of changes, the newest first. Of what was before `known_since` only some is known."""

    known_since: datetime
    audited_since: datetime


def timeline_page(copy: Snapshot, question: ChangeQuestion, at: Position | None, page_size: int) -> TimelinePage:
    """Return the changes at a position, newest first by when they happened."""
    where, values = where_of(question)
    bound: list[str | int] = [*values]
    (total,) = copy.database.execute(f"SELECT count(*) FROM changes_ WHERE {where}", bound).fetchone()  # noqa: S608 - our own text
    if at is not None and at.after is not None:
        then, _, number = at.after.partition(" ")
        where += " AND (at < ? OR (at = ? AND id < ?))"
        bound += [then, then, int(number)]
    rows = copy.database.execute(
        f"SELECT {SHOWN_CHANGE} FROM changes_ WHERE {where} ORDER BY at DESC, id DESC LIMIT ?",  # noqa: S608 - as above
        (*bound, page_size + 1),
    ).fetchall()
    kept = [ShownChange(*row) for row in rows[:page_size]]
    following = Position(source="replica", after=f"{kept[-1].at} {kept[-1].id}") if len(rows) > page_size else None
    return TimelinePage(
        items=tuple(one.change() for one in kept),
        at=at or Position(source="replica"),
        next=following,
        scanned=len(kept),
        total=int(total),
        gaps=copy.gaps(None),
        known_since=copy.since.watched,
        audited_since=copy.since.audited_since,
    )


def by_day(copy: Snapshot, since: datetime) -> Mapping[date, Counter[ChangeKind]]:
    """Return how many changes of each kind there were on each day (of UTC) since a time; days without any lack."""
    found: dict[date, Counter[ChangeKind]] = {}
    rows = copy.database.execute(
        "SELECT substr(at, 1, 10), kind, count(*) FROM changes_ WHERE at >= ? GROUP BY 1, 2", (timestamp(since),)
    )
    for day, kind, count in rows:
        found.setdefault(date.fromisoformat(day), Counter())[kind] += count
    return found
