"""The dictionary as a `Directory`: each question is one look through the dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from pingone_mcp.directory.coverage import Coverage, DeactivatedPage, Reason, in_order, refuse_future
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.matching import search
from pingone_mcp.directory.matching.filters import any_of
from pingone_mcp.directory.matching.references import (
    CalledUser,
    GroupAt,
    Home,
    Known,
    Lookup,
    Referable,
    References,
    as_id,
    resolved,
    the_one_user,
)
from pingone_mcp.directory.models import (
    AuditActor,
    AuditEntry,
    Deactivated,
    Description,
    Group,
    GroupMembership,
    Manager,
    Member,
    MembershipType,
    Named,
    Organization,
    OrganizationSummary,
    Role,
    User,
    Workspace,
)
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import ReadPage, find, page_at, part_name
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.directory.provider import (
    AuditQuestion,
    DeactivatedQuestion,
    GroupQuestion,
    Include,
    MemberQuestion,
    Profile,
    Provenance,
    Question,
    UserQuestion,
)
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.text.harmless import unaccented
from tests.contract.dictionary.company import Company, number
from tests.contract.dictionary.filters import FILTERABLE, SEARCHED, Holds, holding, holds

T = TypeVar("T")

_PAGE = 12
ACTIONS = {"user.created": "user_created", "user.updated": "user_updated", "user.removed": "user_deleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[T]):
    """One part of a listing: all its rows, in the order of their ids."""

    key: str
    asked: str
    rows: Sequence[T]
    label: str = ""
    is_counted: bool = True

    @property
    def name(self) -> str:
        return part_name(self.key, self.asked)

    def lacks(self, counted: Counted, *, ended: bool) -> Iterable[Gap]:
        return ()


class DictionaryDirectory:
    """Answer directory questions from the dicts; each method is described in `Directory`."""

    def __init__(self, company: Company, scope: Scope) -> None:
        self.company = company
        self.scope = scope
        self.profile = Profile(provider="dictionary", region="here", scope=scope, filterable=FILTERABLE)
        self._references = References(scope)

    async def provenance(self, question: Question | None = None, at: Position | None = None) -> Provenance:
        return Provenance()

    # Users

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        tests = self._tests(question)
        environments, group = self._environments(question.environment), None
        if question.group is not None:
            environments, group = self._group(question.environment, question.group)
            environments = (environments,)
        shelves = [
            Shelf(
                key=home.environment,
                asked=repr((question, home)),
                rows=[
                    self._completed(user, question.include)
                    for user in self._people(home)
                    if all(test(user) for test in tests) and (group is None or group in self._memberships(user.id))
                ],
            )
            for home in self._homes(environments, question.population)
        ]
        return _page(shelves, at, page_size, lambda user: user.id)

    def _tests(self, question: UserQuestion) -> list[Holds]:
        tests: list[Holds] = []
        if question.query is not None:
            tests.append(holds(any_of(search.readings(question.query)), SEARCHED))
        if question.filter is not None:
            tests.append(holding(question.filter))
        if question.status is not None:
            tests.append(lambda user: user.status == question.status)
        return tests

    async def user(self, reference: str, *, environment: str | None = None, remote_data: bool = False) -> User:
        reference = reference.strip()
        found = [
            CalledUser(place, user.id, user.username, user.name, user)
            for place in self._environments(environment)
            for user in self._called(place, reference)
        ]
        user = the_one_user(found, reference, limited=bool(self.scope.populations)).value
        place, home = user.organizations[0].id, user.workspaces[0].id
        named = replace(
            user,
            organizations=(Named(id=place, name=self.company.environments[place]),),
            workspaces=(Named(id=home, name=self.company.populations[home].name),),
            manager=self._manager(user),
        )
        return self._completed(named, ("groups", "roles"))

    def _called(self, environment: str, reference: str) -> list[User]:
        people = list(self._people(Home(environment, None)))
        identity, wanted = as_id(reference), reference.casefold()
        by_id = [user for user in people if user.id == identity]
        return by_id or [
            user
            for user in people
            if wanted in {(name or "").casefold() for name in (user.username, user.email, user.external_id)}
        ]

    def _manager(self, user: User) -> Manager | None:
        """Return the manager with names, where the reference is the username of somebody in the same environment."""
        if user.manager is None:
            return None
        for other in self._people(Home(user.organizations[0].id, None)):
            if other.username == user.manager.reference:
                return replace(user.manager, id=other.id, username=other.username, email=other.email, name=other.name)
        return user.manager

    def _completed(self, user: User, include: Sequence[Include]) -> User:
        if "groups" in include:
            held = sorted(self._memberships(user.id).items())
            groups = tuple(
                GroupMembership(id=group, name=self.company.groups[group].name, type=kind) for group, kind in held
            )
            user = replace(user, groups=groups)
        return replace(user, roles=self.company.roles.get(user.id, ())) if "roles" in include else user

    def _memberships(self, user: str) -> dict[str, MembershipType]:
        return self.company.memberships(user)

    def _people(self, home: Home) -> Iterable[User]:
        """Return the users of a home, named as lists do, in the order of their ids."""
        names = self.company.environments if self.scope.has_several_environments else {}
        for _, user in sorted(self.company.users.items()):
            place, population = user.organizations[0].id, user.workspaces[0].id
            meant = population == home.population if home.population else self.scope.has_population(population)
            if place == home.environment and meant:
                yield replace(
                    user,
                    organizations=(Named(id=place, name=names.get(place)),),
                    workspaces=(Named(id=population, name=self.company.populations[population].name),),
                )

    # Who cannot sign in

    async def deactivated(
        self, question: DeactivatedQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> DeactivatedPage:
        refuse_future(question.since, self.company.now)
        homes = self._homes(self._environments(question.environment), question.population)
        reasons = in_order(question.reasons)
        shelves = [
            Shelf(
                key=f"{reason} {home.environment}",
                asked=repr((question, home)),
                label=reason,
                rows=list(self._out(reason, home, question)),
            )
            for reason in reasons
            for home in homes
        ]
        page = _page(shelves, at, page_size, lambda one: one.user.id)
        return DeactivatedPage.of(page, {reason: Coverage(how="from the dicts", complete=True) for reason in reasons})

    def _out(self, reason: Reason, home: Home, question: DeactivatedQuestion) -> Iterable[Deactivated]:
        if reason == "removed":
            yield from self._removed(home, question.since)
            return
        done = {"disabled": "user.deactivated", "locked": "user.locked"}[reason]
        for user in self._people(home):
            if user.status_reasons[:1] != (reason,):
                continue
            last = [one for one in self.company.happenings if (one.kind, one.user) == (done, user.id)][-1]
            if question.since is None or last.at >= question.since:
                yield Deactivated(user=user, at=last.at, by=last.actor)

    def _removed(self, home: Home, since: datetime | None) -> Iterable[Deactivated]:
        names = self.company.environments if self.scope.has_several_environments else {}
        for one in self.company.happenings:
            user = one.removed
            if user is None or user.organizations[0].id != home.environment or (since and one.at < since):
                continue
            population = user.workspaces[0].id
            if population == home.population or (home.population is None and self.scope.has_population(population)):
                named = replace(
                    user,
                    organizations=(Named(id=home.environment, name=names.get(home.environment)),),
                    workspaces=(Named(id=population, name=self.company.populations[population].name),),
                )
                yield Deactivated(user=named, at=one.at, by=one.actor)

    # What was done

    async def audit(
        self, question: AuditQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[AuditEntry]:
        shelves = [
            Shelf(key=place, asked=repr((question, place)), rows=list(self._entries(place, question)))
            for place in self._environments(question.environment)
        ]
        return _page(shelves, at, page_size, lambda entry: entry.id)

    def _entries(self, environment: str, question: AuditQuestion) -> Iterable[AuditEntry]:
        """Return the lines of the audit, the newest first; ids fall with time, so that they are in order too."""
        for place, one in reversed([*enumerate(self.company.happenings)]):
            user = one.removed or self.company.users.get(one.user)
            home = user.workspaces[0].id if user is not None else None
            if user is None or home is None or user.organizations[0].id != environment:
                continue
            entry = AuditEntry(
                id=number(1_000_000 - place),
                created_at=one.at,
                action=ACTIONS.get(one.kind, one.kind),
                event=one.kind,
                actor=AuditActor(type="user", name=one.actor),
                organization=Named(id=environment, name=self.company.environments[environment]),
                workspace=Named(id=home),
                entity=one.user,
            )
            since, until = question.since or entry.created_at, question.until or entry.created_at
            wanted = question.action in (None, entry.action, entry.event)
            if since <= entry.created_at <= until and wanted and self.scope.has_population(home):
                yield entry

    async def roles(self) -> tuple[Role, ...]:
        held = {one.id: one.name for roles in self.company.roles.values() for one in roles}
        return tuple(Role(id=identity, name=name) for identity, name in sorted(held.items()))

    # Groups

    async def groups(
        self, question: GroupQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Group]:
        words = unaccented(question.query or "").split()
        names = self.company.environments if self.scope.has_several_environments else {}
        shelves = [
            Shelf(
                key=home.environment,
                asked=repr((question, home)),
                rows=[
                    replace(
                        self._counted(group), organization=Named(id=home.environment, name=names.get(home.environment))
                    )
                    for group in self._groups(home)
                    if all(word in unaccented(group.name or "") for word in words)
                ],
            )
            for home in self._homes(self._environments(question.environment), question.population)
        ]
        return _page(shelves, at, page_size, lambda group: group.id)

    async def group(self, reference: str, *, environment: str | None = None) -> Group:
        place, identity = self._group(environment, reference)
        group = self._counted(self.company.groups[identity])
        named = replace(
            group,
            organization=Named(id=place, name=self.company.environments[place]),
            parents=self.company.parents(identity),
        )
        if group.member_count is None:
            return named
        every = sum(identity in self._memberships(user) for user in self.company.users)
        return replace(named, total_member_count=every)

    async def members(
        self, question: MemberQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Member]:
        place, group = self._group(question.environment, question.group)
        kinds: Sequence[MembershipType] = ("direct",) if question.direct_only else ("direct", "indirect")
        shelves = [
            Shelf(
                key=f"{kind} {place}",
                asked=repr(question),
                label=kind,
                rows=[
                    Member(user=user, type=kind)
                    for user in self._people(Home(place, None))
                    if self._memberships(user.id).get(group) == kind
                ],
            )
            for kind in kinds
        ]
        return _page(shelves, at, page_size, lambda member: member.user.id)

    def _groups(self, home: Home) -> Iterable[Group]:
        for _, group in sorted(self.company.groups.items()):
            population = group.workspace.id if group.workspace is not None else None
            meant = population == home.population if home.population else self.scope.has_group_of(population)
            if group.organization.id == home.environment and meant:
                yield group

    def _counted(self, group: Group) -> Group:
        """Return a group with its counts, unless they go beyond the populations served."""
        home = group.workspace
        if home is not None:
            group = replace(group, workspace=Named(id=home.id, name=self.company.populations[home.id].name))
        elif self.scope.populations:
            return group
        return replace(
            group,
            member_count=sum(one == group.id for _, one in self.company.members),
            group_count=sum(parent == group.id for _, parent in self.company.nestings),
        )

    # Places

    async def describe(self) -> Description:
        return Description(
            provider="dictionary",
            region="here",
            organizations=tuple([await self._summary(place) for place in self._environments(None)]),
            limited_to_workspaces=self.scope.populations,
        )

    async def _summary(self, place: str) -> OrganizationSummary:
        people = list(self._people(Home(place, None)))
        return OrganizationSummary(
            organization=Organization(id=place, name=self.company.environments[place]),
            user_count=len(people),
            disabled_count=sum(user.status_source.enabled is False for user in people),
            group_count=None if self.scope.populations else len(list(self._groups(Home(place, None)))),
            workspaces=tuple(
                replace(one, user_count=sum(user.workspaces[0].id == one.id for user in people))
                for one in await self.populations(place)
            ),
        )

    async def environments(self) -> tuple[Organization, ...]:
        return tuple(Organization(id=one, name=self.company.environments.get(one)) for one in self._environments(None))

    async def populations(self, environment: str | None = None) -> tuple[Workspace, ...]:
        first, *_ = self._environments(environment)
        return tuple(
            Workspace(id=identity, name=population.name)
            for identity, population in sorted(self.company.populations.items())
            if population.environment == first and self.scope.has_population(identity)
        )

    def _environments(self, reference: str | None) -> Sequence[str]:
        return resolved(self._references.environments(reference), self._look)

    def _homes(self, environments: Sequence[str], population: str | None) -> list[Home]:
        return resolved(self._references.homes(environments, population), self._look)

    def _group(self, environment: str | None, reference: str) -> GroupAt:
        return resolved(self._references.group(self._environments(environment), reference), self._look)

    def _look(self, lookup: Lookup) -> Known:
        company = self.company
        match lookup.kind:
            case "environments":
                served = self.scope.environments or sorted(company.environments)
                return Known(tuple(Referable(one, company.environments.get(one)) for one in served))
            case "environment":
                return Known()
            case "populations":
                there = sorted(company.populations.items())
                return Known(
                    tuple(Referable(one, it.name, one) for one, it in there if it.environment == lookup.environment)
                )
            case "group" | "groups":
                there_too = (one for one in company.groups.values() if one.organization.id == lookup.environment)
                named = [Referable(one.id, one.name, one.workspace.id if one.workspace else None) for one in there_too]
                return Known(tuple(one for one in named if lookup.kind == "groups" or one.id == lookup.reference))


def _page(
    shelves: Sequence[Shelf[T]], at: Position | None, page_size: int | None, identity: Callable[[T], str]
) -> Page[T]:
    """Return a page of a shelf: so many of its rows behind the last one before it."""
    place = find(shelves, at, source="live")
    after, rows = place.position.after or "", place.part.rows
    left = [row for row in rows if identity(row) > after]
    size = place.position.size or page_size or _PAGE
    shown, more = left[:size], len(left) > size
    return page_at(
        place,
        ReadPage(
            items=tuple(shown),
            rows=len(shown),
            link=after,
            next=identity(shown[-1]) if more else None,
            count=len(rows),
        ),
    )
