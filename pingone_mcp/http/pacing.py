"""How fast a server is asked: as fast as its answers come, a question before a walk in the background.

Its limits belong to a licence that many share, and most of their numbers are not public (PingOne, "Rate limiting"). So
they are felt for. The number of requests under way grows with every round of answers and is halved by a 429: additive
increase and multiplicative decrease (RFC 5681 §3.1). Requests are spaced by a rate, too: before the first 429 it grows
with each answer, as in a slow start (the same §3.1). And what was let through between two 429s tells the rate that the
licence allows, by which they are spaced from then on.

A question never waits for a walk: it needs no room that a walk takes, and has starts of its own. What is under way when
it comes still stands before it at the other end, so a walk sends no more than keeps that busy (`Saturation`), and
beside a question nothing that would only stand in line there. After that it goes on at its full pace.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, Self

import anyio

from pingone_mcp.clock import Clock
from pingone_mcp.http.saturation import LINE, Saturation
from pingone_mcp.http.upstream import Rate, Upstream

Outcome = Literal["answered", "limited", "failed"]

# Before anything has been learned: requests under way, requests per second (older documentation allows one address
# 100), and how many of them may start at once.
FIRST_WINDOW, FIRST_RATE, BURST = 16, 80.0, 16
# What an answer adds to the rate as long as there was no 429: a rate that is used to the full doubles in a second.
SLOW_START = math.log(2)
# So many more of a question may start at once, as what it asks at the same time: it does not wait for a walk's starts.
AHEAD = 4
# What one round of answers adds to the window.
STEP = 0.5
# Seconds in which a walk comes back to its full pace after a question: where they follow one another closely, few of
# its requests stand before the next one at the other end.
RETURN = 0.9
# The share of a learned rate that is used, and by how much of a rate its use grows in a second, to notice when there is
# more. The rest is for others who live on the same licence.
CAUTION, GROWTH = 0.95, 0.03
# Seconds' worth of a learned rate that may start at once.
LEARNED_BURST = 0.1
_LEAST_SECONDS = 0.25
_INSTANT = 1e-6


class Throttle:
    """The pace of one rate group: it is notified of what happens, and says when the next request may start.

    `most` bounds the requests under way, `most_per_second` their rate, `known` those in a stretch of time. Times are
    monotonic seconds; `background` marks requests of a walk, all others are questions.
    """

    def __init__(self, *, most: int, most_per_second: float | None = None, known: Rate | None = None) -> None:
        self._most = most
        self._most_per_second = most_per_second or math.inf
        self._known = known
        self._starts = deque[float](maxlen=known.requests if known else 0)
        self._window = float(min(FIRST_WINDOW, most))
        self._saturation = Saturation(first=FIRST_WINDOW, most=most)
        self._questions = self._walks = 0
        self._last_question = -math.inf
        # The rate that is thought to be allowed, since when, and the instant at which all starts so far are paid for.
        self._rate, self._rate_at, self._paid = FIRST_RATE, 0.0, -math.inf
        self._burst = float(BURST)
        # Did the last request start before those ahead of it were paid for; was there a 429.
        self._is_used = self._is_learned = False
        # Since the last 429: answers, its instant, seconds with nothing under way.
        self._answers, self._cut, self._idle = 0, -math.inf, 0.0
        self._idle_since: float | None = None
        self._largest = 0  # bytes of a page

    def wait(self, now: float, *, background: bool) -> float | None:
        """Return the seconds until a request may start, 0 for at once; None when one under way must end first."""
        if background:
            is_full = self._questions + self._walks >= int(self._window)
            if is_full or self._walks >= self._room_beside_questions(now):
                return None
        elif self._questions >= int(self._window):
            return None
        seconds = self._earliest(now, self._burst if background else self._burst + AHEAD) - now
        return seconds if seconds > _INSTANT else 0.0

    def _room_of_walks(self) -> int:
        return int(min(self._window, self._saturation.enough))

    def _room_beside_questions(self, now: float) -> int:
        """Return how many requests of walks may be under way: beside a question none that stand in line over there."""
        return max(1, int(min(self._window, self._saturation.enough) - LINE * (1 - self._back(now))))

    def _back(self, now: float) -> float:
        """Return the share of its full pace, above the one beside questions, to which a walk has come back."""
        return 0.0 if self._questions else min(1.0, (now - self._last_question + _INSTANT) / RETURN)

    def start(self, now: float, *, background: bool) -> int:
        """Note that a request has started; return how many are under way with it."""
        if self._idle_since is not None:
            self._idle += now - self._idle_since
            self._idle_since = None
        if self._cut == -math.inf:
            self._cut = self._rate_at = now
        if background:
            self._walks += 1
        else:
            self._questions += 1
        self._starts.append(now)
        self._is_used = self._paid > now
        self._paid = max(self._paid, now) + 1 / self._allowed(now)
        return self._questions + self._walks

    def end(
        self, now: float, outcome: Outcome, *, started: float, background: bool, under_way: int = 1, size: int = 0
    ) -> None:
        """Note what became of a request that started at `started`, as one of so many under way.

        Its answer has `size` bytes.
        """
        number = self._questions + self._walks
        if background:
            self._walks -= 1
        else:
            self._questions -= 1
            self._last_question = now
        if not self._questions + self._walks:
            self._idle_since = now
        if outcome == "answered":
            self._answers += 1
            if self._is_used and not self._is_learned:
                self._rate += SLOW_START
            if size > 2 * self._largest:  # what came before were no full pages
                self._saturation.forget()
            self._largest = max(self._largest, size)
            if background and 2 * size >= self._largest:  # full pages of a walk are alike: their times can be compared
                in_use = number >= self._room_of_walks()
                self._saturation.note(
                    now - started,
                    under_way=max(under_way, number),
                    in_use=in_use,
                    beside=self._back(now) < 1,
                )
            if number >= int(self._window):
                self._window = min(float(self._most), self._window + STEP / self._window)
        elif outcome == "limited" and started >= self._cut:  # one that left before the last cut tells nothing new
            self._cut_down(now)

    def _allowed(self, now: float) -> float:
        return min(self._rate * (1 + GROWTH * (now - self._rate_at)), self._most_per_second)

    def _earliest(self, now: float, burst: float) -> float:
        """Return the instant from which on the rates allow a start (generic cell rate algorithm, ITU-T I.371)."""
        earliest = self._paid - (burst - 1) / self._allowed(now)
        if self._known and len(self._starts) == self._known.requests:
            earliest = max(earliest, self._starts[0] + self._known.seconds)
        return earliest

    def _cut_down(self, now: float) -> None:
        """Learn from a 429.

        Between two of them the other end let through just what it allows: over the whole time if it saves up what is
        not used in a pause, over the busy time if it does not. The truth lies between.
        """
        whole = now - self._cut
        busy = whole - self._idle
        if self._answers and busy >= _LEAST_SECONDS:
            self._rate = CAUTION * self._answers * (1 / whole + 1 / busy) / 2
            self._burst = max(1.0, LEARNED_BURST * self._rate)
        self._is_learned = True
        self._rate_at = self._cut = now
        self._answers, self._idle = 0, 0.0
        self._paid = now + self._burst / self._allowed(now)
        self._window = max(1.0, self._window / 2)


class Turn:
    """One request: `async with` waits for its turn, and keeps it under way until the block ends.

    `outcome` and the `size` of its answer in bytes are set when they are known.
    """

    def __init__(self, lane: Lane, *, background: bool) -> None:
        self.outcome: Outcome = "failed"
        self.size = 0
        self._lane = lane
        self._background = background
        self._started, self._under_way = 0.0, 1

    async def __aenter__(self) -> Self:
        self._started, self._under_way = await self._lane.start(background=self._background)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._lane.end(
            self.outcome,
            started=self._started,
            background=self._background,
            under_way=self._under_way,
            size=self.size,
        )


class Lane:
    """The way of one rate group: requests pass one by one at its pace, questions before walks, each in its turn."""

    def __init__(self, pace: Throttle, clock: Clock) -> None:
        self._pace = pace
        self._clock = clock
        self._lines: tuple[deque[object], deque[object]] = (deque(), deque())
        self._moved = anyio.Event()

    def turn(self, *, background: bool) -> Turn:
        return Turn(self, background=background)

    async def start(self, *, background: bool) -> tuple[float, int]:
        """Wait for the turn of a request; return the instant at which it starts, and how many are under way with it."""
        if self._is_waited_for() or self._pace.wait(self._clock.monotonic(), background=background) != 0:
            await self._wait(background=background)
        started = self._clock.monotonic()
        return started, self._pace.start(started, background=background)

    def end(self, outcome: Outcome, *, started: float, background: bool, under_way: int, size: int) -> None:
        """Note what became of a request that started, and let the next one go."""
        self._pace.end(
            self._clock.monotonic(), outcome, started=started, background=background, under_way=under_way, size=size
        )
        self._move()

    async def _wait(self, *, background: bool) -> None:
        questions, walks = self._lines
        line = walks if background else questions
        me = object()
        line.append(me)
        try:
            while True:
                first = line[0] is me and not (background and questions)
                wait = self._pace.wait(self._clock.monotonic(), background=background) if first else None
                if wait is None:
                    await self._moved.wait()
                elif wait > 0:
                    await self._clock.sleep(wait)
                else:
                    return
        finally:
            line.remove(me)
            self._move()

    def _is_waited_for(self) -> bool:
        return any(self._lines)

    def _move(self) -> None:
        if self._is_waited_for():
            moved, self._moved = self._moved, anyio.Event()
            moved.set()


class Lanes:
    """The lanes of one connection, one per rate group of who is asked.

    `most` bounds the requests under way in a group, `most_per_second` the rate where none is known.
    """

    def __init__(
        self, upstream: Upstream, clock: Clock, *, most: int = 16, most_per_second: float | None = None
    ) -> None:
        self._group_of = upstream.group_of
        self._lanes = {
            group: Lane(
                Throttle(most=most, most_per_second=most_per_second if known is None else None, known=known), clock
            )
            for group, known in upstream.rates.items()
        }

    def turn(self, path: str, *, background: bool) -> Turn:
        return self._lanes[self._group_of(path)].turn(background=background)
