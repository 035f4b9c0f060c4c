"""Instants as whole milliseconds since 1970, and the clock the sandbox lives by."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000
DAY = 86_400 * SECOND
# Looked up rather than formatted, which takes four times as long: each user of a page has three instants.
_MINUTES = [f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(1_440)]
_SECONDS = [f"{second:02}." for second in range(60)]
_REST = [f"{rest:03}Z" for rest in range(1_000)]


def milliseconds(moment: datetime) -> int:
    """Turn an aware datetime into milliseconds since 1970."""
    return round(moment.timestamp() * 1_000)


def timestamp(at: int) -> str:
    """Write an instant as PingOne does: UTC, milliseconds, `Z`."""
    seconds, rest = divmod(at, 1_000)
    minutes, second = divmod(seconds, 60)
    day, minute = divmod(minutes, 1_440)
    return _date(day) + _MINUTES[minute] + _SECONDS[second] + _REST[rest]


@lru_cache(maxsize=10_000)
def _date(day: int) -> str:
    when = time.gmtime(day * 86_400)
    return f"{when.tm_year:04}-{when.tm_mon:02}-{when.tm_mday:02}"


def parse_timestamp(text: str) -> int:
    """Read an RFC 3339 instant; raises ValueError when it is none, or has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return milliseconds(moment)


class MovableClock:
    """Tell the time: the real one, or one that stands still at `start` until it is moved."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = None if start is None else milliseconds(start)
        self._moved = 0

    def now(self) -> int:
        """Milliseconds since 1970."""
        start = milliseconds(datetime.now(UTC)) if self._start is None else self._start
        return start + self._moved

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._moved += round(seconds * SECOND)

    def tick(self) -> int:
        """Give the instant of a write: on a clock that stands still each write is a millisecond later than the last."""
        if self._start is not None:
            self._moved += 1
        return self.now()
