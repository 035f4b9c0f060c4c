"""Users of PingOne: where they are read, and how they become users of the unified directory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pingone_mcp.directory.matching.filters import Filter
from pingone_mcp.directory.matching.references import as_id
from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import NotFound
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import Client, path_with
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.names import Names
from pingone_mcp.tasks import in_thread

# So many bytes of users that are not as documented are read in the event loop: a hundredth of a second, and at worst,
# where they are nested deeply, some tenths.
_LENIENTLY = 128 * 1024


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
        if not hal.raws:
            return (), 0
        made = await self.made_users(environment, remote_data=remote_data)
        found, left_out = await self.read(hal)
        return tuple(map(made, found)), left_out

    async def read(self, page: HalPage) -> tuple[list[wire.ReadUser], int]:
        """Return the users of a page as they were read, and how many have no id."""
        try:
            return self.reader.read(page.raws, most=_LENIENTLY)
        except wire.TakesLong:
            return await in_thread(self.reader.read, page.raws, pool="answers")

    async def made_users(self, environment: str, *, remote_data: bool = False) -> Callable[[wire.ReadUser], User]:
        """Return what makes users with the names of their places: of environments, where several are served."""
        several = self._client.connection.scope.has_several_environments
        return partial(
            self.reader.user,
            environments=await self._names.environment_names() if several else {},
            populations=await self._names.population_names(environment),
            remote_data=remote_data,
        )

    async def made_rows(self, environment: str, *, remote_data: bool = False) -> Callable[[wire.ReadUser], UserRow]:
        """Return what makes rows of the users of an environment."""
        return partial(self.reader.row, environment=environment, remote_data=remote_data)

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
