"""The settings of a connection: what came of what is done by the hour, and events that are sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule
from tests.web.faces import whole_face
from tests.web.pages.linking.visitors import Visitor

TARGET = "https://app.example.com/hooks"


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with whole_face(tmp_path) as face:
        yield Visitor(face=face)


def settings(visitor: Visitor) -> str:
    return f"/c/{visitor.face.acme.id}/settings"


async def given_up(visitor: Visitor, tenant: str | None = "customer") -> str:
    """Return a webhook that was switched off, one event of which was given up."""
    control = visitor.face.estate.control
    webhook, _ = await control.webhooks.create(target_url=TARGET, event_types=(), tenant=tenant)
    acme = visitor.face.acme
    await control.outbox.add("record:updated", {"a": 1}, connection_id=acme.id, tenant=tenant)
    await control.outbox.give_up(webhook.id, "Events could not be delivered for 24 hours.")
    return webhook.id


async def test_what_was_given_up_is_sent_again_once_the_webhook_is_on(visitor: Visitor) -> None:
    webhook, outbox = await given_up(visitor), visitor.face.estate.control.outbox
    await visitor.sign_in("directory.read", "events.manage")
    await visitor.get(settings(visitor))
    assert "app.example.com" in visitor.page
    assert "could not be delivered for 24 hours" in visitor.page
    assert "1 were given up" in visitor.page
    assert visitor.actions() == [f"{settings(visitor)}/webhooks/{webhook}/on"]
    refused = await visitor.post(f"{settings(visitor)}/webhooks/{webhook}/resend")
    assert (refused.status, "switched off" in visitor.page) == (400, True)
    await visitor.get(settings(visitor))
    await visitor.post()
    assert "is switched on" in visitor.page
    await visitor.post(f"{settings(visitor)}/webhooks/{webhook}/resend")
    assert "Events that are sent again: 1." in visitor.page
    assert await outbox.counts(webhook) == {"waiting": 1, "delivered": 0, "failed": 0}


async def test_a_webhook_is_tried(visitor: Visitor) -> None:
    control = visitor.face.estate.control
    webhook, _ = await control.webhooks.create(target_url=TARGET, event_types=(), tenant="customer")
    await visitor.sign_in("directory.read", "events.manage")
    await visitor.get(settings(visitor))
    await visitor.post(f"{settings(visitor)}/webhooks/{webhook.id}/test")
    assert "on its way" in visitor.page
    assert (await control.outbox.counts(webhook.id))["waiting"] == 1


async def test_nobody_sees_or_sends_the_events_of_another_tenant(visitor: Visitor) -> None:
    webhook = await given_up(visitor, tenant="somebody else")
    await visitor.sign_in("directory.read", "events.manage", connections=[visitor.face.acme.id])
    assert (await visitor.get(settings(visitor))).status == 200
    assert "Events to your programs" not in visitor.page, "a webhook gets the events of a whole tenant"
    for act in ("on", "test", "resend"):
        assert (await visitor.post(f"{settings(visitor)}/webhooks/{webhook}/{act}")).status in (400, 403, 404)
        await visitor.get(settings(visitor))
    await visitor.sign_in("directory.read")
    await visitor.get(settings(visitor))
    assert "app.example.com" not in visitor.page
    assert (await visitor.post(f"{settings(visitor)}/webhooks/{webhook}/on")).status == 403
    found = await visitor.face.estate.control.webhooks.get(webhook)
    assert found is not None
    assert not found.is_active


async def test_what_came_of_a_check_is_a_line_of_the_page(visitor: Visitor) -> None:
    estate, acme = visitor.face.estate, visitor.face.acme
    schedules = estate.control.schedules
    new = NewSchedule(kind="drift", cron="0 7 * * mon-fri", zone="Europe/Berlin", arguments={"roster": "crm"})
    made = await ConnectionSchedules(estate.control, kinds_of()).add(acme.id, new)
    await ConnectionSchedules(estate.control, kinds_of()).add(acme.id, NewSchedule(kind="full_sync", cron="0 3 * * *"))
    await visitor.sign_in("directory.read", "directory.sync")
    await visitor.get(settings(visitor))
    for text in ("full sync", "drift of crm", "0 7 * * mon-fri", "Europe/Berlin", "not yet"):
        assert text in visitor.page
    await visitor.post(f"{settings(visitor)}/schedules/{made.id}/run")
    assert "It is done now" in visitor.page
    due = await schedules.get(made.id)
    assert due is not None
    await schedules.settle(due, outcome="new", summary="2 are new: <b>ivan</b>.", next_at=made.next_at, found=None)
    await visitor.get(settings(visitor))
    assert "something is new" in visitor.page
    assert "2 are new: &lt;b&gt;ivan&lt;/b&gt;." in visitor.page
    await visitor.sign_in("directory.read")
    await visitor.get(settings(visitor))
    assert "drift of crm" not in visitor.page
    assert (await visitor.post(f"{settings(visitor)}/schedules/{made.id}/run")).status == 403


async def test_a_schedule_of_another_connection_is_none(visitor: Visitor) -> None:
    estate = visitor.face.estate
    other = await estate.link("globex", tenant="other")
    new = NewSchedule(kind="full_sync", cron="0 7 * * *")
    made = await ConnectionSchedules(estate.control, kinds_of()).add(other.id, new)
    await visitor.sign_in("directory.read", "directory.sync", connections=[visitor.face.acme.id])
    await visitor.get(settings(visitor))
    assert "full sync" not in visitor.page
    assert (await visitor.post(f"{settings(visitor)}/schedules/{made.id}/run")).status == 404
    assert (await visitor.get(f"/c/{other.id}/settings")).status == 404
