"""Names and ids of environments, populations, groups and roles: small look-ups, kept for some minutes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import anyio

from pingone_mcp.clock import Clock
from pingone_mcp.directory.gaps import Gap, ShortNames
from pingone_mcp.directory.matching.filters import eq
from pingone_mcp.directory.matching.references import Known, Lookup, Referable, no_such_group
from pingone_mcp.directory.models import Group, Organization, Role, Workspace
from pingone_mcp.errors import AnotherServer, NotFound, NotPermitted, UnexpectedAnswer, UpstreamProblem
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import Client, path_with
from pingone_mcp.tasks import SingleFlight

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """What was found in a look-up, and what it lacks: `gap` is None where it is whole."""

    items: tuple[T, ...] = ()
    gap: Gap | None = None


KEPT_SECONDS = 300.0
_LOOKUP_PAGE = 1000
_LABEL_SECONDS = 3.0
_LACKING_SECONDS = 30.0


class Names:
    """Look up what users, groups and roles are called. What the credentials may not read has no name."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept = _Kept(clock)
        self._reading = SingleFlight(client.tasks)

    async def environments(self) -> tuple[Organization, ...]:
        """Return the environments served, ordered by id. An unreadable one that is configured has no name."""
        return (await self.found_environments()).items

    async def found_environments(self) -> Found[Organization]:
        """Return the environments served, and whether they are all that there are."""
        return await self.keep("environments", self._read_environments, everybody=True)

    async def environment_names(self) -> dict[str, str | None]:
        return {place.id: place.name for place in await self.environments()}

    async def environment_now(self, identity: str) -> Organization:
        """Return one environment as it is now, not as it was minutes ago; without a type where it cannot be read."""
        return await self._read_environment(identity.lower())

    def forget(self) -> None:
        """Forget what was looked up, and what is just being read: something was changed."""
        self._kept, self._reading = _Kept(self._clock), SingleFlight(self._client.tasks)

    async def populations(self, environment: str) -> tuple[Workspace, ...]:
        return (await self.found_populations(environment)).items

    async def found_populations(self, environment: str, *, fresh: bool = False) -> Found[Workspace]:
        """Return the populations of an environment, and whether they are all that there are."""
        path = f"/environments/{environment}/populations"
        return await self.keep(
            f"populations {environment}",
            lambda: self._read_all(path, "populations", environment, wire.workspace),
            fresh=fresh,
            everybody=True,
        )

    async def population_names(self, environment: str) -> dict[str, str | None]:
        """Return names by id; empty where they cannot be read."""
        return await self._labels(f"population names {environment}", lambda: self.populations(environment))

    async def roles(self) -> tuple[Role, ...]:
        """Return the administrator roles that there are."""

        async def read() -> tuple[Role, ...]:
            return (await self._read_all("/roles", "roles", None, wire.role)).items

        return await self.keep("roles", read, everybody=True)

    async def role_names(self) -> dict[str, str | None]:
        return await self._labels("role names", self.roles)

    async def _labels(
        self, key: str, read: Callable[[], Awaitable[tuple[Role, ...] | tuple[Workspace, ...]]]
    ) -> dict[str, str | None]:
        """Return names by id. Names are labels: an answer does without them when they cannot be had soon."""

        async def attempt() -> dict[str, str | None]:
            with anyio.move_on_after(_LABEL_SECONDS):
                try:
                    return {thing.id: thing.name for thing in await read()}
                except UpstreamProblem:
                    pass
            return {}

        try:
            return await self.keep(key, attempt, everybody=True)
        except UpstreamProblem:  # there is no token
            return {}

    async def look(self, lookup: Lookup) -> Known:
        """Return what a resolver of references must know. Raises UpstreamProblem."""
        environment, reference = lookup.environment, lookup.reference
        match lookup.kind:
            case "environments":
                places = await self.found_environments()
                return Known(tuple(Referable(place.id, place.name) for place in places.items), places.gap)
            case "environment":
                place = await self._read_environment(reference)
                return Known((Referable(place.id, place.name),) if place.name is not None else ())
            case "populations":
                found = await self.found_populations(environment, fresh=lookup.fresh)
                return Known(tuple(Referable(place.id, place.name, place.id) for place in found.items), found.gap)
            case "group":
                group = await self._group(environment, reference)
                return Known((_referable(group),) if group is not None else ())
            case "groups":
                return await self._groups_called(environment, reference)

    async def _groups_called(self, environment: str, name: str) -> Known:
        async def read() -> Found[Group]:
            path = path_with(f"/environments/{environment}/groups", {"filter": str(eq("name", name))})
            return await self._read_all(path, "groups", environment, wire.group)

        found = await self.keep(f"group {environment} {name}", read)
        groups = found.items
        if not groups:
            # PingOne compares the stored name; answers show it without hidden characters. And who mistypes a name is
            # helped by the nearest ones. One page is looked through for both.
            groups = await self.keep(f"groups {environment}", lambda: self._some_groups(environment), everybody=True)
        return Known(tuple(map(_referable, groups)), found.gap)

    async def _some_groups(self, environment: str) -> tuple[Group, ...]:
        path = f"/environments/{environment}/groups?limit={_LOOKUP_PAGE}"
        page = await self._client.page(path, "groups", environment=environment)
        return wire.readable(page.items, wire.group)[0]

    async def group(self, environment: str, identity: str, *, fresh: bool = False) -> Group:
        """Return a group by id, with its total member count: as it is now (`fresh`), or was in the last minutes.

        Raises Refused when there is none, or none in the populations served.
        """
        group = await self._group(environment, identity, fresh=fresh)
        if group is None:
            raise no_such_group()
        if group.workspace is not None:
            self._client.connection.scope.check_population(group.workspace.id)
        return group

    async def _group(self, environment: str, identity: str, *, fresh: bool = False) -> Group | None:
        path = f"/environments/{environment}/groups/{identity}?include=totalMemberCounts"

        async def read() -> Group:
            return wire.group(await self._client.get(path), populations=await self.population_names(environment))

        try:
            return await self.keep(path, read, fresh=fresh)
        except NotFound:
            return None

    async def _read_environments(self) -> Found[Organization]:
        configured = self._client.connection.scope.environments
        if configured is None:
            found = await self._read_all("/environments", "environments", None, wire.organization)
            return replace(found, items=tuple(sorted(found.items, key=lambda place: place.id)))
        return Found(items=tuple([await self._read_environment(identity) for identity in sorted(configured)]))

    async def _read_environment(self, identity: str) -> Organization:
        try:
            return wire.organization(await self._client.get(f"/environments/{identity}"))
        except AnotherServer:
            raise
        except (NotPermitted, NotFound, UnexpectedAnswer):
            return Organization(id=identity)

    async def _read_all(
        self, path: str, key: str, environment: str | None, read: Callable[[dict[str, Any]], T]
    ) -> Found[T]:
        joint = "&" if "?" in path else "?"
        # `/roles` takes no paging parameters (recorded `self` links drop them).
        first = path if key == "roles" else f"{path}{joint}limit={_LOOKUP_PAGE}"
        pages = [page async for page in self._client.pages(first, key, environment=environment)]
        items, left_out = wire.readable((item for page in pages for item in page.items), read)
        lacking = left_out + sum(page.missing for page in pages)
        gap = ShortNames(place=environment, noun=key, lacking=lacking) if lacking else None
        return Found(items=items, gap=gap)

    async def keep(
        self, key: str, read: Callable[[], Awaitable[T]], *, fresh: bool = False, everybody: bool = False
    ) -> T:
        """Return what was read under this key within the last minutes, else read it, once for all who wait.

        What is of use to `everybody` is read to its end, also where those who asked have left.
        """
        if fresh:  # what others have begun may be older than this question
            return await _read(key, read, self._kept)
        value: T | None = self._kept.get(key)
        if value is not None:
            return value
        await self._client.authenticate()  # here, where the caller sees what takes long
        return await self._reading.do(key, partial(_read, key, read, self._kept), lasting=everybody)


class _Kept:
    """What was looked up, each for some minutes; what was not there may be made any moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[str, tuple[float, Any]] = {}

    def get(self, key: str) -> Any:
        """Return what is kept under a key, or None."""
        until, value = self._values.get(key, (0.0, None))
        return value if self._clock.monotonic() < until else None

    def put(self, key: str, value: object) -> None:
        now = self._clock.monotonic()
        self._values = {other: held for other, held in self._values.items() if now < held[0]}
        if value not in ((), Found()):
            lacks = not value or (isinstance(value, Found) and value.gap is not None)
            self._values[key] = (now + (_LACKING_SECONDS if lacks else KEPT_SECONDS), value)


async def _read(key: str, read: Callable[[], Awaitable[T]], kept: _Kept) -> T:
    value = await read()
    kept.put(key, value)
    return value


def _referable(group: Group) -> Referable:
    return Referable(group.id, group.name, group.workspace.id if group.workspace is not None else None)
