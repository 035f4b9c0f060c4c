"""What is read and when, on the settings page: the scope by name, another interval, and a sync that is asked for."""

from __future__ import annotations

import pytest

from tests.fleets import damage_copy
from tests.web.pages.keeping.keepers import Keeper


async def interval(keeper: Keeper) -> object:
    found = await keeper.face.estate.control.connections.get(keeper.face.acme.id)
    assert found is not None
    return found.settings.get("sync_minutes")


async def test_the_scope_is_shown_by_name(keeper: Keeper) -> None:
    await keeper.sync()
    sandbox = keeper.face.estate.company("acme").sandbox
    name = next(one.name for one in sandbox.company.environments if one.id == sandbox.environment_id)
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    assert f"<li>{name}" in keeper.page
    assert "All of them." in keeper.page
    assert f'href="{keeper.root}/link/reconnect"' in keeper.page


async def test_an_environment_is_called_not_read_yet_where_the_copy_was_looked_at_alone(keeper: Keeper) -> None:
    estate, acme = keeper.face.estate, keeper.face.acme
    await keeper.sign_in("directory.read")
    await keeper.get(f"{keeper.root}/settings")
    assert "not read yet" in keeper.page
    await keeper.sync()
    await keeper.get(f"{keeper.root}/settings")
    assert "not read yet" not in keeper.page
    assert "is not looked at" not in keeper.page
    await damage_copy(estate, acme)
    await keeper.get(f"{keeper.root}/settings")
    assert "not read yet" not in keeper.page
    assert "not looked at here: the local copy cannot be read" in keeper.page
    await estate.administration.linking.pause(acme.id)
    await keeper.get(f"{keeper.root}/settings")
    assert "not read yet" not in keeper.page
    assert "not looked at here: the connection is paused" in keeper.page


async def test_another_interval_holds_at_once_without_asking_pingone(keeper: Keeper) -> None:
    estate, acme = keeper.face.estate, keeper.face.acme
    await keeper.sync()
    await estate.control.connections.set_next_sync(acme.id, None)
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    asked = len(estate.company("acme").sandbox.requests)
    await keeper.post(f"{keeper.root}/settings/interval", minutes="30")
    assert "every 30 minutes" in keeper.page
    assert await interval(keeper) == 30
    assert len(estate.company("acme").sandbox.requests) == asked
    found = await estate.control.connections.get(acme.id)
    assert found is not None
    assert found.settings["environment_id"] == acme.settings["environment_id"]


@pytest.mark.parametrize("minutes", ["0", "-5", "10081", "nan", "inf", "", "soon", "1e999"])
async def test_what_is_no_interval_is_refused(keeper: Keeper, minutes: str) -> None:
    before = await interval(keeper)
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/settings")
    refused = await keeper.post(f"{keeper.root}/settings/interval", minutes=minutes)
    assert refused.status == 400
    assert await interval(keeper) == before


async def test_nothing_is_changed_or_synced_without_the_permission_or_the_token_of_the_form(keeper: Keeper) -> None:
    before, runs = await interval(keeper), keeper.face.estate.control.sync_runs
    await keeper.sign_in("directory.read")
    await keeper.get(f"{keeper.root}/settings")
    assert not [one for one in keeper.actions() if "/settings" in one]
    for path in ("interval", "sync"):
        assert (await keeper.post(f"{keeper.root}/settings/{path}", minutes="30")).status == 403
        await keeper.get(f"{keeper.root}/settings")
    await keeper.sign_in("directory.read", "connections.manage", "directory.sync")
    await keeper.get(f"{keeper.root}/settings")
    for path in ("interval", "sync"):
        assert (await keeper.post(f"{keeper.root}/settings/{path}", csrf="", minutes="30")).status == 400
        await keeper.get(f"{keeper.root}/settings")
    assert await interval(keeper) == before
    assert await runs.listed() == []
