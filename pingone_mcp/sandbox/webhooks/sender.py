"""Sending events to those who subscribed: one loop, which does what is due and waits for what is next.

Only to this machine: the sandbox calls nobody else, not by way of a proxy or a redirect either.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import anyio
import anyio.lowlevel
import httpx

from pingone_mcp.clock import Clock
from pingone_mcp.sandbox.activities import Activity
from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.errors import Json
from pingone_mcp.sandbox.hal import written
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import SECOND, timestamp
from pingone_mcp.sandbox.webhooks.bodies import bent, body_of, event_written
from pingone_mcp.sandbox.webhooks.faults import POSTPONED, DeliveryFault, DeliveryFaultKind, DeliveryFaults
from pingone_mcp.sandbox.webhooks.feeds import Batch, Feed, Feeds, backoff, how_many
from pingone_mcp.sandbox.webhooks.subscription import Subscription, is_on_this_machine

POSTS_PER_SECOND = 72
"""As many deliveries a subscription gets at most (PingOne, "Webhooks")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt to send a batch. `status` is None where no answer came, or none came in time.

    `event_ids` are those of the body, twice where it has them twice; the headers are not kept, for they hold a secret.
    """

    at: int
    subscription_id: str
    url: str
    attempt: int
    event_ids: tuple[str, ...]
    size: int
    status: int | None
    accepted: bool
    faults: tuple[DeliveryFaultKind, ...] = ()

    def native(self) -> dict[str, object]:
        """Write it for the back door."""
        return {
            "at": timestamp(self.at),
            "subscription_id": self.subscription_id,
            "url": self.url,
            "attempt": self.attempt,
            "event_ids": list(self.event_ids),
            "size": self.size,
            "status": self.status,
            "accepted": self.accepted,
            "faults": list(self.faults),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """Where events come from: the environments with their logs, who is sent what, and what links begin with."""

    states: Mapping[str, EnvironmentState]
    feeds: Feeds
    options: Options
    key: bytes
    base: Callable[[], str]
    """The address of the environments."""


class Sender:
    """Sends the events of a company.

    `run` is the loop of a sandbox that serves. Without it nothing is sent but by `deliver`, which tests call. Times are
    those of the sandbox; `clock` is what the loop waits by. `client` (None: one of its own) is how deliveries travel.
    """

    def __init__(self, source: EventSource, clock: Clock, client: httpx.AsyncClient | None = None) -> None:
        self.clock, self.client = clock, client
        self.faults = DeliveryFaults()
        self.deliveries: deque[Delivery] = deque(maxlen=10_000)
        self._source, self._options = source, source.options
        self._reached = 0
        self._wake: Callable[[], object] = lambda: None

    # --------------------------------------------------------------------------------------------- for the owner

    def waiting(self, subscription_id: str | None = None) -> int:
        """Count the events that are not delivered yet, of one subscription or of all."""
        feeds = [feed for feed in self._source.feeds if subscription_id in {None, feed.subscription.id}]
        for feed in feeds:
            self._collect(feed)
        return sum(len(feed) for feed in feeds)

    def next_due(self) -> int | None:
        """Say when something is to be sent: milliseconds since 1970, 0 for at once, None for nothing."""
        return min((due for feed in self._source.feeds if (due := self._due(feed)) is not None), default=None)

    async def deliver(self) -> list[Delivery]:
        """Send all that is due now, one subscription after the other, and return the attempts; no time passes."""
        made: list[Delivery] = []
        for feed in [feed for feed in self._source.feeds if not feed.busy]:
            made += await self._drain(feed, anyio.lowlevel.checkpoint)
        return made

    def wake(self) -> None:
        """Let the loop look again: there is an event, a subscription was changed, or the clock was moved."""
        self._wake()

    async def run(self) -> None:
        """Send what is due whenever it is, until cancelled; a slow receiver keeps nobody else waiting."""
        loop = asyncio.get_running_loop()
        paced = partial(self.clock.sleep, 1 / POSTS_PER_SECOND)
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    stirred = anyio.Event()
                    # An event may be recorded in another thread than that of the loop.
                    self._wake = partial(loop.call_soon_threadsafe, stirred.set)
                    for feed in self._source.feeds:
                        if not feed.busy and (due := self._due(feed)) is not None and due <= self._now():
                            feed.busy = True
                            tasks.start_soon(self._drain, feed, paced)
                    await self._rest(stirred)
        finally:
            self._wake = lambda: None

    # ----------------------------------------------------------------------------------------------------- turns

    def _now(self) -> int:
        """Tell the time of the sandbox; where that stands still, it is as late as the loop has waited for."""
        return max(self._reached, round(self.clock.wall() * SECOND))

    def _collect(self, feed: Feed) -> None:
        feed.collect(self._source.states[feed.environment_id].events, self._now(), self._options)

    def _due(self, feed: Feed) -> int | None:
        self._collect(feed)
        return feed.due(self._source.states[feed.environment_id].events, self._options)

    async def _rest(self, stirred: anyio.Event) -> None:
        dues = (self._due(feed) for feed in self._source.feeds if not feed.busy)
        due = min((one for one in dues if one is not None), default=None)
        if due is None:
            await stirred.wait()
            return
        with self.clock.within(max(0, due - self._now()) / SECOND):
            await stirred.wait()
        if not stirred.is_set():
            self._reached = max(self._reached, due)

    async def _drain(self, feed: Feed, pause: Callable[[], Awaitable[None]]) -> list[Delivery]:
        """Send one batch after the other, until one is refused or none is due."""
        made, feed.busy = list[Delivery](), True
        try:
            while (batch := self._next(feed)) is not None:
                delivery = await self._attempt(feed, batch)
                if delivery is not None:
                    made.append(delivery)
                    await pause()
        finally:
            feed.busy = False
            self.wake()
        return made

    def _next(self, feed: Feed) -> Batch | None:
        """Return the batch that is to be sent now."""
        self._collect(feed)
        if not feed.subscription.enabled:
            return None
        if feed.head is None:
            feed.head = feed.ready(self._now()) or self._cut(feed)
        return feed.head if feed.head is not None and feed.head.due <= self._now() else None

    def _cut(self, feed: Feed) -> Batch | None:
        """Take the next batch of what waits."""
        payload = feed.subscription.payload
        sizes: Iterator[int] = repeat(0, len(feed.waiting))
        if payload.size is not None:
            sizes = (len(written(self._written(feed, event), pretty=payload.pretty)) + 1 for event in feed.waiting)
        count = how_many(sizes, payload.events, payload.size)
        return Batch(tuple(feed.waiting.popleft() for _ in range(count))) if count else None

    def _written(self, feed: Feed, event: Activity) -> Json:
        base, payload = self._source.base(), feed.subscription.payload
        return event_written(event, base, feed.environment_id, payload, self._options)

    # --------------------------------------------------------------------------------------------------- attempts

    async def _attempt(self, feed: Feed, batch: Batch) -> Delivery | None:
        """Send a batch, with what befalls it, and say how it went; None where a fault kept it from being sent."""
        subscription = feed.subscription
        faults = self.faults.befall("POST", subscription.url)
        if self._held_back(feed, batch, faults):
            return None
        kinds = {fault.kind for fault in faults}
        if "single_object" in kinds:
            feed.waiting.extendleft(reversed(batch.events[1:]))
            batch.events = batch.events[:1]
        events = bent([self._written(feed, event) for event in batch.events], faults, self._source.key)
        body = body_of(events, subscription.payload, self._options, faults)
        batch.attempts += 1
        status = await self._post(subscription, body, secret="wrong" if "wrong_secret" in kinds else None)
        accepted = self._is_success(status) and "lost_answer" not in kinds
        self._settle(feed, batch, faults, accepted=accepted)
        delivery = Delivery(
            at=self._now(),
            subscription_id=subscription.id,
            url=subscription.url,
            attempt=batch.attempts,
            event_ids=tuple(str(event["id"]) for event in (events[:1] if "single_object" in kinds else events)),
            size=len(body),
            status=status,
            accepted=accepted,
            faults=tuple(fault.kind for fault in faults),
        )
        self.deliveries.append(delivery)
        return delivery

    def _held_back(self, feed: Feed, batch: Batch, faults: Sequence[DeliveryFault]) -> bool:
        """Put a batch off, or lose it, if a fault says so."""
        if any(fault.kind == "lost_batch" for fault in faults):
            feed.accepted()
            return True
        fault = next((one for one in faults if one.kind in POSTPONED), None)
        if fault is None or batch.postponed:
            return False
        batch.postponed, batch.due = True, self._now() + round(fault.seconds * SECOND)
        if fault.kind == "reordered_batch":
            feed.set_aside(batch, fault.amount)
        return True

    def _settle(self, feed: Feed, batch: Batch, faults: Sequence[DeliveryFault], *, accepted: bool) -> None:
        """Go on behind an accepted batch; a refused one is tried again before anything else."""
        now, options = self._now(), self._options
        if not accepted:
            jitter = random.Random(f"{feed.subscription.id} {batch.events[0].id} {batch.attempts}").random()
            wait = backoff(batch.attempts, options.webhook_backoff, options.webhook_longest_backoff, jitter)
            batch.due = now + max(1, round(wait * SECOND))
            return
        feed.accepted()
        for fault in faults:
            if fault.kind == "delivered_again":
                again = Batch(batch.events, due=now + round(fault.seconds * SECOND), postponed=True)
                feed.set_aside(again, fault.amount)

    def _is_success(self, status: int | None) -> bool:
        return status == 200 or (self._options.webhook_success == "2xx" and status is not None and 200 <= status < 300)

    async def _post(self, subscription: Subscription, body: bytes, *, secret: str | None) -> int | None:
        """Send a body and return the status of the answer; None where none came in time.

        The target was checked when it was entered; here is where it counts.
        """
        if not is_on_this_machine(subscription.url):
            return None
        headers = httpx.Headers()
        if self._options.webhook_content_type is not None:
            headers["content-type"] = self._options.webhook_content_type
        headers.update({name: value if secret is None else secret for name, value in subscription.headers})
        status: int | None = None
        with self.clock.within(self._options.webhook_timeout):
            try:
                async with self._opened(verified=subscription.verified) as client:
                    request = client.build_request(
                        "POST", subscription.url, headers=headers, content=body, timeout=None
                    )
                    self._name(request, headers)
                    response = await client.send(request, stream=True, follow_redirects=False)
                    status = response.status_code
                    await response.aclose()
            except httpx.HTTPError:
                pass
        return status

    def _name(self, request: httpx.Request, headers: httpx.Headers) -> None:
        """Let the request say who sends it as PingOne might, and not as httpx does."""
        if "user-agent" not in headers:
            del request.headers["user-agent"]
            if self._options.webhook_user_agent is not None:
                request.headers["user-agent"] = self._options.webhook_user_agent

    @asynccontextmanager
    async def _opened(self, *, verified: bool) -> AsyncIterator[httpx.AsyncClient]:
        if self.client is not None:
            yield self.client
            return
        # A proxy of the environment is on another machine.
        async with httpx.AsyncClient(verify=verified, trust_env=False) as client:
            yield client
