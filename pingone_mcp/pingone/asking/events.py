"""One page of audit events, whole even where it has lost its link."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime

from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import Client
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.pages import read_page
from pingone_mcp.pingone.parts import ListPlace


async def events_page(client: Client, path: str, place: ListPlace, before: Callable[[datetime], str]) -> HalPage:
    """Return a page of events, with the link that it may have lost; `before` is the path of all until a time.

    PingOne does not count events, so a page that lost its link looks like the last one. Where one ends the list it
    is asked what lies before its oldest event; if something does, the list goes on there.
    """
    hal = await read_page(client, path, "activities", place)
    if hal.next is not None or hal.count is not None or not hal.raws:
        return hal
    times = [event.at for event in wire.readable(hal.items, wire.event)[0]]
    if not times:
        return hal
    rest = before(min(times) - audit.PRECISION)
    earlier = await read_page(client, rest, "activities", place)
    return dataclasses.replace(hal, next=rest) if earlier.raws else hal
