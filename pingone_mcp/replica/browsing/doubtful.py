"""Who waits for a person's word: everybody who could not be found and is in the copy all the same, by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.merging.memberships import LOSING
from pingone_mcp.replica.store.noted import recalled


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingOne:
    """A user or a group; `name` is what people call it, `place` the population or the environment that it is of."""

    kind: Literal["user", "group"]
    id: str
    name: str | None
    username: str | None
    place: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LosingUsers:
    """How many users of an environment would lose a membership; `examples` are some of their user names."""

    place: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulOnes:
    """All of whom a person may say that they are gone, in one `edition` of them.

    `users` and `groups` count all, `named` are the first of them in the order of their names. `held_at` is when the
    last sync began that was held for them (None: none was, for they are few).
    """

    edition: str
    held_at: datetime | None
    users: int
    groups: int
    named: tuple[MissingOne, ...]
    losing: tuple[LosingUsers, ...]

    @property
    def are_there(self) -> bool:
        return bool(self.users or self.groups or self.losing)


def doubtful_ones(copy: Snapshot, most: int) -> DoubtfulOnes:
    """Return them all, so many of them named."""
    memory = recalled(copy.database)
    wanted = json.dumps(sorted(memory.doubtful))
    names = copy.places.environment_names | copy.places.population_names
    counts: dict[str, int] = dict(copy.database.execute(_COUNTED, (wanted, wanted)).fetchall())
    rows = copy.database.execute(_NAMED, (wanted, wanted, most)).fetchall()
    held = memory.held
    return DoubtfulOnes(
        edition=memory.edition_of_doubt,
        held_at=None if held is None else datetime.fromisoformat(held.at),
        users=counts["user"],
        groups=counts["group"],
        named=tuple(
            MissingOne(kind=kind, id=identity, name=name or None, username=username, place=names.get(place))
            for kind, identity, name, username, place in rows
        ),
        losing=tuple(
            LosingUsers(place=names.get(place) or place, count=count, examples=_examples(copy, place))
            for place, count in sorted(memory.losing.items())
        ),
    )


# Who was removed meanwhile, by an event, is in the copy too, but as gone: nothing waits for a word about them.
_USERS = "FROM users_ u WHERE u.id IN (SELECT value FROM json_each(?)) AND u.removed_at IS NULL"
_GROUPS = "FROM groups_ g WHERE g.id IN (SELECT value FROM json_each(?))"
_COUNTED = f"SELECT 'user', count(*) {_USERS} UNION ALL SELECT 'group', count(*) {_GROUPS}"
_NAMED = f"""SELECT 'user', u.id, trim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')) AS called,
u.username AS username, coalesce(u.population_id, u.environment_id) {_USERS}
UNION ALL SELECT 'group', g.id, g.name, NULL, g.environment_id {_GROUPS} ORDER BY 1 DESC, called, username, 2 LIMIT ?"""


def _examples(copy: Snapshot, environment: str) -> tuple[str, ...]:
    """Return the user names of some who would lose a membership."""
    held = recalled(copy.database).held
    found = () if held is None else held.vanished
    ids = [one for mass in found if mass.environment == environment and mass.what == LOSING for one in mass.examples]
    rows = copy.database.execute(
        "SELECT coalesce(username, email, id) FROM users_ WHERE id IN (SELECT value FROM json_each(?)) ORDER BY 1",
        (json.dumps(sorted(set(ids))),),
    )
    return tuple(name for (name,) in rows)
