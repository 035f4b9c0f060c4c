"""The dictionary as the `Source` of a local copy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pingone_mcp.clock import Clock
from pingone_mcp.directory.models import (
    Group,
    GroupMembership,
    JsonObject,
    MembershipType,
    Named,
    Organization,
    User,
    Workspace,
)
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.replica.source import (
    GroupList,
    Holding,
    Pair,
    Past,
    PastEvent,
    RoleList,
    Trace,
    Verdict,
    WalkPage,
    Wanted,
)
from tests.contract.dictionary.company import Company

_PAGE = 7


class DictionarySource:
    """Read the dicts for a sync; each method is described in `replica.source.Source`."""

    attributes: Mapping[str, str] = {}
    identity = ("dictionary",)
    page_size = _PAGE
    keeps_events = timedelta(days=14)

    def __init__(self, company: Company, scope: Scope) -> None:
        self.company = company
        self.scope = scope
        self.clock = Clock(wall=lambda: self.now().timestamp())

    def now(self) -> datetime:
        return self.company.now

    def ahead(self) -> float:
        return 0.0

    async def settle_time(self) -> None:
        return

    async def environments(self) -> Sequence[Organization]:
        names = self.company.environments
        return [Organization(id=one, name=names.get(one)) for one in self.scope.environments or sorted(names)]

    def wanted(self, events: Iterable[JsonObject]) -> dict[str, Wanted]:
        return {}  # it sends none

    def environment(self, identity: str, *, remote_data: bool, urgent: bool = False) -> DictionaryEnvironment:
        return DictionaryEnvironment(self.company, self.scope, identity)


class DictionaryEnvironment:
    """Read one environment of the dicts; each method is described in `replica.source.EnvironmentSource`."""

    left_out = 0

    def __init__(self, company: Company, scope: Scope, environment: str) -> None:
        self._company = company
        self._scope = scope
        self._environment = environment

    async def populations(self) -> list[Workspace]:
        return [
            Workspace(
                id=identity,
                name=population.name,
                user_count=sum(user.workspaces[0].id == identity for user in self._company.users.values()),
            )
            for identity, population in sorted(self._company.populations.items())
            if population.environment == self._environment and self._scope.has_population(identity)
        ]

    # Users

    def walk(self, *, ledger: Path) -> AbstractAsyncContextManager[DictionaryWalk]:
        @asynccontextmanager
        async def walking() -> AsyncIterator[DictionaryWalk]:
            yield DictionaryWalk(self._rows())

        return walking()

    async def users_since(self, at: datetime) -> AsyncIterator[Sequence[UserRow]]:
        yield [row for row in self._rows() if row.updated_at is not None and row.updated_at >= timestamp(at)]

    async def user(self, identity: str) -> UserRow | None:
        user = self._company.users.get(identity)
        here = user is not None and user.organizations[0].id == self._environment
        return row_of(user, self._environment) if user is not None and here else None

    async def users_by_id(self, ids: Iterable[str]) -> dict[str, UserRow]:
        wanted = set(ids)
        return {row.id: row for row in self._rows() if row.id in wanted}

    def _rows(self) -> list[UserRow]:
        return [row_of(user, self._environment) for user in self._people()]

    def _people(self) -> list[User]:
        return [
            user
            for user in self._company.users.values()
            if user.organizations[0].id == self._environment and self._scope.has_population(user.workspaces[0].id)
        ]

    # Groups

    async def groups(self) -> GroupList:
        shown = [
            self._counted(group)
            for group in self._company.groups.values()
            if group.organization.id == self._environment
            and (group.workspace is None or self._scope.has_population(group.workspace.id))
        ]
        return GroupList(shown, is_whole=True)

    async def group(self, identity: str) -> Group | None:
        group = self._company.groups.get(identity)
        if group is None:
            return None
        every = sum(identity in self._company.memberships(user) for user in self._company.users)
        return replace(self._counted(group), total_member_count=every)

    def _counted(self, group: Group) -> Group:
        return replace(
            group,
            organization=Named(id=self._environment),
            member_count=sum(one == group.id for _, one in self._company.members),
            group_count=sum(parent == group.id for _, parent in self._company.nestings),
        )

    async def children(self, group: str) -> set[str]:
        return {one for one, parent in self._company.nestings if parent == group}

    async def parents(self, group: str) -> set[str]:
        return {parent for one, parent in self._company.nestings if one == group}

    async def members(self, group: str, kind: MembershipType, keep: Callable[[Sequence[str]], Awaitable[int]]) -> None:
        shown = {user.id for user in self._people()}
        await keep(sorted(self._company.members_of(group, kind) & shown))

    async def memberships(self, user: str) -> Sequence[GroupMembership]:
        names = self._company.groups
        held = self._company.memberships(user) if user in self._company.users else {}
        return [GroupMembership(id=group, name=names[group].name, type=kind) for group, kind in held.items()]

    async def holding(self, pairs: Iterable[Pair], kind: MembershipType) -> Holding:
        return Holding({pair for pair in pairs if self._company.memberships(pair.user).get(pair.group) == kind}, set())

    async def role_assignments(self, user: str) -> RoleList:
        return RoleList(self._company.roles.get(user, ()), is_whole=True)

    # What happened

    async def happened(self, since: datetime, seen: Collection[str]) -> Wanted:
        wanted = Wanted()
        for number, one in enumerate(self._company.happenings):
            identity, trace = f"event {number}", Trace(timestamp(one.at), one.actor)
            if one.at < since or identity in seen or not self._is_about(one.user, one.removed):
                continue
            wanted.seen[identity] = trace.at
            wanted.traces[(one.user, one.group, one.kind)] = trace
            if one.removed is not None:
                wanted.removed[one.user] = trace
            elif one.group:
                wanted.memberships.add(Pair(one.user, one.group))
            else:
                wanted.users.add(one.user)
        return wanted

    async def past(self, before: datetime) -> Past:
        newest = {
            (one.kind, one.user): PastEvent(
                kind=one.kind,
                user=one.user,
                trace=Trace(timestamp(one.at), one.actor),
                removed=row_of(one.removed, self._environment) if one.removed is not None else None,
            )
            for one in self._company.happenings
            if one.kind in ("user.removed", "user.deactivated", "user.locked") and self._is_about(one.user, one.removed)
        }
        return Past(since=before - timedelta(days=14), events=tuple(newest.values()))

    def _is_about(self, user: str, removed: User | None) -> bool:
        meant = removed or self._company.users.get(user)
        return meant is not None and meant.organizations[0].id == self._environment


class DictionaryWalk:
    """All users of one environment, a few at a time; it keeps no notes."""

    left_out = 0

    def __init__(self, people: Sequence[UserRow]) -> None:
        self._people = people
        self.delivered = 0
        self.about: int | None = len(people)
        self.verdict = Verdict(complete=False, reason="The walk has not ended.")

    async def __aiter__(self) -> AsyncIterator[WalkPage[UserRow]]:
        for start in range(0, len(self._people), _PAGE):
            users = tuple(self._people[start : start + _PAGE])
            yield WalkPage(users=users)
            self.delivered += len(users)
        self.verdict = Verdict(complete=True)

    def kept(self) -> None:
        """Note nothing: a walk that is broken off begins anew."""
