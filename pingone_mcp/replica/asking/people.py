"""Users of the local copy one after the other: everybody, or those whom some identities may name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.directory.models import GroupMembership, User
from pingone_mcp.replica.asking.conditions import UNUSUAL, Condition, bindable, both
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS, listed, memberships_of
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import REMOVED, USER
from pingone_mcp.reports.matching import LONGEST_NUMBER, is_number

_BATCH = 500
# Who left the populations served is nobody here, and not gone either.
_EXISTED = Condition(f"(u.removed_at IS NULL OR ({REMOVED}))")
# Where the identities of a user are kept. Who has no address may have a username that is one.
_COLUMNS: dict[IdentityKind, tuple[str, ...]] = {
    "email": ("email", "username"),
    "username": ("username",),
    "external_id": ("external_id",),
}
_EVERY_COLUMN = ("email", "username", "external_id")
# What SQLite's comparison without case may take for another text than `identity_key` does: what is unusual, and in
# addresses any space, a dot at the end, and punycode.
_UNUSUAL = f"{{0}} IS NOT NULL AND ({UNUSUAL} OR ({{0}} GLOB '*@*' AND ({{0}} GLOB '* *' OR {{0}} GLOB '*.' OR {{0}} LIKE '%xn--%')))"


def everybody(copy: Snapshot, *, removed: bool = False) -> Iterator[User]:
    """Give every user that is served, and with `removed` those that are gone as well, with the status deleted."""
    yield from _users(copy, _EXISTED if removed else EXISTS)


def everybody_with_groups(copy: Snapshot) -> Iterator[tuple[User, list[GroupMembership]]]:
    """Give every user that is served, with all groups that it is in, a batch at a time."""
    found = copy.database.execute(*_query(copy, USER, EXISTS))
    while rows := found.fetchmany(_BATCH):
        users = [listed(copy, row) for row in rows]
        memberships = memberships_of(copy, [user.id for user in users])
        for user in users:
            yield user, memberships[user.id]


def named(copy: Snapshot, keys: Iterable[tuple[IdentityKind, str]]) -> list[User]:
    """Return all users that some identities (as `identity_key` makes them) may name, and a few others.

    Those that are gone are among them, and those whose id is one of the numbers with zeros in front.
    """
    wanted: dict[str, set[str]] = {column: set() for column in _EVERY_COLUMN}
    for kind, key in keys:
        for column in _COLUMNS[kind]:
            wanted[column].add(bindable(key))
            if kind != "email" and is_number(key) and not key.startswith("0"):
                wanted[column].update(key.zfill(digits) for digits in range(len(key) + 1, LONGEST_NUMBER + 1))
    found: set[int] = set()
    for column, texts in wanted.items():
        if texts:
            found.update(_called(copy, column, sorted(texts)))
            found.update(_unusual(copy, column))
    return list(_users(copy, both(_numbered(found), _EXISTED)))


def number_of_users(copy: Snapshot, *, removed: bool = False) -> int:
    """Return how many users `everybody` gives."""
    (count,) = copy.database.execute(*_query(copy, "count(*)", _EXISTED if removed else EXISTS)).fetchone()
    return int(count)


def others(copy: Snapshot, known: Sequence[User], *, keep: int) -> tuple[int, int, list[User]]:
    """Return how many users exist beside those `known`, how many of them are active, and the first of these by id."""
    beside = Condition("u.id NOT IN (SELECT value FROM json_each(?))", (json.dumps([user.id for user in known]),))
    there = both(EXISTS, beside)
    counted = "count(*), count(CASE WHEN u.status = 'active' THEN 1 END)"
    users, active = copy.database.execute(*_query(copy, counted, there)).fetchone()
    first = _users(copy, both(there, Condition("u.status = 'active'")), f"ORDER BY u.id LIMIT {keep:d}")
    return users, active, list(first)


def _called(copy: Snapshot, column: str, texts: Sequence[str]) -> Iterator[int]:
    """Give the numbers of users by the index of a column, in any case of ASCII."""
    rows = copy.database.execute(
        "SELECT u.number FROM json_each(?) AS wanted "  # noqa: S608 - a column of ours
        f"CROSS JOIN users_ u ON u.{column} = wanted.value COLLATE NOCASE",
        (json.dumps(texts),),
    )
    return (number for (number,) in rows)


def _unusual(copy: Snapshot, column: str) -> Iterator[int]:
    """Give the numbers of users whose text in a column may be the same as another one that looks different."""
    # The index is read from end to end, and no row: nothing but the text decides.
    rows = copy.database.execute(f"SELECT u.number FROM users_ u WHERE {_UNUSUAL.format(f'u.{column}')}")  # noqa: S608 - as above
    return (number for (number,) in rows)


def _numbered(numbers: Iterable[int]) -> Condition:
    return Condition("u.number IN (SELECT value FROM json_each(?))", (json.dumps(sorted(numbers)),))


def _users(copy: Snapshot, which: Condition, order: str = "") -> Iterator[User]:
    places = copy.places
    for gone, *row in copy.database.execute(*_query(copy, f"u.removed_at, {USER}", which, order)):
        yield user_of(
            row,
            environments=places.environment_names,
            populations=places.population_names,
            removed=gone is not None,
        )


def _query(copy: Snapshot, columns: str, which: Condition, order: str = "") -> tuple[str, tuple[Any, ...]]:
    where = both(copy.places.served(copy.places.environments(None)), which)
    return f"SELECT {columns} FROM users_ u WHERE {where.sql} {order}", where.values  # noqa: S608 - our own text
