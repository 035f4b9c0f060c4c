"""One user out of the local copy: whole, or what is known of one who is gone."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from pingone_mcp.directory.matching.references import CalledUser, Home, as_id, the_one_user
from pingone_mcp.directory.models import Manager, User
from pingone_mcp.directory.provider import Include
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.replica.asking.conditions import (
    Condition,
    NotHeld,
    both,
    either,
    equals,
)
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS, completed
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import USER_WITH_REMOTE_DATA

_BOTH: tuple[Include, ...] = ("groups", "roles")
_SAME_NAME = 10


class _Copied(NamedTuple):
    """What the copy keeps of a user, and the id of the manager where a sync found who is meant."""

    row: UserRow
    manager_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A user who is not in the copy any more: `removed`, or moved to where the connection does not look, and when."""

    id: str
    at: str
    removed: bool


def one_user(copy: Snapshot, reference: str, environment: str | None, *, remote_data: bool) -> User:
    """Return one user with groups, roles and manager. Raises Refused, NotFound, and NotHeld."""
    reference = reference.strip()
    environments = copy.places.environments(environment)
    found = [one for place in environments for one in _users_called(copy, place, reference)]
    kept = the_one_user(found, reference, limited=bool(copy.places.scope.populations)).value
    row = kept.row if remote_data else kept.row._replace(remote_data=None)
    if remote_data and row.remote_data is None:
        raise NotHeld
    user = user_of(
        row,
        environments=copy.places.environment_names,
        populations=copy.places.population_names,
        manager=manager_of(copy, kept.row, kept.manager_id),
    )
    return completed(copy, [user], _BOTH)[0]


def gone_user(copy: Snapshot, reference: str) -> Gone | None:
    """Return who had this id, username or address and is not in the copy any more; None where nobody had it."""
    wanted = reference.strip()
    called = either(
        (equals("u.id", as_id(wanted) or wanted), *(equals(column, wanted) for column in ("u.username", "u.email")))
    )
    row = copy.database.execute(
        f"SELECT u.id, u.removed_at, u.status FROM users_ u WHERE u.removed_at IS NOT NULL AND {called.sql} "  # noqa: S608 - our own text
        "ORDER BY u.removed_at DESC LIMIT 1",
        called.values,
    ).fetchone()
    if row is None:
        return None
    identity, at, status = row
    return Gone(id=identity, at=at, removed=status == "deleted")


def has_user(copy: Snapshot, reference: str) -> bool:
    """Say whether somebody who is served has this id, username, address or external id in the copy."""
    served = copy.places.environments(None)
    return any(_users_called(copy, environment, reference.strip()) for environment in served)


def _users_called(copy: Snapshot, environment: str, reference: str) -> list[CalledUser[_Copied]]:
    """Return who has this id, else who is called so."""
    inside = both(copy.places.inside(Home(environment, None)), EXISTS)
    if identity := as_id(reference):
        found = _users(copy.database, both(inside, Condition("u.id = ?", (identity,))))
        if found:
            return found
    called = either(equals(column, reference) for column in ("u.username", "u.email", "u.external_id"))
    return _users(copy.database, both(inside, called))


def _users(database: sqlite3.Connection, which: Condition) -> list[CalledUser[_Copied]]:
    rows = database.execute(
        f"SELECT u.manager_id, {USER_WITH_REMOTE_DATA} FROM users_ u "  # noqa: S608 - our own text
        f"WHERE {which.sql} ORDER BY u.created_at, u.id LIMIT {_SAME_NAME}",
        which.values,
    )
    found = (_Copied(UserRow._make(row), manager) for manager, *row in rows)
    return [CalledUser(one.row.environment_id, one.row.id, one.row.username, one.row.name, one) for one in found]


def manager_of(copy: Snapshot, row: UserRow, identity: str | None) -> Manager | None:
    """Return the manager with id and names where the sync found who is meant, and that user may be shown."""
    reference = row.manager
    if reference is None or identity is None:
        return None
    which = both(copy.places.served([row.environment_id]), EXISTS, Condition("u.id = ?", (identity,)))
    called = copy.database.execute(
        f"SELECT u.id, u.username, u.email, u.name FROM users_ u WHERE {which.sql}",  # noqa: S608 - our own text
        which.values,
    ).fetchone()
    if called is None:
        return None
    found, username, email, name = called
    return Manager(reference=reference, id=found, username=username, email=email, name=name)
