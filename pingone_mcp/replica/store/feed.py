"""The feed of changes as others follow it: which copy its numbers are of, and where it begins.

Numbers grow from 1 in each file. A copy that was made anew, in the place of a damaged one, counts anew: its feed has
another name.
"""

from __future__ import annotations

import secrets
import sqlite3

_NAME, _BEGINS = "feed", "feed begins"


def note_feed(connection: sqlite3.Connection, begins: int) -> None:
    """Name the feed of a copy, where it has no name yet; nobody follows it to the changes up to `begins`."""
    connection.execute("INSERT OR IGNORE INTO facts_ VALUES (?, ?)", (_BEGINS, str(begins)))
    connection.execute("INSERT OR IGNORE INTO facts_ VALUES (?, ?)", (_NAME, secrets.token_hex(8)))


def feed_of(connection: sqlite3.Connection) -> tuple[str, int] | None:
    """Return the name of a copy's feed, and the number of the last change before it; None before it was named."""
    noted = dict(connection.execute("SELECT name, value FROM facts_ WHERE name IN (?, ?)", (_NAME, _BEGINS)).fetchall())
    if len(noted) < 2 or not str(noted[_BEGINS]).isdigit():
        return None
    return str(noted[_NAME]), int(noted[_BEGINS])
