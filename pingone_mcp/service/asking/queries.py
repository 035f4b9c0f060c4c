"""Questions about the whole directory, in SQL over its local copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.backend import Backend

if TYPE_CHECKING:  # start-up: a server says what it offers before it loads a database
    from pingone_mcp.replica.asking.snapshot import Snapshot
    from pingone_mcp.replica.queries.query import Answer
    from pingone_mcp.replica.store.schema import View

_LONGEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOutcome:
    """Columns and rows, with what the copy lacks of what the query is about, and how old it is: of one state of it."""

    answer: Answer
    gaps: tuple[Gap, ...]
    age_seconds: int


async def query(
    backend: Backend, sql: str, *, limit: int, characters: int | None = None, seconds: float | None = None
) -> QueryOutcome:
    """Answer one SELECT over the views with at most so many rows.

    Without `characters` and `seconds`, the budgets of an answer bound it.
    Raises NoReplica, and Refused for what is no such SELECT, or takes too long or too much memory.
    """
    from pingone_mcp.replica.asking.accesses import unread  # noqa: PLC0415 - start-up, as above

    def lacks(copy: Snapshot) -> tuple[Gap, ...]:
        return (*copy.gaps(None), *unread(copy, roles="role_assignments" in sql.lower()))

    answer, gaps, state = await backend.replica.query(
        sql,
        limit=limit,
        characters=backend.answer_characters if characters is None else characters,
        seconds=min(_LONGEST_SECONDS, backend.answer_seconds) if seconds is None else seconds,
        beside=lacks,
    )
    return QueryOutcome(answer=answer, gaps=gaps, age_seconds=state.age_seconds)


def described_views() -> Mapping[str, View]:
    """Return the views of the local copy by name, with what each of their columns means."""
    from pingone_mcp.replica.store.schema import VIEWS  # noqa: PLC0415 - start-up, as above

    return VIEWS


def describe_views() -> JsonObject:
    """Return the views of the local copy with their columns, and example queries."""
    from pingone_mcp.replica.queries import description  # noqa: PLC0415 - start-up, as above

    return description.describe_views()
