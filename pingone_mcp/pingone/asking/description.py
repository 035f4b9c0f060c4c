"""What a connection serves, at a glance: environments, populations, counts, and what the credentials may read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pingone_mcp.advice import setting
from pingone_mcp.directory.filters import Filter, all_of, eq
from pingone_mcp.directory.gaps import Gap, NothingServed
from pingone_mcp.directory.models import Description, Organization, OrganizationSummary, Workspace
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Unconfigured
from pingone_mcp.pingone.client import path_with
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.names import KEPT_SECONDS
from pingone_mcp.pingone.served import Served
from pingone_mcp.tasks import each

_DESCRIBED = 20  # environments whose counts are read; the others are named only


async def describe(served: Served) -> Description:
    """Describe the connection. What may not be read has no count, and `may_read` says so."""
    gaps = list(await _unserved(served))
    environments = await served.names.environments()

    async def summary(place: Organization) -> OrganizationSummary:
        return await _summary(served, place, gaps)

    described = await each(summary, environments[:_DESCRIBED])
    named = [OrganizationSummary(organization=place) for place in environments[_DESCRIBED:]]
    return Description(
        provider="PingOne",
        region=served.connection.endpoints.region,
        organizations=(*described, *named),
        limited_to_workspaces=served.connection.scope.populations,
        gaps=tuple(gaps),
        kept_seconds=int(KEPT_SECONDS),
    )


async def _unserved(served: Served) -> tuple[Gap, ...]:
    try:
        return await served.unserved(None)
    except Unconfigured as problem:  # a description is where one looks for what is wrong
        return (NothingServed(problem=problem.text(setting)),)


async def _summary(served: Served, place: Organization, gaps: list[Gap]) -> OrganizationSummary:
    root = f"/environments/{place.id}"
    now = served.now()
    inside = served.bounds()
    users = await _users(served, root, inside)
    disabled = await _users(served, root, [all_of((eq("enabled", value=False), one)) for one in inside])
    groups = await _count(served, f"{root}/groups?limit=1")
    events = await _count(served, audit.path(place.id, now, limit=1, since=now - timedelta(hours=1)))
    workspaces = await _workspaces(served, place.id, gaps)
    return OrganizationSummary(
        organization=place,
        user_count=users[1],
        disabled_count=disabled[1],
        group_count=None if served.connection.scope.populations else groups[1],
        workspaces=workspaces or (),
        may_read={"users": users[0], "groups": groups[0], "populations": workspaces is not None, "audit": events[0]},
    )


async def _users(served: Served, root: str, filters: Sequence[Filter | None]) -> tuple[bool, int | None]:
    """Return whether users may be read, and how many there are under all of the filters."""
    found = [
        await _count(served, path_with(f"{root}/users", {"limit": 1, "filter": str(one) if one else None}))
        for one in filters
    ]
    counts = [count for _, count in found if count is not None]
    return all(readable for readable, _ in found), sum(counts) if len(counts) == len(found) else None


async def _count(served: Served, path: str) -> tuple[bool, int | None]:
    """Return whether a list may be read, and the server's count of it."""
    try:
        body = await served.client.get(path)
    except (NotPermitted, NotFound, FilterRefused):
        return False, None
    count = body.get("count")
    return True, count if isinstance(count, int) else None


async def _workspaces(served: Served, environment: str, gaps: list[Gap]) -> tuple[Workspace, ...] | None:
    allowed = served.connection.scope.populations
    try:
        found = await served.names.found_populations(environment)
    except NotPermitted:
        return None
    gaps += [found.gap] if found.gap is not None else []
    return tuple(place for place in found.items if not allowed or place.id in allowed)
