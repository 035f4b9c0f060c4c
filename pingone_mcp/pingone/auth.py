"""The worker application's access token: fetched once for everybody, renewed early, sent to PingOne's API only."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import AsyncGenerator, Generator
from typing import NoReturn
from urllib.parse import quote_plus

import anyio
import httpx

from pingone_mcp import __version__
from pingone_mcp.directory import json_text
from pingone_mcp.errors import (
    NotAuthenticated,
    Problem,
    RateLimited,
    Refused,
    ServerFailed,
    UnexpectedAnswer,
    Unreachable,
    UpstreamProblem,
)
from pingone_mcp.pingone.answers import is_cut_short
from pingone_mcp.pingone.clock import Clock
from pingone_mcp.pingone.token_cache import Token, TokenCache
from pingone_mcp.pingone.transport import Attempt, retry_after, retry_wait
from pingone_mcp.settings import Connection

RENEW_BEFORE = 60.0
# RFC 6749 §5.1 only recommends `expires_in`; PingOne sends 3600.
LIFETIME_IF_UNSAID = 300.0
ATTEMPTS = 5
REQUEST_SECONDS = 10.0
# The folder in the cache folder, because the latter may be one that we must not make private (say, /tmp).
_FOLDER = "tokens"
# RFC 6750 §2.1. A token with other characters would be quoted in the exception of the HTTP library.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,16384}=*")
_UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
# RFC 6749 §5.2
_OAUTH_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
     "invalid_scope"}
)  # fmt: skip
_OTHER_METHOD = {"client_secret_basic": "client_secret_post", "client_secret_post": "client_secret_basic"}


class ClientCredentials(httpx.Auth):
    """Authorize requests to PingOne's API by the client credentials grant (RFC 6749 §4.4).

    `transport` carries the token requests. It stays the caller's, and must neither repeat requests nor add
    this authorization itself. `clock` gives wall-clock seconds, `random` 0..1.
    Use as `httpx.AsyncClient(auth=…)`, without following redirects, in one event loop.
    """

    def __init__(
        self,
        connection: Connection,
        transport: httpx.AsyncBaseTransport,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._clock = clock or Clock()
        self._api_base = httpx.URL(connection.api_base)
        self._cache = TokenCache(connection.cache_dir / _FOLDER, connection)
        self._turn = anyio.Lock()
        self._token: Token | None = None
        self._failure: Problem | None = None
        self._renewals = 0

    async def token(self) -> str:
        """Return an access token that is good for a minute or longer.

        Raises NotAuthenticated, RateLimited, ServerFailed, Unreachable or UnexpectedAnswer.
        """
        return (await self._current()).value

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send `request` with the token, and once more with a new one if PingOne answers 401.

        Raises Refused, before anything is sent, for a URL outside `connection.api_base`.
        """
        self._check_destination(request.url)
        token = await self._current()
        request.headers["Authorization"] = f"Bearer {token.value}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            token = await self._current(refused=token)
            request.headers["Authorization"] = f"Bearer {token.value}"
            yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:  # noqa: ARG002 - httpx's signature
        raise RuntimeError(f"{type(self).__name__} needs an httpx.AsyncClient")

    def _check_destination(self, url: httpx.URL) -> None:
        base = self._api_base
        same_server = (url.scheme, url.host, url.port, url.userinfo) == (base.scheme, base.host, base.port, b"")
        # `path` is decoded, so that it shows the %2e%2e which the server may resolve.
        climbs = not {".", ".."}.isdisjoint(re.split(r"[/\\]", url.path))
        if not same_server or climbs or not url.path.startswith(f"{base.path.rstrip('/')}/"):
            raise Refused(
                "A request to a place outside the configured PingOne API was stopped: it would have carried "
                "the access token there.",
                "Follow only links that PingOne's API gave for this connection.",
                code="FOREIGN_URL",
            )

    async def _current(self, refused: Token | None = None) -> Token:
        """Return the token in use; if that is `refused`, a new one.

        Who waits while another caller renews gets the same token, or the same failure.
        """
        if (token := self._usable(refused)) is not None:
            return token
        renewals = self._renewals
        async with self._turn:
            if (token := self._usable(refused)) is not None:
                return token
            if self._failure is not None and self._renewals != renewals:
                raise copy.copy(self._failure)
            try:
                self._token = await self._renew(refused)
            except Problem as problem:
                self._failure = copy.copy(problem)  # without the traceback
                raise
            else:
                self._failure = None
                return self._token
            finally:
                # A cancelled renewal ends without a verdict: the next in line tries.
                self._renewals += 1

    def _usable(self, refused: Token | None) -> Token | None:
        token = self._token
        return token if token and token is not refused and self._clock.wall() < token.renew_at else None

    async def _renew(self, refused: Token | None) -> Token:
        self._failure = self._token = None
        # Another process may repeat its request for as long as we would.
        patience = self._connection.retry_seconds + REQUEST_SECONDS
        async with self._cache.alone(patience=patience, sleep=self._clock.sleep):
            cached = await self._cache.read(self._clock.wall())
            if cached and refused and cached.value == refused.value:
                await self._cache.delete()
            elif cached:
                return cached
            # Kept before it is written, so that a caller who is cancelled now does not waste it.
            self._token = token = await self._mint()
            await self._cache.write(token, self._clock.wall())
            return token

    async def _mint(self) -> Token:
        started = self._clock.monotonic()
        number = 0
        while True:
            number += 1
            asked_at = self._clock.wall()
            answer = await self._ask()
            attempt = Attempt(
                repeatable=True,  # a token too many does no harm
                number=number,
                elapsed=self._clock.monotonic() - started,
                status=None if answer is None or is_cut_short(answer) else answer.status_code,
                retry_after=self._retry_after(answer),
            )
            wait = retry_wait(attempt, budget=self._connection.retry_seconds, jitter=self._clock.jitter())
            if wait is not None and number < ATTEMPTS:
                await self._clock.sleep(wait)
            elif answer is not None:
                return self._read(answer, asked_at)
            else:
                raise Unreachable(
                    f"PingOne's token endpoint on {httpx.URL(self._connection.token_url).host} cannot be reached.",
                    "Check PINGONE_REGION (or PINGONE_CUSTOM_DOMAIN, PINGONE_AUTH_URL), the network and a proxy.",
                    code="UNREACHABLE",
                )

    async def _ask(self) -> httpx.Response | None:
        """Post one token request; None if no whole answer came."""
        try:
            response = await self._transport.handle_async_request(self._token_request())
            try:
                await response.aread()
            finally:
                await response.aclose()
        except httpx.RequestError:
            return None
        return response

    def _token_request(self) -> httpx.Request:
        connection = self._connection
        client, secret = connection.client_id, connection.client_secret.get_secret_value()
        headers = {"Accept": "application/json", "User-Agent": f"pingone-mcp/{__version__}"}
        form = {"grant_type": "client_credentials"}
        if connection.auth_method == "client_secret_basic":
            # RFC 6749 §2.3.1: each is form-encoded before the two are joined.
            pair = f"{quote_plus(client, safe='')}:{quote_plus(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret}
        # A bare transport has no default time-outs.
        extensions = {"timeout": httpx.Timeout(REQUEST_SECONDS).as_dict()}
        return httpx.Request("POST", connection.token_url, headers=headers, data=form, extensions=extensions)

    def _retry_after(self, answer: httpx.Response | None) -> float | None:
        return None if answer is None else retry_after(answer.headers, self._clock.wall())

    def _read(self, answer: httpx.Response, asked_at: float) -> Token:
        body = _json(answer)
        if answer.status_code != httpx.codes.OK:
            self._raise_refusal(answer, body)
        match body:
            case {"access_token": str(value), "token_type": str(kind), **rest} if _is_bearer(kind, value):
                lifetime = _lifetime(rest.get("expires_in"))
                # A token that lives for less than two minutes is used for half of that.
                return Token(value, asked_at + lifetime - min(RENEW_BEFORE, lifetime / 2))
            case _:
                raise UnexpectedAnswer(
                    "The token endpoint's answer holds no bearer token.",
                    "Check PINGONE_REGION, PINGONE_CUSTOM_DOMAIN and PINGONE_AUTH_URL, and whether a proxy answers "
                    "in PingOne's place.",
                    code="NO_TOKEN",
                    correlation_id=_correlation_id(answer, body),
                )

    def _raise_refusal(self, answer: httpx.Response, body: object) -> NoReturn:
        status, correlation = answer.status_code, _correlation_id(answer, body)
        kind: type[UpstreamProblem]
        code: str | None = None
        if status == httpx.codes.TOO_MANY_REQUESTS:
            kind, code = RateLimited, "REQUEST_LIMITED"
            pause = self._retry_after(answer)
            what = "PingOne limits the rate of token requests" + (f" for {pause:.0f} s more." if pause else ".")
            step = "Try again later."
        elif status >= httpx.codes.INTERNAL_SERVER_ERROR:
            kind = ServerFailed
            what, step = f"PingOne's token endpoint keeps failing (HTTP {status}).", "Try again in a few minutes."
        elif status >= httpx.codes.BAD_REQUEST:
            kind, code = NotAuthenticated, _oauth_error(body)
            what, step = self._explain_refusal(status, code, body)
        else:
            kind = UnexpectedAnswer
            what = f"The token endpoint answered HTTP {status}, which PingOne does not document."
            step = "Check PINGONE_REGION, PINGONE_CUSTOM_DOMAIN and PINGONE_AUTH_URL. Redirects are not followed."
        raise kind(what, step, code=code, correlation_id=correlation)

    def _explain_refusal(self, status: int, code: str | None, body: object) -> tuple[str, str]:
        method = self._connection.auth_method
        if "unsupported authentication method" in _description(body).lower():
            return (
                f"The worker application does not accept the authentication method {method}.",
                f"Set PINGONE_AUTH_METHOD={_OTHER_METHOD[method]}.",
            )
        if status == httpx.codes.NOT_FOUND or _management_code(body) == "NOT_FOUND":
            return (
                "PingOne knows no such environment in this region.",
                "Check PINGONE_ENVIRONMENT_ID (the environment that holds the worker application) and PINGONE_REGION.",
            )
        if code in {"unauthorized_client", "unsupported_grant_type"}:
            return (
                "The application may not use the client credentials grant.",
                "Use a worker application, or allow it the grant type Client Credentials in PingOne.",
            )
        if code == "invalid_client" or status == httpx.codes.UNAUTHORIZED:
            return (
                "PingOne does not accept the client id or the client secret.",
                (
                    "Check PINGONE_CLIENT_ID and PINGONE_CLIENT_SECRET, that the application is enabled, and that "
                    "PINGONE_ENVIRONMENT_ID and PINGONE_REGION are its own."
                ),
            )
        return (
            f"PingOne refused the token request (HTTP {status}).",
            "Check PINGONE_ENVIRONMENT_ID, PINGONE_REGION, PINGONE_CLIENT_ID and PINGONE_AUTH_METHOD.",
        )


