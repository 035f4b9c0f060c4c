"""What a connection serves, at a glance: environments, populations, counts, and what the credentials may read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from pingone_mcp.advice import setting
from pingone_mcp.directory.gaps import Gap, NothingServed
from pingone_mcp.directory.matching.filters import Filter, all_of, eq
from pingone_mcp.directory.models import Description, Organization, OrganizationSummary, Workspace
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Unconfigured
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.filters import bounds
from pingone_mcp.pingone.names import KEPT_SECONDS, Found
from pingone_mcp.pingone.served import Served
from pingone_mcp.tasks import each

_DESCRIBED = 20  # environments whose counts are read; the others are named only


class _Looked(NamedTuple):
    """Whether a list may be read, and PingOne's count of it, where it gives one."""

    readable: bool
    number: int | None


class _Summed(NamedTuple):
    """One environment at a glance, and what its populations lack."""

    summary: OrganizationSummary
    gap: Gap | None


async def describe(served: Served) -> Description:
    """Describe the connection. What may not be read has no count, and `may_read` says so.

    Raises what an unreadable list of environments raises; that nothing is served at all is a gap here.
    """
    unserved = await _unserved(served)
    environments = await served.names.environments()
    described = await each(partial(_summed, served), environments[:_DESCRIBED])
    named = [OrganizationSummary(organization=place) for place in environments[_DESCRIBED:]]
    return Description(
        provider="PingOne",
        region=served.connection.endpoints.region,
        organizations=(*(one.summary for one in described), *named),
        limited_to_workspaces=served.connection.scope.populations,
        gaps=(*unserved, *(one.gap for one in described if one.gap is not None)),
        kept_seconds=int(KEPT_SECONDS),
    )


async def _unserved(served: Served) -> tuple[Gap, ...]:
    try:
        return await served.unserved(None)
    except Unconfigured as problem:  # a description is where one looks for what is wrong
        return (NothingServed(problem=problem.text(setting)),)


async def _summed(served: Served, place: Organization) -> _Summed:
    root = f"/environments/{place.id}"
    now = served.now()
    inside = bounds(served.connection.scope)
    users = await _users(served, root, inside)
    disabled = await _users(served, root, [all_of((eq("enabled", value=False), one)) for one in inside])
    groups = await _look(served, f"{root}/groups?limit=1")
    events = await _look(served, audit.path(place.id, now, limit=1, since=now - timedelta(hours=1)))
    found = await _populations(served, place.id)
    shown = [one for one in found.items if served.connection.scope.has_population(one.id)] if found is not None else []
    summary = OrganizationSummary(
        organization=place,
        user_count=users.number,
        disabled_count=disabled.number,
        group_count=None if served.connection.scope.populations else groups.number,
        workspaces=tuple(shown),
        may_read={
            "users": users.readable,
            "groups": groups.readable,
            "populations": found is not None,
            "audit": events.readable,
        },
    )
    return _Summed(summary, found.gap if found is not None else None)


async def _users(served: Served, root: str, filters: Sequence[Filter | None]) -> _Looked:
    """Look whether users may be read, and how many there are under all of the filters."""
    found = [
        await _look(served, path_with(f"{root}/users", {"limit": 1, "filter": str(one) if one else None}))
        for one in filters
    ]
    counts = [one.number for one in found if one.number is not None]
    return _Looked(all(one.readable for one in found), sum(counts) if len(counts) == len(found) else None)


async def _look(served: Served, path: str) -> _Looked:
    try:
        body = await served.client.get(path)
    except (NotPermitted, NotFound, FilterRefused):
        return _Looked(readable=False, number=None)
    count = body.get("count")
    return _Looked(readable=True, number=count if isinstance(count, int) else None)


async def _populations(served: Served, environment: str) -> Found[Workspace] | None:
    """Return the populations of an environment; None where they may not be read."""
    try:
        return await served.names.found_populations(environment)
    except NotPermitted:
        return None
