"""The tool that describes the directory as a whole, one topic each: the same that resources offer by URI."""

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.gaps import listed_as_json
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import fitted, plain
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.server.edge import STRINGS, AppContext, answer, backend_of
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking.native import find_area
from pingone_mcp.service.asking.overview import overview as look_around
from pingone_mcp.service.asking.queries import describe_views
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import CopyState
from pingone_mcp.service.reviews.rules import read_rules
from pingone_mcp.tasks import in_thread

OVERVIEW = "overview"
TOPICS = (OVERVIEW, "views", "filters", "api", "roles", "rosters")
_AREA = "api/"
_USE_OF_API = (
    "Read pingone://api/{area}, or describe_directory with topic api/{area}, for the operations of an area. Call one with "
    "proxy_request: put ids in the place of the parameters in braces, give filter, limit and the like as query, and go "
    "on with next_cursor. What is not listed may exist as well. Refused: what lies outside the configured environments "
    "and populations, and writes unless the person who runs this server allows them."
)


async def describe_directory(
    ctx: AppContext,
    *,
    topic: Annotated[
        str,
        Field(
            max_length=100,
            description="overview, views (for SQL), filters, api (areas), api/users (an area), roles or rosters.",
        ),
    ] = OVERVIEW,
) -> CallToolResult:
    """Describe what is served: environments, populations with counts, what the credentials may read, local copy.

    Or another topic.
    """
    backend = await backend_of(ctx)
    facts = await overview(backend) if topic.strip() in ("", OVERVIEW) else await facts_of(backend, topic)
    return answer(fitted(facts, backend.answer_characters))


async def facts_of(backend: Backend, topic: str) -> JsonObject:
    """Return the facts of a topic other than the overview. Raises Refused for one that there is not."""
    wanted = topic.strip()
    if wanted.startswith(_AREA) and (area := wanted.removeprefix(_AREA)):
        return {"topic": wanted, **area_of_api(backend, area)}
    match wanted.rstrip("/"):
        case "views":
            facts = describe_views()
        case "filters":
            facts = filters(backend)
        case "api":
            facts = api(backend)
        case "roles":
            facts = await roles(backend)
        case "rosters":
            facts = await in_thread(rosters, backend, pool="disk")
        case _:
            raise Refused(
                "There is no such topic.",
                f"{did_you_mean(wanted, TOPICS)} The topics are {', '.join(TOPICS)}, and api/{{area}} for one area "
                "of the API.".strip(),
                code="UNKNOWN_TOPIC",
            )
    return {"topic": wanted.rstrip("/"), **facts}


async def overview(backend: Backend) -> JsonObject:
    """Return the directory at a glance. Raises Problem where the provider cannot be asked."""
    found = await look_around(backend)
    described: JsonObject = plain(found.description)
    return described | {
        "writes": found.writes,
        "replica": _copy(found.copy),
        "rosters": list(found.rosters),
        "strings_are": STRINGS,
    }


def _copy(copy: CopyState | Problem | None) -> JsonObject | None:
    if isinstance(copy, Problem):
        return {"problem": str(copy)}
    if copy is None:
        return None
    return {**plain(copy.state), "places": plain(copy.places), **listed_as_json(copy.gaps)}


def filters(backend: Backend) -> JsonObject:
    """Return what `filter` of list_users takes."""
    return backend.directory.profile.filterable.facts()


def api(backend: Backend) -> JsonObject:
    """Return the areas of the provider's own API with their number of operations, and how to call one."""
    areas = backend.native_api().operations()
    return {"use": _USE_OF_API, "areas": {name: len(area) for name, area in areas.items()}}


def area_of_api(backend: Backend, area: str) -> JsonObject:
    """Return every known operation of an area. Raises NotFound, with the nearest names, for one that there is not."""
    found = find_area(backend, area)
    operations = [{name: value for name, value in plain(one).items() if name != "area"} for one in found.operations]
    return {"area": found.name, "operations": operations}


async def roles(backend: Backend) -> JsonObject:
    """Return the rules of map_roles in their order, as their file has them; where there are none, why."""
    try:
        rules = await read_rules(backend.rules)
    except Problem as problem:
        return {"rules": [], "note": str(problem)}
    written = [plain(rule) | ({"attributes": dict(rule.attributes)} if rule.attributes else {}) for rule in rules.rules]
    return {"rules": written, "exclusive": [plain(one) for one in rules.exclusive]}


def rosters(backend: Backend) -> JsonObject:
    """Return the names that check_drift takes; where there are none, why."""
    names = list(backend.rosters.names())
    return {"rosters": names} if names else {"rosters": [], "note": str(backend.rosters.unknown())}


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(describe_directory, place=120, title="Describe the directory")]
