"""What time it is at PingOne, by the `Date` of its answers (RFC 9110 §6.6.1)."""

from __future__ import annotations

from datetime import UTC, datetime

from pingone_mcp.pingone.clock import Clock
from pingone_mcp.pingone.transport import parse_http_date

# Dates that agree so far are one time: answers travel for seconds, and clocks drift.
_AGREE_SECONDS = 60.0
# What lies outside is no date of an answer, whatever our own clock says.
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2020, 2100))
_WITNESSES = 3


class ServerTime:
    """Believe a Date that agrees with what is known of PingOne's time, at first with our own clock.

    One that does not is doubted, until three in a row agree with each other: then it was we who were wrong.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: float | None = None  # of our monotonic clock
        self._doubted: tuple[float, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Say whether some Date was believed."""
        return self._ahead is not None

    def hear(self, date: str | None) -> None:
        """Take note of the Date of an answer that has just come, if it had one."""
        told = parse_http_date(date)
        if told is None or not _FIRST <= told < _LAST:
            return
        ahead = told - self._clock.monotonic()
        witnesses = (*self._doubted, ahead)[-_WITNESSES:]
        if _agree(self._expected(), ahead) or (len(witnesses) == _WITNESSES and _agree(*witnesses)):
            self._ahead, self._doubted = ahead, ()
        else:
            self._doubted = witnesses

    def now(self) -> float | None:
        """Return PingOne's wall-clock seconds; None before the first Date.

        While its Dates and our clock disagree it is the earlier one: what is read twice does no harm.
        """
        if self._ahead is None and not self._doubted:
            return None
        ahead = self._ahead if self._ahead is not None else min(self._expected(), *self._doubted)
        return ahead + self._clock.monotonic()

    def _expected(self) -> float:
        return self._ahead if self._ahead is not None else self._clock.wall() - self._clock.monotonic()


def _agree(*times: float) -> bool:
    return max(times) - min(times) <= _AGREE_SECONDS
