"""Credentials that we gave out ourselves, as callers: API keys and account tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Protocol, TypeVar, get_args

from pingone_mcp.service.callers import Caller, Permission

Held = TypeVar("Held")
Find = Callable[[str], Awaitable[Held | None]]
"""Finds what a text is, where it is known, was not revoked and has not ended; None for any other text."""
Verify = Callable[[str], Awaitable[Caller | None]]
"""Gives the holder of a credential; None where it is not good."""

LOCAL = "local"
"""The issuer of what we gave out ourselves."""
KEY_PREFIX, ACCOUNT_TOKEN_PREFIX = "pmk_", "pat_"
_PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))


class HeldKey(Protocol):
    """An API key. `connections` None stands for all of `tenant`, and that being None too, for all there are."""

    @property
    def id(self) -> str: ...
    @property
    def connections(self) -> frozenset[str] | None: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def permissions(self) -> AbstractSet[str]: ...
    @property
    def expires_at(self) -> datetime | None: ...


class HeldToken(Protocol):
    """An account token, for one connection."""

    @property
    def connection_id(self) -> str: ...
    @property
    def permissions(self) -> AbstractSet[str]: ...
    @property
    def expires_at(self) -> datetime: ...


def local_credentials(find_key: Find[HeldKey], find_token: Find[HeldToken]) -> dict[str, Verify]:
    """Return what verifies each kind of credential, by the prefix of its kind."""

    async def key(text: str) -> Caller | None:
        held = await find_key(text)
        return None if held is None else _holder_of_key(held)

    async def token(text: str) -> Caller | None:
        held = await find_token(text)
        return None if held is None else _holder_of_token(held, text)

    return {KEY_PREFIX: key, ACCOUNT_TOKEN_PREFIX: token}


def _holder_of_key(key: HeldKey) -> Caller:
    return Caller(
        kind="api_key",
        client_id=f"key:{key.id}",
        issuer=LOCAL,
        subject=key.id,
        permissions=_known(key.permissions),
        connections=key.connections,
        tenant=key.tenant,
        expires_at=key.expires_at,
    )


def _holder_of_token(token: HeldToken, text: str) -> Caller:
    """Return a caller who is another one for each token: what one began, no other goes on with."""
    return Caller(
        kind="account_token",
        client_id=f"account_token:{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        issuer=LOCAL,
        subject=token.connection_id,
        permissions=_known(token.permissions),
        connections=frozenset({token.connection_id}),
        expires_at=token.expires_at,
    )


def _known(permissions: AbstractSet[str]) -> frozenset[Permission]:
    return frozenset(one for one in _PERMISSIONS if one in permissions)
