"""How many requests at once the other end has use for: with more of them, the others only stand in line there.

Two things must agree that they do. Answers take longer than the fastest one did, by which FAST TCP tells how long the
line is (Wei, Jin, Low, Hegde, "FAST TCP", 2006). And they take longer the more requests are under way: where times
only vary by chance, as they do on every network, they do not, and to hold requests back would be in vain.
"""

from __future__ import annotations

import math

# Requests that may stand in line at the other end, so that it never waits for one.
LINE = 1.5
# Times grow as the number under way to the power of 0 where there is room for all, and of 1 where all others stand in
# line: from here on there is no use in more, and beside questions, which stand in that line too, from there on.
SATURATED, CAREFUL = 0.5, 0.25
# What one round of answers adds.
STEP = 0.5
# Answers that are remembered, for the usual time and for how times depend on the number under way.
_LATEST, _MEMORY = 8, 256
_LEAST_SECONDS = 0.001
# Of the logarithm of the number under way: one that has varied by less than three in a hundred tells nothing.
_LEAST_VARIANCE = 0.001


class Saturation:
    """Told how long answers take, it says how many requests may be under way: `enough`, of at `most` so many.

    The answers should be alike; `forget` what was noted when they turn out not to have been.
    """

    def __init__(self, *, first: int, most: int) -> None:
        self.enough = float(min(first, most))
        self._most = float(most)
        self.forget()

    def forget(self) -> None:
        self._fastest, self._usual = math.inf, 0.0
        # Of the logarithms of number under way and seconds, the latest weighing most: means, and how they vary.
        self._answers = 0
        self._number = self._time = self._variance = self._covariance = 0.0

    def note(self, seconds: float, *, under_way: int, in_use: bool, beside: bool) -> None:
        """Note one answer, and how many requests were under way with it at most.

        `in_use`: is all that is enough in use; `beside`: are there questions beside it.
        """
        seconds = max(seconds, _LEAST_SECONDS)
        self._fastest = min(self._fastest, seconds)
        self._usual += (seconds - self._usual) / (_LATEST if self._usual else 1)
        self._correlate(math.log(under_way), math.log(seconds))
        wanted = self.enough * self._fastest / self._usual + LINE
        is_saturated = self._growth() >= (CAREFUL if beside else SATURATED)
        change = min(STEP, wanted - self.enough) if is_saturated else STEP
        if change < 0 or in_use:  # each of a round's answers does its part
            self.enough = min(self._most, max(1.0, self.enough + change / self.enough))

    def _correlate(self, number: float, time: float) -> None:
        self._answers += 1
        share = max(1 / self._answers, 1 / _MEMORY)
        off = number - self._number
        self._number += share * off
        self._time += share * (time - self._time)
        self._variance += share * (off * (number - self._number) - self._variance)
        self._covariance += share * (off * (time - self._time) - self._covariance)

    def _growth(self) -> float:
        """Return the power of the number under way with which times grow; 1 while that number has not varied."""
        return self._covariance / self._variance if self._variance > _LEAST_VARIANCE else 1.0
