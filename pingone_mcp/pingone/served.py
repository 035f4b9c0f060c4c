"""The part of PingOne that a connection serves: its environments and populations, and the users in them, with names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import anyio

from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.errors import NotFound, NotPermitted, Problem, Refused, RequestRefused
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.client import Client, HalPage, path_with
from pingone_mcp.pingone.clock import Clock
from pingone_mcp.pingone.filters import Filter, any_of, eq
from pingone_mcp.pingone.names import Names, as_id, found_in_any, the_one_group
from pingone_mcp.pingone.parts import Part

T = TypeVar("T")
R = TypeVar("R")

# Together with a token and what else is asked for they stay below the 6 KB that PingOne allows for request headers.
_POPULATIONS_PER_FILTER = 35
PEOPLE_CHARACTERS = 1_500
_FAN_OUT = 6
NOTHING = HalPage(items=(), next=None, count=None)
UNREADABLE_ENVIRONMENT = "not permitted (403): environment"


class Served:
    """Read what the connection serves, and nothing beside it."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.connection = client.connection
        self.clock = clock
        self.names = Names(client, clock)

    def several_environments(self) -> bool:
        configured = self.connection.environments
        return configured is None or len(configured) > 1

    async def environment_ids(self, reference: str | None) -> Sequence[str]:
        """Return the environments to read, in one order for all processes, so that positions stay valid."""
        if reference is not None:
            return (await self.names.find_environment(reference),)
        configured = self.connection.environments
        if configured is not None:
            return sorted(configured)
        return [place.id for place in await self.names.environments()]

    async def in_each(self, environments: Sequence[str], find: Callable[[str], Awaitable[Sequence[T]]]) -> list[T]:
        """Return what is found in all environments; one that does not know a name that is looked up has nothing.

        Raises Refused when no environment knows the name.
        """
        outcomes: list[Sequence[T] | Refused] = []
        for environment in environments:
            try:
                outcomes.append(await find(environment))
            except Refused as refused:
                outcomes.append(refused)
        return found_in_any(outcomes)

    async def find_group(self, environment: str | None, reference: str) -> tuple[str, str]:
        """Return environment and id of the one group that an id or a name means. Raises Refused."""

        async def find(place: str) -> list[tuple[str, str]]:
            return [(place, await self.names.find_group(place, reference))]

        found = await self.in_each(await self.environment_ids(environment), find)
        return the_one_group(found, reference, await self.names.environment_names() if len(found) > 1 else {})

    async def population_filters(self, environment: str, reference: str | None) -> list[Filter | None]:
        if reference is not None:
            return [eq("population.id", await self.names.find_population(environment, reference))]
        allowed = sorted(self.connection.populations)
        if not allowed:
            return [None]
        batches = [allowed[i : i + _POPULATIONS_PER_FILTER] for i in range(0, len(allowed), _POPULATIONS_PER_FILTER)]
        return [any_of(eq("population.id", identity) for identity in batch) for batch in batches]

    async def wanted_populations(self, environment: str, reference: str | None) -> frozenset[str] | None:
        if reference is not None:
            return frozenset((await self.names.find_population(environment, reference),))
        return frozenset(self.connection.populations) or None

    def serves_raw(self, raw: JsonObject) -> bool:
        """Say whether a user as PingOne tells it is in a population that is served."""
        allowed = self.connection.populations
        return not allowed or any(place.id in allowed for place in self.unify(raw, {}, {}).workspaces)

    async def page(self, path: str, key: str, part: Part, *, followed: bool) -> HalPage:
        try:
            return await self.client.page(path, key, environment=part.environment)
        except RequestRefused as refused:
            if not followed:
                raise
            raise RequestRefused(
                "PingOne does not accept this place in the list any more, so the rest was not read.",
                "Start again without `cursor`.",
                code=refused.code,
                correlation_id=refused.correlation_id,
            ) from None

    async def page_or_gap(
        self, path: str, key: str, part: Part, parts: Sequence[Part], *, followed: bool
    ) -> tuple[HalPage, tuple[str, ...]]:
        """Return a page, and no gap; or no rows and a gap for one of several environments that may not be read.

        Raises NotPermitted when it is the only environment.
        """
        try:
            return await self.page(path, key, part, followed=followed), ()
        except NotPermitted:
            if len({other.environment for other in parts}) == 1:
                raise
            return NOTHING, (f"{UNREADABLE_ENVIRONMENT} {part.environment}",)

    async def all(self, path: str, key: str, environment: str) -> AsyncIterator[JsonObject]:
        async for page in self.client.pages(path, key, environment=environment):
            for item in page.items:
                yield item

    def users_path(self, part: Part, size: int) -> str:
        wanted = str(part.filter) if part.filter is not None else None
        return path_with(f"/environments/{part.environment}/users", {"limit": size, "filter": wanted})

    async def users(self, environment: str, hal: HalPage, *, remote_data: bool) -> tuple[User, ...]:
        if not hal.items:
            return ()
        environments = await self.names.environment_names() if self.several_environments() else {}
        populations = await self.names.population_names(environment)
        return tuple(self.unify(raw, environments, populations, remote_data=remote_data) for raw in hal.items)

    def unify(
        self,
        raw: JsonObject,
        environments: dict[str, str | None],
        populations: dict[str, str | None],
        *,
        remote_data: bool = False,
    ) -> User:
        return wire.user(
            raw,
            attributes=self.connection.attributes,
            environments=environments,
            populations=populations,
            remote_data=remote_data,
        )

    async def user_by_id(self, environment: str, reference: str) -> JsonObject | None:
        identity = as_id(reference)
        if identity is None:
            return None
        try:
            return await self.client.get(f"/environments/{environment}/users/{identity}")
        except NotFound:
            return None


async def each(act: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Return what `act` makes of each item, in order, a few at a time. Raises the first Problem."""
    limiter = anyio.CapacityLimiter(_FAN_OUT)
    done: dict[int, R] = {}

    async def one(index: int, item: T) -> None:
        async with limiter:
            done[index] = await act(item)

    try:
        async with anyio.create_task_group() as tasks:
            for index, item in enumerate(items):
                tasks.start_soon(one, index, item)
    except* Problem as several:
        raise _first(several) from None
    return [done[index] for index in sorted(done)]


def _first(several: BaseExceptionGroup[Problem]) -> Problem:
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Problem)
    return error
