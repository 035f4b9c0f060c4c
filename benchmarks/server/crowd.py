"""A hundred questions at once on one pipe, beside the same questions one after the other."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring.turns import in_turns, middle
from benchmarks.places.served import serving
from benchmarks.server.pipes import Spoken, speaking
from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured

LATENCY = 0.020
_CALLS = 100
_ROWS = 20


def measured(extent: Extent) -> Measured:
    runs = 1 if extent == "fast" else 5
    with (
        serving(latency=LATENCY) as place,
        TemporaryDirectory() as cache,
        speaking(place.variables(Path(cache))) as server,
    ):
        _at_once(server, 10)  # the token, and what else the first questions need
        together, in_a_row = in_turns(runs, lambda: _at_once(server, _CALLS), lambda: _in_a_row(server, _CALLS))
    slowest, usual = (middle(of(taken) for taken in together) for of in (max, middle))
    return Measured(
        figures=[
            Figure(
                what=f"{_CALLS} list_users of {_ROWS} rows at once on one pipe, {LATENCY * 1000:g} ms per answer",
                against="the same, one after the other",
                ours=slowest,
                yardstick=middle(map(max, in_a_row)),
                unit="s",
                promised=at_most(0.35),
            ),
            Figure(
                what="  the one answered last (where each has its turn it waits twice as long as the median)",
                against="the median of those at once; within the bar, none is starved",
                ours=slowest,
                yardstick=usual,
                unit="s",
                promised=at_most(2.5),
            ),
        ]
    )


def _at_once(server: Spoken, calls: int) -> list[float]:
    """Return when each answer came, in seconds since the first call was written."""
    begun = time.perf_counter()
    answers = server.ask_tools([("list_users", {"limit": _ROWS})] * calls)
    assert all(len(answer.facts.get("result", ())) == _ROWS for answer in answers)
    return [answer.at - begun for answer in answers]


def _in_a_row(server: Spoken, calls: int) -> list[float]:
    begun = time.perf_counter()
    for _ in range(calls):
        assert len(server.call("list_users", limit=_ROWS)["result"]) == _ROWS
    return [time.perf_counter() - begun]
