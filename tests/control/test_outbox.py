"""Events to be sent: written with what they are about, and one after the other for each webhook and connection."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pingone_mcp.control.control import ControlData
from tests.control.conftest import Hands

URL = "https://example.com/hook"


async def due(control: ControlData) -> list[tuple[str, str, object]]:
    return [(one.webhook_id, one.connection_id, one.payload["n"]) for one in await control.outbox.due()]


async def test_events_of_a_connection_are_due_in_order_and_those_of_others_beside_them(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    for connection, number in (("a", 1), ("a", 2), ("b", 3), ("a", 4)):
        added = await control.outbox.add("record:created", {"n": number}, connection_id=connection, tenant=None)
        assert added == 1
    assert await due(control) == [(webhook.id, "a", 1), (webhook.id, "b", 3)]
    first, _ = await control.outbox.due()
    await control.outbox.delivered(first.id)
    assert await due(control) == [(webhook.id, "a", 2), (webhook.id, "b", 3)]
    assert await control.outbox.depth() == 3


async def test_each_webhook_has_its_own_events(control: ControlData) -> None:
    one, _ = await control.webhooks.create(target_url=URL)
    two, _ = await control.webhooks.create(target_url=URL, tenant="acme")
    three, _ = await control.webhooks.create(target_url=URL, tenant="beta")
    assert await control.outbox.add("record:created", {"n": 1}, connection_id="a", tenant="acme") == 2
    assert {webhook for webhook, _, _ in await due(control)} == {one.id, two.id}
    assert await control.outbox.add_for(three.id, "test", {"n": 2}, connection_id="")
    with pytest.raises(LookupError):
        await control.outbox.add_for("none", "test", {}, connection_id="")


async def test_an_event_that_failed_is_tried_again_when_it_is_due_and_the_next_ones_wait(
    control: ControlData, hands: Hands
) -> None:
    await control.webhooks.create(target_url=URL)
    for number in (1, 2):
        await control.outbox.add("record:created", {"n": number}, connection_id="a", tenant=None)
    (first,) = await control.outbox.due()
    assert (first.attempts, first.created_at, await control.outbox.next_try_at()) == (0, hands.time, hands.time)
    await control.outbox.failed(first.id, "It answered 500.", hands.time + timedelta(minutes=5))
    assert await due(control) == []
    hands.go(minutes=5)
    (again,) = await control.outbox.due()
    assert (again.id, again.attempts, again.payload, again.created_at) == (first.id, 1, {"n": 1}, first.created_at)
    await control.outbox.delivered(again.id)
    assert [number for _, _, number in await due(control)] == [2]


async def test_an_event_is_written_with_its_change_or_not_at_all(control: ControlData) -> None:
    await control.webhooks.create(target_url=URL)

    async def change() -> None:
        async with control.transaction():
            await control.outbox.add("record:created", {"n": 1}, connection_id="a", tenant=None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    assert (await due(control), await control.outbox.next_try_at()) == ([], None)


async def test_a_webhook_that_is_given_up_drops_what_waits(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    await control.outbox.add("record:created", {"n": 1}, connection_id="a", tenant=None)
    assert await control.outbox.give_up(webhook.id, "It failed for 24 hours.") == 1
    found = await control.webhooks.get(webhook.id)
    assert found is not None
    assert (found.is_active, found.reason) == (False, "It failed for 24 hours.")
    await control.webhooks.update(webhook.id, is_active=True)
    assert await control.outbox.depth() == 0


async def test_what_waits_for_a_webhook_that_is_off_waits_on(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    await control.outbox.add("record:created", {"n": 1}, connection_id="a", tenant=None)
    await control.webhooks.update(webhook.id, is_active=False)
    assert (await due(control), await control.outbox.depth(), await control.outbox.next_try_at()) == ([], 0, None)
    await control.webhooks.update(webhook.id, is_active=True)
    assert await due(control) == [(webhook.id, "a", 1)]


async def test_what_was_delivered_is_swept_and_the_rest_kept(control: ControlData, hands: Hands) -> None:
    await control.webhooks.create(target_url=URL)
    for number in (1, 2):
        await control.outbox.add("record:created", {"n": number}, connection_id="a", tenant=None)
    (first,) = await control.outbox.due()
    await control.outbox.delivered(first.id)
    assert await control.outbox.sweep(hands.time) == 0
    assert await control.outbox.sweep(hands.go(days=1)) == 1
    assert [number for _, _, number in await due(control)] == [2]
