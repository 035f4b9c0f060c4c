"""What changed, from the newest back, with how many joined, left and were locked on each day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Literal, get_args

from pingone_mcp.directory.changes import Change, ChangeKind, ChangeQuestion
from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.browsing.timeline import TimelinePage, by_day, timeline_page
from pingone_mcp.service.answering import asked
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.browsing.copied import FoundInCopy, read_copy

PAGE = 100
DAYS: tuple[int, ...] = (7, 30, 90)
"""So many days the counts may reach back."""
_LISTING = "browse_changes"

Movement = Literal["joined", "left", "locked"]
MOVEMENTS: tuple[Movement, ...] = get_args(Movement)
KINDS_OF: Mapping[Movement, tuple[ChangeKind, ...]] = MappingProxyType(
    {
        "joined": ("user.created", "user.entered_scope", "user.reactivated"),
        "left": ("user.removed", "user.left_scope", "user.deactivated"),
        "locked": ("user.locked",),
    }
)
"""Which changes let somebody join, leave, or be locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """How many joined (were created, enabled again, or came into what is served), left, and were locked on a day."""

    day: date
    counts: Mapping[Movement, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One page of changes, newest first, and the days up to today, oldest first.

    Every change is known since `known_since`, removals and deactivations since `audited_since`.
    """

    changes: tuple[Change, ...]
    total: int | None
    days: tuple[Day, ...]
    known_since: datetime
    audited_since: datetime


async def browse_changes(
    backend: Backend,
    *,
    kinds: tuple[ChangeKind, ...] = (),
    user: str | None = None,
    days: int = 30,
    cursor: str | None = None,
) -> FoundInCopy[Timeline]:
    """Return a page of changes of some kinds (empty: all) of the last so many days, of one user where one is named.

    Raises Refused for other numbers of days than `DAYS` and a cursor that is not good, and NoReplica.
    """
    if days not in DAYS:
        raise Refused(f"Changes are shown of {', '.join(map(str, DAYS))} days.", "Choose one of these.")
    wanted = asked(backend, _LISTING, {"kinds": list(kinds) or None, "user": user, "days": days}, cursor)
    today = backend.replica.now().astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    since = datetime.combine(first, time(), UTC)
    question = ChangeQuestion(since=since, kinds=kinds, user=user)

    def read(copy: Snapshot) -> tuple[TimelinePage, Mapping[date, Counter[ChangeKind]]]:
        return timeline_page(copy, question, wanted.mark.position, PAGE), by_day(copy, since)

    (page, counted), age = await read_copy(backend, read)
    following = backend.cursors.seal(_LISTING, wanted.question, Mark(position=page.next)) if page.next else None
    found = Timeline(
        changes=page.items,
        total=page.total,
        days=tuple(_day(first + timedelta(days=number), counted) for number in range(days)),
        known_since=page.known_since,
        audited_since=page.audited_since,
    )
    return FoundInCopy(found=found, copy=age, next_cursor=following)


def _day(day: date, counted: Mapping[date, Counter[ChangeKind]]) -> Day:
    there = counted.get(day, Counter())
    return Day(day=day, counts={name: sum(there[kind] for kind in kinds) for name, kinds in KINDS_OF.items()})
