"""How often a connection is synced: changed without a question to the provider, and from the next sync on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Refused
from pingone_mcp.service.fleet.keeping.intervals import Intervals
from pingone_mcp.service.fleet.linking import MadeByVariables
from tests.fleets import Estate, caller


async def test_the_next_sync_comes_no_later_than_the_new_interval(serving: Estate) -> None:
    acme = await serving.link("acme", sync_minutes=10_080)
    intervals, now = (
        Intervals(serving.control, serving.fleet, serving.administration.linking),
        serving.control.clock.now(),
    )
    await serving.control.connections.set_next_sync(acme.id, now + timedelta(days=7))
    before = len(serving.company("acme").sandbox.requests)
    await intervals.change(caller(), acme.id, 15)
    found = await serving.control.connections.get(acme.id)
    assert found is not None
    assert (found.settings["sync_minutes"], found.next_sync_at) == (15, now + timedelta(minutes=15))
    assert len(serving.company("acme").sandbox.requests) == before
    await intervals.change(caller(), acme.id, 60)
    found = await serving.control.connections.get(acme.id)
    assert found is not None
    assert found.next_sync_at == now + timedelta(minutes=15), "what comes sooner comes as it would"
    credentials = await serving.control.connections.credentials(acme.id)
    assert credentials["client_secret"].get_secret_value() == serving.company("acme").sandbox.client_secret


async def test_what_is_none_is_refused_and_others_are_not_reached(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="one"), await serving.link("globex", tenant="two")
    intervals = Intervals(serving.control, serving.fleet, serving.administration.linking)
    for minutes in (0, -1, 10_081, float("inf"), float("nan")):
        with pytest.raises(Refused):
            await intervals.change(caller(), acme.id, minutes)
    with pytest.raises(NoSuchConnection):
        await intervals.change(caller(globex.id), acme.id, 30)
    await serving.control.connections.keep_default({"environment_id": "e"})
    with pytest.raises(MadeByVariables):
        await intervals.change(caller(), DEFAULT, 30)
