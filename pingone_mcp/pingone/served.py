"""The part of PingOne that a connection serves: its environments and populations, and the users in them, with names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.directory.filters import Filter, any_of, eq
from pingone_mcp.directory.gaps import Gap, LostPopulations, UnreadableEnvironment, listed
from pingone_mcp.directory.models import JsonObject, User, Workspace
from pingone_mcp.directory.references import GroupAt, Home, References, as_id, resolved_live
from pingone_mcp.directory.text import candidate
from pingone_mcp.errors import NotFound, NotPermitted, RequestRefused, Unconfigured, UpstreamProblem
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.client import Client, HalPage, path_with
from pingone_mcp.pingone.names import Found, Names
from pingone_mcp.pingone.parts import ListPlace
from pingone_mcp.tasks import each

T = TypeVar("T")

# Together with a token and what else is asked for they stay below the 6 KB that PingOne allows for request headers.
_POPULATIONS_PER_FILTER = 35
PEOPLE_CHARACTERS = 1_500
_NAMED = 10
NOTHING = HalPage(items=(), next=None, count=None)


class Served:
    """Read what the connection serves, and nothing beside it."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.connection = client.connection
        self.clock = clock
        self.names = Names(client, clock)
        self._references = References(client.connection.scope)

    async def environment_ids(self, reference: str | None) -> Sequence[str]:
        """Return the environments to read, in one order for all processes. Raises Refused."""
        return await resolved_live(self._references.environments(reference), self.names.look)

    async def homes(self, environments: Sequence[str], population: str | None) -> list[Home]:
        """Return where the users of a population (None: of all that are served) are to be read. Raises Refused."""
        return await resolved_live(self._references.homes(environments, population), self.names.look)

    async def find_group(self, environment: str | None, reference: str) -> GroupAt:
        """Return the one group that an id or a name means. Raises Refused."""
        environments = await self.environment_ids(environment)
        return await resolved_live(self._references.group(environments, reference), self.names.look)

    def now(self) -> datetime:
        """Return PingOne's time, by its answers; ours before the first one."""
        told = self.client.server_now()
        return self.clock.now() if told is None else datetime.fromtimestamp(told, UTC)

    def ahead(self) -> float:
        """Return how many seconds our clock is ahead of PingOne's."""
        return (self.clock.now() - self.now()).total_seconds()

    def population_filters(self, population: str | None) -> list[Filter | None]:
        """Return filters that hold for the users of a population, or of those served (None), each user in one."""
        return [eq("population.id", population)] if population is not None else self.bounds()

    def bounds(self) -> list[Filter | None]:
        """Return the filters that bound users to the populations served, as many in each as fit into a request."""
        allowed = sorted(self.connection.scope.populations)
        if not allowed:
            return [None]
        batches = [allowed[i : i + _POPULATIONS_PER_FILTER] for i in range(0, len(allowed), _POPULATIONS_PER_FILTER)]
        return [any_of(eq("population.id", identity) for identity in batch) for batch in batches]

    async def wanted_populations(self, environment: str, reference: str | None) -> frozenset[str] | None:
        """Return the ids of the population meant, or of those served; None where all are. Raises Refused."""
        (home,) = await self.homes((environment,), reference)
        if home.population is not None:
            return frozenset((home.population,))
        return frozenset(self.connection.scope.populations) or None

    def serves_raw(self, raw: JsonObject) -> bool:
        """Say whether a user as PingOne tells it is in a population that is served."""
        allowed = self.connection.scope.populations
        return not allowed or any(place.id in allowed for place in self.unify(raw, {}, {}).workspaces)

    async def page(self, path: str, key: str, place: ListPlace) -> HalPage:
        """Return the page at a path of a place, asked for twice where it ends its part too early."""
        try:
            return await self.client.page_behind(place.position.counted, path, key, environment=place.part.environment)
        except RequestRefused as refused:
            if place.position.after is None:
                raise
            raise RequestRefused(
                "PingOne does not accept this place in the list any more, so the rest was not read.",
                "Start again without `cursor`.",
                code=refused.code,
                correlation_id=refused.correlation_id,
            ) from None

    async def unserved(self, environment: str | None) -> tuple[Gap, ...]:
        """Return what the settings name and PingOne does not have, or cannot be asked about, as gaps of every answer.

        `environment` is the one that a question names. Raises Unconfigured where none of the populations that are to be
        served exists: every answer would be an empty one.
        """
        every = environment is None and self.connection.scope.environments is None
        gap = (await self.names.found_environments()).gap if every else None
        gaps: tuple[Gap, ...] = () if gap is None else (gap,)
        wanted = frozenset(self.connection.scope.populations)
        if not wanted:
            return gaps
        found = await each(self._populations_if_readable, await self.environment_ids(None))
        there = {place.id: place.name for one in found if one is not None for place in one.items}
        lost = tuple(sorted(wanted - there.keys()))
        if not lost:
            return gaps
        if any(one is None or one.gap is not None for one in found):
            return (*gaps, LostPopulations(populations=lost, known=False))
        if len(lost) == len(wanted):
            known = ", ".join(candidate(identity, name) for identity, name in list(there.items())[:_NAMED])
            raise Unconfigured(
                f"{setting('populations')} names no population that there is: {listed(lost)}.",
                f"There are: {known}." if there else "The environments served have no population.",
                code="NOTHING_SERVED",
            )
        return (*gaps, LostPopulations(populations=lost, known=True))

    async def _populations_if_readable(self, environment: str) -> Found[Workspace] | None:
        try:
            return await self.names.found_populations(environment)
        except UpstreamProblem:
            return None

    async def page_or_gap(self, path: str, key: str, place: ListPlace) -> tuple[HalPage, tuple[Gap, ...]]:
        """Return a page, and no gap; or no rows and a gap for one of several environments that may not be read.

        Raises NotPermitted or NotFound when it is the only environment.
        """
        try:
            return await self.page(path, key, place), ()
        except (NotPermitted, NotFound):
            if len({other.environment for other in place.parts}) == 1:
                raise
            return NOTHING, (UnreadableEnvironment(place=place.part.environment, or_none=True),)

    async def all(self, path: str, key: str, environment: str) -> AsyncIterator[JsonObject]:
        async for page in self.client.pages(path, key, environment=environment):
            for item in page.items:
                yield item

    async def whole(self, path: str, key: str, environment: str) -> tuple[list[JsonObject], bool]:
        """Return all items of a short list, and whether they are all that the server counts."""
        pages = [page async for page in self.client.pages(path, key, environment=environment)]
        return [item for page in pages for item in page.items], not any(page.missing for page in pages)

    def users_path(self, environment: str, wanted: Filter | None, size: int) -> str:
        """Return the path of the users that a filter lets through (None: of all), `size` a page."""
        query = {"limit": size, "filter": str(wanted) if wanted is not None else None}
        return path_with(f"/environments/{environment}/users", query)

    async def users(self, environment: str, hal: HalPage, *, remote_data: bool) -> tuple[User, ...]:
        """Return the users of a page. Raises UnexpectedAnswer for one without an id."""
        unify = await self._unifying(environment, hal, remote_data=remote_data)
        return tuple(unify(raw) for raw in hal.items)

    async def readable_users(
        self, environment: str, hal: HalPage, *, remote_data: bool = False
    ) -> tuple[tuple[User, ...], int]:
        """Return the users of a page, and how many are left out because they have no id."""
        return wire.readable(hal.items, await self._unifying(environment, hal, remote_data=remote_data))

    async def _unifying(self, environment: str, hal: HalPage, *, remote_data: bool) -> Callable[[JsonObject], User]:
        """Return what unifies users of an environment; names are read only where there is somebody to tell of."""
        environments = (
            await self.names.environment_names() if hal.items and self.connection.scope.has_several_environments else {}
        )
        populations = await self.names.population_names(environment) if hal.items else {}
        return partial(self.unify, environments=environments, populations=populations, remote_data=remote_data)

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
