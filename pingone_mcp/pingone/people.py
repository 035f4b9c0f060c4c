"""Users of PingOne: where they are read, and how they become users of the unified directory."""

from __future__ import annotations

from pingone_mcp.directory.matching.filters import Filter
from pingone_mcp.directory.matching.references import as_id
from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.errors import NotFound
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import Client, path_with
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.names import Names


class People:
    """Read users of one connection. Everything that reads raises UpstreamProblem."""

    def __init__(self, client: Client, names: Names) -> None:
        self.reader = wire.UserReader(client.connection.attributes)
        self._client = client
        self._names = names

    def path(self, environment: str, wanted: Filter | None, size: int) -> str:
        """Return the path of the users that a filter lets through (None: of all), `size` a page."""
        query = {"limit": size, "filter": str(wanted) if wanted is not None else None}
        return path_with(f"/environments/{environment}/users", query)

    async def readable(
        self, environment: str, hal: HalPage, *, remote_data: bool = False
    ) -> tuple[tuple[User, ...], int]:
        """Return the users of a page, and how many are left out because they have no id."""
        environments, populations = await self.names_in(environment) if hal.raws else ({}, {})
        found, left_out = self.reader.read(hal.raws)
        users = (self.reader.user(one, environments, populations, remote_data=remote_data) for one in found)
        return tuple(users), left_out

    async def names_in(self, environment: str) -> tuple[dict[str, str | None], dict[str, str | None]]:
        """Return names by id of environments, where several are served, and of an environment's populations."""
        several = self._client.connection.scope.has_several_environments
        return (
            await self._names.environment_names() if several else {},
            await self._names.population_names(environment),
        )

    def unify(
        self,
        raw: JsonObject,
        environments: dict[str, str | None],
        populations: dict[str, str | None],
        *,
        remote_data: bool = False,
    ) -> User:
        """Return the unified user; `environments` and `populations` give names by id."""
        return wire.user(
            raw,
            attributes=self._client.connection.attributes,
            environments=environments,
            populations=populations,
            remote_data=remote_data,
        )

    async def by_id(self, environment: str, reference: str) -> JsonObject | None:
        """Return one user by id as PingOne shows it; None for another reference, or one who is not there."""
        identity = as_id(reference)
        if identity is None:
            return None
        try:
            return await self._client.get(f"/environments/{environment}/users/{identity}")
        except NotFound:
            return None

    def serves(self, user: User) -> bool:
        """Say whether a user is in a population that is served."""
        return self._client.connection.scope.has_user_of(place.id for place in user.workspaces)
