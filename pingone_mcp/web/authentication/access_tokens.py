"""Access tokens of an OAuth authorization server: JWTs that it issued for the very endpoint they are sent to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import jwt
import msgspec
from jwt.exceptions import (
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from pingone_mcp.clock import Clock
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.bearer import BadCredential
from pingone_mcp.web.authentication.signing_keys import ALGORITHMS, SignedBy, SigningKeys, UnknownKey
from pingone_mcp.web.places import Destination

_LEEWAY = 60  # seconds that the clocks of two machines may differ
_FAR = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", "application/jwt"})
_PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Which tokens are taken. `audience` None: the URL of the endpoint that a token is sent to.

    `connections_claim` names the claim that lists the ids of the connections a token reaches. Without one, a token
    that was issued for the endpoint of a connection reaches that one, and any other the default connection.
    """

    issuer: str
    audience: str | None = None
    connections_claim: str | None = None


class _Header(msgspec.Struct):
    alg: str
    typ: str = "JWT"
    kid: str | None = None


class _Claims(msgspec.Struct):
    """What is read of a token; RFC 9068 §2.2 asks for more, and authorization servers leave out some of it."""

    iss: str
    exp: float
    aud: str | list[str]
    nbf: float = 0
    iat: float = 0
    sub: str | None = None
    client_id: str | None = None
    azp: str | None = None
    scope: str | list[str] = ""
    scp: str | list[str] = ""
    typ: str | None = None
    at_hash: str | None = None
    c_hash: str | None = None
    nonce: str | None = None

    @property
    def audiences(self) -> list[str]:
        return self.aud if isinstance(self.aud, list) else [self.aud]

    @property
    def client(self) -> str | None:
        return self.client_id or self.azp

    @property
    def granted(self) -> frozenset[str]:
        return frozenset({*_words(self.scope), *_words(self.scp)})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokens:
    """Verifies the tokens of one authorization server."""

    rules: TokenRules
    address: PublicAddress
    keys: SigningKeys
    clock: Clock

    async def caller(self, token: str, place: Destination) -> Caller:
        """Return the holder of a token that was sent to a place. Raises BadCredential."""
        header = _header(token)
        if header.typ.lower() not in _TYPES:
            raise BadCredential("The token is no access token.")
        algorithm = _algorithm(header.alg)
        try:
            key = await self.keys.key(header.kid, algorithm)
        except UnknownKey:
            raise BadCredential("The token is signed with no key of the authorization server.") from None
        payload = self._payload(token, key, algorithm, place)
        claims = _claims(payload)
        self._refuse_out_of_time(claims)
        _refuse_other_kinds(claims)
        return self._caller(claims, self._connections(payload, place))

    def _payload(self, token: str, key: Any, algorithm: SignedBy, place: Destination) -> dict[str, Any]:
        """Return the claims of a token of the issuer for a place; PyJWT's own clock is not asked."""
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audiences(place),
                issuer=self.rules.issuer,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except InvalidSignatureError:
            raise BadCredential("The signature of the token is wrong.") from None
        except InvalidAudienceError:
            raise BadCredential("The token was issued for another audience.") from None
        except InvalidIssuerError:
            raise BadCredential("The token is of another issuer.") from None
        except MissingRequiredClaimError as missing:
            raise BadCredential(f"The token has no {missing.claim}.") from None
        except (PyJWTError, ValueError, RecursionError):
            raise BadCredential("The token is malformed.") from None

    def _audiences(self, place: Destination) -> list[str]:
        """Return the one audience, with and without a slash at its end (some clients add one)."""
        own = (self.rules.audience or self.address.resource(place.resource)).removesuffix("/")
        return [own, f"{own}/"]

    def _refuse_out_of_time(self, claims: _Claims) -> None:
        now = self.clock.wall()
        if not all(map(math.isfinite, (claims.exp, claims.nbf, claims.iat))):
            raise BadCredential("The token is malformed.")
        if claims.exp + _LEEWAY <= now:
            raise BadCredential("The token has expired.")
        if max(claims.nbf, claims.iat) - _LEEWAY > now:
            raise BadCredential("The token is not valid yet.")

    def _connections(self, payload: dict[str, Any], place: Destination) -> frozenset[str]:
        """Return the ids a token reaches; one that was issued for an endpoint reaches no other."""
        own = place.connection or DEFAULT
        if self.rules.connections_claim is None:
            return frozenset({own if self.rules.audience is None else DEFAULT})
        named = frozenset(_words(payload.get(self.rules.connections_claim)))
        return named & {own} if self.rules.audience is None and place.face == "mcp" else named

    def _caller(self, claims: _Claims, connections: frozenset[str]) -> Caller:
        subject = claims.sub or claims.client
        if not subject:
            raise BadCredential("The token names neither a subject nor a client.")
        return Caller(
            kind="access_token",
            client_id=claims.client or subject,
            issuer=claims.iss,
            subject=subject,
            permissions=frozenset(one for one in _PERMISSIONS if one in claims.granted),
            connections=connections,
            expires_at=datetime.fromtimestamp(min(claims.exp, _FAR), UTC),
        )


def _header(token: str) -> _Header:
    try:
        return msgspec.convert(jwt.get_unverified_header(token), _Header)
    except (PyJWTError, msgspec.MsgspecError, ValueError, RecursionError):
        raise BadCredential("The token is malformed.") from None


def _algorithm(name: str) -> SignedBy:
    for one in ALGORITHMS:
        if name == one:
            return one
    raise BadCredential(f"The token is not signed with {', '.join(ALGORITHMS[:-1])} or {ALGORITHMS[-1]}.")


def _claims(payload: dict[str, Any]) -> _Claims:
    try:
        return msgspec.convert(payload, _Claims)
    except msgspec.MsgspecError:
        raise BadCredential("The token is malformed.") from None


def _refuse_other_kinds(claims: _Claims) -> None:
    """Refuse what the same issuer signs for other purposes, whatever audience is configured.

    A token for PingOne's own API belongs to a worker application: whoever holds one is an administrator.
    """
    if _is_id_token(claims) or claims.typ in ("Refresh", "Offline", "Logout"):
        raise BadCredential("The token is no access token.")
    if any(one.startswith("https://api.pingone.") for one in claims.audiences):
        raise BadCredential("The token is for PingOne's own API: never send it anywhere else.")


def _is_id_token(claims: _Claims) -> bool:
    """Say whether a token is about a sign-in: it is for its client and carries no scope, if it does not say so itself.

    OpenID Connect Core §2 and §3.1.3.6; the claim `typ` is Keycloak's.
    """
    for_client = claims.nonce is not None or (claims.client is not None and claims.client in claims.audiences)
    return bool(claims.at_hash or claims.c_hash) or claims.typ == "ID" or (for_client and not claims.granted)


def _words(value: Any) -> list[str]:
    """Return the words of a claim: a text of them with spaces between, or an array of texts."""
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
