"""Events are delivered: in order for each webhook and connection, several at once, again and again until they arrive.

An attempt that has begun is brought to its end even where the process is asked to end. What may have arrived without
our hearing of it is sent again, under the same id.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import anyio

from pingone_mcp import __version__
from pingone_mcp.control.announcing.rows import INSTALLATION
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Problem
from pingone_mcp.service.events.signing import signatures

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.outbox import NextEvent, OutgoingEvent

LOOK_SECONDS = 1.0
"""Between two looks at what is due; what this process writes is seen at once."""
AGAIN_SECONDS = 5.0
"""A line of events whose control data cannot be read or written rests for so long."""
AT_ONCE = 32
"""Attempts under way at most."""
AT_ONE_HOST = 4
"""Of these, to one host: slow ones leave places for others."""
FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=30)
GIVEN_UP_AFTER = timedelta(hours=24)
"""A webhook for which an event has failed for so long is switched off."""
_OFF = "Events could not be delivered for 24 hours. The last time: {why} Switch it on again (`is_active`) when that is mended."
_logger = logging.getLogger(__name__)

Outcome = Literal["delivered", "failed", "given_up"]
Line = tuple[str, str]


class Answered(Protocol):
    """What a target has answered: a status, and after how many seconds it wants to be asked again."""

    @property
    def status(self) -> int: ...
    @property
    def retry_after(self) -> float | None: ...


class Post(Protocol):
    """Sends a body to a URL once, within a time of its own. Raises Problem, whose `what` tells nothing secret."""

    def __call__(self, url: str, body: bytes, headers: dict[str, str], /) -> Awaitable[Answered]: ...


class _Failure(NamedTuple):
    why: str
    retry_after: float | None


class Deliveries:
    """Deliver what stands in the outbox, in `tasks`. Only one process does so for a fleet."""

    def __init__(self, control: ControlData, post: Post, tasks: TaskGroup, clock: Clock) -> None:
        self._control, self._post, self._tasks, self._clock = control, post, tasks, clock
        self._outbox = control.outbox
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._hosts = WeakValueDictionary[str, anyio.CapacityLimiter]()
        self._under_way = set[Line]()
        self._news = anyio.Event()
        self._outcomes = Counter[Outcome]()

    def outcomes(self) -> Mapping[Outcome, int]:
        """Count the attempts of this process by what came of them."""
        return {outcome: self._outcomes[outcome] for outcome in ("delivered", "failed", "given_up")}

    async def run(self) -> None:
        """Deliver what is due, again and again, for as long as this task lives."""
        with self._outbox.on_events(self._wake):
            while True:
                news = self._news
                try:
                    await self.begin_due()
                except Problem as problem:
                    _logger.warning("No event was delivered just now: %s", problem)
                with self._clock.within(LOOK_SECONDS):
                    await news.wait()

    async def begin_due(self) -> None:
        """Begin with the lines whose first event is due."""
        now = self._clock.now()
        for head in await self._outbox.heads():
            if head.next_try_at <= now and head.line not in self._under_way:
                self._under_way.add(head.line)
                self._tasks.start_soon(self._deliver_line, head.line, urlsplit(head.target_url).netloc)

    async def deliver_next(self, line: Line) -> bool:
        """Try the first event of a line, if it is due; say whether the next one may have its turn."""
        head = await self._outbox.head(line)
        if head is None or head.next_try_at > self._clock.now():
            return False
        event = await self._outbox.read(head.id)
        if event is None:  # its webhook or connection was removed just now
            return True
        failure = await self._attempt(head, event)
        if failure is None:
            await self._outbox.delivered(event.id)
            self._outcomes["delivered"] += 1
            return True
        await self._note_failure(event, failure)
        return False

    async def _deliver_line(self, line: Line, host: str) -> None:
        here = self._hosts.setdefault(host, anyio.CapacityLimiter(AT_ONE_HOST))
        try:
            goes_on = True
            while goes_on:
                async with here, self._places:
                    with anyio.CancelScope(shield=True):  # an attempt ends by itself, soon
                        goes_on = await self.deliver_next(line)
        except (Problem, LookupError) as problem:  # control data do not answer, or a webhook was removed just now
            _logger.warning("An event was not delivered: %s", problem)
            await self._clock.sleep(AGAIN_SECONDS)
        except Exception:  # whatever it is, it holds no other line
            _logger.exception("An event was not delivered")
            await self._clock.sleep(AGAIN_SECONDS)
        finally:
            self._under_way.discard(line)
            self._wake()  # what came since the last look at this line was not begun

    async def _attempt(self, head: NextEvent, event: OutgoingEvent) -> _Failure | None:
        """Send an event once; return why it did not arrive."""
        body = body_of(event)
        secret = await self._control.webhooks.secret(event.webhook_id)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"pingone-mcp/{__version__}",
            **signatures(body, secret, event_id=event.id, at=self._clock.now()),
        }
        try:
            answered = await self._post(head.target_url, body, headers)
        except Problem as problem:
            return _Failure(problem.what, None)
        if 200 <= answered.status < 300:
            return None
        return _Failure(f"It answered {answered.status}.", answered.retry_after)

    async def _note_failure(self, event: OutgoingEvent, failure: _Failure) -> None:
        now = self._clock.now()
        since = event.failing_since or now
        if now - since >= GIVEN_UP_AFTER:
            dropped = await self._outbox.give_up(event.webhook_id, _OFF.format(why=failure.why))
            self._outcomes["given_up"] += dropped
            _logger.error("The webhook %s was switched off: %s", event.webhook_id, failure.why)
            return
        self._outcomes["failed"] += 1
        wait = wait_after(event.attempts + 1, jitter=self._clock.jitter(), asked=failure.retry_after)
        await self._outbox.failed(event.id, failure.why, min(now + wait, since + GIVEN_UP_AFTER))

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


def wait_after(attempts: int, *, jitter: float, asked: float | None = None) -> timedelta:
    """Return how long to wait after so many attempts that failed: each time twice as long, up to `LONGEST_WAIT`.

    `jitter` (0..1) stretches it by up to a half, and it is no shorter than the seconds that were `asked` for.
    """
    wait: timedelta = min(FIRST_WAIT * (1 << min(attempts - 1, 16)), LONGEST_WAIT) * (1 + jitter / 2)
    return max(wait, min(timedelta(seconds=asked or 0.0), LONGEST_WAIT))


def body_of(event: OutgoingEvent) -> bytes:
    """Return what is sent for an event: the same bytes at each attempt."""
    return json.dumps(
        {
            "id": event.id,
            "event": event.event,
            "payload": dict(event.payload),
            "environment_id": INSTALLATION,
            "webhook_id": event.webhook_id,
            "created_at": timestamp(event.created_at),
        },
        separators=(",", ":"),
    ).encode()
