"""What each subscription is still to be sent, and when: read from the audit log, in batches.

The first batch bars those behind it until it is accepted, or too old (PingOne, "Subscriptions (webhooks)").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pingone_mcp.sandbox.activities import Activity
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import DAY, SECOND
from pingone_mcp.sandbox.webhooks.subscription import EventFilter, Subscription

LOST_AFTER = 7 * DAY
"""So long is an event tried."""
KEPT_FOR = 14 * DAY
"""So long is an event kept for a subscription that is switched off."""


def matches(asked: EventFilter, event: Activity, *, memberships: bool) -> bool:
    """Say whether a subscription is about an event; populations are those of whom it is about, not of who acted.

    `memberships` says whether an event of a membership, which names no population, has that of its user.
    """
    population = event.population_id if memberships else event.shown_population
    return (
        event.action in asked.actions
        and (not asked.populations or population in asked.populations)
        and (not asked.applications or event.actor.client_id in asked.applications)
        and (not asked.tags or not asked.tags.isdisjoint(event.tags))
    )


def is_lost(event: Activity, now: int, *, enabled: bool, resumed: int) -> bool:
    """Say whether an event is given up; what piled up before a subscription was switched on counts from then."""
    if not enabled:
        return now - event.at > KEPT_FOR
    return now - max(event.at, resumed) > LOST_AFTER


def how_many(sizes: Iterable[int], most: int, most_bytes: int | None) -> int:
    """Say how many of the events that wait make the next batch, by the bytes of each: one at least."""
    count = filled = 0
    for size in sizes:
        filled += size
        if count == most or (count and most_bytes is not None and filled > most_bytes):
            break
        count += 1
    return count


def backoff(attempts: int, first: float, longest: float, jitter: float) -> float:
    """Return the seconds after so many failed attempts: twice as many each time, less a tenth of `jitter` (0..1)."""
    return float(min(longest, first * 2 ** min(attempts - 1, 32))) * (1 - jitter / 10)


@dataclass(slots=True)
class Batch:
    """Events that are sent together until they are accepted, or lost. `due` is when the next attempt is."""

    events: tuple[Activity, ...]
    due: int = 0
    attempts: int = 0
    passing: int = 0
    """How many batches it lets pass first; at `due` it lets none any more."""
    postponed: bool = False
    """It was put off once, by a fault."""


@dataclass(slots=True)
class Feed:
    """A subscription, how far it has read the log, what waits, and the batch that is under way."""

    subscription: Subscription
    environment_id: str
    read: int
    """Events of the log that were looked at."""
    resumed: int
    """When it was switched on."""
    busy: bool = False
    waiting: deque[Activity] = field(default_factory=deque[Activity])
    head: Batch | None = None
    aside: list[Batch] = field(default_factory=list[Batch])

    def __len__(self) -> int:
        batches = [*self.aside, *([self.head] if self.head else [])]
        return len(self.waiting) + sum(len(batch.events) for batch in batches)

    def collect(self, log: Sequence[Activity], now: int, options: Options) -> None:
        """Read the log up to now, and give up what is too old."""
        lag = round(options.webhook_lag * SECOND)
        while self.read < len(log) and log[self.read].at + lag <= now:
            event = log[self.read]
            self.read += 1
            if matches(self.subscription.filter, event, memberships=options.populations_match_memberships):
                self.waiting.append(event)
        while self.waiting and self._is_lost(self.waiting[0], now):
            self.waiting.popleft()
        if self.head is not None:
            self.head.events = tuple(self._kept(self.head.events, now))
            self.head = self.head if self.head.events else None
        for batch in self.aside:
            batch.events = tuple(self._kept(batch.events, now))
        self.aside = [batch for batch in self.aside if batch.events]

    def _kept(self, events: Iterable[Activity], now: int) -> Iterator[Activity]:
        return (one for one in events if not self._is_lost(one, now))

    def _is_lost(self, event: Activity, now: int) -> bool:
        return is_lost(event, now, enabled=self.subscription.enabled, resumed=self.resumed)

    def due(self, log: Sequence[Activity], options: Options) -> int | None:
        """Say when there is something to do: milliseconds since 1970, 0 for at once, None for nothing."""
        if not self.subscription.enabled:
            return None
        if self.head is not None:
            return self.head.due
        if self.waiting:
            return 0
        lag = round(options.webhook_lag * SECOND)
        coming = [log[self.read].at + lag] if self.read < len(log) else []
        return min([*coming, *(0 if batch.passing <= 0 else batch.due for batch in self.aside)], default=None)

    def change(self, subscription: Subscription, now: int) -> None:
        """Go on with a changed subscription; a batch that was refused is tried again at once."""
        if subscription.enabled and not self.subscription.enabled:
            self.resumed = now
        self.subscription = subscription
        if self.head is not None and self.head.attempts:
            self.head.due = now

    def accepted(self) -> None:
        """Go on behind the batch under way; those set aside have let it pass."""
        self.head = None
        for batch in self.aside:
            batch.passing -= 1

    def set_aside(self, batch: Batch, passing: int) -> None:
        """Let so many batches pass a batch, until it is due."""
        if batch is self.head:
            self.head = None
        batch.passing = passing
        self.aside.append(batch)

    def ready(self, now: int) -> Batch | None:
        """Take a batch that was set aside and waits for nothing any more."""
        for batch in self.aside:
            if batch.passing <= 0 or batch.due <= now:
                self.aside.remove(batch)
                batch.due = min(batch.due, now)
                return batch
        return None


class Feeds:
    """The feeds of each environment, by the ids of their subscriptions."""

    def __init__(self, environments: Iterable[str]) -> None:
        self._feeds: dict[str, dict[str, Feed]] = {environment_id: {} for environment_id in environments}

    def of(self, environment_id: str) -> dict[str, Feed]:
        """Give the feeds of an environment, oldest first."""
        return self._feeds[environment_id]

    def __iter__(self) -> Iterator[Feed]:
        return (feed for feeds in self._feeds.values() for feed in feeds.values())
