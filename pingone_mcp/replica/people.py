"""Everybody in the local copy, one after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from pingone_mcp.directory.models import User
from pingone_mcp.replica.rows import user_of
from pingone_mcp.replica.schema import REMOVED


def names_of(connection: sqlite3.Connection, table: str) -> dict[str, str | None]:
    """Return names by id of `environments_` or `populations_`."""
    return dict(connection.execute(f"SELECT id, name FROM {table}"))  # noqa: S608 - one of two words of our own


def users_of(connection: sqlite3.Connection, *, removed: bool = False) -> Iterator[User]:
    """Give every user that exists, and with `removed` those that are gone as well, with the status deleted."""
    environments, populations = names_of(connection, "environments_"), names_of(connection, "populations_")
    which = f"WHERE removed_at IS NULL OR ({REMOVED})" if removed else "WHERE removed_at IS NULL"
    for record, gone in connection.execute(f"SELECT record, removed_at FROM users_ u {which}"):  # noqa: S608 - as above
        yield user_of(record, environments=environments, populations=populations, removed=gone is not None)
