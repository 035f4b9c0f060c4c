"""How a request is sent: in its turn, repeated where that is safe, and paused when the server asks for a pause.

The decision to repeat is a pure function of one `Attempt`. The pause is shared by every request of a
connection, because limits belong to the licence and not to the request (so with PingOne, "Rate limiting").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from pingone_mcp.clock import Clock
from pingone_mcp.errors import RateLimited, Unreachable
from pingone_mcp.http import traffic
from pingone_mcp.http.body import SIZE, whole
from pingone_mcp.http.failures import LASTING, NotWholeInTime, cause, unreachable
from pingone_mcp.http.pacing import Lanes, Outcome
from pingone_mcp.http.upstream import Upstream

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ATTEMPTS = 8
FIRST_WAIT = 0.5
LONGEST_BACKOFF = 20.0
LONGEST_PAUSE = 120.0
# Answered before anything was done, so that even a write may be sent again (RFC 6585 §4, RFC 9110 §15.6.4).
NOT_PROCESSED = frozenset({429, 503})
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
# Seconds from the first byte of a request to the last one of its answer, connecting included.
ATTEMPT_SECONDS = 30.0
CONNECT_SECONDS = 10.0
# A connection that takes so long that the caller goes is one that does not come about: seconds before that.
_AHEAD = 0.1
MOST = "pingone_mcp.most"
"""The extension of a request: how many bytes the body of its answer may have, where not `Upstream.largest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one attempt.

    `repeatable`: doing it twice is harmless. `number` starts at 1. `elapsed` and `retry_after` are seconds.
    `status` is None when no whole answer arrived; `sent` is False when the request never left, and `lasting` is True
    when it ended in what will be the same a moment later.
    """

    repeatable: bool
    number: int
    elapsed: float
    status: int | None = None
    retry_after: float | None = None
    sent: bool = True
    lasting: bool = False


def retry_wait(attempt: Attempt, *, budget: float, jitter: float) -> float | None:
    """Return the seconds to wait before the next attempt, or None when there is to be none.

    A wait that would end after `budget` seconds since the first attempt is not begun. `jitter` (0..1)
    stretches a wait, never below what `Retry-After` asks for.
    """
    if attempt.number >= ATTEMPTS or not _may_repeat(attempt):
        return None
    if attempt.retry_after is not None:
        wait = attempt.retry_after + 0.25 * jitter
    else:
        wait = min(FIRST_WAIT * 2 ** (attempt.number - 1), LONGEST_BACKOFF) * (1 + jitter / 2)
    return wait if attempt.elapsed + wait <= budget else None


def _may_repeat(attempt: Attempt) -> bool:
    if attempt.status is None:
        return (attempt.repeatable or not attempt.sent) and not attempt.lasting
    if attempt.status in NOT_PROCESSED:
        return True
    return attempt.repeatable and attempt.status in TRANSIENT


def retry_after(headers: httpx.Headers, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110 §10.2.3), or None if it says nothing.

    A date counts from that of the answer, so that a clock of ours that is wrong does not matter; from `now`, wall-clock
    seconds, where the answer has none. A date in the past is 0.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    at, sent = parse_http_date(text), parse_http_date(headers.get("date"))
    return None if at is None else max(0.0, at - (now if sent is None else sent))


def parse_http_date(text: str | None) -> float | None:
    """Return an HTTP date (RFC 9110 §5.6.7) as wall-clock seconds, or None if it is none."""
    if text is None:
        return None
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class Pause:
    """A pause that every request of a connection keeps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0

    def remaining(self) -> float:
        return max(0.0, self._until - self._clock.monotonic())

    def hold(self, seconds: float) -> None:
        """Pause for so long, but not longer than `LONGEST_PAUSE`: one wrong header must not silence the process."""
        self._until = max(self._until, self._clock.monotonic() + min(seconds, LONGEST_PAUSE))

    async def wait(self) -> None:
        """Wait as long as the pause lasts by now; it may have grown meanwhile."""
        await self._clock.sleep(self.remaining())


class PatientTransport(httpx.AsyncBaseTransport):
    """Send requests through `inner`, whole bodies included, at the pace of `lanes`, as often as `retry_wait` allows.

    A request with the extension `background` belongs to a walk, and lets others go first. The extension `is_broken`, a
    function of an answer, says of one that came whole whether it is as good as none. An attempt ends after
    `attempt_seconds`. Returns the last answer when patience ends on an answer. Raises RateLimited when the shared pause
    is longer than `budget` seconds, and Unreachable when no attempt brought an answer.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        upstream: Upstream,
        *,
        budget: float,
        attempt_seconds: float = ATTEMPT_SECONDS,
        lanes: Lanes | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._inner = inner
        self._upstream = upstream
        self._budget = budget
        self._attempt_seconds = attempt_seconds
        self._clock = clock or Clock()
        self._lanes = lanes or Lanes(upstream, self._clock)
        self._pause = Pause(self._clock)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        spent = 0.0  # of the budget: what passes in line, behind other requests of ours, is not the server's fault
        number = 0
        earlier: httpx.TransportError | None = None
        while True:
            spent += await self._keep_pause(min(self._budget - spent, self._clock.left()))
            async with self._lanes.turn(request.url.path, background="background" in request.extensions) as turn:
                if self._pause.remaining() > 0:  # it began while we stood in line
                    continue
                number += 1
                began = self._clock.monotonic()
                response, sent, failure = await self._attempt(request, earlier)
                earlier = failure
                turn.outcome = _outcome(response)
                traffic.count(turn.outcome)
                turn.size = response.extensions[SIZE] if response else 0
            spent += self._clock.monotonic() - began
            broken = response is not None and await _is_broken(request, response)
            attempt = Attempt(
                repeatable=request.method in SAFE_METHODS,
                number=number,
                elapsed=spent,
                status=response.status_code if response and not broken else None,
                retry_after=self._retry_after(response),
                sent=sent,
                lasting=failure is not None and cause(failure) in LASTING,
            )
            if attempt.status in NOT_PROCESSED and attempt.retry_after is not None:
                self._pause.hold(attempt.retry_after)
            wait = retry_wait(attempt, budget=self._budget, jitter=self._clock.jitter())
            if wait is not None and wait < self._clock.left():  # a caller who has gone by then learns nothing of it
                spent += wait
                await self._clock.sleep(wait)
                continue
            if response is not None:
                return response
            raise self._unreachable(request, failure, sent=sent)

    async def _keep_pause(self, patience: float) -> float:
        """Wait as long as all requests are to pause; return the seconds. Raises RateLimited beyond `patience`."""
        began = self._clock.monotonic()
        while (pause := self._pause.remaining()) > 0:
            if pause > patience - (self._clock.monotonic() - began):
                raise RateLimited(
                    f"{self._upstream.name} asked all requests to pause for {pause:.0f} s more.",
                    "Try again after that.",
                    code="REQUEST_LIMITED",
                )
            await self._pause.wait()
        return self._clock.monotonic() - began

    async def _attempt(
        self, request: httpx.Request, earlier: httpx.TransportError | None
    ) -> tuple[httpx.Response | None, bool, httpx.TransportError | None]:
        """Return the answer, whether the request left, and why no answer came.

        Behind an `earlier` failure it ends before the caller goes: that then is why, and not that time ran out.
        """
        left = max(_AHEAD, self._clock.left() - _AHEAD)
        seconds = self._attempt_seconds if earlier is None else min(self._attempt_seconds, left)
        try:
            most = request.extensions.get(MOST, self._upstream.largest)
            return await exchange(self._inner, request, seconds, most, self._clock), True, None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            return None, False, error
        except httpx.TransportError as error:
            is_cut = seconds < self._attempt_seconds and isinstance(error, httpx.TimeoutException)
            return None, True, earlier if is_cut else error

    def _retry_after(self, response: httpx.Response | None) -> float | None:
        if response is None or response.status_code not in NOT_PROCESSED:
            return None
        return retry_after(response.headers, self._clock.wall())

    def _unreachable(self, request: httpx.Request, failure: httpx.TransportError | None, *, sent: bool) -> Unreachable:
        problem = unreachable(self._upstream, request.url.host, failure)
        if sent and request.method not in SAFE_METHODS:
            problem.next_step = "It may have happened all the same: read the resource before you repeat the request."
        return problem

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _is_broken(request: httpx.Request, response: httpx.Response) -> bool:
    check: Callable[[httpx.Response], Awaitable[bool]] | None = request.extensions.get("is_broken")
    return check is not None and await check(response)


def _outcome(response: httpx.Response | None) -> Outcome:
    """Say what an attempt means for the pace; what the server could not do says nothing about its limits."""
    if response is None or response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return "failed"
    return "limited" if response.status_code == httpx.codes.TOO_MANY_REQUESTS else "answered"


async def exchange(
    inner: httpx.AsyncBaseTransport,
    request: httpx.Request,
    seconds: float,
    most: int,
    clock: Clock,
    *,
    connect: float = CONNECT_SECONDS,
) -> httpx.Response:
    """Send a request once and return its whole answer: head and body within so many seconds, and as `whole` returns it.

    A connection has to be there after `connect` seconds of these, and before they end: else it would not be known why
    nothing came.
    Raises httpx.TransportError where none comes about, and httpx.DecodingError for what cannot be unpacked.
    """
    waits = {"connect": min(connect, max(_AHEAD, min(seconds, clock.left()) - _AHEAD)), "pool": seconds}
    request.extensions = {**request.extensions, "timeout": {"read": seconds, "write": seconds} | waits}
    response: httpx.Response | None = None
    with clock.within(seconds):
        response = await inner.handle_async_request(request)
        return await whole(response, most)
    raise httpx.ReadTimeout("no answer") if response is None else NotWholeInTime(seconds)
