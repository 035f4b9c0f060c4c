"""What a person types and reads on the command line: spans of time, times, lists of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from pingone_mcp.commands.ending import WrongUse
from pingone_mcp.directory.text import moments
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean

_W = TypeVar("_W", bound=str)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAMES = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


# Stages of a sync as a person knows them.
_STAGES = {
    "places": "environments",
    "users": "people",
    "memberships": "groups",
    "events": "audit events",
    "removals": "who is gone",
    "merge": "local copy",
}


def in_words(report: Callable[[str, int, int | None], None]) -> Callable[[str, int, int | None], None]:
    """Return what hears of the progress of a sync, and passes it on in a person's words."""
    return lambda stage, done, about: report(_STAGES.get(stage, stage), done, about)


def span(text: str) -> int:
    """Read 30s, 15m, 2h, 7d or 2w as seconds. Raises WrongUse."""
    found = moments.span(text)
    if found is None:
        raise WrongUse("A span of time is a number with its unit.", "Write for example 30s, 15m, 2h or 7d.")
    return int(found.total_seconds())


def moment(text: str, now: datetime) -> datetime:
    """Read a date, a time with its offset, or how long ago as a time. Raises WrongUse."""
    try:
        return moments.moment(text, now).at
    except Refused as refused:
        raise WrongUse(refused.what.replace("`since`", "--since"), refused.next_step) from None


def chosen(text: str | None, known: Sequence[_W], what: str) -> tuple[_W, ...]:
    """Read a list a,b of known words; none at all means all of them. Raises WrongUse, with those that are known."""
    if text is None:
        return tuple(known)
    words = [word.strip() for word in text.split(",") if word.strip()]
    found = tuple(word for word in known if word in words)
    if not words or not set(words) <= set(known):
        hints = " ".join(filter(None, (did_you_mean(word, known, most=1) for word in words if word not in known)))
        raise WrongUse(f"{what} are written as a list: a,b.", f"{hints} Known are: {', '.join(known)}.".strip())
    return found


def spelt(seconds: float) -> str:
    """Return a span of time as people say it, in its largest unit that is whole enough."""
    unit = next((unit for unit in "dhms" if seconds >= 2 * _SECONDS[unit]), "s")
    number = round(seconds / _SECONDS[unit])
    return f"{number} {_NAMES[unit]}{'s' * (number != 1)}"


def at_minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
