"""An authorization server of the tests: it publishes keys, signs tokens of every kind, and may be down."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.world import NOW

BASE = "https://directory.example.com"
PATH = "/c/acme/mcp"
AT = NOW.timestamp()
ISSUER = "https://auth.example.com/acme/as"
PLACES = (
    "/.well-known/oauth-authorization-server/acme/as",
    "/.well-known/openid-configuration/acme/as",
    "/acme/as/.well-known/openid-configuration",
)
JWKS = "/acme/as/jwks"
AUTHORIZE, TOKEN = "/acme/as/authorize", "/acme/as/token"
RSA_KEY = rsa.generate_private_key(65537, 2048)
NEXT_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(slots=True)
class AuthorizationServer:
    """`place` is the one of PLACES where its metadata lie, `asked` the paths that were asked for, in order."""

    place: str = PLACES[2]
    issuer: str = ISSUER
    jwks_uri: str = f"https://auth.example.com{JWKS}"
    is_down: bool = False
    keys: list[dict[str, Any]] = field(default_factory=lambda: [rsa_jwk("one"), ec_jwk("two")])
    asked: list[str] = field(default_factory=list[str])
    documents: dict[str, Response] = field(default_factory=dict[str, Response])
    people: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The claims of who has signed in, and what the sign-in was asked with, by the code that was given."""
    secret: str | None = None
    exchanged: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = request.url.path
        self.asked.append(path)
        answer = await self._exchange(request) if path == TOKEN else self._document(path)
        await answer(scope, receive, send)

    def sign_in(self, url: str, **of_person: Any) -> str:
        """Let a person sign in at the URL that they were led to; return the query that leads them back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.people)}"
        self.people[code] = {"asked": asked, "claims": of_person}
        return urlencode({"code": code, "state": asked["state"], "iss": self.issuer})

    async def _exchange(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.exchanged.append(form)
        known = self.people.pop(form["code"], None)
        if known is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        asked = known["asked"]
        if self.secret is not None:
            basic = base64.b64encode(f"{asked['client_id']}:{quote_plus(self.secret)}".encode()).decode()
            if request.headers.get("authorization") != f"Basic {basic}":
                return JSONResponse({"error": "invalid_client"}, 401)
        if base64url(hashlib.sha256(form["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        whole = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "client_id": None,
            "scope": None,
            "nonce": asked["nonce"],
            **known["claims"],
        }
        return JSONResponse({"access_token": "opaque", "id_token": signed(claims(**whole), typ="JWT")})

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self))

    def _document(self, path: str) -> Response:
        if self.is_down:
            return Response(status_code=503)
        if path in self.documents:
            return self.documents[path]
        if path == self.place:
            base = self.jwks_uri.removesuffix(JWKS)
            return JSONResponse(
                {
                    "issuer": self.issuer,
                    "jwks_uri": self.jwks_uri,
                    "authorization_endpoint": f"{base}{AUTHORIZE}",
                    "token_endpoint": f"{base}{TOKEN}",
                    "scopes_supported": ["openid"],
                }
            )
        if path == JWKS:
            return JSONResponse({"keys": self.keys})
        return Response(status_code=404)


def rsa_jwk(kid: str | None, key: rsa.RSAPrivateKey = RSA_KEY, **more: Any) -> dict[str, Any]:
    return _jwk(json.loads(RSAAlgorithm.to_jwk(key.public_key())), kid, more)


def ec_jwk(kid: str | None, key: ec.EllipticCurvePrivateKey = EC_KEY, **more: Any) -> dict[str, Any]:
    return _jwk(json.loads(ECAlgorithm.to_jwk(key.public_key())), kid, more)


def _jwk(key: dict[str, Any], kid: str | None, more: dict[str, Any]) -> dict[str, Any]:
    key.pop("key_ops", None)
    return {**key, **({} if kid is None else {"kid": kid}), "use": "sig", **more}


def signed(
    claims: dict[str, Any], *, alg: str = "RS256", kid: str | None = "one", key: Any = RSA_KEY, **header: Any
) -> str:
    """Return a token; a header of None is left out."""
    named = {"typ": "at+jwt", **({} if kid is None else {"kid": kid}), **header}
    return jwt.encode(claims, key, algorithm=alg, headers=named)


def public_pem(key: rsa.RSAPrivateKey = RSA_KEY) -> bytes:
    """Return what an attacker who confuses algorithms takes as the secret of an HMAC."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a good token; those of None are left out."""
    whole = {
        "iss": ISSUER,
        "aud": f"{BASE}{PATH}",
        "exp": AT + 300,
        "iat": AT,
        "sub": "ada",
        "client_id": "desktop",
        "scope": "openid directory.read",
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed_raw(**changed: Any) -> str:
    """Return a token with claims that PyJWT would not sign."""
    content = json.dumps({**claims(), **changed}).encode()
    return PyJWS().encode(content, RSA_KEY, algorithm="RS256", headers={"typ": "at+jwt", "kid": "one"})


def encoded(content: dict[str, Any]) -> str:
    return base64url(json.dumps(content).encode())


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
