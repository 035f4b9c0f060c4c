"""Up to where an environment has been read, and whether the clocks were right that said so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

from pingone_mcp.directory.rows import timestamp

# How far behind a watermark is read again: what the provider shows late is found so.
UPDATES_OVERLAP = timedelta(minutes=2)
EVENTS_OVERLAP = timedelta(minutes=5)
_PRECISION = timedelta(milliseconds=1)


def moment(text: str) -> str:
    """Return a time that a sync has written. Raises ValueError for any other text."""
    if timestamp(datetime.fromisoformat(text)) != text:  # they are compared as texts
        raise ValueError("a time that no sync has written")
    return text


Moment = Annotated[str, AfterValidator(moment)]
"""RFC 3339 in UTC with milliseconds and Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Up to where an environment was read: by `updatedAt`, and by events, with those of the last minutes by id.

    `ahead` is how many seconds our clock was ahead of the provider's
    then, None where no sync has noted it.
    """

    updated: Moment
    events: Moment
    seen: dict[str, Moment] = field(default_factory=dict[str, Moment])
    ahead: float | None = None

    def is_sound(self, now: datetime, ahead: float) -> bool:
        """Say whether no clock was wrong: it is not in the future, and our clock and the provider's agree as they did.

        A watermark of a clock that was wrong may be in the past by now.
        """
        latest = timestamp(now + UPDATES_OVERLAP)
        moved = 0.0 if self.ahead is None else abs(ahead - self.ahead)
        return max(self.updated, self.events) <= latest and moved <= UPDATES_OVERLAP.total_seconds()

    def back_to(self, at: Moment) -> Watermark:
        """Return the watermark of who has read up to here, but leaves alone what somebody else has read since `at`.

        What has happened since, with what the provider may have shown late, is all to be read again.
        """
        done_until = timestamp(datetime.fromisoformat(at) - UPDATES_OVERLAP)
        return replace(
            self,
            updated=min(self.updated, at),
            events=min(self.events, done_until),
            seen={event: seen_at for event, seen_at in self.seen.items() if seen_at <= done_until},
        )

    def as_far_back(self, now: datetime, longest: timedelta) -> Watermark:
        """Return the watermark in the place of one that is not sound: further back than events are relied on."""
        oldest = timestamp(now - longest - _PRECISION)
        return Watermark(updated=oldest, events=oldest, seen=self.seen)
