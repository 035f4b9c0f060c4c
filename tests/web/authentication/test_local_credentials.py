"""Credentials that we gave out ourselves, as callers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pingone_mcp.service.callers import Caller
from pingone_mcp.web.authentication.local_credentials import local_credentials
from tests.world import NOW

SOON = NOW + timedelta(minutes=15)


@dataclass(frozen=True)
class KeyOfTenant:
    id: str = "1f"
    connections: frozenset[str] | None = None
    tenant: str | None = "acme"
    permissions: frozenset[str] = frozenset({"directory.read", "of.another.edition"})
    expires_at: datetime | None = None


@dataclass(frozen=True)
class TokenOfConnection:
    connection_id: str = "a"
    permissions: frozenset[str] = frozenset({"directory.read"})
    expires_at: datetime = SOON


async def key(text: str) -> KeyOfTenant | None:
    return KeyOfTenant() if text == "pmk_good" else None


async def token(text: str) -> TokenOfConnection | None:
    return TokenOfConnection() if text.startswith("pat_good") else None


async def test_a_key_is_a_caller_with_what_it_was_given() -> None:
    verify = local_credentials(key, token)["pmk_"]
    assert await verify("pmk_other") is None
    assert await verify("pmk_good") == Caller(
        kind="api_key",
        client_id="key:1f",
        issuer="local",
        subject="1f",
        permissions=frozenset({"directory.read"}),
        tenant="acme",
    )


async def test_an_account_token_is_a_caller_of_its_own_for_one_connection() -> None:
    verify = local_credentials(key, token)["pat_"]
    assert await verify("pat_other") is None
    one, other = await verify("pat_good1"), await verify("pat_good2")
    assert one is not None
    assert other is not None
    assert (one.kind, one.connections, one.expires_at) == ("account_token", frozenset({"a"}), SOON)
    assert one.principal != other.principal
    assert "pat_good1" not in repr(one)
