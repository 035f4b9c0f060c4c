"""Keys that a caller may look after: those that reach nothing which the caller does not reach itself."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from pingone_mcp.errors import NoSuchConnection, NotFound
from pingone_mcp.service.fleet.keeping.keys import CallerKeys
from tests.fleets import Estate, caller


async def test_each_caller_sees_the_keys_that_reach_no_further_than_itself(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="one"), await serving.link("globex", tenant="two")
    keys, create = CallerKeys(serving.control, serving.fleet), serving.control.api_keys.create
    read = ["directory.read"]
    for name, connections, tenant in (
        ("of acme", [acme.id], None),
        ("of globex", [globex.id], None),
        ("of one", None, "one"),
        ("of two", None, "two"),
        ("of all", None, None),
    ):
        await create(name=name, permissions=read, connections=connections, tenant=tenant)
    both = await create(name="of both", permissions=read, connections=[acme.id, globex.id])
    revoked = await create(name="revoked", permissions=read, connections=[acme.id])
    await serving.control.api_keys.revoke(revoked.key.id)

    async def seen(*connections: str, tenant: str | None = None) -> list[str]:
        return sorted(key.name for key in await keys.listed(caller(*connections, tenant=tenant)))

    assert await seen() == ["of acme", "of all", "of both", "of globex", "of one", "of two"]
    assert await seen(tenant="one") == ["of acme", "of one"]
    assert await seen(acme.id) == ["of acme"]
    assert await seen(acme.id, globex.id) == ["of acme", "of both", "of globex"]
    of_acme = sorted(key.name for key in await keys.of_connection(caller(), acme.id))
    assert of_acme == ["of acme", "of all", "of both", "of one"]
    with pytest.raises(NoSuchConnection):
        await keys.of_connection(caller(globex.id), acme.id)
    with pytest.raises(NoSuchConnection):
        await keys.create(caller(globex.id), acme.id, "mine", ["directory.read"], None)
    with pytest.raises(NotFound):
        await keys.revoke(caller(acme.id), acme.id, both.key.id)


async def test_a_key_of_a_connection_that_was_removed_is_nobody_elses(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="one"), await serving.link("globex", tenant="one")
    await serving.control.api_keys.create(name="left over", permissions=["directory.read"], connections=[acme.id])
    await serving.administration.linking.remove(acme.id)
    keys = CallerKeys(serving.control, serving.fleet)
    assert await keys.listed(caller(globex.id)) == []


async def test_who_may_come_in_for_a_while_makes_no_key_that_is_good_for_longer(serving: Estate) -> None:
    acme = await serving.link("acme", tenant="one")
    keys, now = CallerKeys(serving.control, serving.fleet), serving.control.clock.now()
    guest = dataclasses.replace(caller(acme.id), expires_at=now + timedelta(days=2))
    for days in (None, 90):
        made = await keys.create(guest, acme.id, "longer", ["directory.read"], days)
        assert made.key.expires_at == guest.expires_at
    assert (await keys.create(guest, acme.id, "shorter", ["directory.read"], 1)).key.expires_at == now + timedelta(
        days=1
    )
