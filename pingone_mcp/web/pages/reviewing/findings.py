"""Rows of findings as a page shows them, some at a time: who, what there is to say, and the same for a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pingone_mcp.errors import Refused
from pingone_mcp.reports.audit.tickets import finding_line
from pingone_mcp.web.pages.browsing.copied import given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.reports.audit.tickets import FindingLine
    from pingone_mcp.web.pages.page import Visit

ROWS = 25
_CHARACTERS = 10_000  # of the rows of one page, before they are marked up
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRows:
    """Some rows of several: from which one on (the first is 0), and where the next ones begin (None: nowhere).

    `of` counts the rows of all pages, of which a finding may have several.
    """

    rows: Sequence[FindingLine]
    begins: int
    next: int | None
    of: int


def begins(visit: Visit) -> int:
    """Return from which row on somebody wants to see a table. Raises Refused."""
    text = given(visit, "from")
    if text is None:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    raise Refused("That is no place in a list.", "Begin with its first page.", code="NO_SUCH_PLACE")


def shown_rows(
    rows: Iterable[JsonObject], at: int, title: str, about: Sequence[tuple[str, Any]], *, of: int
) -> ShownRows:
    """Return some of `of` rows, fewer where they are long; a ticket has `title`, what it is `about`, and the row."""
    found: list[FindingLine] = []
    characters = 0
    for number, row in enumerate(islice(rows, at, None), at):
        shown = finding_line(row, title, about)
        characters += len(shown.ticket)
        if len(found) == ROWS or (found and characters > _CHARACTERS):
            return ShownRows(rows=found, begins=at, next=number, of=of)
        found.append(shown)
    return ShownRows(rows=found, begins=at, next=None, of=of)
