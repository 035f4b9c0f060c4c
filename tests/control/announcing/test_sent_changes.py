"""Events of changes and the place up to which they were written move together, or not at all."""

from __future__ import annotations

import pytest

from pingone_mcp.control.announcing.sent_changes import SentUntil
from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection


async def move(control: ControlData, connection: str, before: SentUntil | None, after: SentUntil) -> bool:
    async with control.sent_changes.moving(connection, before, after) as is_there:
        if is_there:
            await control.outbox.add("record:updated", {}, connection_id=connection, tenant=None)
    return is_there


async def test_the_place_moves_with_what_is_written(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url="https://example.com")
    assert await control.sent_changes.until(linked.id) is None
    one, two = SentUntil("a", 1), SentUntil("a", 5_000_000_000)
    assert await move(control, linked.id, None, one)
    assert await move(control, linked.id, one, two)
    assert await control.sent_changes.until(linked.id) == two
    assert await control.outbox.depth() == 2


async def test_who_comes_second_writes_nothing(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url="https://example.com")
    assert await move(control, linked.id, None, SentUntil("a", 1))
    assert not await move(control, linked.id, None, SentUntil("a", 2))
    assert (await control.sent_changes.until(linked.id), await control.outbox.depth()) == (SentUntil("a", 1), 1)


async def test_what_breaks_off_moves_nothing(control: ControlData, linked: LinkedConnection) -> None:
    await control.webhooks.create(target_url="https://example.com")

    async def breaks_off() -> None:
        async with control.sent_changes.moving(linked.id, None, SentUntil("a", 1)):
            await control.outbox.add("record:updated", {}, connection_id=linked.id, tenant=None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaks_off()
    assert (await control.sent_changes.until(linked.id), await control.outbox.depth()) == (None, 0)
    with pytest.raises(LookupError):
        await move(control, "none", None, SentUntil("a", 1))
