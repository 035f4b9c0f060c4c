"""Lists of PingOne as they are read: one page of a listing, or a short list in one go. All raise UpstreamProblem."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pingone_mcp.directory.gaps import Gap, UnreadableEnvironment
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import NotFound, NotPermitted, RequestRefused
from pingone_mcp.pingone.api.client import Client
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.parts import ListPlace

NO_ROWS = HalPage(raws=(), next=None, count=None)


async def read_page(client: Client, path: str, key: str, place: ListPlace) -> HalPage:
    """Return the page at a path of a place, asked for twice where it ends its part too early.

    Raises RequestRefused with another sentence where PingOne does not accept the place any more.
    """
    try:
        return await client.page_behind(place.position.counted, path, key, environment=place.part.environment)
    except RequestRefused as refused:
        if place.position.after is None:
            raise
        raise RequestRefused(
            "PingOne does not accept this place in the list any more, so the rest was not read.",
            "Start again without `cursor`.",
            code=refused.code,
            correlation_id=refused.correlation_id,
        ) from None


async def page_or_gap(client: Client, path: str, key: str, place: ListPlace) -> tuple[HalPage, tuple[Gap, ...]]:
    """Return a page, and no gap; or no rows and a gap for one of several environments that may not be read.

    Raises NotPermitted or NotFound when it is the only environment.
    """
    try:
        return await read_page(client, path, key, place), ()
    except (NotPermitted, NotFound):
        if len({other.environment for other in place.parts}) == 1:
            raise
        return NO_ROWS, (UnreadableEnvironment(place=place.part.environment, or_none=True),)


async def items(client: Client, path: str, key: str, environment: str) -> AsyncIterator[JsonObject]:
    """Yield the items of a list, page by page."""
    async for page in client.pages(path, key, environment=environment):
        for item in page.items:
            yield item


async def whole_list(client: Client, path: str, key: str, environment: str) -> tuple[list[JsonObject], bool]:
    """Return all items of a short list, and whether they are all that the server counts."""
    pages = [page async for page in client.pages(path, key, environment=environment)]
    return [item for page in pages for item in page.items], not any(page.missing for page in pages)
