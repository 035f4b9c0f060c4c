"""Where lists of connections, webhooks and runs go on: cursors that belong to one caller and one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pingone_mcp.directory.paging.cursor import CursorSeal, Mark, same_question
from pingone_mcp.directory.paging.position import Position

if TYPE_CHECKING:
    from pingone_mcp.service.callers import Caller

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged(Generic[Item]):
    """A page of a list. Where `next_cursor` is not None, there was at least one more item."""

    items: Sequence[Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAsked:
    """What a list is asked by whom: `chosen` are what it is narrowed by. Only the cursor may be left out."""

    caller: Caller
    limit: int
    cursor: str | None = None
    chosen: Mapping[str, str | None] | None = None


class ListCursors:
    """The cursors of one list. `key` is secret."""

    def __init__(self, key: bytes, listing: str) -> None:
        self._seal = CursorSeal(key)
        self._listing = listing

    def after(self, asked: ListAsked) -> str | None:
        """Return the place behind which to go on (None: at the beginning).

        Raises Refused for a cursor that was given to another caller, for another question, or by nobody.
        """
        if asked.cursor is None:
            return None
        question, mark = self._seal.open(self._listing, asked.cursor)
        same_question(_question(asked), question)
        return mark.position.after if mark.position is not None else None

    def behind(self, asked: ListAsked, place: str) -> str:
        """Return the cursor that goes on behind a place."""
        return self._seal.seal(self._listing, _question(asked), Mark(position=Position(after=place)))


def _question(asked: ListAsked) -> dict[str, object]:
    return {"caller": asked.caller.principal, **(asked.chosen or {})}
