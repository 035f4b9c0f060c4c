"""The worker application's access token: fetched once for everybody, renewed early, sent to PingOne's API only."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from functools import partial
from typing import NamedTuple, NoReturn
from urllib.parse import quote_plus

import anyio
import httpx
from anyio.abc import TaskGroup

from pingone_mcp import __version__
from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.directory.text import json_text
from pingone_mcp.errors import (
    NO_TOKEN_YET,
    NotAuthenticated,
    RateLimited,
    Refused,
    ServerFailed,
    UnexpectedAnswer,
    Unreachable,
    UpstreamProblem,
)
from pingone_mcp.http.body import PACKED
from pingone_mcp.http.failures import LASTING, cause, unreachable
from pingone_mcp.http.token_cache import Token, TokenCache
from pingone_mcp.http.transport import CONNECT_SECONDS, Attempt, Pause, exchange, retry_after, retry_wait
from pingone_mcp.pingone.api.answers import another_server, failed, is_cut_short, is_from_elsewhere, not_unpacked
from pingone_mcp.pingone.api.upstream import PINGONE, TOKEN
from pingone_mcp.pingone.connection import Connection
from pingone_mcp.tasks import SingleFlight, left

RENEW_BEFORE = 60.0
# RFC 6749 §5.1 only recommends `expires_in`; PingOne sends 3600.
LIFETIME_IF_UNSAID = 300.0
ATTEMPTS = 5
REQUEST_SECONDS = 10.0
# Less than an answer may take, so that one can say that no connection came about; from the second time on it may take
# as long as it does on a slow network.
FIRST_CONNECT_SECONDS = 3.0
_TO_TELL = 0.1  # of the time of a caller
_SLOW_DISK = "The cache folder has not answered yet."
_ASK_AGAIN = "Ask again in a few seconds: it is waited for meanwhile."
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


class _Delay(NamedTuple):
    """Why there is no token yet, and what to do; the code of what happened, where something did."""

    why: str
    step: str = _ASK_AGAIN
    code: str | None = NO_TOKEN_YET


class ClientCredentials(httpx.Auth):
    """Authorize requests to PingOne's API by the client credentials grant (RFC 6749 §4.4).

    `transport` carries the token requests. It stays the caller's, and must neither repeat requests nor add
    this authorization itself. A token is fetched in `tasks`, and goes on when the request that needed it has left.
    `request_seconds` is what one token request may take at most, its answer included.
    Use as `httpx.AsyncClient(auth=…)`, without following redirects, in one event loop.
    """

    def __init__(
        self,
        connection: Connection,
        transport: httpx.AsyncBaseTransport,
        tasks: TaskGroup,
        *,
        clock: Clock | None = None,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._connection = connection
        self._transport = transport
        # A token is for those who come later too: what those who wait now have left hurries nothing.
        self._clock = replace(clock or Clock(), left=lambda: math.inf)
        self._api_base = httpx.URL(connection.api_base)
        self._host = httpx.URL(connection.token_url).host
        self._cache = TokenCache(connection.cache_dir / _FOLDER, _row(connection), connection.credentials.client_secret)
        self._request_seconds = min(request_seconds, connection.pace.request_seconds)
        self._renewal = SingleFlight(tasks)
        self._pause = Pause(self._clock)
        self._token: Token | None = None
        self._delay = _Delay("")

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

        A caller that waits while it is renewed for another one gets the same token, or the same failure. One without
        time left gets, just before it ends, a failure that says what took so long.
        """
        if (token := self._usable(refused)) is not None:
            return token
        with anyio.move_on_after(left() - _TO_TELL):
            return await self._renewal.do("token", partial(self._renew, refused), lasting=True)
        delay = self._delay
        raise Unreachable(f"There is no access token yet. {delay.why}", delay.step, code=delay.code)

    def _usable(self, refused: Token | None) -> Token | None:
        token = self._token
        return token if token and token is not refused and self._clock.wall() < token.renew_at else None

    async def _renew(self, refused: Token | None) -> Token:
        self._token = None
        self._delay = _Delay(_SLOW_DISK)
        self._token = await self._cached(refused) or await self._fetched(refused)
        return self._token

    async def _cached(self, refused: Token | None) -> Token | None:
        """Return the token on disk, unless it is the one that was refused."""
        cached = await self._cache.read(self._clock.wall())
        return None if cached and refused and cached.value == refused.value else cached

    async def _fetched(self, refused: Token | None) -> Token:
        """Return a new token, or the one that another process has fetched meanwhile."""
        self._delay = _Delay("Another process of this machine is fetching one.")
        async with self._cache.alone(sleep=self._clock.sleep):
            if (cached := await self._cached(refused)) is not None:
                return cached
            if refused is not None:
                await self._cache.delete()
            self._delay = _Delay(f"PingOne's token endpoint on {self._host} has not answered yet.")
            self._token = token = await self._mint()
            self._delay = _Delay(_SLOW_DISK)
            await self._cache.write(token, self._clock.wall())
            return token

    async def _mint(self) -> Token:
        await self._keep_pause()
        started = self._clock.monotonic()
        number = 0
        while True:
            number += 1
            asked_at = self._clock.wall()
            answer = await self._ask(FIRST_CONNECT_SECONDS if number == 1 else CONNECT_SECONDS)
            wait = self._wait(answer, number, self._clock.monotonic() - started)
            if wait is None:
                return self._read(answer, asked_at)
            self._delay = self._trouble(answer)
            await self._clock.sleep(wait)

    async def _keep_pause(self) -> None:
        """Keep the pause that an earlier call was asked for. Raises RateLimited for one beyond patience."""
        pause = self._pause.remaining()
        if pause > self._connection.pace.retry_seconds:
            raise _limited(pause)
        if pause > 0:
            self._delay = _Delay(_limited(pause).what)
            await self._pause.wait()

    async def _ask(self, connect: float) -> httpx.Response | httpx.TransportError:
        """Post one token request; return the answer, or why no whole one came in time.

        Raises UnexpectedAnswer for one that cannot be unpacked.
        """
        try:
            request, seconds = self._token_request(), self._request_seconds
            return await exchange(self._transport, request, seconds, TOKEN, self._clock, connect=connect)
        except httpx.TransportError as failure:
            return failure
        except httpx.DecodingError:
            raise not_unpacked("The token endpoint's answer") from None

    def _wait(self, answer: httpx.Response | httpx.TransportError, number: int, elapsed: float) -> float | None:
        """Return the seconds until a token is asked for once more; None if that is not to be."""
        status = pause = None
        lasting = isinstance(answer, httpx.TransportError) and cause(answer) in LASTING
        if isinstance(answer, httpx.Response):
            status = None if is_cut_short(answer) else answer.status_code
            pause = self._retry_after(answer)
        # A token too many does no harm.
        attempt = Attempt(
            repeatable=True, number=number, elapsed=elapsed, status=status, retry_after=pause, lasting=lasting
        )
        wait = retry_wait(attempt, budget=self._connection.pace.retry_seconds, jitter=self._clock.jitter())
        return wait if number < ATTEMPTS else None

    def _trouble(self, answer: httpx.Response | httpx.TransportError) -> _Delay:
        """Return what to say of a request that is sent again, as long as nothing better is known."""
        if isinstance(answer, httpx.Response):
            return _Delay(f"PingOne's token endpoint on {self._host} answered HTTP {answer.status_code}.")
        problem = unreachable(PINGONE, self._host, answer)
        return _Delay(problem.what, f"{problem.next_step} It is tried again meanwhile.", problem.code)

    def _token_request(self) -> httpx.Request:
        connection = self._connection
        client, secret = connection.credentials.client_id, connection.credentials.client_secret.get_secret_value()
        headers = {"Accept": "application/json", "Accept-Encoding": PACKED, "User-Agent": f"pingone-mcp/{__version__}"}
        form = {"grant_type": "client_credentials"}
        if connection.endpoints.auth_method == "client_secret_basic":
            # RFC 6749 §2.3.1: each is form-encoded before the two are joined.
            pair = f"{quote_plus(client, safe='')}:{quote_plus(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret}
        return httpx.Request("POST", connection.token_url, headers=headers, data=form)

    def _retry_after(self, answer: httpx.Response) -> float | None:
        return retry_after(answer.headers, self._clock.wall())

    def _read(self, answer: httpx.Response | httpx.TransportError, asked_at: float) -> Token:
        if isinstance(answer, httpx.TransportError):
            problem = unreachable(PINGONE, self._host, answer)
            raise Unreachable(f"No access token could be fetched. {problem.what}", problem.next_step, code=problem.code)
        if is_from_elsewhere(answer):
            named_by = f"{setting('region')}, {setting('custom_domain')} and {setting('auth_url')}"
            raise another_server(answer, self._host, named_by)
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
                    f"Check {setting('region')}, {setting('custom_domain')} and {setting('auth_url')}, and whether a proxy answers "
                    "in PingOne's place.",
                    code="NO_TOKEN",
                    correlation_id=_correlation_id(answer, body),
                )

    def _raise_refusal(self, answer: httpx.Response, body: object) -> NoReturn:
        status, correlation = answer.status_code, _correlation_id(answer, body)
        kind: type[UpstreamProblem]
        code: str | None = None
        if status == httpx.codes.TOO_MANY_REQUESTS:
            pause = self._retry_after(answer) or 0.0
            self._pause.hold(pause)
            raise _limited(pause, correlation)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            kind = ServerFailed
            what, step = failed(answer, "PingOne's token endpoint")
        elif status >= httpx.codes.BAD_REQUEST:
            kind, code = NotAuthenticated, _oauth_error(body)
            what, step = self._explain_refusal(status, code, body)
        else:
            kind = UnexpectedAnswer
            what = f"The token endpoint answered HTTP {status}, which PingOne does not document."
            step = f"Check {setting('region')}, {setting('custom_domain')} and {setting('auth_url')}. Redirects are not followed."
        raise kind(what, step, code=code, correlation_id=correlation)

    def _explain_refusal(self, status: int, code: str | None, body: object) -> tuple[str, str]:
        method = self._connection.endpoints.auth_method
        if "unsupported authentication method" in _description(body).lower():
            return (
                f"The worker application does not accept the authentication method {method}.",
                f"Set {setting('auth_method', _OTHER_METHOD[method])}.",
            )
        if status == httpx.codes.NOT_FOUND or _management_code(body) == "NOT_FOUND":
            return (
                "PingOne knows no such environment in this region.",
                f"Check {setting('environment_id')} (the environment that holds the worker application) and {setting('region')}.",
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
                    f"Check {setting('client_id')} and {setting('client_secret')}, that the application is enabled, and that "
                    f"{setting('environment_id')} and {setting('region')} are its own."
                ),
            )
        return (
            f"PingOne refused the token request (HTTP {status}).",
            f"Check {setting('environment_id')}, {setting('region')}, {setting('client_id')} and {setting('auth_method')}.",
        )


def _row(connection: Connection) -> str:
    """Return the name of a connection's token: what the token endpoint knows it by, and which connection it is."""
    application = connection.credentials
    known = [connection.endpoints.region, connection.token_url, application.environment_id, application.client_id]
    return hashlib.sha256(json.dumps([*known, *connection.own_name]).encode()).hexdigest()


def _limited(pause: float, correlation: str | None = None) -> RateLimited:
    more = f" for {pause:.0f} s more." if pause else "."
    return RateLimited(
        f"PingOne limits the rate of token requests{more}",
        "Try again later.",
        code="REQUEST_LIMITED",
        correlation_id=correlation,
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
