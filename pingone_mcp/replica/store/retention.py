"""How long the local copy remembers what was: changes for a time, and so many of the syncs."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

KEPT_CHANGES = timedelta(days=400)
"""Changes that were seen longer ago are forgotten; a year of them can be asked for at any time."""
KEPT_RUNS = 1_000
"""So many of the last syncs are kept, and of either mode the last that was complete."""


def forget_changes(connection: sqlite3.Connection, before: str) -> bool:
    """Forget the changes that were seen before a time, and say whether there were any.

    Changes are seen in the order of their ids: those that stay have all the ids from the first one on.
    """
    return (
        connection.execute(
            """DELETE FROM changes_ WHERE id < coalesce(
                (SELECT id FROM changes_ WHERE seen_at >= ? ORDER BY id LIMIT 1), (SELECT max(id) + 1 FROM changes_))""",
            (before,),
        ).rowcount
        > 0
    )


def forget_runs(connection: sqlite3.Connection) -> None:
    """Forget the syncs before the last ones."""
    connection.execute(
        """DELETE FROM sync_runs_ WHERE id <= (SELECT max(id) FROM sync_runs_) - ?
        AND id NOT IN (SELECT max(id) FROM sync_runs_ WHERE outcome = 'complete' GROUP BY mode)""",
        (KEPT_RUNS,),
    )


def change_ids(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the first and the last id of the changes that are kept.

    Where none is kept, the first is that of the change that comes next, and the last is the one before it.
    """
    oldest, newest = connection.execute(
        "SELECT (SELECT min(id) FROM changes_), (SELECT seq FROM sqlite_sequence WHERE name = 'changes_')"
    ).fetchone()
    return (oldest if oldest is not None else (newest or 0) + 1), newest or 0
