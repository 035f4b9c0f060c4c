"""Times as people and models write them: a date, a time, or how long ago."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused

FORMS = "a date (2026-11-20), a time (2026-11-20T08:00:00Z), or how long ago (24h, 7d, 2w)"

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,9})\s*([smhdw]|seconds?|minutes?|hours?|days?|weeks?)")
_LONGEST = 36_500 * 86_400


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and how it was asked for: `given` stays the same where that is how long ago, whatever the time is now."""

    given: str
    at: datetime


def span(text: str) -> timedelta | None:
    """Return a span of time such as 30s, 15m, 24h, 7d or 2w; None for any other text."""
    match = _SPAN.fullmatch(text.strip().lower())
    seconds = int(match[1]) * _SECONDS[match[2][0]] if match else 0
    return timedelta(seconds=seconds) if 0 < seconds <= _LONGEST else None


def moment(text: str, now: datetime) -> Moment:
    """Read a text as a time: of a date its first moment in UTC. Raises Refused; of a time without its offset too."""
    text = text.strip()
    if (ago := span(text)) is not None:
        return Moment(given="".join(text.lower().split()), at=now - ago)
    at = _date(text) or _time(text)
    if at is None:
        raise Refused("`since` is no time that can be read.", f"Write {FORMS}.", code="WRONG_TIME")
    return Moment(given=timestamp(at), at=at)


def _date(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
    except ValueError:
        return None


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.upper())
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        return None
