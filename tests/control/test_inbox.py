"""Events that came: each once, in their order, kept until their work is done and fourteen days longer."""

from __future__ import annotations

import anyio
import pytest
from sqlalchemy import text

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.inbox import UNREADABLE, InboxState, IncomingEvent
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sealing import BrokenSeal
from tests.control.conftest import Hands


def events(*ids: str) -> list[IncomingEvent]:
    return [IncomingEvent(event_id=one, body=f'{{"id": "{one}"}}'.encode()) for one in ids]


async def pending(control: ControlData, linked: LinkedConnection) -> list[str]:
    return [one.event.event_id for one in await control.inbox.pending(linked.id)]


async def test_an_event_that_comes_again_is_kept_once(control: ControlData, linked: LinkedConnection) -> None:
    assert await control.inbox.add(linked.id, events("b", "a", "b")) == 2
    assert await control.inbox.add(linked.id, events("a", "c")) == 1
    assert await control.inbox.add(linked.id, []) == 0
    found = await control.inbox.pending(linked.id)
    assert [one.event for one in found] == events("b", "a", "c")
    other = await control.connections.add(name="other", settings={}, credentials={})
    assert await control.inbox.add(other.id, events("a")) == 1, "ids are the connection's own"


async def test_the_same_events_may_come_twice_at_once(control: ControlData, linked: LinkedConnection) -> None:
    counts: list[int] = []

    async def come() -> None:
        counts.append(await control.inbox.add(linked.id, events(*map(str, range(20)))))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(come)
    assert sorted(counts) == [0, 0, 0, 0, 20]


async def test_what_is_done_is_not_pending_and_not_taken_again(control: ControlData, linked: LinkedConnection) -> None:
    await control.inbox.add(linked.id, events("a", "b", "c"))
    first, second, _ = await control.inbox.pending(linked.id)
    await control.inbox.done([first.number, second.number])
    assert await pending(control, linked) == ["c"]
    assert await control.inbox.add(linked.id, events("a")) == 0
    assert await control.inbox.depth() == {linked.id: 1}


async def test_a_thousand_events_come_in_one_batch_and_again(control: ControlData, linked: LinkedConnection) -> None:
    batch = events(*map(str, range(1200)))
    assert await control.inbox.add(linked.id, batch) == 1200
    assert await control.inbox.add(linked.id, [*batch, *events("new")]) == 1
    numbers = [one.number for one in await control.inbox.pending(linked.id, limit=2000)]
    assert numbers == sorted(numbers)
    await control.inbox.done(numbers)
    assert await control.inbox.depth() == {}


async def test_what_could_not_be_read_is_set_aside(control: ControlData, linked: LinkedConnection) -> None:
    odd = IncomingEvent(event_id="unreadable:odd", body=b"\xff{", is_readable=False)
    assert await control.inbox.add(linked.id, [odd, *events("a")]) == 2
    assert await pending(control, linked) == ["a"]
    assert ((await control.inbox.state(linked.id)).unreadable, await control.inbox.depth()) == (1, {linked.id: 1})


async def test_what_waits_and_what_is_kept_aside_is_counted_for_each_connection(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    other = await control.connections.add(name="other", settings={}, credentials={})
    odd = IncomingEvent(event_id=f"{UNREADABLE}1", body=b"\xff", is_readable=False)
    came = hands.time
    await control.inbox.add(linked.id, [*events("a", "b", "c"), odd])
    hands.go(hours=1)
    await control.inbox.add(linked.id, events("d"))
    await control.inbox.add(other.id, events("a"))
    first, second, *_ = await control.inbox.pending(linked.id)
    await control.inbox.done([first.number])
    await control.inbox.set_aside([second.number])
    assert await pending(control, linked) == ["c", "d"]
    assert await control.inbox.add(linked.id, events("b")) == 0, "it is known as before"
    here = InboxState(waiting=2, waiting_since=came, unreadable=1, set_aside=1, unreadable_at=came, set_aside_at=came)
    assert await control.inbox.state(linked.id) == here
    there = InboxState(waiting=1, waiting_since=hands.time)
    assert await control.inbox.states() == {linked.id: here, other.id: there}
    assert await control.inbox.states(other.id) == {other.id: there}
    assert await control.inbox.state("none") == InboxState()
    hands.go(days=14)
    assert await control.inbox.state(linked.id) == InboxState(waiting=2, waiting_since=came)
    assert await control.inbox.sweep() == 3
    assert await pending(control, linked) == ["c", "d"]


async def test_events_are_swept_when_they_are_old_and_done(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    came = hands.time
    odd = IncomingEvent(event_id="odd", body=b"", is_readable=False)
    await control.inbox.add(linked.id, [*events("done", "waits"), odd])
    await control.inbox.done([(await control.inbox.pending(linked.id))[0].number])
    assert await control.inbox.last_received_at(linked.id) == came
    hands.go(days=13, hours=23)
    assert await control.inbox.sweep() == 0
    assert await control.inbox.add(linked.id, events("done")) == 0
    hands.go(hours=1)
    assert await control.inbox.sweep() == 2
    assert await pending(control, linked) == ["waits"]


async def test_an_event_of_nobody_is_refused(control: ControlData) -> None:
    with pytest.raises(LookupError):
        await control.inbox.add("none", events("a"))
    assert await control.inbox.last_received_at("none") is None


async def test_a_body_does_not_open_for_another_event(control: ControlData, linked: LinkedConnection) -> None:
    await control.inbox.add(linked.id, events("a", "b"))
    async with control.transaction() as connection:
        swap = "UPDATE inbox SET body = (SELECT body FROM inbox WHERE event_id = 'b') WHERE event_id = 'a'"
        await connection.execute(text(swap))
    with pytest.raises(BrokenSeal):
        await control.inbox.pending(linked.id)
