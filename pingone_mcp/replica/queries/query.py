"""One read-only SELECT over the documented views of the local copy, for an assistant whom nobody has to trust.

SQLite itself refuses; no pattern is matched. A statement is compiled twice:

1. Against an outline: an empty database in memory that holds nothing but the names of `schema.VIEWS`. What is not
   documented does not exist there, however it is quoted or shadowed (SQLite's authorizer alone would take the name of
   a common table expression for that of a view). Its messages can be passed on, since they cannot hold data.
2. Against the copy, opened read-only, where base tables are read from inside a view alone. The sentences about what
   fails there quote nothing.

Both times an authorizer (https://sqlite.org/c3ref/set_authorizer.html) allows SELECT, the views and the functions
of `allowed.py`, and limits (https://sqlite.org/limits.html) bound what one statement may cost. What they do not bound
ends with the process that runs it (`processes.py`).
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pingone_mcp.replica.queries.allowed import LONGEST_NAME, LONGEST_VALUE
from pingone_mcp.replica.queries.compiling import check_text, compile_statement, set_bounds
from pingone_mcp.replica.queries.functions import own_functions
from pingone_mcp.replica.queries.gate import Gate, Watch, in_copy
from pingone_mcp.replica.queries.sentences import failed

Cell = str | int | float | None
_STEPS = 1_000  # of SQLite's machine, between two looks at the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One statement for the copy at a path, and what its answer may cost.

    At most `limit` rows and `characters` of compact JSON, columns and rows together; `seconds` from when it was asked,
    of which it has `waited` some already.
    """

    path: str
    sql: str
    limit: int
    characters: int
    seconds: float
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of a query, as arrays in the order of `columns`. `truncated`: there are more, or a long text was cut."""

    columns: list[str]
    rows: list[list[Cell]]
    row_count: int
    truncated: bool


def run_query(connection: sqlite3.Connection, query: Query, *, now: Callable[[], float] = time.monotonic) -> Answer:
    """Answer one SELECT over the views of the state that a transaction sees; a blob is shown as its size.

    `connection` is one of `Store.reader` in a transaction (`BEGIN`), good for nothing else afterwards. Blocks for what
    is left of the time, and for longer where SQLite does not ask for the time (`now` is in monotonic seconds).

    Raises Refused, which says how to write the query instead, and sqlite3.DatabaseError for a damaged file, which the
    reader turns into a Problem.
    """
    check_text(query.sql)
    text = query.sql.rstrip("; \t\r\n\f")
    watch = Watch(deadline=now() + query.seconds - query.waited, now=now)
    compile_statement(text, watch)
    connection.text_factory = lambda value: value.decode("utf-8", "replace")
    connection.execute("SELECT 1 FROM environments").fetchone()  # the schema is read: none changes from here on
    set_bounds(connection)
    connection.set_authorizer(Gate(watch, tables=in_copy))
    connection.set_progress_handler(watch, _STEPS)
    try:
        with own_functions(connection):
            cursor = connection.execute(text)
            columns = [name[0][:LONGEST_NAME] for name in cursor.description or ()]
            return _gathered(columns, cursor, limit=max(1, query.limit), characters=query.characters)
    except (sqlite3.Error, MemoryError) as error:
        raise failed(error, query.seconds, was_stopped=watch.ended) from None


def _gathered(columns: list[str], rows: Iterable[tuple[Any, ...]], *, limit: int, characters: int) -> Answer:
    """Return rows until there are `limit`, or their JSON fills the answer; a first row that is too long is cut."""
    answer: list[list[Cell]] = []
    used, truncated = _size([columns, []]), False
    for raw in rows:
        row = [_cell(value) for value in raw]
        used += _size(row) + 1
        if truncated := len(answer) == limit or used > characters:
            if not answer:
                answer.append(_cut(row, characters - _size([columns, []])))
            break
        answer.append(row)
    return Answer(columns=columns, rows=answer, row_count=len(answer), truncated=truncated)


def _cell(value: Any) -> Cell:
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    cell: Cell = value
    return cell


def _cut(row: list[Cell], characters: int) -> list[Cell]:
    longest = LONGEST_VALUE
    cut = row
    while _size(cut) > characters and longest > 1:
        longest //= 2
        cut = [f"{cell[:longest]}…" if isinstance(cell, str) and len(cell) > longest else cell for cell in row]
    return cut


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
