"""Users of PingOne: lists of them, and one of them whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pingone_mcp.ahead import Awaited, ahead
from pingone_mcp.directory.gaps import QueryCut
from pingone_mcp.directory.matching.filterable import configured
from pingone_mcp.directory.matching.filters import Filter, Within, all_of, any_of, eq, parse
from pingone_mcp.directory.matching.references import CalledUser, as_id, the_one_user
from pingone_mcp.directory.models import GroupMembership, JsonObject, Manager, RoleAssignment, User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import find
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import Include, UserQuestion
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Refused, RequestRefused
from pingone_mcp.pingone import filters, wire
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.filters import PEOPLE_CHARACTERS, population_filters
from pingone_mcp.pingone.pages import items, page_or_gap, whole_list
from pingone_mcp.pingone.parts import ListPart, page_of
from pingone_mcp.pingone.served import Served
from pingone_mcp.tasks import each

T = TypeVar("T")

_INCLUDE_PAGE = 25
_LONGEST_REFERENCE = 256
_BOTH: tuple[Include, ...] = ("groups", "roles")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What PingOne answers about a user at other addresses; `unreadable` is what may not be read, or not whole."""

    groups: tuple[GroupMembership, ...] | None
    roles: tuple[RoleAssignment, ...] | None
    unreadable: tuple[Include, ...]

    def of(self, user: User) -> User:
        unreadable = (*user.unreadable, *self.unreadable)
        return dataclasses.replace(user, groups=self.groups, roles=self.roles, unreadable=unreadable)


