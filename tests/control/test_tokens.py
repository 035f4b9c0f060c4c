"""Link tokens are used once within seven days, account tokens live for fifteen minutes."""

from __future__ import annotations

import anyio
import pytest
from sqlalchemy import func, select

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.tables import ACCOUNT_TOKENS, LINK_TOKENS
from pingone_mcp.control.tokens import LinkToken
from tests.control.conftest import Hands


async def test_a_link_token_is_used_once(control: ControlData, linked: LinkedConnection, hands: Hands) -> None:
    new = await control.tokens.create_link(tenant="acme", redirect_uri="https://app.example.com/done")
    again = await control.tokens.create_link(tenant="acme", connection_id=linked.id)
    text = new.get_secret_value()
    meant = LinkToken(
        tenant="acme",
        connection_id=None,
        redirect_uri="https://app.example.com/done",
        expires_at=hands.time.replace(day=8),
    )
    assert await control.tokens.link(text) == await control.tokens.link(text) == meant
    assert await control.tokens.use_link(text) == meant
    assert await control.tokens.link(text) is None
    assert await control.tokens.use_link(text) is None
    reconnects = await control.tokens.use_link(again.get_secret_value())
    assert reconnects is not None
    assert reconnects.connection_id == linked.id


async def test_of_many_who_use_a_link_token_at_once_one_gets_it(control: ControlData) -> None:
    text = (await control.tokens.create_link(tenant="acme")).get_secret_value()
    got = []

    async def use() -> None:
        got.append(await control.tokens.use_link(text))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(use)
    assert sum(one is not None for one in got) == 1


async def test_a_use_that_came_to_nothing_leaves_the_token(control: ControlData) -> None:
    text = (await control.tokens.create_link(tenant="acme")).get_secret_value()

    async def connect() -> None:
        async with control.transaction():
            await control.tokens.use_link(text)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await connect()
    assert await control.tokens.link(text) is not None


async def test_tokens_end_by_themselves_and_are_swept(
    control: ControlData, linked: LinkedConnection, hands: Hands
) -> None:
    link = (await control.tokens.create_link(tenant="acme")).get_secret_value()
    account, meant = await control.tokens.create_account(linked.id, ["directory.read"])
    assert (meant.expires_at - hands.time).total_seconds() == 900
    hands.go(minutes=14, seconds=59)
    assert await control.tokens.account(account.get_secret_value()) == meant
    hands.go(seconds=1)
    assert await control.tokens.account(account.get_secret_value()) is None
    hands.go(days=7)
    assert await control.tokens.link(link) is None
    assert await control.tokens.use_link(link) is None
    await control.tokens.create_link(tenant="acme")
    await control.tokens.create_account(linked.id, [])
    async with control.database.read() as connection:
        counts = [
            await connection.scalar(select(func.count()).select_from(one)) for one in (LINK_TOKENS, ACCOUNT_TOKENS)
        ]
    assert counts == [1, 1]


async def test_one_kind_of_token_is_not_the_other(control: ControlData, linked: LinkedConnection) -> None:
    link = (await control.tokens.create_link(tenant="acme")).get_secret_value()
    account, _ = await control.tokens.create_account(linked.id, [])
    assert await control.tokens.account(link) is None
    assert await control.tokens.link(account.get_secret_value()) is None
    assert await control.api_keys.verify(link) is None


async def test_there_is_no_token_for_a_connection_that_there_is_not(control: ControlData) -> None:
    with pytest.raises(LookupError):
        await control.tokens.create_link(tenant="acme", connection_id="none")
    with pytest.raises(LookupError):
        await control.tokens.create_account("none", [])
