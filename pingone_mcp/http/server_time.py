"""What time it is at a server, by the `Date` of its answers (RFC 9110 §6.6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pingone_mcp.clock import Clock
from pingone_mcp.http.transport import parse_http_date

# Dates that agree so far are one time: answers travel for seconds, and clocks drift.
_AGREE_SECONDS = 60.0
# What lies outside is no date of an answer, whatever our own clock says.
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2020, 2100))
_WITNESSES = 3


@dataclass(frozen=True, slots=True)
class _Heard:
    """A Date, and what our clocks showed when it came."""

    server: float
    monotonic: float
    wall: float


class ServerTime:
    """Believe a Date that agrees with what is known of the server's time, at first with our own clock.

    One that does not is doubted, until three in a row agree with each other: then it was we who were wrong.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._believed: _Heard | None = None
        self._doubted: tuple[_Heard, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Say whether some Date was believed, and our own clocks have gone on alike since."""
        return self._believed is not None and _agree(self._by_monotonic(self._believed), self._by_wall(self._believed))

    def hear(self, date: str | None) -> None:
        """Take note of the Date of an answer that has just come, if it had one."""
        date_at = parse_http_date(date)
        if date_at is None or not _FIRST <= date_at < _LAST:
            return
        heard = _Heard(date_at, self._clock.monotonic(), self._clock.wall())
        witnesses = (*self._doubted, heard)[-_WITNESSES:]
        agree = len(witnesses) == _WITNESSES and _agree(*map(self._by_monotonic, witnesses))
        if agree or any(_agree(date_at, expected) for expected in self._expected()):
            self._believed, self._doubted = heard, ()
        else:
            self._doubted = witnesses

    def now(self) -> float | None:
        """Return the server's wall-clock seconds; None before the first Date.

        Since the last one that was believed, as much time has passed as either of our clocks says: the monotonic one
        may stand still while the machine sleeps. While no Date is believed it is the earliest time that may be meant:
        what is read twice does no harm.
        """
        if self._believed is not None:
            return max(self._expected())
        if not self._doubted:
            return None
        return min(self._clock.wall(), *map(self._by_monotonic, self._doubted))

    def _expected(self) -> tuple[float, ...]:
        if self._believed is None:
            return (self._clock.wall(),)
        return self._by_monotonic(self._believed), self._by_wall(self._believed)

    def _by_monotonic(self, heard: _Heard) -> float:
        return heard.server + self._clock.monotonic() - heard.monotonic

    def _by_wall(self, heard: _Heard) -> float:
        return heard.server + self._clock.wall() - heard.wall


def _agree(*times: float) -> bool:
    return max(times) - min(times) <= _AGREE_SECONDS
