"""Sessions of browsers: begun by signing in, kept here and known to the browser by a random name only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from pingone_mcp.clock import Clock
from pingone_mcp.service.callers import Caller
from pingone_mcp.web.address import PublicAddress

CODE_SECONDS = 10 * 60
SESSION_SECONDS = 12 * 60 * 60
_MOST = 1_000  # sessions at once; the oldest makes way
_MOST_CODES = 16
_BYTES = 32
_PURPOSE = b"csrf"


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A browser that has signed in; `ends` in the seconds of Clock.monotonic.

    `credential` is what it has signed in with, where that is looked at again for each request: it may be revoked.
    `notices` are sentences that its next page says, once; `once` is what one page shows, by the name of that. `streams`
    are called when it is ended before its time.
    """

    caller: Caller
    ends: float
    secret: bytes = field(repr=False)
    credential: SecretStr | None = None
    notices: list[str] = field(default_factory=list[str])
    once: dict[str, object] = field(default_factory=dict[str, object], repr=False)
    streams: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]], repr=False)

    @property
    def csrf_token(self) -> str:
        """What a form of a page carries, so that no other site can send it (it cannot read it)."""
        return hmac.digest(self.secret, _PURPOSE, "sha256").hex()

    def is_own_form(self, csrf_token: str) -> bool:
        """Say whether a form that came is one that this session was shown."""
        return hmac.compare_digest(csrf_token.encode(errors="replace"), self.csrf_token.encode())


class Sessions:
    """The sessions of one process; they end with it."""

    def __init__(self, address: PublicAddress, clock: Clock) -> None:
        self._clock = clock
        self._is_https = address.is_https
        # Cookies know no ports: another server on this machine must not take ours for its own.
        self.cookie = "__Host-pingone_mcp" if self._is_https else f"pingone_mcp_{address.loopback_port or 80}"
        self._codes: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._sessions: OrderedDict[bytes, BrowserSession] = OrderedDict()

    def new_code(self, caller: Caller) -> str:
        """Return a code that begins one session of this caller, within ten minutes."""
        code = secrets.token_urlsafe(_BYTES)
        self._codes[_digest(code)] = (caller, self._clock.monotonic() + CODE_SECONDS)
        if len(self._codes) > _MOST_CODES:
            self._codes.popitem(last=False)
        return code

    def begin(self, code: str, response: Response) -> BrowserSession | None:
        """Use up a code, and let a response set the cookie of the session; None for a code that is not good."""
        caller, until = self._codes.pop(_digest(code), (None, 0.0))
        if caller is None or self._clock.monotonic() >= until:
            return None
        return self.open(caller, response)

    def open(self, caller: Caller, response: Response, credential: SecretStr | None = None) -> BrowserSession:
        """Begin a session under a new name, and let a response set its cookie."""
        name = secrets.token_urlsafe(_BYTES)
        ends = self._clock.monotonic() + SESSION_SECONDS
        session = BrowserSession(caller, ends, secrets.token_bytes(_BYTES), credential)
        self._sessions[_digest(name)] = session
        if len(self._sessions) > _MOST:
            _end_streams(self._sessions.popitem(last=False)[1])
        self._set_cookie(response, name, SESSION_SECONDS)
        return session

    def of(self, headers: Headers) -> BrowserSession | None:
        """Return the session that the cookies of a request name."""
        name = self._name(headers)
        session = None if name is None else self._sessions.get(_digest(name))
        return session if session is not None and self._clock.monotonic() < session.ends else None

    def end(self, headers: Headers, response: Response) -> None:
        """End the session of a request, and let a response remove its cookie."""
        if (name := self._name(headers)) is not None:
            _end_streams(self._sessions.pop(_digest(name), None))
        self._set_cookie(response, "", 0)

    def keep_state(self, response: Response, state: str) -> None:
        """Let the browser that begins to sign in elsewhere keep the state of that, for a while; none removes it."""
        response.set_cookie(
            f"{self.cookie}_state",
            state,
            max_age=CODE_SECONDS if state else 0,
            path="/",
            secure=self._is_https,
            httponly=True,
            samesite="lax",
        )

    def state_of(self, headers: Headers) -> str:
        """Return the state that a browser has kept; empty where it has none."""
        return cookie_parser("; ".join(headers.getlist("cookie"))).get(f"{self.cookie}_state", "")

    def _name(self, headers: Headers) -> str | None:
        return cookie_parser("; ".join(headers.getlist("cookie"))).get(self.cookie)

    def _set_cookie(self, response: Response, name: str, seconds: int) -> None:
        response.set_cookie(
            self.cookie, name, max_age=seconds, path="/", secure=self._is_https, httponly=True, samesite="lax"
        )


def _end_streams(session: BrowserSession | None) -> None:
    for end in tuple(session.streams) if session is not None else ():
        end()


def _digest(text: str) -> bytes:
    """Return what a code or a name is kept as: who reads a dump of this memory cannot use it."""
    return hashlib.sha256(text.encode()).digest()
