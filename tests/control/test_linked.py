"""Linked connections: made whole or not at all, changed by their ids, and removed with all that hangs on them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest
from pydantic import JsonValue, SecretStr
from sqlalchemy import insert, select

from pingone_mcp.control.announcing.announcements import Announcements
from pingone_mcp.control.announcing.sent_changes import SentUntil
from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.control.idempotency import KeyedRequest
from pingone_mcp.control.inbox import IncomingEvent
from pingone_mcp.control.linked import ChangedMeanwhile, LinkedConnection, LinkedConnections, NameTaken
from pingone_mcp.control.tables import METADATA, SCHEDULES
from tests.control.conftest import Hands

SECRET = {"client_secret": SecretStr("s3cr3t")}


async def rows(control: ControlData) -> dict[str, int]:
    """Count the rows of every table that has any."""
    async with control.database.read() as connection:
        found = {table.name: len((await connection.execute(select(table))).all()) for table in METADATA.sorted_tables}
    return {name: count for name, count in found.items() if count}


async def add_schedule(control: ControlData, connection_id: str) -> None:
    now = control.clock.now()
    values = {"kind": "drift", "cron": "0 6 * * *", "zone": "UTC", "arguments": {}, "is_active": True}
    row = {"id": "one", "connection_id": connection_id, "next_at": now, "created_at": now, **values}
    async with control.database.write() as connection:
        await connection.execute(insert(SCHEDULES).values(row))


async def test_a_connection_is_as_it_was_added(control: ControlData, linked: LinkedConnection, hands: Hands) -> None:
    assert await control.connections.get(linked.id) == linked
    assert (linked.status, linked.is_paused, linked.epoch, linked.created_at) == ("connecting", False, 1, hands.time)
    assert linked.settings == {"region": "EU"}
    assert await control.connections.credentials(linked.id) == SECRET
    assert await control.connections.with_credentials(linked.id) == (linked, SECRET)


async def test_nothing_is_known_of_a_connection_that_there_is_not(control: ControlData) -> None:
    connections = control.connections
    assert await connections.get("none") is None
    assert await connections.update("none", name="x") is None
    assert await connections.set_status("none", "active") is None
    assert await connections.replace_credentials("none", SECRET) is None
    assert await connections.with_credentials("none") is None
    assert not await connections.remove("none")
    with pytest.raises(LookupError):
        await connections.credentials("none")


async def test_a_name_is_there_once_in_a_tenant(control: ControlData, linked: LinkedConnection) -> None:
    before = await rows(control)
    with pytest.raises(NameTaken):
        await control.connections.add(name="one", tenant="acme", settings={}, credentials=SECRET)
    assert await rows(control) == before, "nothing is half made"
    other = await control.connections.add(name="one", tenant="beta", settings={}, credentials=SECRET)
    nobody = await control.connections.add(name="one", settings={}, credentials=SECRET)
    with pytest.raises(NameTaken):
        await control.connections.add(name="one", settings={}, credentials=SECRET)
    assert {one.id for one in await control.connections.by_name("one")} == {linked.id, other.id, nobody.id}
    two = await control.connections.add(name="two", tenant="acme", settings={}, credentials=SECRET)
    with pytest.raises(NameTaken):
        await control.connections.update(two.id, name="one")


async def test_connections_are_listed_by_tenant_and_id_and_in_pages(control: ControlData, hands: Hands) -> None:
    made = []
    for number in range(5):
        tenant = "acme" if number % 2 else "beta"
        added = await control.connections.add(name=f"{number}", tenant=tenant, settings={}, credentials=SECRET)
        made.append(added)
        hands.go(seconds=number % 2)  # some are made in the same instant
    listed = control.connections.listed
    every = await listed()
    assert sorted(every, key=lambda one: one.name) == made
    assert {one.tenant for one in await listed(tenant="acme")} == {"acme"}
    assert [one.id for one in await listed(ids=[made[3].id, made[4].id], tenant="acme")] == [made[3].id]
    assert await listed(ids=[]) == []
    pages = [await listed(limit=2), await listed(after=every[1].id, limit=2), await listed(after=every[3].id, limit=2)]
    assert [one for page in pages for one in page] == every
    assert await listed(after="none") == []


async def test_a_change_of_settings_or_credentials_is_a_new_epoch(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    later = hands.go(hours=1)
    named = await control.connections.update(linked.id, name="new", is_paused=True)
    assert named is not None
    assert (named.name, named.is_paused, named.epoch, named.updated_at) == ("new", True, 1, later)
    changed = await control.connections.update(linked.id, settings={"region": "CA"})
    assert changed is not None
    assert (changed.epoch, changed.settings) == (2, {"region": "CA"})
    again = await control.connections.replace_credentials(linked.id, {"client_secret": SecretStr("n3w")})
    assert again is not None
    assert (again.id, again.epoch, again.settings) == (linked.id, 3, {"region": "CA"})
    assert await control.connections.credentials(linked.id) == {"client_secret": SecretStr("n3w")}


async def test_a_setting_that_is_changed_leaves_the_others_as_another_has_changed_them(
    control: ControlData, linked: LinkedConnection
) -> None:
    connections = control.connections
    await connections.replace_credentials(linked.id, SECRET, {"region": "CA", "populations": ["p"]}, checked=linked)
    changed = await connections.update(linked.id, settings={"sync_minutes": 5})
    assert changed is not None
    assert changed.settings == {"region": "CA", "populations": ["p"], "sync_minutes": 5}
    assert changed.epoch == 2, "no client is built from an interval"


async def test_twenty_changes_at_once_half_of_them_cancelled_leave_whole_values(
    control: ControlData, linked: LinkedConnection
) -> None:
    connections = control.connections
    whole: dict[str, JsonValue] = {"region": "CA", "populations": ["p"]}
    checked = await connections.replace_credentials(linked.id, SECRET, whole)
    assert checked is not None
    refused: list[int] = []

    async def change(number: int) -> None:
        if number % 2:
            await connections.update(linked.id, settings={"sync_minutes": number})
            return
        try:
            secrets = {"client_secret": SecretStr(f"{number}")}
            await connections.replace_credentials(linked.id, secrets, {**whole, "region": f"{number}"}, checked=checked)
        except ChangedMeanwhile:
            refused.append(number)

    async with anyio.create_task_group() as kept, anyio.create_task_group() as cut:
        for number in range(20):
            (cut if number % 4 < 2 else kept).start_soon(change, number)
        await anyio.lowlevel.checkpoint()
        cut.cancel_scope.cancel()
    found = await connections.with_credentials(linked.id)
    assert found is not None
    after, credentials = found
    assert after.settings["populations"] == ["p"]
    assert after.settings["sync_minutes"] in range(1, 20, 2)
    assert credentials["client_secret"].get_secret_value() == after.settings["region"], "values of one change"
    assert after.epoch == checked.epoch + 1, "the others hear that it was changed meanwhile"
    assert refused


async def test_an_interval_outlives_values_that_were_checked_before_it(
    control: ControlData, linked: LinkedConnection
) -> None:
    connections = control.connections
    await connections.update(linked.id, settings={"sync_minutes": 5})
    replaced = await connections.replace_credentials(linked.id, SECRET, {"region": "CA"}, checked=linked)
    assert replaced is not None
    assert replaced.settings == {"region": "CA", "sync_minutes": 5}
    wanted: dict[str, JsonValue] = {"region": "CA", "sync_minutes": 60}
    again = await connections.replace_credentials(linked.id, SECRET, wanted, checked=replaced)
    assert again is not None
    assert again.settings == wanted


async def test_values_that_were_checked_beside_others_are_not_kept(
    control: ControlData, linked: LinkedConnection
) -> None:
    connections = control.connections
    new = {"client_secret": SecretStr("n3w")}
    kept = await connections.replace_credentials(linked.id, new, {"region": "CA", "client_id": "new"}, checked=linked)
    with pytest.raises(ChangedMeanwhile):
        await connections.replace_credentials(linked.id, SECRET, {"region": "EU"}, checked=linked)
    assert await connections.with_credentials(linked.id) == (kept, new)


async def test_a_change_that_another_process_makes_at_the_same_time_is_waited_for(
    control: ControlData, linked: LinkedConnection, hands: Hands, database_url: SecretStr | None, tmp_path: Path
) -> None:
    place = ControlPlace(folder=tmp_path / "state", database_url=database_url)
    async with open_control(place, hands.clock) as other, anyio.create_task_group() as tasks, control.transaction():
        await control.connections.update(linked.id, settings={"populations": ["p"]})
        for minutes in range(1, 4):
            settings: dict[str, JsonValue] = {"sync_minutes": minutes, f"setting_{minutes}": minutes}
            tasks.start_soon(partial(other.connections.update, linked.id, settings=settings))
        await anyio.wait_all_tasks_blocked()
    found = await control.connections.get(linked.id)
    assert found is not None
    assert {*found.settings} == {"region", "populations", "sync_minutes", "setting_1", "setting_2", "setting_3"}


async def test_a_status_comes_with_its_reason_and_goes_with_it(control: ControlData, linked: LinkedConnection) -> None:
    broken = await control.connections.set_status(linked.id, "needs_reauth", "The secret is not accepted.")
    assert broken is not None
    assert (broken.status, broken.reason) == ("needs_reauth", "The secret is not accepted.")
    works = await control.connections.set_status(linked.id, "active")
    assert works is not None
    assert (works.status, works.reason, works.epoch) == ("active", None, linked.epoch)


async def test_the_times_of_syncs_are_no_change_of_the_connection(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    later = hands.go(hours=1)
    await control.connections.set_next_sync(linked.id, later)
    await control.connections.set_last_sync(linked.id, later)
    found = await control.connections.get(linked.id)
    assert found is not None
    assert (found.next_sync_at, found.last_sync_at, found.updated_at) == (later, later, linked.updated_at)


async def test_with_a_connection_goes_all_that_hangs_on_it(control: ControlData, linked: LinkedConnection) -> None:
    other = await control.connections.add(name="other", tenant="acme", settings={}, credentials=SECRET)
    before = await rows(control)
    assert await control.connections.remove(other.id)
    kept = await rows(control)
    again = await control.connections.add(name="other", tenant="acme", settings={}, credentials=SECRET)
    assert await rows(control) == before
    await control.api_keys.create(name="k", permissions=["directory.read"], connections=[again.id])
    await control.tokens.create_link(tenant="acme", connection_id=again.id)
    await control.tokens.create_account(again.id, ["directory.read"])
    await control.sync_runs.request(again.id, "request")
    await control.inbox.add(again.id, [IncomingEvent(event_id="e", body=b"{}")])
    request = KeyedRequest(principal="p", connection_id=again.id, path="POST /x", key="k", body=b"")
    await control.idempotency.begin(request)
    webhook, _ = await control.webhooks.create(target_url="https://example.com")
    await control.outbox.add("record:created", {}, connection_id=again.id, tenant="acme")
    for_linked = await control.outbox.add_for(webhook.id, "record:created", {}, connection_id=linked.id)
    async with control.sent_changes.moving(again.id, None, SentUntil("c", 1)):
        pass
    await control.rosters.set_source(again.id, "crm", "https://crm.example.com/Users", SecretStr("t0ken"))
    await control.rosters.set_source(linked.id, "crm", "https://crm.example.com/Users", SecretStr("t0ken"))
    await add_schedule(control, again.id)
    assert set(await rows(control)) == {table.name for table in METADATA.sorted_tables}
    assert await control.connections.remove(again.id)
    hooks = {"webhooks": 1, "outbox": 2, "data_keys": kept["data_keys"] + 2, "sealed_values": kept["sealed_values"] + 2}
    assert await rows(control) == kept | {"api_keys": 1, "rosters": 1} | hooks
    first, last = await control.outbox.heads()
    gone = await control.outbox.read(last.id)
    assert gone is not None
    assert (first.id, gone.event, gone.payload) == (for_linked, "integrated_account:deleted", {"id": again.id})
    assert await control.connections.credentials(linked.id) == SECRET


async def test_a_larger_use_case_is_kept_or_dropped_as_a_whole(control: ControlData) -> None:
    async def connect() -> None:
        async with control.transaction():
            added = await control.connections.add(name="one", settings={}, credentials=SECRET)
            await control.sync_runs.request(added.id, "connected")
            raise ZeroDivisionError

    before = await rows(control)
    with pytest.raises(ZeroDivisionError):
        await connect()
    assert await rows(control) == before


async def test_a_connection_of_a_given_id_is_there_once(control: ControlData) -> None:
    added = await control.connections.add(name="own", settings={}, credentials={}, connection_id="own")
    assert added.id == "own"
    assert await control.connections.with_credentials("own") == (added, {})
    with pytest.raises(NameTaken):
        await control.connections.add(name="other", settings={}, credentials={}, connection_id="own")


async def test_that_of_the_variables_is_there_where_they_describe_one(control: ControlData, hands: Hands) -> None:
    connections = control.connections
    kept = await connections.keep_default({"region": "EU"})
    assert (kept.id, kept.name, kept.tenant, kept.status) == ("default", "default", None, "active")
    assert await connections.with_credentials("default") == (kept, {})
    assert await connections.keep_default({"region": "EU"}) == kept
    assert await connections.keep_default({"region": "CA"}, renewed=False) == kept
    changed = await connections.keep_default({}, "sample")
    assert (changed.settings, changed.provider, changed.epoch) == ({}, "sample", 2)
    run = await control.sync_runs.request("default", "schedule")
    key = await control.api_keys.create(name="x", permissions=["directory.read"], connections=["default"])
    without = LinkedConnections(
        control.database, control.seals, Announcements(control.database, control.outbox), hands.clock
    )
    assert [await without.get("default"), await without.with_credentials("default")] == [None, None]
    assert [*await without.listed(), *await without.by_name("default")] == []
    assert await without.update("default", is_paused=True) is None
    assert await without.set_status("default", "needs_reauth") is None
    assert await without.keep_default({}, "sample") == changed, "what hangs on it was kept meanwhile"
    assert await control.sync_runs.listed(connections=["default"]) == [run]
    assert [one.connections for one in await control.api_keys.listed()] == [key.key.connections]
