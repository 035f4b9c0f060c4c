"""Credentials of real control data, and tokens of an authorization server on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from pingone_mcp.clock import Clock
from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.access_tokens import TokenRules
from pingone_mcp.web.authentication.authenticator import Authenticator
from pingone_mcp.web.authentication.bearer import BadCredential, holds_credential
from pingone_mcp.web.authentication.opening import open_authenticator
from pingone_mcp.web.places import place_of
from pingone_mcp.web.process import Listening, open_socket, serve_app, url_of
from pingone_mcp.web.refusals import TurnedAway
from tests.databases import make_tables
from tests.web.authorization_server import AuthorizationServer, claims, signed
from tests.world import NOW, Time

REST = place_of("/unified/user-directory/users")
MCP = place_of("/c/acme/mcp")
HERE = PublicAddress("http://127.0.0.1:8080", 8080)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def control(tmp_path: Path, time: Time) -> AsyncIterator[ControlData]:
    place = ControlPlace(folder=tmp_path)
    make_tables(place)
    async with open_control(place, time.clock()) as opened:
        yield opened


@pytest.fixture
async def authenticator(control: ControlData, time: Time) -> AsyncIterator[Authenticator]:
    async with open_authenticator(control, HERE, None, time.clock()) as opened:
        yield opened


async def connection(control: ControlData) -> str:
    made = await control.connections.add(
        name="one", tenant="acme", settings={}, credentials={"client_secret": SecretStr("s3cr3t")}
    )
    return made.id


async def is_good(authenticator: Authenticator, text: str) -> bool:
    try:
        await authenticator.caller(text, REST, "192.0.2.1")
    except BadCredential:
        return False
    return True


async def test_a_key_is_good_until_it_ends_or_is_revoked(
    control: ControlData, authenticator: Authenticator, time: Time
) -> None:
    made = await control.api_keys.create(
        name="reports",
        permissions=["directory.read"],
        connections=[own := await connection(control)],
        expires_at=NOW + timedelta(hours=1),
    )
    text = made.text.get_secret_value()
    caller = await authenticator.caller(text, REST, "192.0.2.1")
    assert (caller.kind, caller.connections) == ("api_key", frozenset({own}))
    assert caller.permissions == frozenset({"directory.read"})
    assert not await is_good(authenticator, text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert not await is_good(authenticator, f"{text}0")
    assert holds_credential("/", f"key={text}")
    await time.passes(3600)
    assert not await is_good(authenticator, text)


async def test_a_revoked_key_is_no_longer_good(control: ControlData, authenticator: Authenticator) -> None:
    made = await control.api_keys.create(name="all", permissions=["directory.read"])
    text = made.text.get_secret_value()
    assert (await authenticator.caller(text, REST, "192.0.2.1")).connections is None
    await control.api_keys.revoke(made.key.id)
    assert not await is_good(authenticator, text)


async def test_an_account_token_is_good_for_a_quarter_of_an_hour(
    control: ControlData, authenticator: Authenticator, time: Time
) -> None:
    made, _ = await control.tokens.create_account(own := await connection(control), ["directory.read"])
    text = made.get_secret_value()
    caller = await authenticator.caller(text, REST, "192.0.2.1")
    assert (caller.kind, caller.connections) == ("account_token", frozenset({own}))
    assert holds_credential("/", f"token={text}")
    await time.passes(15 * 60)
    assert not await is_good(authenticator, text)


@pytest.mark.parametrize("path", ["/c/acme/mcp", "/c/none/mcp", "/mcp", "/", "/c/acme/link", "/sign-in", "/sign-out"])
async def test_an_account_token_is_good_for_rest_alone(
    control: ControlData, authenticator: Authenticator, path: str
) -> None:
    made, _ = await control.tokens.create_account(await connection(control), ["directory.read"])
    with pytest.raises(TurnedAway) as refused:
        await authenticator.caller(made.get_secret_value(), place_of(path), "192.0.2.1")
    assert (refused.value.status, refused.value.problem.code) == (403, "ACCOUNT_TOKEN")
    with pytest.raises(BadCredential):
        await authenticator.caller(f"{made.get_secret_value()}0", place_of(path), "192.0.2.1")


async def test_a_link_token_is_no_credential(control: ControlData, authenticator: Authenticator) -> None:
    made = await control.tokens.create_link(tenant="acme")
    assert not await is_good(authenticator, made.get_secret_value())
    assert not holds_credential("/connect-account", f"link_token={made.get_secret_value()}")


@asynccontextmanager
async def serving(server: AuthorizationServer) -> AsyncIterator[str]:
    """Let an authorization server of the tests listen on this machine; give its issuer."""
    where = Listening(host="127.0.0.1", port=0)
    began = anyio.Event()
    with open_socket(where) as listening:

        async def serve() -> None:
            await serve_app(server, where, listening, began=began.set)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await began.wait()
            issuer = f"{url_of(where, listening)}/acme/as"
            server.issuer, server.jwks_uri = issuer, f"{issuer}/jwks"
            yield issuer
            tasks.cancel_scope.cancel()


async def test_a_token_of_an_authorization_server_over_real_sockets(control: ControlData) -> None:
    server = AuthorizationServer()
    async with (
        serving(server) as issuer,
        open_authenticator(control, HERE, TokenRules(issuer=issuer), Clock()) as opened,
    ):
        assert server.asked == []
        later = datetime.now(UTC).timestamp() + 300
        good = claims(iss=issuer, aud=HERE.resource("/c/acme/mcp"), exp=later, iat=later - 300)
        caller = await opened.caller(signed(good), MCP, "192.0.2.1")
        assert (caller.kind, caller.connections) == ("access_token", frozenset({"acme"}))
        with pytest.raises(BadCredential, match="another audience"):
            await opened.caller(signed({**good, "aud": HERE.resource("/c/beta/mcp")}), MCP, "192.0.2.1")
