"""Users of the local copy one after the other, as reviews look at them: everybody, or whom some identities may name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.directory.models import GroupMembership, JsonObject, Manager, Named, Reviewed, StatusReason
from pingone_mcp.directory.user_row import as_object, as_reasons
from pingone_mcp.replica.asking.conditions import UNUSUAL, Condition, bindable, both, member
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import REMOVED, USER
from pingone_mcp.replica.store.store import Damaged
from pingone_mcp.reports.matching import LONGEST_NUMBER, is_number
from pingone_mcp.reports.roles import HeldGroups

T = TypeVar("T")
V = TypeVar("V")

_COMBINATIONS = 10_000
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


class _CopiedUser(NamedTuple):
    """What reviews look at of a user, by the names of the columns; `place` is the name of the population.

    `more` is the number of who has to be read whole, because the columns do not say all that there is to look at.
    """

    id: str
    username: str | None
    external_id: str | None
    name: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    title: str | None
    department: str | None
    reference: str | None
    type: str | None
    status: str
    reasons: str
    locale: str | None
    timezone: str | None
    preferred_language: str | None
    population_id: str | None
    place: str | None
    attributes: str
    more: int | None

    @property
    def addresses(self) -> tuple[str, ...]:
        return () if self.email is None else (self.email,)

    @property
    def manager(self) -> Manager | None:
        return None if self.reference is None else Manager(reference=self.reference)

    @property
    def status_reasons(self) -> tuple[StatusReason, ...]:
        return _sound(as_reasons, self.reasons)

    @property
    def workspaces(self) -> tuple[Named, ...]:
        return () if self.population_id is None else (Named(id=self.population_id, name=self.place),)

    @property
    def custom_attributes(self) -> JsonObject:
        return _sound(as_object, self.attributes)


_READ: dict[str, str] = {
    "reference": "u.manager",
    "status": "CASE WHEN u.removed_at IS NULL THEN u.status ELSE 'deleted' END",
    "reasons": "u.status_reasons",
    "place": "(SELECT p.name FROM populations_ p WHERE p.id = u.population_id)",
    "attributes": "coalesce(u.all_attributes, u.custom_attributes)",
    # What `more` has in the place of these columns, see `user_row`.
    "more": """CASE WHEN instr(u.more, '"exact"') OR instr(u.more, '"emails"') OR instr(u.more, '"workspaces"')
        THEN u.number END""",
}
_SEEN = ", ".join(_READ.get(name, f"u.{name}") for name in _CopiedUser._fields)
# In the order of the index, so that who is in the same groups has them in the same order.
_GROUPS = "(SELECT json_group_object(m.group_id, m.type) FROM memberships_ m WHERE m.user_id = u.id)"


def _sound(make: Callable[[V], T], value: V) -> T:
    """Return what is made of a value. Raises Damaged for one that no sync has written."""
    try:
        return make(value)
    except (AttributeError, TypeError, ValueError) as error:
        raise Damaged("what is kept of a user cannot be read") from error


def everybody(copy: Snapshot, *, removed: bool = False) -> Iterator[Reviewed]:
    """Give every user that is served, and with `removed` those that are gone as well, with the status deleted."""
    return _users(copy, _EXISTED if removed else EXISTS)


def everybody_with_groups(copy: Snapshot) -> Iterator[tuple[Reviewed, HeldGroups]]:
    """Give every user that is served, with all groups that it is in: mostly the same object for the same groups."""
    names = dict(copy.database.execute("SELECT id, name FROM groups_ ORDER BY created_at, id"))
    places = {group: place for place, group in enumerate(names)}

    @lru_cache(maxsize=_COMBINATIONS)
    def groups(held: str) -> HeldGroups:
        kinds: dict[str, str | None] = json.loads(held)
        there = sorted((group for group in kinds if group in names), key=places.__getitem__)
        return HeldGroups(tuple(GroupMembership(id=group, name=names[group], type=kinds[group]) for group in there))

    for held, *row in copy.database.execute(*_query(copy, f"{_GROUPS}, {_SEEN}", EXISTS)):
        yield _reviewed(copy, _CopiedUser._make(row)), groups(held)


def named(copy: Snapshot, keys: Iterable[tuple[IdentityKind, str]]) -> list[Reviewed]:
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


def members_of(copy: Snapshot, group: str) -> frozenset[str]:
    """Return the ids of all who are in a group, in any way."""
    return frozenset(
        user for (user,) in copy.database.execute("SELECT user_id FROM memberships_ WHERE group_id = ?", (group,))
    )


def others(
    copy: Snapshot, known: Sequence[Reviewed], *, keep: int, group: str | None = None
) -> tuple[int, int, list[Reviewed]]:
    """Return how many users exist beside those `known`, how many of them are active, and the first of these by id.

    Of the active ones those in a `group` alone are meant, where it is given.
    """
    beside = Condition("u.id NOT IN (SELECT value FROM json_each(?))", (json.dumps([user.id for user in known]),))
    there = both(EXISTS, beside)
    active = Condition("u.status = 'active'")
    expected = active if group is None else both(active, member(group))
    (users,) = copy.database.execute(*_query(copy, "count(*)", there)).fetchone()
    (number,) = copy.database.execute(*_query(copy, "count(*)", both(there, expected))).fetchone()
    first = _users(copy, both(there, expected), f"ORDER BY u.id LIMIT {keep:d}")
    return users, number, list(first)


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


def _users(copy: Snapshot, which: Condition, order: str = "") -> Iterator[Reviewed]:
    for row in copy.database.execute(*_query(copy, _SEEN, which, order)):
        yield _reviewed(copy, _CopiedUser._make(row))


def _reviewed(copy: Snapshot, user: _CopiedUser) -> Reviewed:
    """Return a user as the columns have it, or whole where they do not say all."""
    if user.more is None:
        return user
    query = f"SELECT u.removed_at, {USER} FROM users_ u WHERE u.number = ?"  # noqa: S608 - our own text
    gone, *row = copy.database.execute(query, (user.more,)).fetchone()
    return user_of(row, populations=copy.places.population_names, removed=gone is not None)


def _query(copy: Snapshot, columns: str, which: Condition, order: str = "") -> tuple[str, tuple[Any, ...]]:
    where = both(copy.places.served(copy.places.environments(None)), which)
    return f"SELECT {columns} FROM users_ u WHERE {where.sql} {order}", where.values  # noqa: S608 - our own text
