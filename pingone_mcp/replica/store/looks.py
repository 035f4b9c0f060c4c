"""Looks at the local copy that a sync takes while it reads; the staging database is attached as `staged`."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from pingone_mcp.directory.models import MembershipType
from pingone_mcp.directory.nesting import Nested, Nesting
from pingone_mcp.directory.text.harmless import candidate
from pingone_mcp.replica.evidence import Called, KnownShortfall, Shortfall
from pingone_mcp.replica.source import Pair
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.noted import groups_noted
from pingone_mcp.replica.store.rereads import rereads_of
from pingone_mcp.replica.store.schema import GroupRow


def not_staged(connection: sqlite3.Connection, environment: str) -> list[str]:
    return [
        row[0]
        for row in connection.execute(
            """SELECT id FROM main.users_ WHERE environment_id = ? AND removed_at IS NULL
            AND id NOT IN (SELECT id FROM staged.users_)""",
            (environment,),
        )
    ]


class StagedUser(NamedTuple):
    """A user who was read: new in the copy (`is_new`) or not, when created, and the population now and before."""

    id: str
    created: str | None
    population: str | None
    population_before: str | None
    is_new: bool


def changed(connection: sqlite3.Connection, environment: str, since: str) -> list[StagedUser]:
    """Return the staged users who are others than in the copy, or were changed since a time."""
    rows = connection.execute(
        f"""SELECT s.id, s.created_at, s.population_id, CASE WHEN u.removed_at IS NULL THEN u.population_id END,
        u.id IS NULL OR u.removed_at IS NOT NULL FROM staged.users_ s LEFT JOIN main.users_ u ON u.id = s.id
        WHERE s.environment_id = ? AND ({schema.ALTERED} OR s.updated_at >= ?)""",  # noqa: S608 - our names
        (environment, since),
    )
    return [StagedUser(user, created, now, before, bool(new)) for user, created, now, before, new in rows]


def existing(connection: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    _list(connection, ids)
    query = "SELECT id FROM main.users_ WHERE id IN (SELECT id FROM temp.listed) AND removed_at IS NULL"
    return {row[0] for row in connection.execute(query)}


def populations_of(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, str | None]:
    """Return in which population each of these users is, as far as the copy knows."""
    _list(connection, ids)
    return dict(
        connection.execute("SELECT id, population_id FROM main.users_ WHERE id IN (SELECT id FROM temp.listed)")
    )


def known_by_population(connection: sqlite3.Connection, environment: str) -> dict[str | None, int]:
    query = "SELECT population_id, count(*) FROM main.users_ WHERE environment_id = ? AND removed_at IS NULL GROUP BY 1"
    return dict(connection.execute(query, (environment,)))


def held_by_population(connection: sqlite3.Connection, environment: str, gone: Iterable[str]) -> dict[str | None, int]:
    """Return how many users the copy will hold in each population once what was read is taken over."""
    _list(connection, gone)
    counts = Counter(known_by_population(connection, environment))
    counts.update(_counted(connection, "SELECT population_id FROM staged.users_ WHERE environment_id = ?", environment))
    replaced = """SELECT population_id FROM main.users_ WHERE +environment_id = ? AND +removed_at IS NULL
        AND id IN (SELECT id FROM staged.users_ UNION SELECT id FROM temp.listed)"""
    counts.subtract(_counted(connection, replaced, environment))
    return dict(+counts)


def _counted(connection: sqlite3.Connection, populations: str, environment: str) -> dict[str | None, int]:
    # Counted here: SQLite would sort all users first, in eight MiB of memory.
    return Counter(population for (population,) in connection.execute(populations, (environment,)))


def others_in(
    connection: sqlite3.Connection, environment: str, population: str | None, ids: Iterable[str], most: int
) -> list[str]:
    """Return some users whom this sync read in a population, or the copy has there, these aside."""
    _list(connection, ids)
    query = """SELECT id FROM (
        SELECT id FROM staged.users_ WHERE environment_id = ?1 AND population_id IS ?2
        UNION ALL SELECT id FROM main.users_ WHERE environment_id = ?1 AND population_id IS ?2 AND removed_at IS NULL
        AND id NOT IN (SELECT id FROM staged.users_)) WHERE id NOT IN (SELECT id FROM temp.listed) LIMIT ?3"""
    return [row[0] for row in connection.execute(query, (environment, population, most))]


def removed_without_event(connection: sqlite3.Connection, environment: str, since: str, most: int) -> list[str]:
    """Return who was called removed since a time without an event that said so, newest first."""
    query = """SELECT id FROM main.users_ WHERE environment_id = ? AND status = 'deleted'
        AND removed_evidence IN ('read', 'accepted') AND removed_at >= ? ORDER BY removed_at DESC LIMIT ?"""
    return [row[0] for row in connection.execute(query, (environment, since, most))]


def held_memberships(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[Pair, str]:
    """Return the memberships of these users, with their types."""
    _list(connection, ids)
    query = "SELECT user_id, group_id, type FROM memberships_ WHERE user_id IN (SELECT id FROM temp.listed)"
    return {Pair(user, group): kind for user, group, kind in connection.execute(query)}


def lost_memberships(
    connection: sqlite3.Connection, groups: Iterable[str], opaque: Collection[str]
) -> dict[Pair, MembershipType]:
    """Return the memberships of groups that the copy has and that were not read again: of `opaque` ones all kinds."""
    _list(connection, groups)
    rows = connection.execute(
        """SELECT m.user_id, m.group_id, m.type FROM main.memberships_ m
        WHERE m.group_id IN (SELECT id FROM temp.listed)
        AND NOT EXISTS (SELECT 1 FROM staged.members s WHERE s.group_id = m.group_id AND s.user_id = m.user_id)"""
    )
    return {Pair(user, group): kind for user, group, kind in rows if kind == "direct" or group in opaque}


def groups_known(connection: sqlite3.Connection, environment: str) -> dict[str, GroupRow]:
    columns = ", ".join(schema.GROUP_COLUMNS)
    query = f"SELECT {columns} FROM groups_ WHERE environment_id = ?"  # noqa: S608 - our names
    rows = (GroupRow(*row) for row in connection.execute(query, (environment,)))
    return {row.id: row for row in rows}


def shortfalls_known(connection: sqlite3.Connection, environment: str) -> dict[str, KnownShortfall]:
    """Return the groups whose members are not all in the copy, each with how many direct ones are."""
    rows = connection.execute(
        """SELECT s.group_id, s.counted, s.found, s.total, s.why, s.tries, s.in_copy FROM short_groups_ s JOIN groups_ g ON g.id = s.group_id
        WHERE g.environment_id = ?""",
        (environment,),
    )
    return {
        group: KnownShortfall(Shortfall(counted=counted, found=found, total=total, why=why, tries=tries), held)
        for group, counted, found, total, why, tries, held in rows
    }


def nestings_known(connection: sqlite3.Connection, environment: str) -> Nested:
    query = (
        """SELECT group_id, parent_id FROM nestings_ JOIN groups_ ON groups_.id = group_id WHERE environment_id = ?"""
    )
    pairs = {Nesting(*row) for row in connection.execute(query, (environment,))}
    return Nested(
        pairs,
        groups_noted(connection, "partly nested", environment),
        groups_noted(connection, "read through", environment),
    )


def users_read_again(connection: sqlite3.Connection, environment: str) -> set[str]:
    """Return the users who were read again beside the sync that is under way."""
    return rereads_of(connection, environment).users


def count_members(connection: sqlite3.Connection, group: str) -> int:
    (count,) = connection.execute("SELECT count(*) FROM memberships_ WHERE group_id = ?", (group,)).fetchone()
    return int(count)


def direct_counts(connection: sqlite3.Connection, gone: Iterable[str]) -> dict[str, int]:
    """Return how many direct members each group has in the copy, once what was verified is taken over."""
    _list(connection, gone)
    counts: dict[str, int] = dict(
        connection.execute("SELECT group_id, count(*) FROM memberships_ WHERE type = 'direct' GROUP BY group_id")
    )
    less = connection.execute(
        """SELECT group_id, count(*) FROM memberships_ m WHERE type = 'direct'
        AND (user_id IN (SELECT id FROM temp.listed) OR (group_id, user_id) IN (SELECT group_id, user_id FROM staged.verified))
        GROUP BY group_id"""
    )
    more = connection.execute("SELECT group_id, count(*) FROM staged.verified WHERE type = 'direct' GROUP BY group_id")
    total = defaultdict[str, int](int, counts)
    for group, count in less.fetchall():
        total[group] -= count
    for group, count in more.fetchall():
        total[group] += count
    return dict(total)


def _list(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    connection.execute("CREATE TEMP TABLE listed (id TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT OR IGNORE INTO temp.listed VALUES (?)", [(identity,) for identity in ids])


def called_in(connection: sqlite3.Connection, ids: Iterable[str]) -> Called:
    """Return what gives the names that these things have in the copy, as data in quotes."""
    wanted = json.dumps(sorted(ids))
    rows = connection.execute(
        """SELECT id, name FROM environments_ UNION ALL SELECT id, name FROM populations_
        UNION ALL SELECT id, name FROM groups_ UNION ALL SELECT id, coalesce(username, email) FROM users_
        WHERE id IN (SELECT value FROM json_each(?))""",
        (wanted,),
    )
    names: dict[str, str | None] = dict(rows.fetchall())
    return lambda identity: candidate(identity, names.get(identity))
