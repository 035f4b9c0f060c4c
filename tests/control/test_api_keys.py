"""API keys: shown once, recognized by a digest, noted when they are used, and revoked at once."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from pingone_mcp.control.api_keys import NewApiKey
from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.tables import API_KEYS
from tests.control.conftest import Hands

READ = ["directory.read"]


async def made(control: ControlData, name: str = "k") -> NewApiKey:
    return await control.api_keys.create(name=name, permissions=READ)


async def test_a_key_is_recognized_by_its_text_and_nothing_else(control: ControlData, hands: Hands) -> None:
    new, other = await made(control), await made(control)
    text, wrong = new.text.get_secret_value(), other.text.get_secret_value()
    found = await control.api_keys.verify(text)
    assert found == new.key
    assert (found.permissions, found.created_at) == (frozenset(READ), hands.time)
    mixed = text.rpartition("_")[0] + "_" + wrong.rpartition("_")[2]
    for bad in (mixed, text[:-1], text + "0", text.upper(), "", "pmk_", f" {text}", text.replace("pmk_", "pmx_")):
        assert await control.api_keys.verify(bad) is None
    unknown = "pmk_0000000000000000_" + text.rpartition("_")[2]
    assert await control.api_keys.verify(unknown) is None


async def test_the_text_is_nowhere_but_in_the_answer(control: ControlData) -> None:
    new = await made(control)
    secret = new.text.get_secret_value().rpartition("_")[2]
    assert secret not in repr(new)
    async with control.database.read() as connection:
        (row,) = await connection.execute(select(API_KEYS))
    assert secret not in repr(row)
    assert len(row.digest) == 32


async def test_a_key_reaches_what_it_names(control: ControlData, linked: LinkedConnection) -> None:
    create = control.api_keys.create
    named = (await create(name="a", permissions=READ, connections=[linked.id, linked.id], tenant="acme")).key
    tenant = (await create(name="b", permissions=READ, tenant="acme")).key
    every = (await create(name="c", permissions=READ)).key
    assert (named.connections, named.tenant) == (frozenset({linked.id}), "acme")
    assert (tenant.connections, tenant.tenant) == (None, "acme")
    assert (every.connections, every.tenant) == (None, None)
    with pytest.raises(ValueError, match="at least one connection"):
        await create(name="d", permissions=READ, connections=[])
    with pytest.raises(LookupError):
        await create(name="d", permissions=READ, connections=["none"])
    assert {key.name for key in await control.api_keys.listed()} == {"a", "b", "c"}


async def test_a_key_whose_connection_went_reaches_nothing(control: ControlData, linked: LinkedConnection) -> None:
    new = await control.api_keys.create(name="a", permissions=READ, connections=[linked.id])
    await control.connections.remove(linked.id)
    found = await control.api_keys.verify(new.text.get_secret_value())
    assert found is not None
    assert found.connections == frozenset()


async def test_a_revoked_key_is_none(control: ControlData, hands: Hands) -> None:
    new = await made(control)
    at = hands.go(minutes=1)
    assert await control.api_keys.revoke(new.key.id)
    hands.go(minutes=1)
    assert await control.api_keys.revoke(new.key.id)
    assert not await control.api_keys.revoke("none")
    assert await control.api_keys.verify(new.text.get_secret_value()) is None
    found = await control.api_keys.get(new.key.id)
    assert found is not None
    assert found.revoked_at == at


async def test_a_key_ends_at_its_instant(control: ControlData, hands: Hands) -> None:
    end = hands.time.replace(hour=13)
    new = await control.api_keys.create(name="a", permissions=READ, expires_at=end)
    hands.go(seconds=3599)
    assert await control.api_keys.verify(new.text.get_secret_value()) is not None
    hands.go(seconds=1)
    assert await control.api_keys.verify(new.text.get_secret_value()) is None


async def test_a_use_is_noted_once_a_minute(control: ControlData, hands: Hands) -> None:
    new = await made(control)
    first = hands.time
    noted = []
    for _ in range(5):
        await control.api_keys.verify(new.text.get_secret_value())
        found = await control.api_keys.get(new.key.id)
        assert found is not None
        noted.append(found.last_used_at)
        hands.go(seconds=25)
    second = dataclasses.replace(new.key, last_used_at=first.replace(minute=1, second=15)).last_used_at
    assert noted == [first, first, first, second, second]


async def test_a_key_that_somebody_writes_into_the_database_is_none(control: ControlData) -> None:
    """The digest needs a key of the ring: who can write rows, but has no ring, makes no keys."""
    import hashlib

    new = await made(control)
    forged = SecretStr(new.text.get_secret_value().rpartition("_")[0] + "_" + "0" * 48).get_secret_value()
    async with control.database.write() as connection:
        await connection.execute(update(API_KEYS).values(digest=hashlib.sha256(forged.encode()).digest()))
    assert await control.api_keys.verify(forged) is None
