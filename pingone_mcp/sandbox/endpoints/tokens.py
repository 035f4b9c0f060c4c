"""The token endpoint: client credentials in, an hour's bearer token out."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha512
from typing import Literal, TypeAlias
from urllib.parse import unquote_plus

from pingone_mcp.sandbox.company.ids import stable_id
from pingone_mcp.sandbox.company.roles import Grant
from pingone_mcp.sandbox.errors import Json

AuthMethod: TypeAlias = Literal["CLIENT_SECRET_BASIC", "CLIENT_SECRET_POST"]


@dataclass
class Application:
    """A worker application: its credentials, how it must present them, and the roles it was given."""

    environment_id: str
    client_id: str
    client_secret: str
    name: str = "Directory reader"
    auth_method: AuthMethod = "CLIENT_SECRET_BASIC"
    grants: list[Grant] = field(default_factory=list)


class RequestDenied(Exception):
    """An OAuth error (RFC 6749, section 5.2), which is not shaped like the errors of the API."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(status, error, description)
        self.status, self.error, self.description = status, error, description

    def body(self, correlation_id: str) -> Json:
        """Write the error with the correlation id inside its text, as recorded."""
        return {
            "error": self.error,
            "error_description": f"Request denied: {self.description} (Correlation ID: {correlation_id})",
        }


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Tokens:
    """Issue tokens that look like PingOne's, and know which of them are good."""

    def __init__(self, key: bytes, organization_id: str) -> None:
        self._key, self._organization_id = key, organization_id
        self._expiry: dict[str, int] = {}
        self.requests = 0

    def issue(self, application: Application, issuer: str, audience: str, now: int, lifetime: int) -> str:
        """Make a token with the claims observed in real ones; `now` in milliseconds, `lifetime` in seconds."""
        issued = now // 1_000
        token_id = stable_id(self._key, "token", self.requests, now)
        header = {"alg": "RS256", "kid": "default", "x5t": _base64(blake2b(self._key, digest_size=20).digest())}
        claims = {
            "client_id": application.client_id,
            "iss": issuer,
            "jti": token_id,
            "iat": issued,
            "exp": issued + lifetime,
            "aud": [audience],
            "env": application.environment_id,
            "org": self._organization_id,
            "p1.rid": token_id,
        }
        body = ".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        signature = b"".join(sha512(self._key + body.encode() + bytes([part])).digest() for part in range(4))
        token = f"{body}.{_base64(signature)}"
        self._expiry = {known: expiry for known, expiry in self._expiry.items() if expiry > now}
        self._expiry[token] = now + lifetime * 1_000
        return token

    def accepts(self, authorization: str | None, now: int) -> bool:
        """Say whether an `Authorization` header carries a good token."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and self._expiry.get(token.strip(), 0) > now

    def revoke_all(self) -> None:
        """Refuse from now on every token issued so far."""
        self._expiry.clear()


def authenticate(
    application: Application,
    environment_id: str,
    authorization: str | None,
    form: Mapping[str, str],
    failure_status: int,
) -> None:
    """Check a token request of an application; raises RequestDenied."""
    scheme, _, encoded = (authorization or "").partition(" ")
    used: AuthMethod | None = None
    client_id = secret = ""
    if scheme.lower() == "basic":
        used = "CLIENT_SECRET_BASIC"
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client_id = secret = ""
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)  # RFC 6749, section 2.3.1
    elif "client_secret" in form:
        used, client_id, secret = "CLIENT_SECRET_POST", form.get("client_id", ""), form["client_secret"]
    known = hmac.compare_digest(client_id.encode(), application.client_id.encode())
    good = hmac.compare_digest(secret.encode(), application.client_secret.encode())
    if known and used is not None and used != application.auth_method:
        raise RequestDenied(failure_status, "invalid_client", "Unsupported authentication method")
    if environment_id != application.environment_id or not (known and good):
        raise RequestDenied(failure_status, "invalid_client", "Invalid client credentials")
    grant = form.get("grant_type")
    if grant is None:
        raise RequestDenied(400, "invalid_request", "Missing grant_type")
    if grant != "client_credentials":
        raise RequestDenied(400, "unsupported_grant_type", "Unsupported grant type")
