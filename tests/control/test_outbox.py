"""Events to be sent: written with what they are about, and one after the other for each webhook and connection."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.outbox import FailingSince, NewEvent, OutgoingEvent
from tests.control.conftest import Hands

URL = "https://example.com/hook"


async def due_events(control: ControlData) -> list[OutgoingEvent]:
    now = control.clock.now()
    found = [await control.outbox.read(one.id) for one in await control.outbox.heads() if one.next_try_at <= now]
    return [one for one in found if one is not None]


async def due(control: ControlData) -> list[tuple[str, str, object]]:
    return [(one.webhook_id, one.connection_id, one.payload["n"]) for one in await due_events(control)]


async def test_events_of_a_connection_are_due_in_order_and_those_of_others_beside_them(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    for connection, number in (("a", 1), ("a", 2), ("b", 3), ("a", 4)):
        added = await control.outbox.add("record:created", {"n": number}, connection_id=connection, tenant=None)
        assert added == 1
    assert await due(control) == [(webhook.id, "a", 1), (webhook.id, "b", 3)]
    first, _ = await due_events(control)
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
    (first,) = await due_events(control)
    assert (first.attempts, first.created_at, first.failing_since) == (0, hands.time, None)
    began = hands.time
    await control.outbox.failed(first.id, "It answered 500.", hands.time + timedelta(minutes=5))
    assert await due(control) == []
    [head] = await control.outbox.heads()
    assert (head.id, head.target_url, head.next_try_at) == (first.id, URL, hands.time + timedelta(minutes=5))
    assert await control.outbox.head(head.line) == head
    hands.go(minutes=5)
    (again,) = await due_events(control)
    assert (again.id, again.attempts, again.payload, again.created_at) == (first.id, 1, {"n": 1}, first.created_at)
    await control.outbox.failed(first.id, "It answered 500.", hands.time)
    (again,) = await due_events(control)
    assert (again.attempts, again.failing_since) == (2, began)
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
    assert await control.outbox.heads() == []


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
    assert (await control.outbox.heads(), await control.outbox.depth()) == ([], 0)
    await control.webhooks.update(webhook.id, is_active=True)
    assert await due(control) == [(webhook.id, "a", 1)]


async def test_what_failed_before_its_webhook_was_switched_on_again_is_due_as_if_new(
    control: ControlData, hands: Hands
) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    await control.outbox.add("record:created", {"n": 1}, connection_id="a", tenant=None)
    (event,) = await due_events(control)
    await control.outbox.failed(event.id, "It answered 500.", hands.time + timedelta(hours=1))
    await control.webhooks.update(webhook.id, event_types=["record:*"])
    assert await due(control) == [], "another change says nothing about what waits"
    await control.webhooks.update(webhook.id, is_active=True)
    (event,) = await due_events(control)
    assert (event.attempts, event.failing_since) == (0, None)


async def test_an_event_with_a_name_is_written_once_for_each_webhook(control: ControlData) -> None:
    one, _ = await control.webhooks.create(target_url=URL)
    two, _ = await control.webhooks.create(target_url=URL)
    events = [NewEvent(event="record:created", payload={"n": n}, name=f"change {n}") for n in (1, 2)]
    assert await control.outbox.add_all(events, connection_id="a", tenant=None) == 4
    ids = {record.id for record in await control.outbox.listed()}
    assert ids == {event.id_for(webhook.id) for event in events for webhook in (one, two)}
    assert len(ids) == 4
    more = [*events, NewEvent(event="record:created", payload={"n": 3}, name="change 3")]
    assert await control.outbox.add_all(more, connection_id="a", tenant=None) == 2
    assert len(await control.outbox.listed()) == 6


async def test_what_was_given_up_or_delivered_is_sent_again_under_its_id(control: ControlData, hands: Hands) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    for number in (1, 2, 3):
        await control.outbox.add("record:created", {"n": number}, connection_id="a", tenant=None)
        hands.go(minutes=1)
    (first,) = await due_events(control)
    await control.outbox.delivered(first.id)
    assert await control.outbox.give_up(webhook.id, "It failed for 24 hours.") == 2
    assert [(one.state, one.next_try_at) for one in await control.outbox.listed()] == [
        ("failed", None),
        ("failed", None),
        ("delivered", None),
    ]
    assert [one.id for one in await control.outbox.listed(state="delivered")] == [first.id]
    assert len(await control.outbox.listed(state="failed", webhook_id=webhook.id, limit=1)) == 1
    assert await control.outbox.resend_since(first.created_at) == 0, "it is switched off"
    await control.webhooks.update(webhook.id, is_active=True)
    assert await control.outbox.resend_since(hands.time - timedelta(minutes=2)) == 2
    assert await due(control) == [(webhook.id, "a", 2)]
    assert await control.outbox.resend(first.id)
    assert not await control.outbox.resend("none")
    (again,) = await due_events(control)
    assert (again.id, again.payload) == (first.id, {"n": 1})
    await control.outbox.delivered(first.id)
    record = await control.outbox.get(first.id)
    assert record is not None
    assert (record.state, record.attempts, record.last_error) == ("delivered", 0, None)


async def test_all_that_was_given_up_is_sent_again_however_long_ago_it_happened(
    control: ControlData, hands: Hands
) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    for number in (1, 2, 3):
        await control.outbox.add("record:created", {"n": number}, connection_id="a", tenant=None)
    (first,) = await due_events(control)
    await control.outbox.delivered(first.id)
    await control.outbox.give_up(webhook.id, "It failed for 24 hours.")
    hands.go(hours=36)
    assert await control.outbox.resend_failed() == 0, "it is switched off"
    await control.webhooks.update(webhook.id, is_active=True)
    assert await control.outbox.resend_failed(webhook_id="another") == 0
    assert await control.outbox.resend_failed(webhook_id=webhook.id) == 2
    assert await due(control) == [(webhook.id, "a", 2)]
    assert [one.id for one in await control.outbox.listed(state="delivered")] == [first.id], "what arrived stays"


async def test_a_webhook_fails_while_what_waits_for_it_was_tried_in_vain(control: ControlData, hands: Hands) -> None:
    webhook, other = [(await control.webhooks.create(target_url=URL))[0] for _ in range(2)]
    began = hands.time
    for connection in ("a", "b"):
        await control.outbox.add("record:created", {"n": 1}, connection_id=connection, tenant=None)
    both = [webhook.id, other.id]
    assert await control.outbox.failing(both) == {}
    first, second = [one.id for one in await control.outbox.listed(webhook_id=webhook.id)]
    await control.outbox.failed(second, "It answered 503.", hands.time)
    hands.go(minutes=5)
    await control.outbox.failed(first, "It answered 500.", hands.time)
    await control.outbox.failed(second, "It answered 502.", hands.time)
    assert await control.outbox.failing(both) == {webhook.id: FailingSince(since=began, error="It answered 502.")}
    assert await control.outbox.failing([other.id]) == {}
    await control.outbox.delivered(second)
    assert (await control.outbox.failing(both))[webhook.id].error == "It answered 500."
    await control.outbox.give_up(webhook.id, "It failed for 24 hours.")
    assert await control.outbox.failing(both) == {}


async def test_who_sends_hears_of_events_once_they_are_kept(control: ControlData) -> None:
    await control.webhooks.create(target_url=URL)
    heard: list[int] = []
    with control.outbox.on_events(lambda: heard.append(1)):
        async with control.transaction():
            await control.outbox.add("record:created", {"n": 1}, connection_id="a", tenant=None)
            assert heard == []
        assert heard == [1]
        await control.outbox.resend((await control.outbox.listed())[0].id)
    await control.outbox.add("record:created", {"n": 2}, connection_id="a", tenant=None)
    assert heard == [1, 1]


async def test_what_was_delivered_is_swept_and_the_rest_kept(control: ControlData, hands: Hands) -> None:
    await control.webhooks.create(target_url=URL)
    for number in (1, 2):
        await control.outbox.add("record:created", {"n": number}, connection_id="a", tenant=None)
    (first,) = await due_events(control)
    await control.outbox.delivered(first.id)
    assert await control.outbox.sweep(hands.time) == 0
    assert await control.outbox.sweep(hands.go(days=1)) == 1
    assert [number for _, _, number in await due(control)] == [2]
    await control.outbox.give_up(first.webhook_id, "It failed for 24 hours.")
    assert await control.outbox.sweep(hands.time) == 0
    assert await control.outbox.sweep(hands.go(days=1)) == 1
    assert await control.outbox.listed() == []
