"""How every list is asked and answered, whichever face asks: arguments and cursor in, rows within the budgets out."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.cursor import Mark, same_question
from pingone_mcp.directory.paging.listing import Budget, Gathered, Listing, ListingProgress, gather, too_slow
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import WIDE_ROWS, timestamp
from pingone_mcp.directory.text.moments import moment
from pingone_mcp.service.backend import Backend

T = TypeVar("T")
PageReport = Callable[[ListingProgress], Awaitable[None]]
"""Called once per page of the provider, with how far a list is."""

# The envelope without rows and cursor: names, counts, and a problem that ended the answer.
_ENVELOPE_CHARACTERS = 700
_PLACES = tuple(str(uuid.UUID(int=number << 96 | 0x1B2D3F4A5C6E)) for number in (11, 222, 3333, 44444))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """What a list is asked: by which name, the arguments that select, and where to go on."""

    tool: str
    question: JsonObject
    mark: Mark


def asked(
    backend: Backend,
    tool: str,
    arguments: Mapping[str, Any],
    cursor: str | None,
    *,
    changeable: Mapping[str, Any] | None = None,
    since: str | None = None,
) -> ListRequest:
    """Return the question and the place in it.

    Beside a cursor, arguments may be left out but not changed. Those in `changeable` may be changed as well; left out,
    they too are what they were. `since` becomes a time in the question, and stays that time: `7d` beside a cursor means
    the seven days before the first answer. Raises Refused for a `since` that is no time, a cursor that is not ours or
    too old, and arguments that ask something else than their cursor.
    """
    given: JsonObject = {name: value for name, value in arguments.items() if value is not None and value != []}
    free: JsonObject = {name: value for name, value in (changeable or {}).items() if value is not None}
    meant: JsonObject = {}
    if since is not None:
        when = moment(since, backend.replica.now())
        given["since_given"], meant = when.given, {"since": timestamp(when.at)}
    if cursor is None:
        return ListRequest(tool=tool, question=given | free | meant, mark=Mark())
    question, mark = backend.cursors.open(tool, cursor)
    return ListRequest(tool=tool, question=same_question(given, question) | free, mark=mark)


@contextmanager
def in_time(backend: Backend) -> Iterator[None]:
    """Bound what one answer waits for by its budget of time. Raises Unreachable when that ends."""
    with anyio.move_on_after(backend.answer_seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise too_slow(backend.directory.profile.provider, backend.answer_seconds)


async def collect(
    backend: Backend,
    listing: Listing[T],
    wanted: ListRequest,
    *,
    limit: int,
    report: PageReport,
    pages: int | None = None,
    beside: int = 0,
) -> Gathered:
    """Gather one answer within the budgets of the backend; `report` is called once per page of the provider.

    `beside` is what the answer needs besides rows and envelope, in characters. Raises what `gather` raises.
    """

    def around(position: Position | None) -> int:
        """Measure the envelope with a cursor that goes on from a position; places in a page take some more."""
        cursor = backend.cursors.seal(wanted.tool, wanted.question, Mark(position=position, after=_PLACES, taken=9_999))
        return _ENVELOPE_CHARACTERS + len(cursor) + beside

    budget = Budget(limit=limit, characters=backend.answer_characters, seconds=backend.answer_seconds, pages=pages)
    listing = dataclasses.replace(listing, around=around, provider=backend.directory.profile.provider)
    return await gather(listing, wanted.mark, budget, now=anyio.current_time, report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One answer of a list: its rows, and what its envelope says about them.

    `is_first` says that it begins where the list does, `is_partial` that a single get of a row returns fields that are
    not in it. `fields` are those that rows carry, where that needs saying (None: the default ones).
    """

    gathered: Gathered
    next_cursor: str | None
    is_first: bool
    is_partial: bool
    fields: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Say that nothing at all was found, and not only on one page."""
        return self.is_first and self.next_cursor is None and not self.gathered.rows

    def to_json(self, hint: str | None = None) -> JsonObject:
        """Return the envelope that every list answers with; `hint` says what to try, or to know, where that helps."""
        gathered = self.gathered
        more: JsonObject = {"error": str(gathered.problem)} if gathered.problem is not None else {}
        if gathered.gaps:
            more["gaps"] = sentences(gathered.gaps)
        if hint is not None:
            more["hint"] = hint
        if self.fields is not None:
            more["fields"] = list(self.fields)
        return {
            "result": gathered.rows,
            "next_cursor": self.next_cursor,
            "prev_cursor": None,
            "result_count": len(gathered.rows),
            "total": gathered.total,
            "is_partial_response": self.is_partial,
            "stopped": gathered.stopped,
            **more,
        }


def listed(
    backend: Backend,
    wanted: ListRequest,
    gathered: Gathered,
    *,
    lacks: Callable[[JsonObject], bool],
    fields: tuple[str, ...] | None = None,
) -> Listed:
    """Return what was gathered with the cursor that goes on.

    `lacks` says of a row whether a single get of the same thing returns fields that are not in it.
    """
    return Listed(
        gathered=gathered,
        next_cursor=backend.cursors.seal(wanted.tool, wanted.question, gathered.next) if gathered.next else None,
        is_first=wanted.mark == Mark(),
        is_partial=any(map(lacks, gathered.rows)),
        fields=fields,
    )


def fields_to_name(columns: tuple[str, ...], chosen: list[str] | None, limit: int) -> tuple[str, ...] | None:
    """Return the fields of rows where there are fewer than by default, so that none is taken for absent."""
    return columns if not chosen and limit > WIDE_ROWS else None
