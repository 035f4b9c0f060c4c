"""How often a connection is synced: changed without a question to the provider, and from the next sync on."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from pydantic import JsonValue

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Refused
from pingone_mcp.service.fleet.keeping.intervals import Intervals
from pingone_mcp.service.fleet.linking import Add, MadeByVariables
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


async def test_an_interval_that_is_saved_while_new_values_are_checked_holds(serving: Estate) -> None:
    acme = await serving.link("acme", sync_minutes=60)
    linking = serving.administration.linking
    intervals = Intervals(serving.control, serving.fleet, linking)

    async def meanwhile(replace: Add) -> LinkedConnection:
        await intervals.change(caller(), acme.id, 15)
        return await replace()

    values = {"client_id": acme.settings["client_id"], "request_seconds": 20}
    replaced = await linking.reconnect(acme.id, values, serving.steps.append, meanwhile)
    assert (replaced.settings["sync_minutes"], replaced.settings["request_seconds"]) == (15, 20)


async def test_values_that_are_kept_while_an_interval_is_saved_stay(serving: Estate) -> None:
    acme = await serving.link("acme", sync_minutes=60)
    control = serving.control
    narrow: list[JsonValue] = ["5d2f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"]
    intervals = Intervals(control, serving.fleet, serving.administration.linking)
    async with anyio.create_task_group() as tasks, control.transaction():
        tasks.start_soon(intervals.change, caller(), acme.id, 15)
        with anyio.fail_after(20):
            while not control.database._writers.statistics().tasks_waiting:  # noqa: ASYNC110, SLF001 - it has read then
                await anyio.sleep(0.002)
        await control.connections.replace_credentials(
            acme.id, await control.connections.credentials(acme.id), {**acme.settings, "populations": narrow}
        )
    found = await control.connections.get(acme.id)
    assert found is not None
    assert (found.settings["sync_minutes"], found.settings["populations"]) == (15, narrow)


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
