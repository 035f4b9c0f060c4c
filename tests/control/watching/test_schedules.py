"""Schedules in control data: due until what was done is written down, which nobody does over a change."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import anyio
import pytest
from sqlalchemy import select, update

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sealing import BrokenSeal
from pingone_mcp.control.tables import SCHEDULES
from pingone_mcp.control.watching.schedules import ScheduleRecord
from pingone_mcp.errors import Refused
from tests.control.conftest import Hands


async def added(control: ControlData, linked: LinkedConnection, hands: Hands, **at: float) -> ScheduleRecord:
    return await control.schedules.add(
        linked.id,
        kind="drift",
        cron="0 7 * * *",
        zone="Europe/Berlin",
        arguments={"roster": "crm", "match_on": ["email"]},
        next_at=hands.time + timedelta(**at or {"hours": 1}),
    )


async def test_a_schedule_is_kept_as_it_was_given(control: ControlData, linked: LinkedConnection, hands: Hands) -> None:
    one = await added(control, linked, hands)
    assert await control.schedules.get(one.id) == one
    assert (one.ran_at, one.outcome, one.summary, one.is_active) == (None, None, None, True)
    hands.go(minutes=1)
    two = await added(control, linked, hands)
    other = await control.connections.add(name="other", settings={}, credentials={})
    three = await added(control, other, hands)
    assert await control.schedules.listed() == sorted([one, two, three], key=lambda it: (it.created_at, it.id))
    assert await control.schedules.listed(connections=[linked.id]) == [one, two]
    assert await control.schedules.listed(connections=[]) == []
    with pytest.raises(LookupError):
        await control.schedules.add("none", kind="drift", cron="", zone="", arguments={}, next_at=hands.time)
    assert await control.schedules.get("none") is None


async def test_of_many_that_are_added_at_once_no_more_are_kept_than_there_may_be(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    async def add() -> None:
        with suppress(Refused):
            await control.schedules.add(
                linked.id, kind="drift", cron="", zone="", arguments={}, next_at=hands.time, most=3
            )

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(add)
    assert len(await control.schedules.listed()) == 3


async def test_it_is_due_from_its_time_on_unless_it_or_its_connection_rests(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    later, sooner = await added(control, linked, hands, hours=2), await added(control, linked, hands, hours=1)
    assert await control.schedules.due(hands.time) == []
    assert await control.schedules.due(hands.time + timedelta(hours=1)) == [sooner]
    now = hands.go(days=30)
    assert await control.schedules.due(now) == [sooner, later]
    await control.schedules.update(sooner.id, is_active=False)
    assert await control.schedules.due(now) == [later]
    await control.connections.update(linked.id, is_paused=True)
    assert await control.schedules.due(now) == []
    await control.connections.update(linked.id, is_paused=False)
    assert await control.schedules.due(now) == [later]


async def test_what_came_of_it_is_written_once(control: ControlData, linked: LinkedConnection, hands: Hands) -> None:
    one = await added(control, linked, hands)
    now = hands.go(hours=2)
    after = now + timedelta(days=1)
    records = control.schedules
    assert await records.settle(one, outcome="baseline", summary="2 findings.", next_at=after, found=b"what")
    kept = await records.get(one.id)
    assert kept is not None
    assert (kept.outcome, kept.summary, kept.next_at, kept.ran_at) == ("baseline", "2 findings.", after, now)
    assert await records.found(kept) == b"what"
    assert not await records.settle(one, outcome="new", summary="", next_at=after, found=b"another's"), "done already"
    assert await records.found(kept) == b"what"
    assert await records.settle(kept, outcome="failed", summary="No.", next_at=after + timedelta(days=1))
    assert await records.found(kept) == b"what", "what failed has found nothing"


async def test_nothing_is_written_over_what_a_person_changed_or_removed(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    one, two = await added(control, linked, hands), await added(control, linked, hands)
    hands.go(hours=2)
    changed = await control.schedules.update(one.id, cron="0 8 * * *", next_at=hands.time)
    assert changed is not None
    assert not await control.schedules.settle(one, outcome="new", summary="", next_at=hands.time, found=b"what")
    assert await control.schedules.get(one.id) == changed
    assert await control.schedules.found(one) is None
    assert await control.schedules.remove(two.id)
    assert not await control.schedules.settle(two, outcome="new", summary="", next_at=hands.time, found=b"what")
    assert await control.schedules.get(two.id) is None
    assert not await control.schedules.remove(two.id)
    assert await control.schedules.update(two.id, cron="x") is None


async def test_other_arguments_forget_what_was_found(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    one = await added(control, linked, hands)
    await control.schedules.settle(one, outcome="new", summary="", next_at=hands.time, found=b"what")
    await control.schedules.update(one.id, cron="0 8 * * *")
    assert await control.schedules.found(one) == b"what"
    await control.schedules.update(one.id, arguments={"roster": "erp"})
    assert await control.schedules.found(one) is None


async def test_what_was_found_is_sealed_where_it_stands_and_goes_with_its_connection(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    one, two = await added(control, linked, hands), await added(control, linked, hands)
    text = b"grace.hopper@example.com" * 100
    await control.schedules.settle(one, outcome="baseline", summary="", next_at=hands.time, found=text)
    async with control.database.read() as connection:
        [sealed] = [found for found in await connection.scalars(select(SCHEDULES.c.found)) if found is not None]
    assert b"grace" not in sealed
    assert len(sealed) < len(text) / 4, "it is compressed"
    async with control.database.write() as connection:
        await connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == two.id).values(found=sealed))
    with pytest.raises(BrokenSeal):
        await control.schedules.found(two)
    await control.rotate_keys(forget_old=True)
    assert await control.schedules.found(one) == text
    await control.connections.remove(linked.id)
    assert await control.schedules.listed() == []


async def test_they_are_counted_by_what_came_of_them(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    made = [await added(control, linked, hands) for _ in range(4)]
    for one in made[:2]:
        await control.schedules.settle(one, outcome="failed", summary="", next_at=hands.time)
    await control.schedules.update(made[3].id, is_active=False)
    assert await control.schedules.outcomes() == {"failed": 2, "none": 1}


async def test_what_is_written_inside_a_transaction_goes_with_it(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    one = await added(control, linked, hands)

    async def settle_and_die() -> None:
        async with control.transaction():
            await control.schedules.settle(one, outcome="new", summary="", next_at=hands.time, found=b"what")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await settle_and_die()
    assert await control.schedules.get(one.id) == one
    assert await control.schedules.found(one) is None
