"""What is known of rosters: one row for each name of a connection, and a token that opens for its URL alone."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.receiving.rosters import ListFile
from pingone_mcp.control.tables import ROSTERS, SEALED_VALUES
from pingone_mcp.errors import NoSuchConnection
from tests.control.conftest import Hands

URL, ELSEWHERE = "https://crm.example.com/Users", "https://elsewhere.example.com/Users"
TOKEN = SecretStr("t0ken")
FILE = ListFile(kind="csv", bytes=7, time=1_767_225_600_123_456_789)


async def test_a_roster_is_entered_once_and_nothing_is_said_of_its_list(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    made = await control.rosters.enter(linked.id, "crm")
    assert (made.source, made.accounts, made.received_at, made.created_at) == ("pushed", None, None, hands.time)
    hands.go(hours=1)
    assert await control.rosters.enter(linked.id, "crm") == made == await control.rosters.get(linked.id, "crm")
    assert await control.rosters.listed(linked.id) == [made]
    with pytest.raises(NoSuchConnection):
        await control.rosters.enter("no-such-connection", "crm")
    assert await control.rosters.get(linked.id, "other") is None


async def test_what_is_noted_of_a_list_is_noted_of_its_file(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    made = await control.rosters.enter(linked.id, "crm")
    received = hands.go(minutes=1)
    noted = await control.rosters.note_list(made, FILE, 12)
    assert noted == dataclasses.replace(made, file=FILE, accounts=12, received_at=received)
    failed = await control.rosters.note_failure(made, hands.go(minutes=1), "No answer came.")
    assert failed == dataclasses.replace(noted, tried_at=hands.time, reason="No answer came.")
    again = await control.rosters.note_list(made, FILE, 13, tried_at=hands.time)
    assert again is not None
    assert (again.accounts, again.reason) == (13, None)
    await control.rosters.forget_list(made)
    gone = await control.rosters.get(linked.id, "crm")
    assert gone is not None
    assert (gone.file, gone.accounts, gone.received_at) == (None, None, None)


async def test_a_roster_that_was_removed_is_noted_no_more(control: ControlData, linked: LinkedConnection) -> None:
    made = await control.rosters.enter(linked.id, "crm")
    assert await control.rosters.remove(linked.id, "crm")
    assert not await control.rosters.remove(linked.id, "crm")
    assert await control.rosters.note_list(made, FILE, 12) is None
    assert await control.rosters.listed(linked.id) == []


async def test_a_token_is_sealed_and_opens_for_the_url_that_it_was_given_with(
    control: ControlData, linked: LinkedConnection
) -> None:
    record = await control.rosters.set_source(linked.id, "crm", URL, TOKEN)
    assert (record.source, record.url) == ("scim", URL)
    assert await control.rosters.token(record) == TOKEN
    async with control.database.write() as connection:
        await connection.execute(update(ROSTERS).values(options={"url": ELSEWHERE}))
        sealed = list(await connection.scalars(select(SEALED_VALUES.c.sealed)))
    assert not any(b"t0ken" in bytes(one) for one in sealed)
    moved = await control.rosters.get(linked.id, "crm")
    assert moved is not None
    assert (moved.url, await control.rosters.token(moved)) == (ELSEWHERE, None)
    await control.rotate_keys(forget_old=True)
    assert await control.rosters.token(record) == TOKEN


async def test_a_source_keeps_its_list_and_each_name_its_token(control: ControlData, linked: LinkedConnection) -> None:
    made = await control.rosters.enter(linked.id, "crm")
    await control.rosters.note_list(made, FILE, 12)
    crm = await control.rosters.set_source(linked.id, "crm", URL, TOKEN)
    assert (crm.file, crm.accounts) == (FILE, 12)
    wiki = await control.rosters.set_source(linked.id, "wiki", URL, SecretStr("other"))
    same = await control.rosters.set_source(linked.id, "crm", URL, None, keeps_token=True)
    assert [await control.rosters.token(one) for one in (same, wiki)] == [TOKEN, SecretStr("other")]
    moved = await control.rosters.set_source(linked.id, "crm", ELSEWHERE, None, keeps_token=True)
    assert await control.rosters.token(moved) is None, "it is none of this URL"
    assert await control.rosters.token(crm) is None, "and is kept for no other one"
    await control.rosters.remove(linked.id, "wiki")
    await control.rosters.set_source(linked.id, "wiki", URL, None)
    assert await control.rosters.token(wiki) is None, "what is removed leaves no token behind"
