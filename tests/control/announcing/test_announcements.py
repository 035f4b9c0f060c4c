"""What happens to connections and runs is said to webhooks, in the same transaction and once."""

from __future__ import annotations

import pytest
from pydantic import JsonValue, SecretStr

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sync_runs import RunEnd

URL = "https://example.com/hook"


async def said(control: ControlData) -> list[str]:
    """Return the events that were written, the oldest first."""
    return [one.event for one in reversed(await control.outbox.listed())]


async def payload(control: ControlData, number: int) -> dict[str, JsonValue]:
    record = list(reversed(await control.outbox.listed()))[number]
    found = await control.outbox.read(record.id)
    assert found is not None
    return dict(found.payload)


async def test_the_life_of_a_connection_is_told_in_order(control: ControlData) -> None:
    await control.webhooks.create(target_url=URL, tenant="acme")
    connections, secret = control.connections, {"client_secret": SecretStr("s3cr3t")}
    added = await connections.add(
        name="one", tenant="acme", settings={"region": "EU"}, credentials=secret, status="active"
    )
    await connections.set_status(added.id, "active")
    await connections.set_status(added.id, "needs_reauth", "The client secret is wrong.")
    await connections.set_status(added.id, "needs_reauth", "It still is.")
    await connections.set_status(added.id, "active")
    await connections.set_status(added.id, "validation_error", "A role is missing.")
    await connections.replace_credentials(added.id, secret)
    await connections.update(added.id, is_paused=True)
    await connections.set_next_sync(added.id, control.clock.now())
    assert await said(control) == [
        f"integrated_account:{event}"
        for event in (
            *("created", "active", "authentication_error", "reactivated", "validation_error"),
            *("updated", "reactivated", "active", "updated"),
        )
    ]
    failed = await payload(control, 2)
    assert (failed["id"], failed["status"], failed["last_error"]) == (
        added.id,
        "needs_reauth",
        "The client secret is wrong.",
    )
    assert failed["integration"] == {"id": "pingone", "name": "pingone", "config": {"label": "PingOne"}}
    assert failed["context"] == {"region": "EU"}
    assert "s3cr3t" not in str([await payload(control, number) for number in range(9)])


async def test_nothing_is_said_of_what_was_not_kept(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url=URL)

    async def breaks_off() -> None:
        async with control.transaction():
            await control.connections.set_status(linked.id, "active")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaks_off()
    assert await said(control) == []
    found = await control.connections.get(linked.id)
    assert found is not None
    assert found.status == "connecting"


async def test_a_webhook_of_another_tenant_hears_nothing(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url=URL, tenant="beta")
    await control.connections.set_status(linked.id, "active")
    await control.sync_runs.request(linked.id, "request")
    await control.connections.remove(linked.id)
    assert await said(control) == []


async def test_runs_are_told_and_what_is_held_once(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url=URL, tenant="acme")
    runs = control.sync_runs

    async def one(status: RunEnd) -> None:
        run = await runs.request(linked.id, "schedule")
        assert await runs.request(linked.id, "schedule") == run
        assert await runs.start(run.id) is not None
        await runs.end(run.id, status, counts={"users": 3}, reason="So many are gone.")

    ends: tuple[RunEnd, ...] = ("held", "failed", "held", "completed", "held")
    for status in ends:
        await one(status)
    ended = [event for event in await said(control) if event not in ("sync_job_run:created", "sync_job_run:started")]
    assert ended == [
        *("sync_job_run:held", "directory:held", "sync_job_run:failed", "sync_job_run:held"),
        *("sync_job_run:completed", "sync_job_run:held", "directory:held"),
    ]
    assert (await said(control))[:2] == ["sync_job_run:created", "sync_job_run:started"]
    run = await payload(control, 2)
    assert (run["integrated_account_id"], run["status"], run["counts"]) == (linked.id, "held", {"users": 3})
    held = await payload(control, 3)
    assert held == {"integrated_account_id": linked.id, "sync_job_run_id": run["id"], "reason": "So many are gone."}


async def test_a_run_that_was_cut_off_has_failed(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url=URL, event_types=["sync_job_run:failed"])
    run = await control.sync_runs.request(linked.id, "schedule")
    await control.sync_runs.start(run.id)
    assert await control.sync_runs.end_interrupted() == 1
    assert await said(control) == ["sync_job_run:failed"]
    assert await control.sync_runs.end_interrupted() == 0
