"""Compiling a statement against an outline, which holds the names of the views and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from pingone_mcp.errors import Refused
from pingone_mcp.replica.queries.allowed import LIMITS, MOST_SQL, TABLE_FUNCTIONS, WORDS
from pingone_mcp.replica.queries.gate import Gate, Watch, in_outline
from pingone_mcp.replica.queries.sentences import ONE_SELECT, instead, invalid, too_complicated
from pingone_mcp.replica.store.schema import VIEWS


def check_text(sql: str) -> None:
    """Raise Refused for what SQLite need not look at: too long, or no text."""
    if "\0" in sql:
        raise Refused("`sql` holds a NUL character.", ONE_SELECT, code="SQL_REFUSED")
    try:
        size = len(sql.encode())
    except UnicodeEncodeError:
        raise Refused(
            "`sql` is not valid Unicode: it holds a lone surrogate.", ONE_SELECT, code="SQL_REFUSED"
        ) from None
    if size > MOST_SQL:
        raise Refused(
            f"`sql` is {size:,} bytes long; {MOST_SQL:,} is the most.",
            "Ask in parts, or say by a condition or a join what a long list says.",
            code="SQL_REFUSED",
        )


def compile_statement(text: str, watch: Watch) -> None:
    """Compile against the outline, without running. Raises Refused: what SQLite says, and what there is instead."""
    with closing(_outline()) as outline:
        gate = Gate(watch, tables=in_outline)
        outline.set_authorizer(gate)
        try:
            outline.execute(f"EXPLAIN\n{text}")
        except MemoryError:
            raise too_complicated() from None
        except (sqlite3.Error, sqlite3.Warning) as error:
            if watch.ended:
                raise too_complicated() from None
            if gate.refused:
                raise Refused(gate.refused, instead(gate.refused), code="SQL_REFUSED") from None
            raise invalid(outline, text, str(error)) from None
        if not gate.selects:
            raise Refused("That is not a SELECT.", ONE_SELECT, code="SQL_REFUSED")


def _outline() -> sqlite3.Connection:
    """Open an empty database that has the documented names, and nothing else that a statement could read."""
    outline = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    for name, view in VIEWS.items():
        if name == WORDS:
            outline.execute(f"CREATE VIRTUAL TABLE {name} USING fts5({', '.join(view.columns)})")
        else:
            columns = ", ".join(f"NULL AS {column}" for column in view.columns)
            outline.execute(f"CREATE VIEW {name} AS SELECT {columns} WHERE 0")
    set_bounds(outline)
    return outline


def set_bounds(connection: sqlite3.Connection) -> None:
    """Set what an authorizer would refuse from here on, and the limits."""
    connection.execute("PRAGMA query_only = 1")
    connection.execute("PRAGMA temp_store = memory")  # no directory data lies in a temporary file
    for function in (*TABLE_FUNCTIONS, WORDS):  # a virtual table is set up at its first use, by CREATE TABLE
        connection.execute(f"SELECT * FROM {function} LIMIT 0").fetchall()  # noqa: S608 - our own names
    for category, most in LIMITS.items():
        connection.setlimit(category, most)
