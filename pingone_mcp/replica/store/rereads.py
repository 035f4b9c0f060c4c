"""What was read again beside syncs, as it is noted in the local copy: a sync that takes over later leaves it alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pingone_mcp.replica.source import Pair
from pingone_mcp.replica.store.noted import RunCounts, counts_of
from pingone_mcp.replica.store.store import Damaged
from pingone_mcp.replica.watermark import Moment, moment

What = Literal["user", "roles", "membership", "group", "members"]
"""A user, the roles of one, whether one is in a group; a group with how it is nested, everybody who is in one."""


class Reread(NamedTuple):
    """One thing that was read again, by the ids that it takes."""

    what: What
    user: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rereads:
    """All that was read again of an environment, gone or not. `since` is when the first of it began to be read."""

    since: Moment | None = None
    users: set[str] = field(default_factory=set[str])
    roles: set[str] = field(default_factory=set[str])
    memberships: set[Pair] = field(default_factory=set[Pair])
    groups: set[str] = field(default_factory=set[str])
    members: set[str] = field(default_factory=set[str])


def note_reread(
    connection: sqlite3.Connection, environment: str, things: Iterable[Reread], *, at: str, rows: Mapping[str, int]
) -> None:
    """Note what was read again of an environment, `at` the provider's time before; `rows` there are since, by table."""
    connection.executemany(
        "INSERT OR REPLACE INTO reread_ VALUES (?, ?, ?, ?, ?)", ((environment, *thing, at) for thing in things)
    )
    connection.execute("DELETE FROM last_reread_")
    connection.execute("INSERT INTO last_reread_ (counts) VALUES (?)", (json.dumps({"rows": rows}),))


def rereads_of(connection: sqlite3.Connection, environment: str) -> Rereads:
    """Return what was read again since the sync of an environment that ended last, or is under way, began.

    Raises Damaged.
    """
    query = "SELECT what, user_id, group_id FROM reread_ WHERE environment_id = ?"
    things = [Reread(*row) for row in connection.execute(query, (environment,))]
    (since,) = connection.execute("SELECT min(at) FROM reread_ WHERE environment_id = ?", (environment,)).fetchone()
    return Rereads(
        since=None if since is None else _moment(since),
        users={one.user for one in things if one.what == "user"},
        roles={one.user for one in things if one.what == "roles"},
        memberships={Pair(one.user, one.group) for one in things if one.what == "membership"},
        groups={one.group for one in things if one.what == "group"},
        members={one.group for one in things if one.what == "members"},
    )


def _moment(at: object) -> Moment:
    try:
        return moment(str(at))
    except ValueError:
        raise Damaged("when users were read again cannot be read") from None


def forget_rereads(connection: sqlite3.Connection, environment: str) -> None:
    """Forget what was read again before a sync of the environment that begins now, and will read it after that."""
    connection.execute("DELETE FROM reread_ WHERE environment_id = ?", (environment,))


def counts_since_reread(connection: sqlite3.Connection) -> RunCounts | None:
    """Return what the last reread has counted; None where a sync has counted since. Raises Damaged."""
    row = connection.execute("SELECT counts FROM last_reread_ ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else counts_of(row[0])


def forget_counts(connection: sqlite3.Connection) -> None:
    """Forget what the last reread has counted, because a sync has."""
    connection.execute("DELETE FROM last_reread_")
