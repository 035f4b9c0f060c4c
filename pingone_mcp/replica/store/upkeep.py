"""What the end of a sync does for the copy as a whole: the order of changes, statistics, numbers of rows."""

from __future__ import annotations

import sqlite3

from pingone_mcp.replica.store.schema import REMOVED, REMOVED_AT_IN


def number_by_time(connection: sqlite3.Connection, newest: int) -> None:
    """Give the changes of this sync, those behind `newest`, numbers in the order in which they happened."""
    connection.execute("UPDATE changes_ SET id = -id WHERE id > ?", (newest,))
    connection.execute(
        "UPDATE changes_ SET id = ? + placed.place FROM ("
        "SELECT id AS old, row_number() OVER (ORDER BY at, -id) AS place FROM changes_ WHERE id < 0"
        ") AS placed WHERE changes_.id = placed.old",
        (newest,),
    )


def analyze(connection: sqlite3.Connection) -> None:
    """Count what there is of what: SQLite chooses the index of a question by that.

    It goes by how many values there are of a column, and `removed_at IS NULL` chooses nearly everybody: that is put
    right. The statistics are, by index, how many rows there are and how many agree in the first column, in the first
    two, … (SQLite, "The sqlite_stat1 table").
    """
    connection.execute("ANALYZE main")
    for index, place in REMOVED_AT_IN.items():
        row = connection.execute("SELECT stat FROM main.sqlite_stat1 WHERE idx = ?", (index,)).fetchone()
        numbers = row[0].split() if row is not None else []
        if len(numbers) > place:
            numbers[place] = numbers[place - 1]
            connection.execute("UPDATE main.sqlite_stat1 SET stat = ? WHERE idx = ?", (" ".join(numbers), index))


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many rows there are, by table."""
    tables = {
        "users": "users_ WHERE removed_at IS NULL",
        "removed_users": f"users_ u WHERE u.status_reasons <> '' AND {REMOVED}",  # an index has only those
        **{name: f"{name}_" for name in ("groups", "memberships", "populations", "environments", "role_assignments")},
    }
    return {
        name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our names
        for name, table in tables.items()
    }
