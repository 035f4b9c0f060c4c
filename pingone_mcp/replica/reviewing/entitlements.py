"""What each person of an access review has: groups with the ways into them, roles with their scopes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pingone_mcp.directory.models import GroupMembership, JsonObject, Named
from pingone_mcp.directory.nesting import chains_below, children_of
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.replica.asking.accesses import Accesses, CopiedPerson, row_of_person
from pingone_mcp.replica.asking.conditions import Condition, both, one_of
from pingone_mcp.replica.asking.users import memberships_of, roles_of
from pingone_mcp.reports.audit.cover import HeldBy
from pingone_mcp.reports.audit.entitlements import Entitlement, PersonReviewed, entitlement_rows

_LARGEST = 10
_HAS_ACCESS = Condition(
    "(EXISTS (SELECT 1 FROM memberships_ a JOIN groups_ b ON b.id = a.group_id WHERE a.user_id = u.id) "
    "OR u.id IN (SELECT user_id FROM role_assignments_))"
)


class _Manager(NamedTuple):
    name: str | None
    username: str | None
    email: str | None


class ReviewTotals(NamedTuple):
    """The totals of a review, and the entitlements that most people have."""

    totals: Mapping[str, int]
    largest: tuple[HeldBy, ...]


class EntitlementsPage(NamedTuple):
    """Some rows of a review, and where the next ones begin (None: there are none)."""

    rows: Sequence[JsonObject]
    next: Position | None


class Entitlements:
    """What the people of one question have, in the state of the copy that `accesses` reads."""

    def __init__(self, accesses: Accesses) -> None:
        self._accesses = accesses
        self._database: sqlite3.Connection = accesses.copy.database
        self._places = accesses.copy.places
        self._group_names: Mapping[str, str | None] = dict(self._database.execute("SELECT id, name FROM groups_"))
        filtered = self._database.execute("SELECT id FROM groups_ WHERE user_filter IS NOT NULL")
        self._filtered = {group for (group,) in filtered}
        self._children = children_of(self._database.execute("SELECT group_id, parent_id FROM nestings_"))
        self._chains: dict[str, Mapping[str, tuple[str, ...]]] = {}

    def rows(self) -> Iterator[JsonObject]:
        """Give the rows of everybody, by username, then by what they have; nothing of them is kept."""
        for people in self._accesses.batches():
            yield from self._rows_of(people)

    def page(self, at: Position | None, *, most: int, characters: int) -> EntitlementsPage:
        """Return some of the rows, in the order of `rows`, from a position on (None: the first), and the next one.

        There are at most so many, and fewer where they would be longer than so many characters; one at least.
        """
        after, passed = _place(at)
        people = self._accesses.some(most + 1, after)
        found: list[JsonObject] = []
        for person in people:
            rows = self._rows_of([person])
            own = passed if after is not None and person.id == after[1] else 0
            for number, row in enumerate(rows):
                if number < own:
                    continue
                characters -= sum(len(str(value)) for value in row.values())
                if len(found) == most or (found and characters < 0):
                    return EntitlementsPage(found, _position(person, number))
                found.append(row)
        return EntitlementsPage(found, None)

    def counted(self) -> ReviewTotals:
        """Return the totals, and what most people have."""
        accesses = self._accesses
        here = accesses.served
        directory = self._count(here)
        asked = self._count(both(here, accesses.within))
        in_file, having = self._count(accesses.people), self._count(both(accesses.people, _HAS_ACCESS))
        groups, roles = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]]()
        ways = Counter[str]()
        for group, name, is_direct, number in self._groups():
            groups[group, name] += number
            ways["direct" if is_direct else "indirect"] += number
        for role, name, number, people in self._roles():
            roles[role, name] += people
            ways["role"] += number
        totals = {
            "people_in_directory": directory,
            "people_outside_question": directory - asked,
            "people_with_access": having,
            "people_without_access": asked - having,
            "people_in_file": in_file,
            "entitlements": ways.total(),
            "entitlements.group_direct": ways["direct"],
            "entitlements.group_indirect": ways["indirect"],
            "entitlements.role": ways["role"],
        }
        held = [HeldBy(kind="group", what=Named(id=one, name=name), people=n) for (one, name), n in groups.items()]
        held += [HeldBy(kind="role", what=Named(id=one, name=name), people=n) for (one, name), n in roles.items()]
        held.sort(key=lambda one: (-one.people, one.what.name or "", one.what.id))
        return ReviewTotals(totals, tuple(held[:_LARGEST]))

    def _count(self, which: Condition) -> int:
        query = f"SELECT count(*) FROM users_ u WHERE {which.sql}"  # noqa: S608 - our own text
        return int(self._database.execute(query, which.values).fetchone()[0])

    def _groups(self) -> Iterator[tuple[str, str | None, int, int]]:
        """Yield group, name, whether directly, and how many people."""
        accesses = self._accesses
        if accesses.role and accesses.group is None:
            return iter(())
        which = accesses.people
        if accesses.group is not None:
            which = both(which, Condition("m.group_id = ?", (accesses.group.id,)))
        return self._database.execute(
            "SELECT g.id, g.name, m.type = 'direct', count(*) FROM users_ u CROSS JOIN memberships_ m ON m.user_id = u.id "  # noqa: S608 - our own text
            f"JOIN groups_ g ON g.id = m.group_id WHERE {which.sql} GROUP BY 1, 3",
            which.values,
        )

    def _roles(self) -> Iterator[tuple[str, str | None, int, int]]:
        """Yield role, name, how often, and how many people."""
        accesses = self._accesses
        if accesses.group is not None and not accesses.role:
            return iter(())
        which = both(accesses.people, one_of("r.role_id", accesses.role)) if accesses.role else accesses.people
        return self._database.execute(
            "SELECT r.role_id, max(r.role_name), count(*), count(DISTINCT r.user_id) FROM role_assignments_ r "  # noqa: S608 - our own text
            f"JOIN users_ u ON u.id = r.user_id WHERE {which.sql} GROUP BY 1",
            which.values,
        )

    def _rows_of(self, people: Sequence[CopiedPerson]) -> Iterator[JsonObject]:
        accesses = self._accesses
        ids = [person.id for person in people]
        memberships, roles, since = (
            memberships_of(accesses.copy, ids),
            roles_of(accesses.copy, ids),
            accesses.since(ids),
        )
        managers = self._managers([person.manager_id for person in people if person.manager_id is not None])
        with_groups, with_roles = accesses.role == () or accesses.group is not None, accesses.with_roles
        for person in people:
            groups = memberships[person.id]
            found: list[Entitlement] = []
            if with_groups:
                wanted = accesses.group
                own = [one for one in groups if wanted is None or one.id == wanted.id]
                found += [self._by_group(one, groups, since.get((person.id, one.id))) for one in own]
            if with_roles:
                found += [
                    Entitlement(kind="role", how="direct", what=Named(id=role.id, name=role.name), scope=role.scope)
                    for role in roles[person.id]
                    if not accesses.role or role.id in accesses.role
                ]
            yield from entitlement_rows(self._reviewed(person, managers), found)

    def _by_group(self, one: GroupMembership, groups: Sequence[GroupMembership], since: datetime | None) -> Entitlement:
        chains = () if one.type == "direct" else self._ways_into(one.id, groups)
        by_filter = not chains and one.id in self._filtered
        return Entitlement(
            kind="group",
            what=Named(id=one.id, name=one.name),
            how="direct" if one.type == "direct" else "by filter" if by_filter else "indirect",
            chains=chains,
            since=since,
        )

    def _ways_into(self, group: str, groups: Sequence[GroupMembership]) -> tuple[tuple[Named, ...], ...]:
        """Return a shortest chain from each of somebody's own groups to a group that they are nested in."""
        chains = self._chains.get(group)
        if chains is None:
            chains = self._chains[group] = chains_below(group, self._children)
        own = [
            chain
            for one in groups
            if (one.type == "direct" or one.id in self._filtered) and (chain := chains.get(one.id))
        ]
        own = own or [chain for one in groups if (chain := chains.get(one.id))][:1]
        return tuple(tuple(Named(id=one, name=self._group_names.get(one)) for one in chain) for chain in own)

    def _managers(self, ids: Sequence[str]) -> Mapping[str, _Manager]:
        who = one_of("id", sorted(set(ids)))
        query = f"SELECT id, name, username, email FROM users_ WHERE removed_at IS NULL AND {who.sql}"  # noqa: S608 - our own text
        return {one: _Manager(*names) for one, *names in self._database.execute(query, who.values)}

    def _reviewed(self, person: CopiedPerson, managers: Mapping[str, _Manager]) -> PersonReviewed:
        row = row_of_person(person, (), None)
        manager = managers.get(person.manager_id) if person.manager_id is not None else None
        population = person.population_id
        return PersonReviewed(
            row=row,
            title=_shown(person.title),
            manager=row.manager if manager is None else _shown(manager.name or manager.username),
            manager_id=person.manager_id if manager is not None else None,
            manager_email=_shown(manager.email) if manager is not None else None,
            environment=Named(id=person.environment_id, name=self._places.environment_names.get(person.environment_id)),
            population=None
            if population is None
            else Named(id=population, name=self._places.population_names.get(population)),
        )


def _place(at: Position | None) -> tuple[tuple[str, str] | None, int]:
    """Return with whom a page begins, by username and id, and how many of their rows came before."""
    if at is None or at.after is None:
        return None, 0
    username, identity, passed = json.loads(at.after)
    return (username, identity), passed


def _position(person: CopiedPerson, passed: int) -> Position:
    return Position(source="replica", after=json.dumps([person.username or "", person.id, passed]))


def _shown(text: str | None) -> str | None:
    return None if text is None else harmless(text)
