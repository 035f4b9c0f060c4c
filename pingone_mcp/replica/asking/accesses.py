"""Who has access in the local copy, by which way, and with which administrator roles."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from pingone_mcp.directory.gaps import (
    HOW_TO_KNOW_ROLES,
    Gap,
    MembershipsUnread,
    PeopleOfServedPopulations,
    RolesUnread,
    UnknownPrivilege,
)
from pingone_mcp.directory.matching.references import GroupAt, as_id
from pingone_mcp.directory.models import GroupMembership, Named, RoleAssignment
from pingone_mcp.directory.nesting import chains_to
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.text.harmless import candidate, harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import nearest
from pingone_mcp.replica.asking.access_facts import FactsInSql, Ways, facts_of
from pingone_mcp.replica.asking.conditions import EVERYBODY, Condition, as_folded, both, member, one_of
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import memberships_of, roles_of
from pingone_mcp.replica.store.store import Damaged
from pingone_mcp.reports.review import Facts, Row, Way

Roles = Mapping[str, tuple[RoleAssignment, ...]]
"""Administrator roles by id of the user, of those of whom they are known."""

_BATCH = 500
_WORDS = 10_000
_EXACT = '"exact"'
_NONE: Roles = MappingProxyType({})
_ANY_ACCESS = """(EXISTS (SELECT 1 FROM memberships_ a WHERE a.user_id = u.id)
    OR u.id IN (SELECT user_id FROM role_assignments_))"""


class CopiedPerson(NamedTuple):
    """What rows show of a user, by the names of the columns; `marks` are those of `FactsInSql`."""

    id: str
    username: str | None
    name: str | None
    email: str | None
    department: str | None
    manager: str | None
    type: str | None
    status: str
    status_reasons: str
    last_login_at: str | None
    created_at: str | None
    title: str | None
    manager_id: str | None
    environment_id: str
    population_id: str | None
    more: str | None
    marks: int


_USERNAME = "coalesce(u.username, '')"
_BY_NAME = Condition("u.username COLLATE NOCASE, u.id")
_SHOWN = tuple(f"u.{name}" for name in CopiedPerson._fields if name != "marks")


def unread(copy: Snapshot, *, memberships: bool = True, roles: bool = True) -> tuple[Gap, ...]:
    """Return what of a question about memberships or roles no sync has read."""
    gaps: list[Gap] = [MembershipsUnread()] if memberships and not copy.has_memberships else []
    return (*gaps, RolesUnread(why=copy.why_no_roles)) if roles and not copy.has_roles else tuple(gaps)


class Accesses:
    """The people of one question, each with the ways by which access came, in one state of the copy.

    `people` is the condition that chooses them of those who are `served` and `within` the population asked for;
    `group` and `role` are what the names meant. `roles` were read beside the copy, and are newer.
    """

    def __init__(self, copy: Snapshot, question: AccessQuestion, now: datetime, roles: Roles = _NONE) -> None:
        self.copy = copy
        self._question = question
        self._roles_beside = roles
        self.populations: list[str] = []
        self._environments = copy.places.environments(None)
        self.group = self._group_called(question.group) if question.group is not None else None
        self.role = self._roles_called(question.role) if question.role is not None else ()
        self.served = both(self.copy.places.served(self._environments), Condition("u.removed_at IS NULL"))
        self.within = self._in_population()
        self.people = both(self.served, self.within, *self._conditions())
        ways = Ways(
            group=self.group.id if self.group is not None else None,
            roles=self.role,
            beside={user: bool(held) for user, held in roles.items()},
            roles_read=copy.has_roles,
        )
        self._facts = FactsInSql(ways, now)
        self._chains = self._chains_to(self.group.id) if self.group is not None else {}
        self._group_names = dict(copy.database.execute("SELECT id, name FROM groups_"))
        self._words = lru_cache(maxsize=_WORDS)(str)

    def _group_called(self, reference: str) -> GroupAt:
        self.copy.need_memberships()
        return self.copy.places.find_group(None, reference)

    def _conditions(self) -> Iterator[Condition]:
        """Yield what must hold for the people of the question."""
        question = self._question
        if self.group is not None:
            yield Condition("u.environment_id = ?", (self.group.environment,))
            yield member(self.group.id)
        if question.role is not None:
            held = one_of("role_id", self.role)
            yield Condition(f"u.id IN (SELECT user_id FROM role_assignments_ WHERE {held.sql})", held.values)  # noqa: S608 - our own text
        if question == AccessQuestion():
            yield Condition(_ANY_ACCESS)

    def _in_population(self) -> Condition:
        if self._question.population is None:
            return EVERYBODY
        homes = self.copy.places.homes(self._environments, self._question.population)
        self.populations = [home.population for home in homes if home.population is not None]
        return one_of("u.population_id", self.populations)

    @property
    def group_name(self) -> str | None:
        return self._group_names.get(self.group.id) if self.group is not None else None

    def role_names(self) -> dict[str, str | None]:
        """Return the roles of the question, with their names."""
        held = one_of("role_id", self.role)
        query = f"SELECT role_id, max(role_name) FROM role_assignments_ WHERE {held.sql} GROUP BY 1"  # noqa: S608 - our own text
        return dict(self.copy.database.execute(query, held.values))

    @property
    def with_roles(self) -> bool:
        """Say whether the roles that people have are part of the question."""
        return bool(self.role) or self.group is None

    def gaps(self, *, people: int, roles_unknown: int) -> tuple[Gap, ...]:
        """Return what nobody knows of this question.

        `roles_unknown` says of how many of the `people` that were found the roles are not known.
        """
        asks_for_roles = self._question.role is not None or self._question == AccessQuestion()
        gaps = [*self.copy.gaps(None), *unread(self.copy, roles=asks_for_roles)]
        if roles_unknown:
            unknown = UnknownPrivilege(
                unknown=roles_unknown, people=people, advised=not asks_for_roles, why=self.copy.why_no_roles
            )
            gaps.append(unknown)
        if self.copy.places.scope.populations and self._question.population is None:
            gaps.append(PeopleOfServedPopulations())
        return tuple(gaps)

    def count(self) -> int:
        """Return how many people there are."""
        query = f"SELECT count(*) FROM users_ u WHERE {self.people.sql}"  # noqa: S608 - our own text
        (count,) = self.copy.database.execute(query, self.people.values).fetchone()
        return int(count)

    def facts(self) -> list[tuple[Facts, int]]:
        """Return what there is to be said of people, and of how many it is true."""
        marks = self._facts.marks()
        query = f"SELECT u.status, {marks.sql}, count(*) FROM users_ u WHERE {self.people.sql} GROUP BY 1, 2"  # noqa: S608 - our own text
        found = self.copy.database.execute(query, marks.values + self.people.values)
        return [(facts_of(status, said), number) for status, said, number in found]

    def worst(self, most: int, people: Iterable[tuple[Facts, int]]) -> list[Row]:
        """Return so many of those with most flags, then by username without case, then by id.

        `people` are what `facts` returned: they say how many flags make one of the first.
        """
        numbers = Counter[int]()
        for facts, number in people:
            numbers[facts.flag_count()] += number
        levels = sorted(numbers, reverse=True)
        enough = next((level for level in levels if sum(numbers[one] for one in levels if one >= level) >= most), 0)
        flags = self._facts.flags()
        few = Condition(f"{flags.sql} >= {enough:d}", flags.values)  # first: it costs least, and leaves few
        order = f"{flags.sql} DESC, {as_folded('u.username')}, u.id LIMIT {most:d}"
        return list(self._rows(both(few, self.people), Condition(order, flags.values)))

    def rows(self) -> Iterator[Row]:
        """Give one row for each person, by username."""
        return self._rows(self.people, _BY_NAME)

    def batches(self) -> Iterator[Sequence[CopiedPerson]]:
        """Give the people, by username, some hundreds at a time."""
        return self._batches(self.people, _BY_NAME)

    def some(self, most: int, after: tuple[str, str] | None) -> Sequence[CopiedPerson]:
        """Return so many of the people, in the order of `rows`, from the username and id of one of them on."""
        which = self.people
        if after is not None:
            username, identity = after
            behind = Condition(
                f"({_USERNAME} > ? COLLATE NOCASE OR ({_USERNAME} = ? COLLATE NOCASE AND u.id >= ?))",
                (username, username, identity),
            )
            which = both(which, behind)
        order = Condition(f"{_USERNAME} COLLATE NOCASE, u.id LIMIT {most:d}")
        return next(self._batches(which, order), [])

    def _rows(self, which: Condition, order: Condition) -> Iterator[Row]:
        for people in self._batches(which, order):
            yield from self._with_ways(people)

    def _batches(self, which: Condition, order: Condition) -> Iterator[Sequence[CopiedPerson]]:
        marks = self._facts.marks()
        query = f"SELECT {', '.join(_SHOWN)}, {marks.sql} FROM users_ u WHERE {which.sql} ORDER BY {order.sql}"  # noqa: S608 - our own text
        found = self.copy.database.execute(query, marks.values + which.values + order.values)
        while people := [CopiedPerson(*row) for row in found.fetchmany(_BATCH)]:
            yield people

    def _with_ways(self, people: Sequence[CopiedPerson]) -> Iterator[Row]:
        ids = [person.id for person in people]
        memberships = memberships_of(self.copy, ids)
        copied = roles_of(self.copy, ids)
        since = self.since(ids)
        for person in people:
            groups, roles = memberships[person.id], self._roles_beside.get(person.id, copied[person.id])
            ways: list[Way] = []
            if self.group is not None or not self.role:
                own = [one for one in groups if self.group is None or one.id == self.group.id]
                ways += [self._by_group(one, groups) for one in own]
            else:
                own = []
            if self.role or self.group is None:
                ways += [_by_role(role) for role in roles if not self.role or role.id in self.role]
            began = [at for one in own if (at := since.get((person.id, one.id))) is not None]
            yield row_of_person(person, tuple(dict.fromkeys(map(self._words, ways))), min(began, default=None))

    def _by_group(self, membership: GroupMembership, memberships: Sequence[GroupMembership]) -> Way:
        direct = membership.type == "direct"
        return Way(
            kind="direct" if direct else "indirect",
            what=Named(id=membership.id, name=membership.name),
            via=() if direct else self._via(memberships),
        )

    def _via(self, memberships: Sequence[GroupMembership]) -> tuple[Named, ...]:
        """Return the shortest chain of nested groups that leads to the group of the question."""
        chains = [chain for one in memberships if one.type == "direct" and (chain := self._chains.get(one.id))]
        chains = chains or [chain for one in memberships if (chain := self._chains.get(one.id))]
        chain = min(chains, key=len, default=())
        return tuple(Named(id=group, name=self._group_names.get(group)) for group in chain)

    def _chains_to(self, group: str) -> dict[str, tuple[str, ...]]:
        """Return for every group nested in one the groups on the way to it, itself first."""
        return chains_to(group, self.copy.database.execute("SELECT group_id, parent_id FROM nestings_"))

    def since(self, ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
        """Return since when memberships are known: those that were added while the copy was kept."""
        who = one_of("user_id", ids)
        rows = self.copy.database.execute(
            "SELECT user_id, group_id, max(at) FROM changes_ WHERE kind = 'membership.added' "  # noqa: S608 - our own text
            f"AND {who.sql} GROUP BY user_id, group_id",
            who.values,
        )
        return {(user, group): datetime.fromisoformat(at) for user, group, at in rows}

    def _roles_called(self, reference: str) -> tuple[str, ...]:
        """Return the ids of the roles that an id or a name means. Raises Refused."""
        identity = as_id(reference)
        known = self.copy.database.execute("SELECT DISTINCT role_id, role_name FROM role_assignments_").fetchall()
        wanted = reference.strip().casefold()
        found = tuple(role for role, name in known if role == identity or (name or "").casefold() == wanted)
        if not found and not self.copy.has_roles:
            raise Refused(
                "Who has this administrator role is not known: roles were not read of everybody.",
                f"{HOW_TO_KNOW_ROLES}; a review of a small group reads those of its members.",
                code="ROLES_NOT_READ",
            )
        if not found:
            near = nearest(wanted, (harmless(name) for _, name in known if name))
            meant = ", ".join(candidate(role, name) for role, name in known if name and harmless(name) in near)
            raise Refused(
                "Nobody has an administrator role of this name."
                + (f" The nearest (names are data): {meant}." if meant else ""),
                "query_directory tells those there are: SELECT role, count(*) FROM role_assignments GROUP BY role.",
                code="UNKNOWN_NAME",
            )
        return found


def _by_role(role: RoleAssignment) -> Way:
    return Way(kind="role", what=Named(id=role.id, name=role.name), scope=role.scope)


def row_of_person(person: CopiedPerson, how: tuple[str, ...], since: datetime | None) -> Row:
    """Return what a review shows of somebody. Raises Damaged for what no sync has written."""
    facts = facts_of(person.status, person.marks)
    try:
        person = _exact(person)
        return Row(
            id=person.id,
            username=_shown(person.username),
            name=_shown(person.name),
            email=_shown(person.email),
            department=_shown(person.department),
            manager=_shown(person.manager),
            type=_shown(person.type),
            status=harmless(person.status),
            status_reasons=tuple(person.status_reasons.split(",")) if person.status_reasons else (),
            how=how,
            since=since,
            last_sign_on=_time(person.last_login_at),
            mfa="unknown" if facts.mfa_unknown else "no" if facts.no_mfa else "yes",
            flags=facts.flags(),
            created_at=_time(person.created_at),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged("what is kept of a user cannot be read") from error


def _exact(person: CopiedPerson) -> CopiedPerson:
    """Return a person with the texts that are no Unicode as they were read (`user_row.as_unicode`)."""
    if person.more is None or _EXACT not in person.more:
        return person
    exact = json.loads(person.more).get("exact", {})
    return person._replace(**{name: text for name, text in exact.items() if name in CopiedPerson._fields})


def _shown(text: str | None) -> str | None:
    return None if text is None else harmless(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
