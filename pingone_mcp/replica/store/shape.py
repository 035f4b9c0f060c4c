"""Whether the schema of a local copy is what this version makes: SQLite does not mind another one."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing

from pingone_mcp.replica.store import schema

_SEARCHED = "people"
Schema = dict[tuple[str, str], tuple[str, str]]
"""By kind and name: the table that it belongs to, and the statement that makes it."""
_WORDS_KEPT = f"SELECT k, v FROM {_SEARCHED}_config"  # noqa: S608 - our own name
"""How full-text search keeps its words; another way than its own it does not read (SQLite, "FTS5", appendix)."""


def make(database: sqlite3.Connection) -> None:
    """Make the tables and views of an empty database, inside the transaction that is open."""
    run(database, schema.TABLES)
    run(database, schema.VIEW_STATEMENTS)


def run(database: sqlite3.Connection, script: str) -> None:
    """Run statements inside the transaction that is open (`executescript` would end it)."""
    for statement in script.split(";"):
        database.execute(statement)


def difference(database: sqlite3.Connection) -> str | None:
    """Name the first thing that is missing, is not as it should be, or should not be there; None if all is well."""
    (wanted, words), there = _wanted(), schema_of(database)
    if there == wanted:
        return None if database.execute(_WORDS_KEPT).fetchall() == words else f"the table {_SEARCHED} is kept otherwise"
    (kind, name) = min(key for key in wanted.keys() | there.keys() if wanted.get(key) != there.get(key))
    what = "is missing" if (kind, name) not in there else "is not as it should be"
    return f"the {kind} {name} {what}" if (kind, name) in wanted else f"there is a {kind} that no sync has made"


@functools.cache
def _wanted() -> tuple[Schema, list[tuple[str, int]]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        make(empty)
        return schema_of(empty), empty.execute(_WORDS_KEPT).fetchall()


def schema_of(database: sqlite3.Connection) -> Schema:
    """Return what is in the schema, SQLite's own things aside; how words are kept is up to its version."""
    rows = database.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    )
    return {
        (kind, name): (table, "" if name.startswith(f"{_SEARCHED}_") else " ".join(sql.split()))
        for kind, name, table, sql in rows
    }
