"""Who has access in the local copy, and by which way: for access reviews and for the mapping of roles."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp import __version__
from pingone_mcp.directory.export import Export, Format, Manifest
from pingone_mcp.directory.models import Group, GroupMembership, Named, User
from pingone_mcp.directory.review import COLUMNS, Access, Reviewing, Way
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.names import as_id
from pingone_mcp.replica.conditions import Condition, both, either
from pingone_mcp.replica.rows import group_of
from pingone_mcp.replica.schema import GROUP_COLUMNS
from pingone_mcp.replica.standing import Standing
from pingone_mcp.replica.users import listed, memberships_of, roles_of

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessQuestion:
    """Whose access: of those in a group, with a role, in a population; with none of these, of all who have any.

    Of a group or a role, the ways to it are told; otherwise all groups and roles that a person has.
    """

    group: str | None = None
    role: str | None = None
    population: str | None = None


class Accesses:
    """The people of one question, each with the ways by which access came, in one state of the copy."""

    def __init__(self, copy: Standing, question: AccessQuestion) -> None:
        self._copy = copy
        self._question = question
        self._environments = copy.places.environments(None)
        self._group: str | None = None
        self._role: tuple[str, ...] = ()
        where = [copy.places.served(self._environments), Condition("u.removed_at IS NULL")]
        if question.group is not None:
            copy.need_memberships()
            place, self._group = copy.places.find_group(None, question.group)
            where.append(
                Condition(
                    "u.environment_id = ? AND u.id IN (SELECT user_id FROM memberships_ WHERE group_id = ?)",
                    (place, self._group),
                )
            )
        if question.role is not None:
            self._role = self._roles_called(question.role)
            marks = ", ".join("?" * len(self._role))
            where.append(
                Condition(f"u.id IN (SELECT user_id FROM role_assignments_ WHERE role_id IN ({marks}))", self._role)  # noqa: S608 - marks
            )
        if question.population is not None:
            reference = question.population
            found = copy.places.in_each(self._environments, lambda place: [copy.places.population(place, reference)])
            marks = ", ".join("?" * len(found))
            where.append(Condition(f"u.population_id IN ({marks})", tuple(found)))
        if question == AccessQuestion():
            has_any = (
                Condition("u.id IN (SELECT user_id FROM memberships_)"),
                Condition("u.id IN (SELECT user_id FROM role_assignments_)"),
            )
            where.append(either(has_any))
        self._where = both(*where)
        self._chains = self._chains_to(self._group) if self._group is not None else {}
        self._group_names = dict(copy.database.execute("SELECT id, name FROM groups_"))

    def gaps(self) -> tuple[str, ...]:
        """Return what the copy does not know of this question, in plain words."""
        told = list(self._copy.gaps(None))
        wants_roles = self._question.role is not None or self._group is None
        if wants_roles and not self._copy.has_roles:
            told.append(
                "administrator roles were read only of the users that audit events named (PINGONE_REPLICA_ROLES reads all)"
            )
        return tuple(told)

    def people(self) -> Iterator[Access]:
        query = f"SELECT u.id, u.record FROM users_ u WHERE {self._where.sql} ORDER BY u.username COLLATE NOCASE, u.id"  # noqa: S608 - our own text
        found = self._copy.database.execute(query, self._where.values)
        while rows := found.fetchmany(_BATCH):
            users = [listed(self._copy, record) for _, record in rows]
            yield from self._with_ways(users)

    def _with_ways(self, users: Sequence[User]) -> Iterator[Access]:
        ids = [user.id for user in users]
        memberships = memberships_of(self._copy, ids)
        roles = roles_of(self._copy, ids)
        since = self._since(ids)
        for user in users:
            ways: list[Way] = []
            if self._group is not None or not self._role:
                by_group = (self._by_group(user, one, memberships, since) for one in memberships[user.id])
                ways += [way for way in by_group if way is not None]
            if self._role or self._group is None:
                ways += [
                    Way(kind="role", what=Named(id=role.id, name=role.name), scope=role.scope)
                    for role in roles[user.id]
                    if not self._role or role.id in self._role
                ]
            yield Access(user=user, how=tuple(ways))

    def _by_group(
        self,
        user: User,
        membership: GroupMembership,
        memberships: dict[str, list[GroupMembership]],
        since: dict[tuple[str, str], datetime],
    ) -> Way | None:
        if self._group is not None and membership.id != self._group:
            return None
        direct = membership.type == "direct"
        return Way(
            kind="direct" if direct else "indirect",
            what=Named(id=membership.id, name=membership.name),
            via=() if direct else self._via(memberships[user.id]),
            since=since.get((user.id, membership.id)),
        )

    def _via(self, memberships: Sequence[GroupMembership]) -> tuple[Named, ...]:
        """Return the shortest chain of nested groups that leads to the group of the question."""
        chains = [chain for one in memberships if one.type == "direct" and (chain := self._chains.get(one.id))]
        chains = chains or [chain for one in memberships if (chain := self._chains.get(one.id))]
        chain = min(chains, key=len, default=())
        return tuple(Named(id=group, name=self._group_names.get(group)) for group in chain)

    def _chains_to(self, group: str) -> dict[str, tuple[str, ...]]:
        """Return for every group nested in one the groups on the way to it, itself first."""
        children: dict[str, list[str]] = {}
        for child, parent in self._copy.database.execute("SELECT group_id, parent_id FROM nestings_"):
            children.setdefault(parent, []).append(child)
        chains: dict[str, tuple[str, ...]] = {}
        reached: list[tuple[str, tuple[str, ...]]] = [(group, ())]
        while reached:
            following: list[tuple[str, tuple[str, ...]]] = []
            for parent, chain in reached:
                for child in sorted(children.get(parent, ())):
                    if child not in chains and child != group:
                        chains[child] = (child, *chain)
                        following.append((child, chains[child]))
            reached = following
        return chains

    def _since(self, ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
        """Return since when memberships are known: those that were added while the copy was kept."""
        marks = ", ".join("?" * len(ids))
        rows = self._copy.database.execute(
            "SELECT user_id, group_id, max(at) FROM changes_ WHERE kind = 'membership.added' "  # noqa: S608 - marks
            f"AND user_id IN ({marks}) GROUP BY user_id, group_id",
            ids,
        )
        return {(user, group): datetime.fromisoformat(at) for user, group, at in rows}

    def _roles_called(self, reference: str) -> tuple[str, ...]:
        """Return the ids of the roles that an id or a name means. Raises Refused."""
        identity = as_id(reference)
        known = self._copy.database.execute("SELECT DISTINCT role_id, role_name FROM role_assignments_").fetchall()
        wanted = reference.strip().casefold()
        found = tuple(role for role, name in known if role == identity or (name or "").casefold() == wanted)
        if not found:
            raise Refused(
                "Nobody in the local copy has a role of this name.",
                "query_directory tells those there are: SELECT role, count(*) FROM role_assignments GROUP BY role. "
                "Roles are read of all users only with PINGONE_REPLICA_ROLES=1.",
                code="UNKNOWN_NAME",
            )
        return found


def export_review(
    copy: Standing, question: AccessQuestion, format_: Format, now: datetime, write: Callable[[Iterable[str]], None]
) -> Manifest:
    """Write an access review with `write`, which is given the chunks of the file; return its manifest."""
    accesses, reviewing, export = Accesses(copy, question), Reviewing(now), Export(format_, COLUMNS)
    write(export.chunks(reviewing.rows(accesses.people())))
    return export.manifest(
        program=f"pingone-mcp {__version__}",
        created_at=now,
        source="local copy",
        data_as_of=copy.since.synced,
        filters={"group": question.group, "role": question.role, "population": question.population},
        counts=reviewing.counts(),
        gaps=accesses.gaps(),
    )


def groups_of(database: sqlite3.Connection) -> Iterator[Group]:
    """Give every group of the copy."""
    for row in database.execute(f"SELECT {', '.join(GROUP_COLUMNS)} FROM groups_ ORDER BY name, id"):  # noqa: S608 - our own names
        yield group_of(row)


def users_with_groups(copy: Standing) -> Iterator[tuple[User, list[GroupMembership]]]:
    """Give every user that is served, with all groups that it is in."""
    where = both(copy.places.served(copy.places.environments(None)), Condition("u.removed_at IS NULL"))
    found = copy.database.execute(f"SELECT u.record FROM users_ u WHERE {where.sql}", where.values)  # noqa: S608 - our own text
    while rows := found.fetchmany(_BATCH):
        users = [listed(copy, record) for (record,) in rows]
        memberships = memberships_of(copy, [user.id for user in users])
        for user in users:
            yield user, memberships[user.id]
