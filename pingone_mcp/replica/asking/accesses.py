"""Who has access in the local copy, by which way, and with which administrator roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from pingone_mcp.directory.gaps import (
    HOW_TO_KNOW_ROLES,
    Gap,
    MembershipsUnread,
    PeopleOfServedPopulations,
    RolesUnread,
    UnknownPrivilege,
)
from pingone_mcp.directory.matching.references import GroupAt, as_id
from pingone_mcp.directory.models import GroupMembership, Named, RoleAssignment, User
from pingone_mcp.directory.nesting import chains_to
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.conditions import Condition, both, either, member, one_of
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import listed, memberships_of, roles_of
from pingone_mcp.replica.store.schema import USER
from pingone_mcp.reports.review import Access, Way

Roles = Mapping[str, tuple[RoleAssignment, ...]]
"""Administrator roles by id of the user, of those of whom they are known."""

_BATCH = 500
_NONE: Roles = MappingProxyType({})


def unread(copy: Snapshot, *, memberships: bool = True, roles: bool = True) -> tuple[Gap, ...]:
    """Return what of a question about memberships or roles no sync has read."""
    gaps: list[Gap] = [MembershipsUnread()] if memberships and not copy.has_memberships else []
    return (*gaps, RolesUnread()) if roles and not copy.has_roles else tuple(gaps)


class Accesses:
    """The people of one question, each with the ways by which access came, in one state of the copy.

    `roles` were read beside the copy, and are newer.
    """

    def __init__(self, copy: Snapshot, question: AccessQuestion, roles: Roles = _NONE) -> None:
        self._copy = copy
        self._question = question
        self._roles_beside = roles
        self._environments = copy.places.environments(None)
        self._group = self._group_called(question.group) if question.group is not None else None
        self._role = self._roles_called(question.role) if question.role is not None else ()
        self._where = both(*self._conditions())
        self._chains = self._chains_to(self._group.id) if self._group is not None else {}
        self._group_names = dict(copy.database.execute("SELECT id, name FROM groups_"))

    def _group_called(self, reference: str) -> GroupAt:
        self._copy.need_memberships()
        return self._copy.places.find_group(None, reference)

    def _conditions(self) -> Iterator[Condition]:
        """Yield what must hold for the people of the question."""
        places, question = self._copy.places, self._question
        yield places.served(self._environments)
        yield Condition("u.removed_at IS NULL")
        if self._group is not None:
            yield Condition("u.environment_id = ?", (self._group.environment,))
            yield member(self._group.id)
        if question.role is not None:
            held = one_of("role_id", self._role)
            yield Condition(f"u.id IN (SELECT user_id FROM role_assignments_ WHERE {held.sql})", held.values)  # noqa: S608 - our own text
        if question.population is not None:
            homes = places.homes(self._environments, question.population)
            yield one_of("u.population_id", [home.population for home in homes if home.population is not None])
        if question == AccessQuestion():
            yield either(
                (
                    Condition("u.id IN (SELECT user_id FROM memberships_)"),
                    Condition("u.id IN (SELECT user_id FROM role_assignments_)"),
                )
            )

    def gaps(self, *, people: int, roles_unknown: int) -> tuple[Gap, ...]:
        """Return what nobody knows of this question.

        `roles_unknown` says of how many of the `people` that were found the roles are not known.
        """
        asks_for_roles = self._question.role is not None or self._question == AccessQuestion()
        gaps = [*self._copy.gaps(None), *unread(self._copy, roles=asks_for_roles)]
        if roles_unknown:
            gaps.append(UnknownPrivilege(unknown=roles_unknown, people=people, advised=not asks_for_roles))
        if self._copy.places.scope.populations and self._question.population is None:
            gaps.append(PeopleOfServedPopulations())
        return tuple(gaps)

    def count(self) -> int:
        """Return how many people there are."""
        query = f"SELECT count(*) FROM users_ u WHERE {self._where.sql}"  # noqa: S608 - our own text
        (count,) = self._copy.database.execute(query, self._where.values).fetchone()
        return int(count)

    def people(self) -> Iterator[Access]:
        query = f"SELECT {USER} FROM users_ u WHERE {self._where.sql} ORDER BY u.username COLLATE NOCASE, u.id"  # noqa: S608 - our own text
        found = self._copy.database.execute(query, self._where.values)
        while rows := found.fetchmany(_BATCH):
            users = [listed(self._copy, row) for row in rows]
            yield from self._with_ways(users)

    def _with_ways(self, users: Sequence[User]) -> Iterator[Access]:
        ids = [user.id for user in users]
        memberships = memberships_of(self._copy, ids)
        copied = roles_of(self._copy, ids)
        since = self._since(ids)
        for user in users:
            roles = self._roles(user.id, copied[user.id])
            ways: list[Way] = []
            if self._group is not None or not self._role:
                by_group = (self._by_group(user, one, memberships, since) for one in memberships[user.id])
                ways += [way for way in by_group if way is not None]
            if self._role or self._group is None:
                ways += [way for way in roles or () if not self._role or way.what.id in self._role]
            yield Access(user=user, how=tuple(ways), roles=roles)

    def _roles(self, user: str, copied: Sequence[RoleAssignment]) -> tuple[Way, ...] | None:
        """Return the roles of a user; None where nobody knows, for where some were read only, none is no answer."""
        known = self._roles_beside.get(user, copied)
        if not known and user not in self._roles_beside and not self._copy.has_roles:
            return None
        return tuple(Way(kind="role", what=Named(id=role.id, name=role.name), scope=role.scope) for role in known)

    def _by_group(
        self,
        user: User,
        membership: GroupMembership,
        memberships: dict[str, list[GroupMembership]],
        since: dict[tuple[str, str], datetime],
    ) -> Way | None:
        if self._group is not None and membership.id != self._group.id:
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
        return chains_to(group, self._copy.database.execute("SELECT group_id, parent_id FROM nestings_"))

    def _since(self, ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
        """Return since when memberships are known: those that were added while the copy was kept."""
        who = one_of("user_id", ids)
        rows = self._copy.database.execute(
            "SELECT user_id, group_id, max(at) FROM changes_ WHERE kind = 'membership.added' "  # noqa: S608 - our own text
            f"AND {who.sql} GROUP BY user_id, group_id",
            who.values,
        )
        return {(user, group): datetime.fromisoformat(at) for user, group, at in rows}

    def _roles_called(self, reference: str) -> tuple[str, ...]:
        """Return the ids of the roles that an id or a name means. Raises Refused."""
        identity = as_id(reference)
        known = self._copy.database.execute("SELECT DISTINCT role_id, role_name FROM role_assignments_").fetchall()
        wanted = reference.strip().casefold()
        found = tuple(role for role, name in known if role == identity or (name or "").casefold() == wanted)
        if not found and not self._copy.has_roles:
            raise Refused(
                "Who has this administrator role is not known: roles were not read of everybody.",
                f"{HOW_TO_KNOW_ROLES}; a review of a small group reads those of its members.",
                code="ROLES_NOT_READ",
            )
        if not found:
            raise Refused(
                "Nobody has an administrator role of this name.",
                "query_directory tells those there are: SELECT role, count(*) FROM role_assignments GROUP BY role.",
                code="UNKNOWN_NAME",
            )
        return found
