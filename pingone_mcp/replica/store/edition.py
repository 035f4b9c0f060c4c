"""Which state of the local copy this is: another one whenever a sync has ended, or something was read again."""

from __future__ import annotations

import sqlite3


def edition_of(connection: sqlite3.Connection) -> str:
    """Return what two transactions have in common if, and only if, they see the same state; empty before a first sync.

    Every sync, and every reread, writes its line in the transaction in which it writes anything else. The time tells
    apart the first sync of a copy and the first one of another that was made in its place.
    """
    row = connection.execute(
        """SELECT id, started_at, (SELECT max(id) FROM last_reread_) FROM sync_runs_ ORDER BY id DESC LIMIT 1"""
    ).fetchone()
    return "" if row is None else " ".join(str(one) for one in row if one is not None)
