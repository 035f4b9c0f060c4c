"""Events are delivered in order, again and again, and what does not take them holds nobody else."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import anyio
import anyio.lowlevel
import pytest
from standardwebhooks import Webhook

from pingone_mcp import __version__
from pingone_mcp.control.control import ControlData
from pingone_mcp.errors import Problem
from pingone_mcp.http.outward.targets import Receipt
from pingone_mcp.service.events import deliveries as module
from pingone_mcp.service.events.deliveries import (
    AT_ONE_HOST,
    GIVEN_UP_AFTER,
    LONGEST_WAIT,
    Deliveries,
    Post,
    wait_after,
)
from pingone_mcp.tasks import background
from tests.control.conftest import Hands
from tests.service.events.receivers import URL, Receiver, deliver_due, patient, write
from tests.service.events.test_signing import is_of_truto

OK, BUSY = Receipt(204, None), Receipt(500, None)


def delivering(control: ControlData, post: Post) -> Deliveries:
    """Return what delivers step by step, in no task of its own."""
    return Deliveries(control, post, anyio.create_task_group(), patient(control.clock))


async def test_an_event_arrives_as_the_contract_says(control: ControlData, hands: Hands) -> None:
    webhook, secret = await control.webhooks.create(target_url=URL)
    await write(control, 1)
    receiver = Receiver()
    hands.go(minutes=1)
    await deliver_due(delivering(control, receiver.post), control)
    [letter] = receiver.letters
    [record] = await control.outbox.listed()
    assert letter.url == URL
    assert letter.event == {
        "id": record.id,
        "event": "record:created",
        "payload": {"n": 1},
        "environment_id": "default",
        "webhook_id": webhook.id,
        "created_at": "2026-03-01T12:00:00.000Z",
    }
    assert letter.headers["Content-Type"] == "application/json"
    assert letter.headers["User-Agent"] == f"pingone-mcp/{__version__}"
    assert letter.headers["webhook-id"] == record.id
    assert int(letter.headers["webhook-timestamp"]) == hands.time.timestamp(), "when it was sent"
    assert is_of_truto(letter.body, letter.headers["X-Truto-Signature"], secret.get_secret_value())
    signed = Webhook(secret.get_secret_value()).sign(record.id, hands.time, letter.body.decode())
    assert letter.headers["webhook-signature"] == signed
    assert (record.state, record.delivered_at) == ("delivered", hands.time)


async def test_what_failed_is_sent_again_as_it_was_and_the_next_ones_wait_behind_it(
    control: ControlData, hands: Hands
) -> None:
    await control.webhooks.create(target_url=URL)
    await write(control, 1, 2)
    await write(control, 3, connection="b")
    receiver = Receiver((BUSY, OK, None, Receipt(302, None), OK))
    sending = delivering(control, receiver.post)
    await deliver_due(sending, control)
    assert receiver.numbers() == [1, 3]
    waiting = await control.outbox.listed(state="waiting")
    assert [(one.attempts, one.last_error) for one in waiting] == [(0, None), (1, "It answered 500.")]
    await deliver_due(sending, control)
    assert receiver.numbers() == [1, 3], "it is not due yet"
    hands.go(seconds=2)
    await deliver_due(sending, control)
    hands.go(seconds=4)
    await deliver_due(sending, control)
    assert receiver.numbers() == [1, 3, 1, 1]
    [_, failing] = await control.outbox.listed(state="waiting")
    assert failing.last_error == "It answered 302.", "a redirect is no delivery"
    hands.go(seconds=8)
    await deliver_due(sending, control)
    assert receiver.numbers() == [1, 3, 1, 1, 1, 2]
    assert len({letter.body for letter in receiver.letters}) == 3
    assert len({letter.headers["webhook-signature"] for letter in receiver.letters}) == 6
    assert sending.outcomes() == {"delivered": 3, "failed": 3, "given_up": 0}


async def test_a_webhook_that_fails_for_a_day_is_switched_off_and_goes_on_when_it_is_switched_on(
    control: ControlData, hands: Hands
) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    other, _ = await control.webhooks.create(target_url="https://other.example.com")
    await write(control, 1, 2)
    receiver = Receiver((None,))
    sending = delivering(control, receiver.post)
    began, tries = hands.time, 0
    while tries < 100 and (found := await control.webhooks.get(webhook.id)) is not None and found.is_active:
        heads = [one for one in await control.outbox.heads() if one.webhook_id == webhook.id]
        hands.time = max(hands.time, heads[0].next_try_at)
        await sending.deliver_next(heads[0].line)
        tries += 1
    assert hands.time - began == GIVEN_UP_AFTER
    assert 40 < tries < 80
    found = await control.webhooks.get(webhook.id)
    assert found is not None
    assert found.reason is not None
    assert "for 24 hours" in found.reason
    assert "did not answer in time" in found.reason
    assert [one.state for one in await control.outbox.listed(webhook_id=webhook.id)] == ["failed", "failed"]
    assert sending.outcomes()["given_up"] == 2
    other_waits = await control.outbox.listed(webhook_id=other.id)
    assert [one.state for one in other_waits] == ["waiting", "waiting"], "another target is none of its business"
    await control.webhooks.update(webhook.id, is_active=True)
    await write(control, 3)
    fine = Receiver()
    await deliver_due(delivering(control, fine.post), control)
    assert [letter.event["payload"]["n"] for letter in fine.letters if letter.event["webhook_id"] == webhook.id] == [3]
    await control.outbox.resend_since(began, webhook_id=webhook.id)
    await deliver_due(delivering(control, fine.post), control)
    again = [letter.event["payload"]["n"] for letter in fine.letters if letter.event["webhook_id"] == webhook.id]
    assert again == [3, 1, 2, 3]


async def test_what_is_refused_for_its_address_waits_with_the_reason(control: ControlData) -> None:
    await control.webhooks.create(target_url=URL)
    await write(control, 1)

    async def refuse(*_: object) -> Receipt:
        raise Problem("The target is no public address, or leads to none.")

    await deliver_due(delivering(control, refuse), control)
    [record] = await control.outbox.listed()
    assert (record.state, record.attempts, record.last_error) == (
        "waiting",
        1,
        "The target is no public address, or leads to none.",
    )


async def test_a_target_is_left_alone_for_as_long_as_it_asks(control: ControlData, hands: Hands) -> None:
    await control.webhooks.create(target_url=URL)
    await write(control, 1)
    await deliver_due(delivering(control, Receiver((Receipt(429, 90.0),)).post), control)
    [head] = await control.outbox.heads()
    assert head.next_try_at == hands.time + timedelta(seconds=90)


def test_waits_grow_to_half_an_hour() -> None:
    waits = [wait_after(number, jitter=0.0).total_seconds() for number in range(1, 13)]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800]
    assert wait_after(1, jitter=1.0) == timedelta(seconds=3)
    assert wait_after(2_000, jitter=0.0, asked=1e9) == LONGEST_WAIT


async def test_events_go_when_they_are_written(control: ControlData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 3_600)
    await control.webhooks.create(target_url=URL)
    receiver, came = Receiver(), anyio.Event()
    receiver.heard = lambda _: came.set()
    async with background() as tasks:
        tasks.start_soon(Deliveries(control, receiver.post, tasks, control.clock).run)
        await anyio.lowlevel.checkpoint()
        for number in range(1, 4):
            came = anyio.Event()
            await write(control, number)
            with anyio.fail_after(30):
                await came.wait()
    assert receiver.numbers() == [1, 2, 3]


async def test_one_slow_target_holds_no_other(control: ControlData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", AT_ONE_HOST + 1)
    await control.webhooks.create(target_url="https://slow.example.com/1")
    await control.webhooks.create(target_url="https://slow.example.com/2")
    await control.webhooks.create(target_url=URL)
    for connection in "abcdef":
        await write(control, 1, 2, connection=connection)
    held, fast, all_fast, all_came = Counter[str](), Receiver(), anyio.Event(), anyio.Event()

    async def post(url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        if "slow" in url:
            held["now"] += 1
            held["most"] = max(held["most"], held["now"])
            await all_fast.wait()
            held["now"] -= 1
            held["slow"] += 1
            if held["slow"] == 24:
                all_came.set()
            return OK
        if len(fast.letters) == 11:
            all_fast.set()
        return await fast.post(url, body, headers)

    async with background() as tasks:
        tasks.start_soon(Deliveries(control, post, tasks, control.clock).run)
        try:
            with anyio.fail_after(20):
                await all_came.wait()
        finally:
            all_fast.set()
    assert held["most"] == AT_ONE_HOST
    assert len(fast.letters) == 12
    by_line = [letter.event["payload"]["n"] for letter in fast.letters]
    assert sorted(by_line) == [1] * 6 + [2] * 6


async def test_an_attempt_that_has_begun_is_brought_to_its_end(control: ControlData) -> None:
    await control.webhooks.create(target_url=URL)
    await write(control, 1, 2)
    begun, goes_on = anyio.Event(), anyio.Event()

    async def post(*_: object) -> Receipt:
        begun.set()
        await goes_on.wait()
        return OK

    async with anyio.create_task_group() as around, background() as tasks:
        tasks.start_soon(Deliveries(control, post, tasks, control.clock).run)
        with anyio.fail_after(30):
            await begun.wait()
        tasks.cancel_scope.cancel()
        around.start_soon(_set_later, goes_on)
    assert [one.state for one in await control.outbox.listed()] == ["waiting", "delivered"]


async def _set_later(event: anyio.Event) -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    event.set()


async def test_a_webhook_that_goes_while_its_event_is_under_way_harms_nobody(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    other, _ = await control.webhooks.create(target_url="https://other.example.com")
    await write(control, 1)
    seen = Receiver()

    async def post(url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        if url == URL:
            await control.webhooks.remove(webhook.id)
        return await seen.post(url, body, headers)

    await deliver_due(delivering(control, post), control)
    assert {letter.event["webhook_id"] for letter in seen.letters} == {webhook.id, other.id}
    assert [one.state for one in await control.outbox.listed()] == ["delivered"]
