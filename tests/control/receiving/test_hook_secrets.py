"""The secret of a connection's hook: made once, another one on request, and gone with its connection."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.receiving.hook_secrets import RefusedDeliveries
from pingone_mcp.control.sealing import BrokenSeal, of_hook
from pingone_mcp.control.tables import DATA_KEYS, SEALED_VALUES
from tests.control.conftest import Hands


async def secret(control: ControlData, linked: LinkedConnection, *, rotate: bool = False) -> str:
    return (await control.hook_secrets.get(linked.id, rotate=rotate)).get_secret_value()


async def test_it_is_made_when_first_asked_for_and_stays(control: ControlData, linked: LinkedConnection) -> None:
    assert not await control.hook_secrets.opens(linked.id, "")
    made = await secret(control, linked)
    assert len(made) > 40
    assert await secret(control, linked) == made
    assert await control.hook_secrets.opens(linked.id, made)
    for wrong in ("", made[:-1], made + "x", made.upper()):
        assert not await control.hook_secrets.opens(linked.id, wrong)
    other = await control.connections.add(name="other", settings={}, credentials={})
    assert not await control.hook_secrets.opens(other.id, made)
    assert await secret(control, other) != made
    assert not await control.hook_secrets.opens("no-such-connection", made)
    assert not await control.hook_secrets.opens("no-such-connection", "")


async def test_each_before_holds_for_a_day(control: ControlData, linked: LinkedConnection, hands: Hands) -> None:
    first = await secret(control, linked)
    second = await secret(control, linked, rotate=True)
    assert first != second
    assert await secret(control, linked) == second
    hands.go(hours=23, minutes=59)
    assert await control.hook_secrets.opens(linked.id, first)
    hands.go(minutes=1)
    assert not await control.hook_secrets.opens(linked.id, first)
    assert await control.hook_secrets.opens(linked.id, second)
    third = await secret(control, linked, rotate=True)
    hands.go(hours=1)
    fourth = await secret(control, linked, rotate=True)

    async def opening() -> list[bool]:
        return [await control.hook_secrets.opens(linked.id, one) for one in (first, second, third, fourth)]

    assert await opening() == [False, True, True, True], "what is entered at the provider holds, whoever rotates again"
    hands.go(hours=23)
    assert await opening() == [False, False, True, True]
    hands.go(hours=1)
    assert await opening() == [False, False, False, True]


async def test_no_more_than_some_are_kept(control: ControlData, linked: LinkedConnection) -> None:
    first = await secret(control, linked)
    later = [await secret(control, linked, rotate=True) for _ in range(9)]
    opening = [await control.hook_secrets.opens(linked.id, one) for one in (first, *later)]
    assert opening == [False] + 9 * [True]


async def test_it_is_sealed_and_no_credential(control: ControlData, linked: LinkedConnection) -> None:
    made = await secret(control, linked)
    assert await control.connections.credentials(linked.id) == {"client_secret": SecretStr("s3cr3t")}
    await control.connections.replace_credentials(linked.id, {"client_secret": SecretStr("another")})
    assert await control.hook_secrets.opens(linked.id, made), "new credentials leave it as it is"
    async with control.database.read() as connection:
        sealed = list(await connection.scalars(select(SEALED_VALUES.c.sealed)))
    assert not any(made.encode() in bytes(one) for one in sealed)
    await control.rotate_keys(forget_old=True)
    assert await control.hook_secrets.opens(linked.id, made)


async def test_it_is_the_connection_s_own(control: ControlData, linked: LinkedConnection) -> None:
    """A row that was copied from another connection opens nothing."""
    other = await control.connections.add(name="other", settings={}, credentials={})
    mine, theirs = await secret(control, linked), await secret(control, other)
    async with control.database.write() as connection:
        field, sealed = (
            await connection.execute(
                select(SEALED_VALUES.c.field, SEALED_VALUES.c.sealed).where(SEALED_VALUES.c.owner == of_hook(other.id))
            )
        ).one()
        here = (SEALED_VALUES.c.owner == of_hook(linked.id)) & (SEALED_VALUES.c.field == field)
        await connection.execute(SEALED_VALUES.update().where(here).values(sealed=sealed))
    for shown in (mine, theirs):
        with pytest.raises(BrokenSeal):
            await control.hook_secrets.opens(linked.id, shown)


async def test_it_goes_with_its_connection(control: ControlData, linked: LinkedConnection) -> None:
    made = await secret(control, linked)
    assert await control.connections.remove(linked.id)
    assert not await control.hook_secrets.opens(linked.id, made)
    async with control.database.read() as connection:
        owners = set(await connection.scalars(select(DATA_KEYS.c.owner)))
    assert owners == {"root"}
    with pytest.raises(LookupError):
        await control.hook_secrets.get(linked.id)


async def test_who_asks_whether_there_is_one_makes_none(control: ControlData, linked: LinkedConnection) -> None:
    assert await control.hook_secrets.known(linked.id) is None
    made = await secret(control, linked)
    assert await control.hook_secrets.known(linked.id) == SecretStr(made)
    assert await control.hook_secrets.known("no-such-connection") is None


async def test_what_is_refused_is_counted_where_there_is_a_hook(control: ControlData, linked: LinkedConnection) -> None:
    without = await control.connections.add(name="other", settings={}, credentials={})
    made = await secret(control, linked)
    for connection, shown in ((linked.id, "x"), (linked.id, ""), (linked.id, made), (without.id, "x"), ("nobody", "x")):
        await control.hook_secrets.opens(connection, shown)
    assert control.hook_secrets.refused() == {linked.id: 2}


async def test_a_series_of_refused_deliveries_is_kept_until_another_secret_is_made(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    hooks = control.hook_secrets
    assert await hooks.note_refused(linked.id, 1) is None, "there is no secret that could be wrong"
    first = await secret(control, linked)
    assert await hooks.refused_deliveries(linked.id) is None
    since = hands.time
    await hooks.note_refused(linked.id, 2)
    last = hands.go(hours=23)
    whole = RefusedDeliveries(count=5, since=since, last=last)
    assert await hooks.note_refused(linked.id, 3) == whole
    assert await hooks.refused_deliveries(linked.id) == whole
    assert await hooks.opens(linked.id, first), "the secret stays"
    now = hands.go(days=1)
    assert await hooks.note_refused(linked.id, 1) == RefusedDeliveries(count=1, since=now, last=now)
    second = await secret(control, linked, rotate=True)
    assert await hooks.refused_deliveries(linked.id) is None
    assert await hooks.opens(linked.id, first)
    assert await hooks.opens(linked.id, second)
    assert await hooks.note_refused("no-such-connection", 1) is None
    assert await hooks.refused_deliveries("no-such-connection") is None
