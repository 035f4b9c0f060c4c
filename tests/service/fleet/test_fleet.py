"""Connections by their callers."""

from __future__ import annotations

import pytest

from pingone_mcp.errors import NoSuchConnection, Problem, Refused
from pingone_mcp.service.fleet.fleet import Paused
from pingone_mcp.service.reviews.rules import read_rules
from tests.fleets import Estate, caller

UNKNOWN = "5d2f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


async def environment_of(serving: Estate, connection: str) -> str:
    served = await serving.fleet.served(caller(connection), connection)
    [place] = await (await served.backend()).directory.environments()
    return place.id


async def test_each_connection_is_of_its_own_directory(serving: Estate) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    for linked, name in ((acme, "acme"), (globex, "globex")):
        assert await environment_of(serving, linked.id) == serving.company(name).sandbox.environment_id


async def test_a_connection_that_is_not_reached_is_as_one_that_there_is_not(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="a"), await serving.link("globex", tenant="b")
    answers: list[str] = []
    for who, which in (
        (caller(acme.id), globex.id),
        (caller(acme.id), UNKNOWN),
        (caller(tenant="a"), globex.id),
        (caller(tenant="a"), UNKNOWN),
        (caller(tenant="a"), "no id at all"),
    ):
        with pytest.raises(NoSuchConnection) as raised:
            await serving.fleet.served(who, which)
        answers.append(str(raised.value))
        assert await serving.fleet.meant(who, which) is None
    assert len(set(answers)) == 1
    assert not serving.connections._lives, "nothing of it was opened"  # noqa: SLF001 - what nobody can ask


async def test_a_caller_of_one_connection_need_not_name_it(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="a"), await serving.link("globex", tenant="b")
    for who, which in ((caller(acme.id), None), (caller(tenant="a"), None), (caller(), acme.id)):
        assert await serving.fleet.meant(who, which) == acme.id
    assert await serving.fleet.meant(caller(), None) is None
    assert (await serving.fleet.find(caller(acme.id), None)).id == acme.id
    assert (await serving.fleet.find(caller(tenant="b"), None)).id == globex.id
    with pytest.raises(Refused, match="reaches 2 connections"):
        await serving.fleet.find(caller(), None)
    with pytest.raises(NoSuchConnection):
        await serving.fleet.find(caller(UNKNOWN), None)


async def test_a_caller_reaches_what_is_its_own(serving: Estate) -> None:
    acme = await serving.link("acme", tenant="a")
    serving.time.passed += 1
    globex = await serving.link("globex", tenant="b")
    for who, expected in (
        (caller(), [acme.id, globex.id]),
        (caller(tenant="a"), [acme.id]),
        (caller(globex.id, UNKNOWN), [globex.id]),
    ):
        assert [one.id for one in await serving.fleet.reached(who)] == expected


async def test_new_credentials_are_used_at_once_and_the_id_stays(serving: Estate) -> None:
    acme = await serving.link("acme")
    before = await serving.fleet.served(caller(acme.id), acme.id)
    again = await serving.administration.linking.reconnect(acme.id, serving.values("globex"), serving.steps.append)
    assert again.id == acme.id
    assert await environment_of(serving, acme.id) == serving.company("globex").sandbox.environment_id
    with pytest.raises(Problem, match="not served any more"):
        await before.backend()


async def test_another_name_opens_nothing_anew(serving: Estate) -> None:
    acme = await serving.link("acme")
    before = await serving.fleet.served(caller(acme.id), acme.id)
    await serving.administration.linking.rename(acme.id, "the acme company")
    assert await serving.fleet.served(caller(acme.id), acme.id) is before


async def test_nothing_is_asked_for_a_paused_connection(serving: Estate) -> None:
    acme = await serving.link("acme")
    served = await serving.fleet.served(caller(acme.id), acme.id)
    await served.backend()
    await serving.administration.linking.pause(acme.id)
    with pytest.raises(Paused):
        await serving.fleet.served(caller(acme.id), acme.id)
    with pytest.raises(Problem, match="not served any more"):
        await served.backend()
    await serving.administration.linking.resume(acme.id)
    assert await environment_of(serving, acme.id)


async def test_files_of_the_person_who_serves_hold_for_no_linked_connection_and_that_is_said(serving: Estate) -> None:
    acme = await serving.link("acme")
    backend = await (await serving.fleet.served(caller(acme.id), acme.id)).backend()
    with pytest.raises(Refused, match=r"pingone-mcp rosters rules FILE.*PUT /role-rules"):
        await read_rules(backend.rules)
    with pytest.raises(Refused, match=r"`entries`.*pingone-mcp rosters push NAME FILE.*PUT /roster/"):
        backend.rosters.find("crm")
