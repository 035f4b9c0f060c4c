"""Another secret of a hook, made by two at once: one makes it, the other hears that it was made."""

from __future__ import annotations

import anyio
import pytest

from pingone_mcp.errors import NoSuchConnection
from pingone_mcp.service.fleet.keeping.hooks import CallerHooks, OtherSecret
from pingone_mcp.wiring.fleet import hook_place
from tests.fleets import Estate, caller


async def test_of_two_who_want_another_secret_at_once_one_makes_it(serving: Estate) -> None:
    acme = await serving.link("acme", tenant="one")
    hooks = CallerHooks(serving.control, serving.fleet, hook_place("https://directory.example.com"))
    secrets = serving.control.hook_secrets
    first = (await secrets.get(acme.id)).get_secret_value()
    edition = (await hooks.shown(caller(), acme.id)).edition
    assert first not in edition
    outcomes: list[str] = []

    async def renew() -> None:
        try:
            header = await hooks.renew(caller(), acme.id, edition)
            outcomes.append(header["Authorization"].get_secret_value().removeprefix("Bearer "))
        except OtherSecret:
            outcomes.append("")

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(renew)
    [made] = filter(None, outcomes)
    assert len(outcomes) == 4
    known = await secrets.known(acme.id)
    assert known is not None
    assert known.get_secret_value() == made
    assert await secrets.opens(acme.id, first), "it still holds, until PingOne has the new one"


async def test_a_hook_of_others_is_not_there(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="one"), await serving.link("globex", tenant="two")
    hooks = CallerHooks(serving.control, serving.fleet, hook_place("https://directory.example.com"))
    with pytest.raises(NoSuchConnection):
        await hooks.shown(caller(globex.id), acme.id)
    with pytest.raises(NoSuchConnection):
        await hooks.renew(caller(globex.id), acme.id, "")
    assert await serving.control.hook_secrets.known(acme.id) is None
