"""When a cron expression is due next, in a zone that is named: pure, with the instant as a parameter.

Where clocks are put forward, what was to be done in the hour that is left out is done as it ends; where they are put
back, what is done at a time of day is done the first time only. What is done every so often goes on by real time.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean

LONGEST_CRON = 100
LONGEST_ZONE = 64
_FIELDS = 5
_LATEST = 400  # times that are passed over; those of an hour that comes twice are no more
_NOT_NAMES = frozenset({"localtime", "posixrules", "Factory"})
"""What lies among the zones of a machine, and is none that means the same on another."""


def check_cron(expression: str) -> str:
    """Return a cron expression with one blank between its fields. Raises Refused for one that is none, or never due."""
    fields = expression.split()
    if len(expression) > LONGEST_CRON or len(fields) != _FIELDS:
        raise _no_cron(f"has {len(fields)} fields" if len(expression) <= LONGEST_CRON else "is too long")
    cron = " ".join(fields)
    wrong = _wrong(cron)
    if wrong is not None and _wrong(" ".join((*fields[:3], "*", fields[4]))) is None:
        raise _no_cron("is never due: no such month has such a day")
    if wrong is not None:
        raise _no_cron(wrong)
    return cron


def _wrong(cron: str) -> str | None:
    """Return what is wrong with an expression of five fields."""
    try:
        due = next(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        return f"has a {str(error).lower().replace('bad ', 'wrong ')}"
    return "is never due" if due is None else None


def check_zone(name: str) -> str:
    """Return the name of a time zone. Raises Refused for one that is none."""
    if name not in _zones():
        hint = did_you_mean(harmless(name[:LONGEST_ZONE]), sorted(_zones()))
        raise Refused(
            f"There is no time zone of this name. {hint}".rstrip(),
            "`zone` is a name of the IANA database, such as Europe/Berlin, America/New_York or UTC.",
            code="NO_SUCH_ZONE",
        )
    return name


def next_time(cron: str, zone: str, after: datetime) -> datetime:
    """Return the first instant after another at which an expression is due, in UTC. Raises Refused as the checks do."""
    place = _zone(check_zone(zone))
    try:
        times = CronSim(check_cron(cron), after.astimezone(place))
        for due in (next(times, None) for _ in range(_LATEST)):
            # In an hour that comes twice it gives times of the first one while it is the second.
            if due is not None and due.astimezone(UTC) > after:
                return due.astimezone(UTC)
    except (CronSimError, OverflowError):  # by the calendar's end
        pass
    raise _no_cron("is not due any more")


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


@functools.cache
def _zones() -> frozenset[str]:
    """Return all names; UTC is one where a machine has no zones at all."""
    return frozenset(available_timezones() - _NOT_NAMES) | {"UTC"}


def _no_cron(why: str) -> Refused:
    return Refused(
        f"`cron` {why}.",
        "It has five fields: minute, hour, day of the month, month, day of the week, such as `0 7 * * mon-fri` (at 7:00 "
        "from Monday to Friday), `*/30 * * * *` (every half hour) or `0 3 1 * *` (at 3:00 on the first of each month).",
        code="NO_CRON",
    )
