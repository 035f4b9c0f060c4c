"""What changed, as the syncs of the local copy found it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from pingone_mcp.directory.changes import Change, ChangeKind, ChangePage, ChangeQuestion
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import is_truncated
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, listed
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import age_of_copy

_CHANGE_QUESTION = TypeAdapter(ChangeQuestion)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeList:
    """One answer of a list of changes.

    `known_since` is from when on every change was written down; `later_cursor`, at the end of the list, goes on with
    what is found from now on. `age_seconds` is how old the copy is.
    """

    listed: Listed
    known_since: datetime | None
    later_cursor: str | None
    age_seconds: int | None


async def list_changes(
    backend: Backend,
    *,
    row: Callable[[Change], JsonObject],
    since: str | None = None,
    kinds: Sequence[ChangeKind] | None = None,
    user: str | None = None,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> ChangeList:
    """List changes, oldest first, each as `row` shows it; `since` is a date, a time, or how long ago (7d).

    Raises Refused for arguments, and NoReplica.
    """
    wanted = asked(backend, "list_changes", {"kinds": kinds, "user": user}, cursor, since=since)
    question = _CHANGE_QUESTION.validate_python(wanted.question)
    last: list[ChangePage] = []

    async def read(at: Position | None) -> ChangePage:
        last[:] = [await backend.replica.changes(question, at, page_size=limit)]
        return last[0]

    listing = Listing(read=read, row=row, identify=lambda change, _: str(change.id))
    gathered = await collect(backend, listing, wanted, limit=limit, report=report)
    later = Mark(position=last[0].newest)
    return ChangeList(
        listed=listed(backend, wanted, gathered, lacks=is_truncated),
        known_since=last[0].known_since,
        later_cursor=backend.cursors.seal(wanted.tool, wanted.question, later) if gathered.next is None else None,
        age_seconds=await age_of_copy(backend),
    )
