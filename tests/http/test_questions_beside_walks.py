"""Questions beside a walk: they are answered nearly as fast as without it, and it keeps most of its pace."""

from __future__ import annotations

import heapq
import math
import statistics
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest

from pingone_mcp.http.pacing import Throttle

SECONDS, WARM = 20.0, 3.0
PARTS, PART = 3, 0.001  # requests of a question, at once, and the seconds that each takes the server


@dataclass(frozen=True)
class Server:
    """A server that is `latency` seconds away (by chance, `spread` of the logarithm) and has so many `processors`.

    A page takes one of them for `page` seconds.
    """

    page: float
    latency: float
    processors: int = 1
    spread: float = 0.1

    @property
    def idle(self) -> float:
        """Seconds of a question that nothing stands before."""
        return self.latency + PARTS * PART


@dataclass(frozen=True)
class Request:
    background: bool
    started: float
    under_way: int


class Traffic:
    """A walk without an end at a pace of its own and, `pause` seconds after one another, questions."""

    def __init__(self, server: Server, pause: float) -> None:
        self._server, self._pause = server, pause
        self._pace = Throttle(most=16)
        self._free = [0.0] * server.processors
        self._chance, self._numbers = Random(2), count()
        self._events: list[tuple[float, int, bool, Request]] = []  # has it been answered
        self._asked, self._waiting, self._left, self._next = 0.0, 0, 0, WARM + pause
        self._pages, self._taken = 0, list[float]()

    def run(self) -> tuple[float, list[float]]:
        """Return the pages per second of the walk, and the seconds that each question took."""
        now = 0.0
        while now < SECONDS:
            if not self._left and now >= self._next:
                self._asked, self._waiting, self._left, self._next = now, PARTS, PARTS, math.inf
            while self._waiting and self._pace.wait(now, background=False) == 0:
                self._waiting -= 1
                self._start(now, background=False)
            while not self._waiting and self._pace.wait(now, background=True) == 0:
                self._start(now, background=True)
            waits = [self._pace.wait(now, background=True), self._pace.wait(now, background=False)]
            soon = [now + wait for wait in waits if wait]
            now = max(now, min([*soon, self._next, *(event[0] for event in self._events[:1])]))
            while self._events and self._events[0][0] <= now:
                _, _, answered, request = heapq.heappop(self._events)
                (self._end if answered else self._arrive)(now, request)
        return self._pages / (SECONDS - WARM), self._taken

    def _start(self, now: float, *, background: bool) -> None:
        request = Request(background, now, self._pace.start(now, background=background))
        there = now + self._server.latency / 2 * math.exp(self._chance.gauss(0, self._server.spread))
        heapq.heappush(self._events, (there, next(self._numbers), False, request))

    def _arrive(self, now: float, request: Request) -> None:
        first = min(range(len(self._free)), key=self._free.__getitem__)
        self._free[first] = max(self._free[first], now) + (self._server.page if request.background else PART)
        heapq.heappush(self._events, (self._free[first] + self._server.latency / 2, next(self._numbers), True, request))

    def _end(self, now: float, request: Request) -> None:
        self._pace.end(
            now,
            "answered",
            started=request.started,
            background=request.background,
            under_way=request.under_way,
            size=440_000 if request.background else 2_000,
        )
        if request.background:
            self._pages += now > WARM
            return
        self._left -= 1
        if not self._left:
            self._taken.append(now - self._asked)
            self._next = now + self._pause


@pytest.mark.parametrize("pause", [0.15, 0.001])
@pytest.mark.parametrize(
    ("server", "slower", "kept"),
    [
        (Server(page=0.005, latency=0.02), 1.5, 0.85),
        (Server(page=0.01, latency=0.02), 1.9, 0.85),
        (Server(page=0.01, latency=0.1), 1.3, 0.8),
        (Server(page=0.02, latency=0.1), 1.5, 0.9),
        (Server(page=0.02, latency=0.1, processors=64, spread=0.1), 1.3, 0.8),
        (Server(page=0.02, latency=0.1, processors=64, spread=0.5), 2.0, 0.8),
    ],
    ids=["fast", "near", "far", "slow", "wide", "by-chance"],
)
def test_a_question_is_hardly_slower_and_the_walk_keeps_its_pace(
    server: Server, slower: float, kept: float, pause: float
) -> None:
    alone, _ = Traffic(server, math.inf).run()
    pages, questions = Traffic(server, pause).run()
    assert statistics.quantiles(questions, n=20, method="inclusive")[-1] <= slower * server.idle
    assert pages >= kept * alone
