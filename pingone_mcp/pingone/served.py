"""The part of PingOne that a connection serves: where its users are, and what the settings name that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.directory.gaps import Gap, LostPopulations, listed
from pingone_mcp.directory.matching.references import GroupAt, Home, References, resolved_live
from pingone_mcp.directory.models import Workspace
from pingone_mcp.directory.text.harmless import candidate
from pingone_mcp.errors import Unconfigured, UpstreamProblem
from pingone_mcp.pingone.api.client import Client
from pingone_mcp.pingone.names import Found, Names
from pingone_mcp.pingone.people import People
from pingone_mcp.tasks import each

_NAMED = 10


class Served:
    """What is read of PingOne for one connection: `names` of places, the `people` in them, within its scope."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.connection = client.connection
        self.clock = clock
        self.names = Names(client, clock)
        self.people = People(client, self.names)
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
        at = self.client.server_now()
        return self.clock.now() if at is None else datetime.fromtimestamp(at, UTC)

    def ahead(self) -> float:
        """Return how many seconds our clock is ahead of PingOne's."""
        return (self.clock.now() - self.now()).total_seconds()

    async def wanted_populations(self, environment: str, reference: str | None) -> frozenset[str] | None:
        """Return the ids of the population meant, or of those served; None where all are. Raises Refused."""
        (home,) = await self.homes((environment,), reference)
        if home.population is not None:
            return frozenset((home.population,))
        return frozenset(self.connection.scope.populations) or None

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
