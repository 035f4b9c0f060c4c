"""ID tokens of OpenID Connect: who has signed in at the authorization server, told to our client alone."""

from __future__ import annotations

import hmac
import math
from dataclasses import dataclass
from typing import Any, get_args

import jwt
import msgspec
from jwt.exceptions import PyJWTError

from pingone_mcp.clock import Clock
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.web.authentication.bearer import BadCredential
from pingone_mcp.web.authentication.signing_keys import ALGORITHMS, SigningKeys, UnknownKey

_LEEWAY = 60  # seconds that the clocks of two machines may differ
_ALL: frozenset[Permission] = frozenset(get_args(Permission))


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcRules:
    """As which client people sign in at an issuer, and who of them manages everything: by subject or verified address.

    All others read the connections that the claim lists.
    """

    issuer: str
    client_id: str
    admins: frozenset[str] = frozenset()
    connections_claim: str | None = None


class _IdClaims(msgspec.Struct):
    sub: str
    exp: float
    iat: float
    aud: str | list[str]
    nonce: str
    azp: str | None = None
    email: str | None = None
    email_verified: bool | str = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokens:
    """Verifies ID tokens (OpenID Connect Core §3.1.3.7)."""

    rules: OidcRules
    keys: SigningKeys
    clock: Clock

    async def caller(self, token: str, nonce: str) -> Caller:
        """Return who has signed in, by the token of a request that had this nonce. Raises BadCredential."""
        payload = await self._payload(token)
        try:
            claims = msgspec.convert(payload, _IdClaims)
        except msgspec.MsgspecError:
            raise BadCredential("The ID token is malformed.") from None
        self._check(claims, nonce)
        is_admin = claims.sub in self.rules.admins or (
            claims.email is not None and claims.email_verified is True and claims.email in self.rules.admins
        )
        named = payload.get(self.rules.connections_claim) if self.rules.connections_claim else None
        ids = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
        return Caller(
            kind="session",
            client_id="browser",
            issuer=self.rules.issuer,
            subject=claims.sub,
            permissions=_ALL if is_admin else frozenset({"directory.read"}),
            connections=None if is_admin else frozenset(one for one in ids if isinstance(one, str)),
        )

    async def _payload(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm = next((one for one in ALGORITHMS if one == header.get("alg")), None)
            key_id = header.get("kid")
            if algorithm is None or not (key_id is None or isinstance(key_id, str)):
                raise BadCredential("The ID token is signed in a way that is not taken.")
            key = await self.keys.key(key_id, algorithm)
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.rules.client_id,
                issuer=self.rules.issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "verify_exp": False,  # by our own clock, below
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except UnknownKey:
            raise BadCredential("The ID token is signed with no key of the authorization server.") from None
        except (PyJWTError, ValueError, RecursionError):
            raise BadCredential("The ID token is not one for this server.") from None

    def _check(self, claims: _IdClaims, nonce: str) -> None:
        now = self.clock.wall()
        if not (math.isfinite(claims.exp) and math.isfinite(claims.iat)) or claims.exp + _LEEWAY <= now:
            raise BadCredential("The ID token has expired.")
        if claims.iat - _LEEWAY > now:
            raise BadCredential("The ID token is not valid yet.")
        others = isinstance(claims.aud, list) and len(claims.aud) > 1
        if claims.azp != self.rules.client_id and (others or claims.azp is not None):
            raise BadCredential("The ID token is for another client.")
        if not hmac.compare_digest(claims.nonce.encode(), nonce.encode()):
            raise BadCredential("The ID token belongs to another sign-in.")
