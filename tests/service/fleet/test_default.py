"""The connection of the environment variables, `default`, among those that were linked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection
from pingone_mcp.service.fleet.administration import FleetAdministration, KeyRequest
from pingone_mcp.service.fleet.fleet import Fleet
from pingone_mcp.service.fleet.linking import MadeByVariables
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.wiring.fleet import LinkedBackends, LinkedFiles, keep_default, linking_of
from tests.fleets import Estate, caller


def described(serving: Estate, name: str = "acme") -> ConnectionSettings:
    """Return what the variables say: a company, and the folder of what can be had again."""
    return ConnectionSettings.model_validate(serving.values(name, cache_dir=str(serving.folder / "own")))


@asynccontextmanager
async def served(serving: Estate) -> AsyncIterator[tuple[Fleet, FleetAdministration]]:
    """Serve, as a process does whose variables describe a connection."""
    settings, files = described(serving), LinkedFiles(serving.folder / "state")
    await keep_default(serving.control, settings)
    backends = LinkedBackends(control=serving.control, files=files, environment=settings, open_provider=serving.opened)
    fleet = Fleet(serving.control.connections, serving.connections, backends)
    linking = linking_of(serving.control, files, fleet.forget, serving.opened, environment=settings)
    yield fleet, FleetAdministration(serving.control, linking)


async def test_it_is_served_with_the_credentials_and_in_the_folder_of_the_variables(serving: Estate) -> None:
    async with served(serving) as (fleet, _):
        backend = await (await fleet.served(caller(DEFAULT), DEFAULT)).backend()
        await backend.replica.sync("full", report=lambda *_: None)
    assert list((serving.folder / "own").glob("replica/*"))
    assert not list((serving.folder / "state").glob("connections/*"))


async def test_keys_reach_it_and_others_do_not(serving: Estate) -> None:
    async with served(serving) as (fleet, administration):
        made = await administration.create_key(KeyRequest(name="x", connections=[DEFAULT]))
        assert made.key.connections == frozenset({DEFAULT})
        assert [one.id for one in await fleet.reached(caller())] == [DEFAULT]
        with pytest.raises(NoSuchConnection):
            await fleet.served(caller(tenant="customer-17"), DEFAULT)


async def test_where_the_variables_describe_none_there_is_none(serving: Estate) -> None:
    await serving.control.connections.add(
        name=DEFAULT, settings={}, credentials={}, connection_id=DEFAULT
    )  # another process has kept it
    with pytest.raises(NoSuchConnection):
        await serving.fleet.served(caller(), DEFAULT)
    assert await serving.fleet.reached(caller()) == []
    assert await serving.administration.connections() == []


async def test_its_variables_make_it_and_nobody_else(serving: Estate) -> None:
    async with served(serving) as (_, administration):
        linking = administration.linking
        for act in (
            linking.remove(DEFAULT),
            linking.rename(DEFAULT, "other"),
            linking.reconnect(DEFAULT, {}, serving.steps.append),
        ):
            with pytest.raises(MadeByVariables, match="variables"):
                await act
        assert (await linking.pause(DEFAULT)).is_paused
        assert not (await linking.resume(DEFAULT)).is_paused


async def test_no_other_has_its_name(serving: Estate) -> None:
    acme = await serving.link("acme")
    with pytest.raises(MadeByVariables):
        await serving.link(DEFAULT)
    with pytest.raises(MadeByVariables):
        await serving.administration.linking.rename(acme.id, DEFAULT)


async def test_it_is_checked_with_the_credentials_of_the_variables(serving: Estate) -> None:
    async with served(serving) as (_, administration):
        assert (await administration.linking.check(DEFAULT, serving.steps.append)).status == "active"
        with serving.another_secret("acme"):
            checked = await administration.linking.check(DEFAULT, serving.steps.append)
        assert checked.status == "needs_reauth"


async def test_what_it_serves_is_renewed_by_who_serves_it_only(serving: Estate) -> None:
    await keep_default(serving.control, described(serving, "acme"))
    looked = await keep_default(serving.control, described(serving, "globex"), renewed=False)
    assert looked.settings["environment_id"] == serving.company("acme").sandbox.environment_id
    renewed = await keep_default(serving.control, described(serving, "globex"))
    assert renewed.settings["environment_id"] == serving.company("globex").sandbox.environment_id
    assert "client_secret" not in renewed.settings
