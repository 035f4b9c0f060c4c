"""What changes in a directory is written into the outbox: each change once, in order, with what the REST API shows."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.outbox import OutgoingEvent
from pingone_mcp.directory.changes import ChangeQuestion
from pingone_mcp.directory.rows import plain, timestamp
from pingone_mcp.errors import Problem
from pingone_mcp.service.asking.shown_user import shown_user
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.tasks import background
from tests.fleets import Estate
from tests.replica.happenings import Doors
from tests.service.events.receivers import URL


async def sync(serving: Estate, linked: LinkedConnection) -> None:
    serving.time.passed += 60
    served = await serving.fleet.current(linked)
    report = await (await served.backend()).replica.sync("auto", report=lambda *_: None)
    assert report.taken_over, report.reason


async def written(serving: Estate) -> list[OutgoingEvent]:
    """Return the events of records, the oldest first."""
    found = [await serving.control.outbox.read(one.id) for one in reversed(await serving.control.outbox.listed())]
    return [one for one in found if one is not None and one.event.startswith("record:")]


def row_of(event: OutgoingEvent) -> dict[str, Any]:
    """Return the row that an event is about."""
    rows: Any = event.payload["records"]
    [row] = rows
    assert isinstance(row, dict)
    return row


@asynccontextmanager
async def doors(serving: Estate, name: str = "acme") -> AsyncIterator[Doors]:
    sandbox = serving.company(name).sandbox
    async with Doors(sandbox) as opened:
        yield opened
    sandbox.clock.advance(sandbox.options.event_lag + 1)


async def disable(serving: Estate, number: int) -> dict[str, Any]:
    """Disable an enabled user, and return it."""
    sandbox = serving.company("acme").sandbox
    user = [one for one in sandbox.users() if one["enabled"]][number]
    async with doors(serving) as admin:
        assert await admin.send("PUT", f"/users/{user['id']}/enabled", {"enabled": False}) == 200
    return user


async def test_a_change_is_said_as_the_rest_api_shows_it(serving: Estate) -> None:
    acme = await serving.link("acme", tenant="customer")
    webhook, _ = await serving.control.webhooks.create(target_url=URL, tenant="customer")
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await sync(serving, acme)
    assert await out.pass_on(acme.id) == 0, "what was there at first is no change"
    user = await disable(serving, 0)
    await sync(serving, acme)
    assert await out.pass_on(acme.id) == 1
    [event] = await written(serving)
    assert (event.event, event.webhook_id, event.connection_id) == ("record:updated", webhook.id, acme.id)
    backend = await (await serving.fleet.current(acme)).backend()
    row = shown_user(plain(await backend.copy.user(user["id"])))
    [change] = (await backend.replica.newest_changes(ChangeQuestion(user=user["id"]), 1)).items
    payload = dict(event.payload)
    assert payload.pop("records") == [row]
    assert row["status"] == "inactive"
    assert "groups" in row
    before, after = payload.pop("before"), payload.pop("after")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert (before["status"], after["status"]) == ("active", "inactive")
    assert before.keys() == after.keys() == {"status", "status_reasons", "status_source", "updated_at"}
    assert payload == {
        "resource": "user-directory/users",
        "change": "user.deactivated",
        "evidence": {"type": "event", "at": timestamp(change.at), "actor": change.actor},
        "integrated_account_id": acme.id,
    }
    assert event.created_at == change.at
    assert await out.pass_on(acme.id) == 0


async def test_who_comes_and_who_goes_and_who_joins_a_group(serving: Estate) -> None:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await sync(serving, acme)
    sandbox = serving.company("acme").sandbox
    user = next(iter(sandbox.users()))
    population = user["population"]["id"]
    async with doors(serving) as admin:
        new = {"username": "new.one", "email": "new.one@example.org", "population": {"id": population}}
        assert await admin.send("POST", "/users", new) == 201
        [made] = [one for one in sandbox.users() if one["username"] == "new.one"]
        assert await admin.send("POST", "/groups", {"name": "Night shift"}) == 201
        [group] = [one for one in sandbox.state().groups.values() if one.record["name"] == "Night shift"]
        assert await admin.send("POST", f"/users/{made['id']}/memberOfGroups", {"id": group.id}) == 201
        assert await admin.send("DELETE", f"/users/{user['id']}") == 204
    await sync(serving, acme)
    await out.pass_on(acme.id)
    by_change: dict[Any, OutgoingEvent] = {}
    for one in await written(serving):
        if one.payload["change"] != "membership.added" or "Night shift" in str(one.payload["after"]):
            by_change[one.payload["change"]] = one
    created, joined, gone = (by_change[kind] for kind in ("user.created", "membership.added", "user.removed"))
    assert (created.event, joined.event, gone.event) == ("record:created", "record:updated", "record:deleted")
    assert created.payload["before"] is None
    row = row_of(created)
    assert row["id"] == made["id"]
    assert "Night shift" in [one["name"] for one in row["groups"]], "as it is now"
    member = {"id": group.id, "name": "Night shift", "type": "direct"}
    assert (joined.payload["before"], joined.payload["after"]) == ({"groups": []}, {"groups": [member]})
    last = row_of(gone)
    before: Any = gone.payload["before"]
    assert gone.payload["after"] is None
    assert (last["id"], last["username"], last["status"]) == (user["id"], user["username"], "deleted")
    assert before["username"] == user["username"]


async def test_what_nobody_wants_is_passed_over(serving: Estate) -> None:
    acme = await serving.link("acme", tenant="customer")
    await serving.control.webhooks.create(target_url=URL, tenant="another")
    await serving.control.webhooks.create(target_url=URL, event_types=["sync_job_run:*"])
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await sync(serving, acme)
    await disable(serving, 0)
    await sync(serving, acme)
    assert await out.pass_on(acme.id) == 0
    new, _ = await serving.control.webhooks.create(target_url=URL, event_types=["record:updated"])
    assert await out.pass_on(acme.id) == 0, "what changed before is not its business"
    later = await disable(serving, 0)
    await sync(serving, acme)
    assert await out.pass_on(acme.id) == 1
    [event] = await written(serving)
    row = row_of(event)
    assert (event.webhook_id, row["id"]) == (new.id, later["id"])


async def test_what_was_found_while_nobody_passed_it_on_is_not_lost(serving: Estate) -> None:
    """The first sync has ended, and another one: only then does the process that passes changes on look."""
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    await sync(serving, acme)
    users = [(await disable(serving, 0))["id"]]
    await sync(serving, acme)
    users.append((await disable(serving, 0))["id"])
    await sync(serving, acme)
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await out.changed(acme.id)
    assert [row_of(one)["id"] for one in await written(serving)] == users


async def test_many_changes_are_written_page_by_page_in_their_order(serving: Estate) -> None:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    await sync(serving, acme)
    backend = await (await serving.fleet.current(acme)).backend()
    await backend.replica.store.write(
        lambda database: database.executemany(
            "INSERT INTO changes_ (at, seen_at, kind, user_id, evidence, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                ("2026-06-15T12:00:00.000Z", "2026-06-15T12:00:00.000Z", "user.updated", f"u{n}", "walk", "{}", "{}")
                for n in range(501)
            ],
        )
    )
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    assert await out.pass_on(acme.id) == 501
    outbox = serving.control.outbox
    found = [await outbox.read(one.id) for one in reversed(await outbox.listed(limit=1_000))]
    rows = [row_of(one) for one in found if one is not None and one.event == "record:updated"]
    assert [row["id"] for row in rows] == [f"u{n}" for n in range(501)]


async def test_a_copy_that_was_made_anew_is_followed_from_its_beginning(serving: Estate) -> None:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await sync(serving, acme)
    await disable(serving, 0)
    await sync(serving, acme)
    await out.pass_on(acme.id)
    backend = await (await serving.fleet.current(acme)).backend()
    for path in backend.replica.store.folder.path.glob("*"):
        if path.is_file():
            path.unlink()
    await sync(serving, acme)
    assert await out.pass_on(acme.id) == 0, "a first sync finds no changes, but those before it"
    user = await disable(serving, 0)
    await sync(serving, acme)
    assert await out.pass_on(acme.id) == 1
    first, second = await written(serving)
    row = row_of(second)
    assert row["id"] == user["id"]
    assert first.id != second.id


async def test_what_cannot_be_passed_on_is_passed_on_later(serving: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await sync(serving, acme)
    await disable(serving, 0)
    await sync(serving, acme)
    with monkeypatch.context() as broken:

        async def fail(*_: object) -> None:
            raise Problem("The disk is full.")

        broken.setattr(serving.control.sent_changes, "until", fail)
        await out.changed(acme.id)
    assert await written(serving) == []
    await out.changed(acme.id)
    assert len(await written(serving)) == 1


async def test_what_somebody_else_has_synced_is_passed_on_at_the_next_look(serving: Estate) -> None:
    """A command of another process, say, or a caller of `sync_directory`: nobody calls `changed`."""
    acme, other = await serving.link("acme", tenant="customer"), await serving.link("other", tenant="nobody")
    await serving.control.webhooks.create(target_url=URL, tenant="customer")
    looks, looked = anyio.create_memory_object_stream[None](), anyio.create_memory_object_stream[None]()

    async def sleep(_: float) -> None:
        await looked[0].send(None)
        await looks[1].receive()

    out = ChangesOut(serving.control, serving.fleet, dataclasses.replace(serving.time.clock(), sleep=sleep))
    for linked in (acme, other):
        await sync(serving, linked)
    async with background() as tasks:
        tasks.start_soon(out.run)
        await looked[1].receive()
        users = []
        for number in range(2):
            users.append((await disable(serving, number))["id"])
            await sync(serving, acme)
            await looks[0].send(None)
            await looked[1].receive()
            assert [row_of(one)["id"] for one in await written(serving)] == users
    for stream in (*looks, *looked):
        stream.close()


async def test_nothing_is_passed_on_of_who_is_paused_removed_or_not_synced(serving: Estate) -> None:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    assert await out.pass_on(acme.id) == 0, "there is no copy yet"
    await serving.administration.linking.pause(acme.id)
    assert await out.pass_on(acme.id) == 0
    assert serving.fleet.opened() == ()
    await serving.administration.linking.remove(acme.id)
    assert await out.pass_on(acme.id) == 0


async def test_syncs_of_the_fleet_pass_on_what_they_find_before_they_say_that_they_ended(serving: Estate) -> None:
    acme = await serving.link("acme")
    await serving.control.webhooks.create(target_url=URL)
    out = ChangesOut(serving.control, serving.fleet, serving.time.clock())
    await sync(serving, acme)
    await disable(serving, 0)
    serving.time.passed += 60
    async with background() as tasks:
        syncs = FleetSyncs(serving.control, serving.fleet, tasks, serving.time.clock(), out.changed)
        run = await serving.control.sync_runs.request(acme.id, "request")
        await syncs._synced(acme)  # noqa: SLF001 - one sync, to its end
    ended = await serving.control.sync_runs.get(run.id)
    assert ended is not None
    assert ended.status == "completed"
    said = [one.event for one in reversed(await serving.control.outbox.listed())]
    assert said[-4:] == ["sync_job_run:created", "sync_job_run:started", "record:updated", "sync_job_run:completed"]
