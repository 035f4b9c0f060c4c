"""SQLite's authorizer for one statement, and the clock that is looked at while it runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from pingone_mcp.replica.queries.allowed import FUNCTIONS, SEARCHED, TABLE_FUNCTIONS, WORD_TABLES
from pingone_mcp.replica.queries.sentences import refusal
from pingone_mcp.replica.store.schema import VIEWS


class Watch:
    """Whether the time of a query is over. Asked by SQLite, as a progress handler."""

    def __init__(self, *, deadline: float, now: Callable[[], float]) -> None:
        self._deadline = deadline
        self._now = now
        self.ended = False

    def __call__(self) -> bool:
        self.ended = self.ended or self._now() >= self._deadline
        return self.ended


class Gate:
    """SQLite's authorizer for one statement: it keeps the first thing that it refused, and whether there is a SELECT.

    `tables` decides about reading a column, given the table, the column and the view that reads it, if any. The column
    is empty where rows are merely counted; then the table may also be a common table expression.
    Compiling is where no progress handler is asked (before SQLite 3.41), so the clock is looked at here too.
    """

    def __init__(self, watch: Watch, *, tables: Callable[[str, str, str | None], bool]) -> None:
        self._watch = watch
        self._tables = tables
        self.refused: str | None = None
        self.selects = False

    def __call__(
        self, action: int, first: str | None, second: str | None, _database: str | None, inside: str | None
    ) -> int:
        if self._watch() or not self._allows(action, first or "", second or "", inside):
            self.refused = self.refused or refusal(action, first or "", second or "")
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _allows(self, action: int, first: str, second: str, inside: str | None) -> bool:
        match action:
            case sqlite3.SQLITE_SELECT:
                self.selects = True
                return True
            case sqlite3.SQLITE_RECURSIVE:
                return True
            case sqlite3.SQLITE_FUNCTION:
                return second.lower() in FUNCTIONS
            case sqlite3.SQLITE_READ:
                return self._tables(first, second, inside)
            case sqlite3.SQLITE_PRAGMA:  # by which full-text search learns of changes, while it runs
                return self._tables is in_copy and (first, second) == ("data_version", "")
        return False


def in_outline(table: str, column: str, _inside: str | None) -> bool:
    if table in VIEWS or table in TABLE_FUNCTIONS:
        return True
    return not (column or table in WORD_TABLES or table.lower().startswith("sqlite_"))


def in_copy(table: str, column: str, inside: str | None) -> bool:
    """Allow what the outline has, base tables for a view, and what full-text search reads on its own behalf.

    The statement itself can name neither: it was compiled against the outline, which has no such tables.
    """
    if inside is None and table in WORD_TABLES:
        return True
    if table.endswith("_"):  # without a column: a view that SQLite made part of the statement, of which none is used
        within = (inside or "").lower()  # as the statement spells it
        return not column or within in VIEWS or within == SEARCHED
    return in_outline(table, column, inside)
