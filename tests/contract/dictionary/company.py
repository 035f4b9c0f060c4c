"""A user directory in Python dicts, and what happens in it: all that there is behind a tiny provider."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pingone_mcp.directory.changes import ChangeKind
from pingone_mcp.directory.models import (
    Address,
    Email,
    Group,
    GroupMembership,
    Manager,
    MembershipType,
    Named,
    RoleAssignment,
    StatusSource,
    User,
)
from pingone_mcp.directory.nesting import above_each

START = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
_GIVEN = "Ada Bo Cleo Dov Eve Fay Gus Hana Ilse Jon".split()
_FAMILY = "Abel Brook Cole Drew Engel".split()


def number(value: int) -> str:
    """Return the id that is this number; ids of the dictionary are UUIDs as any others."""
    return str(uuid.UUID(int=value))


class Population(NamedTuple):
    environment: str
    name: str


class Happening(NamedTuple):
    """Something that was done: what, when, to whom, by whom; `removed` is who is gone since."""

    kind: ChangeKind
    at: datetime
    user: str
    actor: str
    group: str = ""
    removed: User | None = None


@dataclass
class Company:
    """Dicts by id; `members` are pairs of user and group, `nestings` of a group and the one that it is in."""

    now: datetime = START
    environments: dict[str, str] = field(default_factory=dict[str, str])
    populations: dict[str, Population] = field(default_factory=dict[str, Population])
    users: dict[str, User] = field(default_factory=dict[str, User])
    groups: dict[str, Group] = field(default_factory=dict[str, Group])
    members: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    nestings: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    roles: dict[str, tuple[RoleAssignment, ...]] = field(default_factory=dict[str, tuple[RoleAssignment, ...]])
    happenings: list[Happening] = field(default_factory=list[Happening])

    def memberships(self, user: str) -> dict[str, MembershipType]:
        """Return the groups that a user is in: directly, or through groups that are nested in others."""
        direct = {group for one, group in self.members if one == user}
        above = above_each(self.nestings)
        indirect = set[str]().union(*(above.get(group, set()) for group in direct)) - direct
        held: dict[str, MembershipType] = dict.fromkeys(direct, "direct")
        return held | dict.fromkeys(indirect, "indirect")

    def members_of(self, group: str, kind: MembershipType) -> set[str]:
        return {user for user in self.users if self.memberships(user).get(group) == kind}

    def parents(self, group: str) -> tuple[GroupMembership, ...]:
        """Return the groups that a group is nested in, directly or further up."""
        direct = {parent for one, parent in self.nestings if one == group}
        every = above_each(self.nestings).get(group, set()) - {group}
        return tuple(
            GroupMembership(id=one, name=self.groups[one].name, type="direct" if one in direct else "indirect")
            for one in sorted(every)
        )

    # What happens, one second after the other

    def hire(self, given: str, family: str, population: str, **more: Any) -> str:
        identity = number(1_000 + len(self.users) + len(self.happenings))
        username = f"{given}.{family}".lower() + str(len(self.users))
        user = User(
            id=identity,
            username=username,
            external_id=f"E{len(self.users):03}",
            name=f"{given} {family}",
            first_name=given,
            last_name=family,
            emails=(Email(email=f"{username}@dictionary.example", is_primary=True),),
            status="active",
            status_source=StatusSource(enabled=True, account_status="OK"),
            organizations=(Named(id=self.populations[population].environment),),
            workspaces=(Named(id=population),),
            created_at=self.now,
        )
        return self._keep(replace(user, **more), "user.created")

    def change(self, identity: str, **fields: Any) -> None:
        self._keep(replace(self.users[identity], **fields), "user.updated")

    def disable(self, identity: str) -> None:
        source = StatusSource(enabled=False, account_status="OK")
        changed = replace(self.users[identity], status="inactive", status_reasons=("disabled",), status_source=source)
        self._keep(changed, "user.deactivated")

    def lock(self, identity: str) -> None:
        source = StatusSource(enabled=True, account_status="LOCKED")
        changed = replace(
            self.users[identity],
            status="inactive",
            status_reasons=("locked",),
            status_source=source,
            locked_at=self.now + timedelta(seconds=1),
        )
        self._keep(changed, "user.locked")

    def remove(self, identity: str) -> None:
        gone = self.users.pop(identity)
        self.members = {pair for pair in self.members if pair[0] != identity}
        self.roles.pop(identity, None)
        gone = replace(gone, status="deleted", status_reasons=("removed",))
        self._happens("user.removed", identity, removed=gone)

    def join(self, identity: str, group: str) -> None:
        self.members.add((identity, group))
        self._happens("membership.added", identity, group=group)

    def leave(self, identity: str, group: str) -> None:
        self.members.discard((identity, group))
        self._happens("membership.removed", identity, group=group)

    def _keep(self, user: User, kind: ChangeKind) -> str:
        self._happens(kind, user.id)
        self.users[user.id] = replace(user, updated_at=self.now)
        return user.id

    def _happens(self, kind: ChangeKind, user: str, *, group: str = "", removed: User | None = None) -> None:
        self.now += timedelta(seconds=1)
        self.happenings.append(Happening(kind, self.now, user, "clerk", group, removed))

    def add_group(self, name: str, environment: str, population: str | None = None, *inside: str) -> str:
        identity = number(500 + len(self.groups))
        home = Named(id=population) if population is not None else None
        self.groups[identity] = Group(
            id=identity,
            name=name,
            group_type="custom",
            organization=Named(id=environment),
            workspace=home,
            created_at=self.now,
        )
        self.nestings |= {(identity, parent) for parent in inside}
        return identity


def sample() -> Company:
    """Return a company of two environments: thirty people, groups in groups and in a circle, and two of one name."""
    company = Company()
    head, branch = number(1), number(2)
    company.environments = {head: "Head Office", branch: "Branch"}
    staff, guests, people = number(11), number(12), number(13)
    company.populations = {
        staff: Population(head, "Staff"),
        guests: Population(head, "Guests"),
        people: Population(branch, "People"),
    }
    homes = [staff] * 14 + [guests] * 6 + [people] * 10
    hired = [company.hire(*who, home, **more) for who, home, more in zip(_people(), homes, _details(), strict=False)]
    boss = company.users[hired[0]]
    company.change(hired[1], manager=Manager(reference=boss.username or ""))
    everybody = company.add_group("Everybody", head)
    engineers = company.add_group("Engineers", head, staff, everybody)
    platform = company.add_group("Platform", head, staff, engineers)
    readers = company.add_group("Readers", head)
    also_readers = company.add_group("Readers", branch)
    ring = company.add_group("Ring", head)
    company.nestings |= {(ring, company.add_group("Inner Ring", head, None, ring))}
    company.add_group("Nobody", head, guests)
    for places, group in (
        (hired[0:3], everybody),
        (hired[2:8], engineers),
        (hired[6:11], platform),
        (hired[12:18], readers),
        (hired[20:24], also_readers),
        (hired[18:20], ring),
    ):
        for one in places:
            company.join(one, group)
    for one in (hired[4], hired[15], hired[25]):
        company.disable(one)
    for one in (hired[5], hired[26]):
        company.lock(one)
    company.remove(hired[19])
    company.roles = {hired[0]: (RoleAssignment(id=number(71), name="Keeper"),)}
    return company


def _people() -> Iterator[tuple[str, str]]:
    return ((given, family) for family in _FAMILY for given in _GIVEN)


def _details() -> Iterator[dict[str, Any]]:
    titles = ("Nurse", "Buyer", "Engineer", None)
    for at in range(30):
        yield {
            "title": titles[at % 4],
            "department": ("Éclair Desk", "Sales")[at % 2],
            "address": Address(city=("Oslo", "Łódź", "Turin")[at % 3]),
            "custom_attributes": {"badge": f"B{at}"} if at % 5 == 0 else {},
        }
