"""Sign-in at an authorization server: OpenID Connect's code flow, with PKCE (RFC 7636), state and nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import httpx
import msgspec
from pydantic import SecretStr

from pingone_mcp.clock import Clock
from pingone_mcp.service.callers import Caller
from pingone_mcp.tasks import SingleFlight, background
from pingone_mcp.web.authentication.bearer import BadCredential
from pingone_mcp.web.authentication.discovery import NoKeys, ServerMetadata, may_be_asked, server_metadata
from pingone_mcp.web.authentication.id_tokens import IdTokens, OidcRules
from pingone_mcp.web.authentication.signing_keys import SigningKeys

BEGUN_SECONDS = 10 * 60
"""Whoever begins to sign in has so many seconds."""
_MOST = 1_000  # sign-ins that were begun; the oldest makes way
_MOST_BYTES = 64 * 1024
_BYTES = 32
_TIMEOUT = httpx.Timeout(10.0)


@dataclass(frozen=True, slots=True)
class BegunSignIn:
    """A sign-in on its way: where it is sent, and what only the browser that began it keeps."""

    url: str
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Begun:
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    after: str
    until: float


class _Tokens(msgspec.Struct):
    id_token: str


class OidcSignIn:
    """Sign-ins of one process. Raises BadCredential with what to say to whoever signs in."""

    def __init__(
        self, rules: OidcRules, secret: SecretStr | None, redirect_uri: str, client: httpx.AsyncClient, tokens: IdTokens
    ) -> None:
        self._rules, self._secret, self._redirect_uri = rules, secret, redirect_uri
        self._client, self._tokens, self._clock = client, tokens, tokens.clock
        self._begun: OrderedDict[bytes, _Begun] = OrderedDict()

    async def begin(self, after: str) -> BegunSignIn:
        """Begin a sign-in that leads to a path of ours."""
        metadata = await self._metadata()
        state, nonce, verifier = (secrets.token_urlsafe(_BYTES) for _ in range(3))
        self._begun[_digest(state)] = _Begun(nonce, verifier, after, self._clock.monotonic() + BEGUN_SECONDS)
        if len(self._begun) > _MOST:
            self._begun.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._rules.client_id,
                "redirect_uri": self._redirect_uri,
                "scope": "openid email",
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        glue = "&" if "?" in metadata.authorization_endpoint else "?"
        return BegunSignIn(f"{metadata.authorization_endpoint}{glue}{query}", state)

    async def end(self, answer: Mapping[str, str], kept: str) -> tuple[Caller, str]:
        """Return who has signed in, and where that leads, by the answer and by what the browser has kept."""
        state = answer.get("state", "")
        if not kept or not hmac.compare_digest(state.encode(errors="replace"), kept.encode(errors="replace")):
            raise BadCredential("This sign-in was not begun in this browser. Begin again.")
        begun = self._begun.pop(_digest(state), None)
        if begun is None or self._clock.monotonic() >= begun.until:
            raise BadCredential("This sign-in has taken too long, or was ended already. Begin again.")
        if answer.get("iss", self._rules.issuer) != self._rules.issuer:  # RFC 9207 §2.4
            raise BadCredential("Another authorization server has answered.")
        if "code" not in answer:
            raise BadCredential("The authorization server did not let you in.")
        token = await self._exchange(answer["code"], begun.verifier)
        return await self._tokens.caller(token, begun.nonce), begun.after

    async def _exchange(self, code: str, verifier: str) -> str:
        """Return the ID token for a code (OpenID Connect Core §3.1.3)."""
        metadata = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if self._secret is None:
            form["client_id"] = self._rules.client_id
        else:
            # Each as in a form (RFC 6749 §2.3.1).
            pair = f"{quote_plus(self._rules.client_id)}:{quote_plus(self._secret.get_secret_value())}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            answer = await self._client.post(
                metadata.token_endpoint, data=form, headers=headers, follow_redirects=False, timeout=_TIMEOUT
            )
            if answer.status_code != httpx.codes.OK or len(answer.content) > _MOST_BYTES:
                raise BadCredential("The authorization server did not take the code.")
            return msgspec.json.decode(answer.content, type=_Tokens).id_token
        except (httpx.HTTPError, httpx.InvalidURL):
            raise BadCredential("The authorization server could not be reached. Try again.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise BadCredential("The authorization server gave no ID token.") from None

    async def _metadata(self) -> ServerMetadata:
        try:
            metadata = await server_metadata(self._client, self._rules.issuer)
        except NoKeys:
            raise BadCredential("The authorization server could not be reached. Try again.") from None
        if not (may_be_asked(metadata.authorization_endpoint) and may_be_asked(metadata.token_endpoint)):
            raise BadCredential("The authorization server does not say where to sign in.")
        return metadata


@asynccontextmanager
async def open_sign_in(
    rules: OidcRules, secret: SecretStr | None, redirect_uri: str, clock: Clock
) -> AsyncIterator[OidcSignIn]:
    """Give what signs people in; nothing is asked of the authorization server before somebody does."""
    trusted = ssl.create_default_context()  # what the machine trusts, and SSL_CERT_FILE
    async with httpx.AsyncClient(verify=trusted) as client, background() as tasks:
        keys = SigningKeys(rules.issuer, client, SingleFlight(tasks), clock)
        yield OidcSignIn(rules, secret, redirect_uri, client, IdTokens(rules=rules, keys=keys, clock=clock))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
