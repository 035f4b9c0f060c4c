"""PingOne is asked as fast as it answers, never faster than it allows for long, and questions go before walks."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.http.pacing import (
    AHEAD,
    BURST,
    FIRST_RATE,
    FIRST_WINDOW,
    RETURN,
    Lane,
    Outcome,
    Throttle,
)
from pingone_mcp.http.upstream import Rate
from tests.world import Time

# ------------------------------------------------------------------------------------------------ against a server


@dataclass
class Server:
    """A server that lets `rate` requests a second through (None: any number), as many as `saved` at once.

    An answer takes `latency` seconds, by chance more or less by `spread` (of its logarithm, one in three by more), and
    `service` more of the server's only processor.
    """

    rate: float | None
    saved: float = 50.0
    latency: float = 0.1
    service: float = 0.01
    spread: float = 0.0
    statuses: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    most_under_way: int = 0

    def walk(self, pace: Throttle, requests: int) -> float:
        """Send requests at a pace until so many have been answered with 200; return the seconds that took.

        After a 429 nothing is sent for a second, as its Retry-After says.
        """
        now, pause, free, tokens, at = 0.0, 0.0, 0.0, self.saved, 0.0
        answers: list[tuple[float, int, int, float, int]] = []
        numbers, done, waiting, chance = count(), 0, requests, Random(1)
        while done < requests:
            while waiting and now >= pause and pace.wait(now, background=True) == 0:
                under_way = pace.start(now, background=True)
                waiting -= 1
                tokens, at = min(self.saved, tokens + (now - at) * (self.rate or 0)), now
                if self.rate is not None and tokens < 1:
                    heapq.heappush(answers, (now + self.latency, next(numbers), 429, now, under_way))
                else:
                    tokens -= 1
                    latency = self.latency * math.exp(chance.gauss(0, self.spread))
                    free = max(free, now + latency) + self.service if self.service else now + latency
                    heapq.heappush(answers, (free, next(numbers), 200, now, under_way))
                self.most_under_way = max(self.most_under_way, len(answers))
            soon = [answers[0][0]] if answers else []
            if waiting:
                wait = pace.wait(max(now, pause), background=True)
                soon += [] if wait is None else [max(now, pause) + wait]
            now = max(now, min(soon))
            while answers and answers[0][0] <= now:
                ended, _, status, started, under_way = heapq.heappop(answers)
                self.statuses.append((ended, status))
                outcome: Outcome = "limited" if status == 429 else "answered"
                pace.end(ended, outcome, started=started, background=True, under_way=under_way)
                if status == 429:
                    pause, waiting = max(pause, ended + 1), waiting + 1
                else:
                    done += 1
        return now

    def limited(self) -> float:
        """Return the share of requests that were answered 429."""
        return sum(status == 429 for _, status in self.statuses) / len(self.statuses)


@pytest.mark.parametrize(("rate", "requests"), [(20.0, 1000), (50.0, 115), (50.0, 600), (50.0, 3000), (150.0, 12_000)])
def test_nine_tenths_of_a_limit_are_used_and_it_is_rarely_overstepped(rate: float, requests: int) -> None:
    server = Server(rate=rate, saved=rate, service=0.2 / rate)
    seconds = server.walk(Throttle(most=32), requests)
    assert requests / seconds >= 0.9 * rate
    assert server.limited() <= (0.03 if requests > 200 else 0.066)  # eight of a short walk's 123


@pytest.mark.parametrize("saved", [5.0, 10.0])
def test_a_limit_that_saves_nothing_up_is_used_well_too(saved: float) -> None:
    server = Server(rate=50.0, saved=saved)
    assert 3000 / server.walk(Throttle(most=16), 3000) >= 0.75 * 50
    assert server.limited() <= 0.03


def test_without_a_limit_the_server_is_kept_busy() -> None:
    server = Server(rate=None, service=0.01)
    assert server.walk(Throttle(most=32), 1000) <= 1.15 * 1000 * 0.01


def test_no_queue_is_piled_up_at_a_slow_server() -> None:
    pace, later = Throttle(most=64), Server(rate=None, latency=0.1, service=0.02)
    Server(rate=None, latency=0.1, service=0.02).walk(pace, 1500)
    later.walk(pace, 100)
    assert later.most_under_way <= 12  # six are enough to keep it busy


def test_a_server_without_a_limit_is_soon_asked_as_fast_as_it_answers() -> None:
    """300 requests at the first rate would take 3.6 s; 16 under way at 0.1 s each allow 160 a second."""
    assert Server(rate=None, latency=0.1, service=0).walk(Throttle(most=16), 300) <= 2.3
    assert Server(rate=None, latency=0.02, service=0).walk(Throttle(most=16), 300) <= 2.0


@pytest.mark.parametrize("spread", [0.2, 0.5])
def test_where_times_vary_by_chance_alone_nothing_is_held_back(spread: float) -> None:
    server = Server(rate=None, latency=0.3, service=0, spread=spread)
    at_once = 16 / (0.3 * math.exp(spread**2 / 2))  # 16 under way all the time, by the mean of the times
    assert 1500 / server.walk(Throttle(most=16), 1500) >= 0.75 * at_once


def test_a_server_that_has_become_slow_is_asked_less_at_once() -> None:
    pace = Throttle(most=64)
    Server(rate=None, service=0.002).walk(pace, 3000)
    Server(rate=None, service=0.05).walk(pace, 600)
    slow = Server(rate=None, service=0.05)
    slow.walk(pace, 100)
    assert slow.most_under_way <= 9


def test_the_upper_bounds_hold() -> None:
    server = Server(rate=None)
    seconds = server.walk(Throttle(most=3, most_per_second=20), 200)
    assert server.most_under_way == 3
    assert (200 - BURST) / seconds <= 20


# --------------------------------------------------------------------------------------------------------- one by one


def fill(pace: Throttle, *, background: bool, now: float = 0.0) -> int:
    started = 0
    while pace.wait(now, background=background) == 0 and started < 100:
        pace.start(now, background=background)
        started += 1
    return started


def test_short_answers_are_not_compared_with_full_pages() -> None:
    pace = Throttle(most=16)
    for now in range(200):
        assert fill(pace, background=True, now=now) >= FIRST_WINDOW - 1
        for number in range(pace._walks):  # noqa: SLF001 - all that are under way
            seconds, size = (0.01, 100) if number == 0 else (0.3, 400_000)
            pace.end(now + seconds, "answered", started=now, background=True, size=size)
    assert fill(pace, background=True, now=500) >= FIRST_WINDOW


def test_a_429_halves_what_may_be_under_way_and_those_sent_before_say_nothing_new() -> None:
    pace = Throttle(most=16)
    assert fill(pace, background=True) == FIRST_WINDOW
    for _ in range(FIRST_WINDOW):
        pace.end(1.0, "limited", started=0.0, background=True)
    assert fill(pace, background=True, now=9.0) == FIRST_WINDOW // 2


def test_after_a_429_nothing_starts_in_a_burst() -> None:
    pace = Throttle(most=16)
    pace.start(0.0, background=True)
    pace.end(5.0, "limited", started=0.0, background=True)
    assert pace.wait(5.0, background=True) == pytest.approx(1 / FIRST_RATE)


def answered(pace: Throttle, *, rate: float, seconds: float, now: float) -> None:
    """Let requests start and be answered at a rate, or as fast as the pace allows where that is slower."""
    end = now + seconds
    while now < end:
        now += max(1 / rate, pace.wait(now, background=True) or 0.0)
        pace.start(now, background=True)
        pace.end(now, "answered", started=now, background=True)


def spacing(pace: Throttle, now: float) -> float:
    """Return the seconds between two starts, once all that may start at once have started."""
    waits: list[float] = []
    while len(waits) < 2:
        wait = pace.wait(now, background=True)
        assert wait is not None
        waits += [wait] if wait else []
        now += wait
        pace.start(now, background=True)
        pace.end(now, "failed", started=now, background=True)
    return waits[1]


def test_before_the_first_429_a_rate_that_is_used_doubles_in_a_second() -> None:
    pace = Throttle(most=16)
    spacing(pace, 0.0)
    answered(pace, rate=1000, seconds=2.0, now=0.0)
    assert 1 / spacing(pace, 2.0) == pytest.approx(4 * FIRST_RATE, rel=0.15)


def test_a_rate_that_is_not_used_does_not_double() -> None:
    pace = Throttle(most=16)
    answered(pace, rate=FIRST_RATE / 2, seconds=10.0, now=0.0)
    assert 1 / spacing(pace, 10.0) <= 1.4 * FIRST_RATE


def test_after_a_429_the_rate_grows_as_carefully_as_one_that_is_learned() -> None:
    pace = Throttle(most=16)
    pace.start(0.0, background=True)
    pace.end(0.1, "limited", started=0.0, background=True)
    answered(pace, rate=1000, seconds=2.0, now=0.1)
    assert 1 / spacing(pace, 2.1) <= 1.1 * FIRST_RATE


def test_what_failed_neither_grows_nor_shrinks_the_window() -> None:
    pace = Throttle(most=16)
    for now in range(50):
        assert fill(pace, background=True, now=now) == FIRST_WINDOW
        for _ in range(FIRST_WINDOW):
            pace.end(now + 0.5, "failed", started=now, background=True)


def test_answers_grow_the_window_only_while_it_is_in_use() -> None:
    idle, busy = Throttle(most=64), Throttle(most=64)
    for now in range(100):
        idle.start(now, background=True)
        idle.end(now + 0.1, "answered", started=now, background=True)
        started = fill(busy, background=True, now=now)
        for _ in range(started):
            busy.end(now + 0.1, "answered", started=now, background=True)
    assert fill(idle, background=True, now=200) == BURST
    assert fill(busy, background=True, now=200) >= BURST
    assert busy._window > idle._window  # noqa: SLF001 - the burst hides the rest of the window


def test_a_question_starts_beside_a_walk_that_fills_the_window() -> None:
    pace = Throttle(most=4)
    assert fill(pace, background=True) == 4
    assert pace.wait(0.2, background=False) == 0


def known(*, most: int) -> Throttle:
    """Return the pace for a server of which it is known that it has use for all requests."""
    pace = Throttle(most=most)
    Server(rate=None, latency=0.1, service=0).walk(pace, 300)
    return pace


def test_beside_a_question_no_page_of_a_walk_stands_in_line_at_the_other_end() -> None:
    pace = known(most=16)
    pace.start(9.0, background=False)
    assert fill(pace, background=True, now=9.0) == FIRST_WINDOW - 2, "14.5 of 16"


def test_questions_slow_a_walk_and_never_stop_it() -> None:
    pace = Throttle(most=2)
    pace.start(0.0, background=False)
    assert fill(pace, background=True) == 1


def test_a_walk_that_begins_a_second_after_a_question_has_the_full_window() -> None:
    pace = Throttle(most=16)
    pace.start(0.0, background=False)
    pace.end(0.1, "answered", started=0.0, background=False)
    assert fill(pace, background=True, now=1.0) == FIRST_WINDOW


def test_behind_a_question_a_walk_comes_back_to_its_full_pace_within_a_second() -> None:
    pace = known(most=16)
    pace.start(9.0, background=False)
    pace.end(9.1, "answered", started=9.0, background=False)
    assert fill(pace, background=True, now=9.2) == FIRST_WINDOW - 2
    assert fill(pace, background=True, now=9.1 + RETURN) == 2


def test_a_question_starts_at_once_when_a_walk_has_used_up_all_starts() -> None:
    pace = Throttle(most=64)
    assert fill(pace, background=True) == BURST
    assert pace.wait(0.0, background=True) is None
    assert fill(pace, background=False) == AHEAD


def test_that_a_walk_is_held_back_holds_back_no_question() -> None:
    pace = Throttle(most=16)
    Server(rate=None, latency=0.02, service=0.05).walk(pace, 1000)
    assert fill(pace, background=True, now=100.0) <= 4
    assert fill(pace, background=False, now=101.0) >= 8


@given(st.lists(st.floats(0, 0.4), min_size=30, max_size=60))
def test_no_stretch_of_a_second_holds_more_than_a_known_rate(gaps: list[float]) -> None:
    pace = Throttle(most=16, known=Rate(requests=10, seconds=1.0))
    starts = deque[float](maxlen=11)
    now = 0.0
    for gap in gaps:
        now += gap
        while wait := pace.wait(now, background=False):
            now += wait
        pace.start(now, background=False)
        pace.end(now, "answered", started=now, background=False)
        starts.append(now)
        assert len(starts) < 11 or starts[-1] - starts[0] >= 1.0 - 1e-5


def test_after_a_silence_only_a_burst_starts_at_once() -> None:
    pace = Throttle(most=64)
    for now in (0.0, 100.0):
        started = 0
        while (wait := pace.wait(now, background=False)) == 0:
            pace.start(now, background=False)
            pace.end(now, "failed", started=now, background=False)
            started += 1
        assert started == BURST + AHEAD
        assert wait == pytest.approx(1 / FIRST_RATE, rel=0.02 if not now else 1)


# ------------------------------------------------------------------------------------------------------------ in line


async def test_questions_go_first_and_all_others_in_their_turn() -> None:
    lane, order = Lane(Throttle(most=1), Time().clock()), list[str]()

    async def ask(name: str) -> None:
        async with lane.turn(background=name.startswith("walk")):
            order.append(name)

    async with anyio.create_task_group() as tasks, lane.turn(background=False):
        for name in ("walk 1", "walk 2", "question 1", "walk 3", "question 2"):
            tasks.start_soon(ask, name)
        await anyio.wait_all_tasks_blocked()
    assert order == ["question 1", "question 2", "walk 1", "walk 2", "walk 3"]


async def test_a_question_in_the_middle_of_a_walk_starts_before_all_of_its_pages_that_wait() -> None:
    pace = Throttle(most=FIRST_WINDOW)
    lane, order, asked = Lane(pace, Time().clock()), list[str](), anyio.Event()

    async def walk(number: int) -> None:
        async with lane.turn(background=True):
            order.append(f"page {number}")
            await asked.wait()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(FIRST_WINDOW + 3):
                tasks.start_soon(walk, number)
            await anyio.wait_all_tasks_blocked()
            assert len(order) == FIRST_WINDOW
            async with lane.turn(background=False):
                order.append("question")
            asked.set()
    assert order.index("question") == FIRST_WINDOW
    assert len(order) == FIRST_WINDOW + 4


async def test_who_starts_makes_way_for_the_next_at_once() -> None:
    time, under_way, all_are = Time(), list[int](), anyio.Event()

    async def nap(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        await time.nap(seconds)

    lane = Lane(Throttle(most=16), replace(time.clock(), sleep=nap))
    for _ in range(BURST - 1):
        async with lane.turn(background=False):
            pass

    async def ask(number: int) -> None:
        async with lane.turn(background=False):
            under_way.append(number)
            if len(under_way) == 3:
                all_are.set()
            await all_are.wait()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(3):  # the burst is used up: two stand in line for a moment, one behind the other
                tasks.start_soon(ask, number)


async def test_who_gives_up_in_line_holds_nobody_up() -> None:
    lane, entered = Lane(Throttle(most=1), Time().clock()), anyio.Event()

    async def wait_in_line() -> None:
        async with lane.turn(background=False):
            entered.set()

    async with lane.turn(background=False):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_in_line)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert not entered.is_set()
    with anyio.fail_after(60):
        async with lane.turn(background=True):
            pass
