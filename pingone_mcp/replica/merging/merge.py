"""The order in which one environment is taken over, with its places, groups and roles.

The connection has the staging database attached as `staged`. What is compared is compared by SQLite, so that memory
stays small; a user who changed passes through `changes_between`, once.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from pingone_mcp.directory.models import Organization, RoleAssignment, Workspace
from pingone_mcp.replica.findings import Findings
from pingone_mcp.replica.merging.left_alone import leave_alone
from pingone_mcp.replica.merging.managers import find_managers, note_names
from pingone_mcp.replica.merging.memberships import Bounds, merge_memberships
from pingone_mcp.replica.merging.takeover import Takeover
from pingone_mcp.replica.merging.users import merge_users, note_past, remove_users
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.noted import groups_noted, note_groups
from pingone_mcp.replica.store.rows import Row, storable

_GROUPS = ", ".join(schema.GROUP_COLUMNS)
_PUT_GROUP = f"INSERT OR REPLACE INTO groups_ ({_GROUPS}) VALUES ({', '.join('?' * len(schema.GROUP_COLUMNS))})"  # noqa: S608 - our names


def merge(connection: sqlite3.Connection, findings: Findings, bounds: Bounds, now: str) -> Counter[str]:
    """Bring the local copy of one environment up to what was found; return the number of changes by kind.

    Raises Held, inside the transaction, where too many would lose memberships without evidence.
    """
    takeover = Takeover(database=connection, found=findings, now=now)
    leave_alone(takeover)
    takeover.list_ids("unseen", findings.unseen)
    if not findings.is_reread:
        _places(takeover)
    merge_users(takeover)
    remove_users(takeover)
    note_past(takeover)
    if not takeover.is_first:
        note_names(takeover)
        find_managers(takeover)
        if findings.mode == "full":  # whatever others have written into the file
            connection.execute(schema.MAKE_WORDS_ANEW)
    if findings.with_groups:
        merge_memberships(takeover, bounds)
        if findings.renewed or not findings.is_reread:
            _groups(takeover)
        _shortfalls(takeover)
    else:
        connection.execute(
            "DELETE FROM memberships_ WHERE user_id IN (SELECT id FROM users_ WHERE removed_at IS NOT NULL)"
        )
    _roles(takeover)
    return takeover.kinds


def _places(takeover: Takeover) -> None:
    database, found = takeover.database, takeover.found
    database.execute("INSERT OR REPLACE INTO environments_ VALUES (?, ?, ?, ?)", _environment_row(found.environment))
    if found.populations is None:
        return
    database.execute("DELETE FROM populations_ WHERE environment_id = ?", (found.id,))
    database.executemany(
        "INSERT OR REPLACE INTO populations_ VALUES (?, ?, ?, ?)",
        [_population_row(population, found.id) for population in found.populations],
    )


def _groups(takeover: Takeover) -> None:
    database, found = takeover.database, takeover.found
    database.execute("DELETE FROM groups_ WHERE environment_id = ?", (found.id,))
    database.executemany(_PUT_GROUP, map(storable, found.groups))
    # Of groups that are gone too, wherever they were: no environment shares its groups.
    database.execute("DELETE FROM nestings_ WHERE group_id NOT IN (SELECT id FROM groups_)")
    database.execute("DELETE FROM nestings_ WHERE group_id IN (SELECT id FROM temp.present)")
    database.executemany("INSERT OR REPLACE INTO nestings_ VALUES (?, ?)", sorted(found.nestings))
    note_groups(database, "partly nested", found.id, found.partly_nested)


def _shortfalls(takeover: Takeover) -> None:
    """Note whose members are not all in the copy; of what has come since, nothing stays noted."""
    found = takeover.found
    read = groups_noted(takeover.database, "read through", found.id) | (found.read_through - found.short_of_members)
    note_groups(takeover.database, "read through", found.id, found.veiled & read)
    takeover.database.execute(
        """DELETE FROM short_groups_ WHERE group_id NOT IN (SELECT id FROM groups_)
        OR group_id IN (SELECT id FROM temp.present)"""
    )
    takeover.database.executemany(
        """INSERT INTO short_groups_ SELECT ?1, ?2, ?3, ?4, ?5, ?6,
        (SELECT count(*) FROM memberships_ WHERE group_id = ?1 AND type = 'direct')""",
        [
            (group, short.counted, short.found, short.total, short.why, short.tries)
            for group, short in sorted(found.short.items())
        ],
    )


def _roles(takeover: Takeover) -> None:
    database, found = takeover.database, takeover.found
    if found.all_roles:
        database.execute(
            """DELETE FROM role_assignments_ WHERE user_id IN (SELECT id FROM users_ WHERE environment_id = ?)
            AND user_id NOT IN (SELECT id FROM temp.unseen UNION ALL SELECT id FROM temp.roles_alone)""",
            (found.id,),
        )
    for user, assignments in found.roles.items():
        database.execute("DELETE FROM role_assignments_ WHERE user_id = ?", (user,))
        database.executemany(
            "INSERT INTO role_assignments_ VALUES (?, ?, ?, ?, ?, ?)",
            [_role_row(user, assignment) for assignment in assignments],
        )


def _environment_row(place: Organization) -> Row:
    return storable((place.id, place.name, place.type, place.region))


def _population_row(population: Workspace, environment: str) -> Row:
    return storable((population.id, environment, population.name, population.is_default))


def _role_row(user: str, assignment: RoleAssignment) -> Row:
    scope = assignment.scope
    over = (scope.type, scope.id, scope.name) if scope is not None else (None, None, None)
    return storable((user, assignment.id, assignment.name, *over))