class Users:
    """Answer questions about users."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def page(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        """Return one page of users. Raises Refused for unknown names and stale positions, and FilterRefused."""
        parts = await self._parts(question)
        place = find(parts, at, source="live")
        part = place.part
        most = _INCLUDE_PAGE if question.include else self._served.connection.pace.page_size
        path = place.position.after or self._served.people.path(
            part.environment, part.filter, part.page_size(page_size, most)
        )
        try:
            hal, gaps = await page_or_gap(self._served.client, path, "users", place)
        except FilterRefused as refused:
            raise configured(filters.USERS, self._served.connection.attributes).advised(
                refused, question.filter
            ) from None
        users, left_out = await self._served.people.readable(part.environment, hal, remote_data=question.remote_data)
        users = tuple(user for user in users if part.keep is None or part.keep(user))
        if question.include:
            users = await self._with(question.include, part.environment, users)
        cut = question.query is not None and filters.people_are_cut(question.query, PEOPLE_CHARACTERS)
        gaps = (*await self._served.unserved(question.environment), *gaps, *((QueryCut(),) if cut else ()))
        return page_of(place, path, hal, users, left_out=left_out, gaps=gaps)

    async def _parts(self, question: UserQuestion) -> list[ListPart]:
        text = filters.people(question.query, longest=PEOPLE_CHARACTERS) if question.query is not None else None
        raw = parse(question.filter) if question.filter is not None else None

        environments, group = await self._served.environment_ids(question.environment), None
        if question.group is not None:
            place, identity = await self._served.find_group(question.environment, question.group)
            environments, group = (place,), Within("memberOfGroups", eq("id", identity))

        return [
            ListPart(
                key=f"{home.environment} {batch}{name}",
                environment=home.environment,
                filter=all_of((status, text, raw, group, population)),
                keep=keep,
            )
            for home in await self._served.homes(environments, question.population)
            for batch, population in enumerate(population_filters(self._served.connection.scope, home.population))
            for name, status, keep in _status_parts(question)
        ]

    async def get(self, reference: str, *, environment: str | None = None, remote_data: bool = False) -> User:
        """Return one user with groups, roles and manager; what does not wait for another answer is read at once.

        Raises NotFound for nobody, and Refused where several are meant.
        """
        reference, names = reference.strip(), self._served.names
        environments = await self._served.environment_ids(environment)
        async with ahead() as early:
            organizations = early.ask(names.environment_names)
            beside, likely = None, None
            if len(environments) == 1:
                early.ask(partial(names.population_names, environments[0]))
                # Of a user who may be outside the configured populations nothing more is read before that is known.
                likely = as_id(reference) if not self._served.connection.scope.populations else None
            if likely is not None:
                beside = early.ask(partial(self._beside, _BOTH, environments[0], likely))
            place, raw, nameless = await self._find_user(reference, environments)
            if beside is None or nameless.id != likely:
                beside = early.ask(partial(self._beside, _BOTH, place, nameless.id))
            manager = early.ask(partial(self._manager, place, nameless.manager))
            found = self._served.people.unify(
                raw, await organizations.taken(), await names.population_names(place), remote_data=remote_data
            )
            return dataclasses.replace((await beside.taken()).of(found), manager=await manager.taken())

    async def _find_user(self, reference: str, environments: Sequence[str]) -> tuple[str, JsonObject, User]:
        """Return the environment of the one user that a reference means, the object, and the user without names."""
        async with ahead() as early:
            asked = [early.ask(partial(self._users_called, environment, reference)) for environment in environments]
            answered = [item for answer in asked for item in await answer.taken()]
        people = self._served.people
        unified = [(environment, raw, people.unify(raw, {}, {})) for environment, raw in answered]
        scope = self._served.connection.scope
        found = [one for one in unified if scope.has_user_of(place.id for place in one[2].workspaces)]
        if not found:
            await self._served.unserved(None)  # where nothing is served at all, that is what is wrong
        called = [CalledUser(place, user.id, user.username, user.name, (raw, user)) for place, raw, user in found]
        one = the_one_user(called, reference, limited=bool(self._served.connection.scope.populations))
        return one.environment, *one.value

    async def _users_called(self, environment: str, reference: str) -> list[tuple[str, JsonObject]]:
        raw = await self._served.people.by_id(environment, reference)
        return [(environment, raw)] if raw else await self._users_by_name(environment, reference)

    async def _users_by_name(self, environment: str, reference: str) -> list[tuple[str, JsonObject]]:
        called = any_of(eq(attribute, reference) for attribute in ("username", "email", "externalId"))
        path = self._served.people.path(environment, called, 10)
        return [(environment, raw) async for raw in items(self._served.client, path, "users", environment)]

    async def _manager(self, environment: str, manager: Manager | None) -> Manager | None:
        """Return the manager with id and names where the reference leads to exactly one user."""
        if manager is None or len(manager.reference) > _LONGEST_REFERENCE:
            return manager
        reference = manager.reference

        async def read() -> tuple[Manager, ...]:
            try:
                _, _, user = await self._find_user(reference, (environment,))
            except (NotFound, RequestRefused, FilterRefused, Refused):
                return ()
            return (Manager(reference=reference, id=user.id, username=user.username, email=user.email, name=user.name),)

        found = await self._served.names.keep(f"manager {environment} {reference}", read)
        return found[0] if found else manager

    async def _with(self, include: Sequence[Include], environment: str, users: tuple[User, ...]) -> tuple[User, ...]:
        """Return the users with groups and roles."""

        async def complete(user: User) -> User:
            return (await self._beside(include, environment, user.id)).of(user)

        return tuple(await each(complete, users))

    async def _beside(self, include: Sequence[Include], environment: str, identity: str) -> _Beside:
        root = f"/environments/{environment}/users/{identity}"
        async with ahead() as early:
            memberships = early.ask(partial(self._memberships, root, environment)) if "groups" in include else None
            assignments = early.ask(partial(self._role_assignments, root, environment)) if "roles" in include else None
            groups, all_groups = await _taken(memberships)
            roles, all_roles = await _taken(assignments)
        parts: tuple[tuple[Include, bool], ...] = (("groups", all_groups), ("roles", all_roles))
        return _Beside(groups=groups, roles=roles, unreadable=tuple(name for name, whole in parts if not whole))

    async def _memberships(self, root: str, environment: str) -> tuple[tuple[GroupMembership, ...], bool]:
        """Return a user's memberships, and whether they are all."""
        path = path_with(f"{root}/memberOfGroups", {"limit": self._served.connection.pace.page_size})
        raws, whole = await whole_list(self._served.client, path, "groupMemberships", environment)
        found, readable = wire.memberships(raws)
        return found, whole and readable

    async def _role_assignments(self, root: str, environment: str) -> tuple[tuple[RoleAssignment, ...], bool]:
        """Return a user's role assignments, and whether they are all."""
        raws, whole = await whole_list(self._served.client, f"{root}/roleAssignments", "roleAssignments", environment)
        if not raws:
            return (), whole
        roles = await self._served.names.role_names()
        places = await self._served.names.environment_names() | await self._served.names.population_names(environment)
        found, readable = wire.role_assignments(raws, roles=roles, places=places)
        return found, whole and readable


async def _taken(asked: Awaited[tuple[tuple[T, ...], bool]] | None) -> tuple[tuple[T, ...] | None, bool]:
    """Return what was asked for, and whether it is all; None where it was not asked for, or may not be read."""
    if asked is None:
        return None, True
    try:
        return await asked.taken()
    except (NotPermitted, NotFound):  # not found: the user went while we looked
        return None, False


def _status_parts(question: UserQuestion) -> list[tuple[str, Filter | None, Callable[[User], bool] | None]]:
    """Say how users of a status are read: `enabled` can be filtered by PingOne, the rest is decided here."""
    wanted = question.status
    if wanted is None:
        return [("", None, None)]
    enabled = eq("enabled", value=True)
    if wanted == "inactive":
        return [
            ("d", eq("enabled", value=False), None),
            ("l", enabled, lambda user: user.status == "inactive"),
        ]
    return [("", enabled, lambda user: user.status == wanted)]