def _json(answer: httpx.Response) -> object:
    try:
        body: object = json_text.loads(answer.content)
    except ValueError:
        return None
    return body


def _is_bearer(kind: str, value: str) -> bool:
    return kind.lower() == "bearer" and _TOKEN.fullmatch(value) is not None


def _lifetime(expires_in: object) -> float:
    match expires_in:
        case bool():
            return LIFETIME_IF_UNSAID
        case int() | float() if 0 < expires_in < 1e9:
            return float(expires_in)
        case _:
            return LIFETIME_IF_UNSAID


def _oauth_error(body: object) -> str | None:
    match body:
        case {"error": str(code)} if code in _OAUTH_ERRORS:
            return code
        case _:
            return None


def _management_code(body: object) -> str | None:
    match body:
        case {"code": str(code)}:
            return code
        case _:
            return None


def _description(body: object) -> str:
    match body:
        case {"error_description": str(text)} | {"message": str(text)}:
            return text
        case _:
            return ""


def _correlation_id(answer: httpx.Response, body: object) -> str | None:
    """Find the id by which PingOne's support finds the request; nothing but a UUID is taken from an answer."""
    header: str = answer.headers.get("correlation-id", "")
    found = _UUID.fullmatch(header) or _UUID.search(_description(body))
    return found.group() if found else None
