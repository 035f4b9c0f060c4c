"""The benchmarks still measure, and say what they found: their table, their promises, their picture."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from benchmarks import replica, results
from benchmarks.__main__ import GROUPS, main
from benchmarks.attacks import Attack, Harmed, withstood
from benchmarks.bombs import array, mined, zipped
from benchmarks.figures import Bound, Comparison, Figure, at_least, at_most, summary, table
from benchmarks.growth import Point
from benchmarks.limit import answered_per_second
from benchmarks.log import Received, forget, received
from benchmarks.meanwhile import percentile_95
from benchmarks.pipes import Spoken
from benchmarks.plot import plot
from benchmarks.served import serving
from benchmarks.trip import race

FASTER = Figure(
    what="all of 20,000 users",
    against="one page after the other",
    ours=2.0,
    yardstick=13.0,
    unit="s",
    comparison="speed-up",
    promised=at_least(6),
)
HEAVIER = Figure(
    what="peak memory",
    against="a small walk",
    ours=120,
    yardstick=75,
    unit="MiB",
    comparison="difference",
    promised=at_most(40),
)
KNOWN = Figure(what="requests", against="the naive client", ours=1_200, yardstick=1_000, unit="requests")
POINTS = [
    Point(client="ours", users=1_000, seconds=0.3, requests=9, peak=60.0),
    Point(client="ours", users=100_000, seconds=7.0, requests=541, peak=99.0),
    Point(client="naive", users=1_000, seconds=0.4, requests=6, peak=47.0),
    Point(client="naive", users=100_000, seconds=31.0, requests=501, peak=800.0),
]


@pytest.mark.parametrize(
    ("bound", "met", "missed"), [(at_most(1.25), (1.0, 1.25), (1.26,)), (at_least(6), (6.0, 7.0), (5.99,))], ids=str
)
def test_a_promise_holds_up_to_its_bound_and_not_beyond(
    bound: Bound, met: tuple[float, ...], missed: tuple[float, ...]
) -> None:
    assert all(bound.is_met(value) for value in met)
    assert not any(bound.is_met(value) for value in missed)


@pytest.mark.parametrize(("comparison", "value"), [("ratio", 0.25), ("speed-up", 4.0), ("difference", -6.0)])
def test_what_comes_of_two_sides_depends_on_how_they_are_compared(comparison: Comparison, value: float) -> None:
    figure = Figure(what="a", against="b", ours=2.0, yardstick=8.0, unit="s", comparison=comparison)
    assert figure.value == value
    assert figure.is_met is None


def test_the_table_shows_both_sides_what_came_of_them_and_what_was_promised() -> None:
    assert table([("Whole walk", [FASTER]), ("Memory", [HEAVIER, KNOWN])]).splitlines() == [
        "                                 ours       yardstick     result  promised          the yardstick is",
        "",
        "Whole walk",
        "  all of 20,000 users         2.000 s        13.000 s  6.5 times  ≥ 6       met     one page after the other",
        "",
        "Memory",
        "  peak memory               120.0 MiB        75.0 MiB  +45.0 MiB  ≤ 40      MISSED  a small walk",
        "  requests             1,200 requests  1,000 requests       1.20                    the naive client",
    ]
    assert summary([FASTER, HEAVIER, KNOWN]) == "1 of 2 promises met; missed: peak memory."
    assert summary([FASTER]) == "1 of 1 promises met."


def test_a_group_measured_alone_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    path, now = tmp_path / "results" / "latest.json", datetime(2026, 6, 15, tzinfo=UTC)
    walk, growth, again = (
        results.facts(figures, points, now=now, load=0.1)
        for figures, points in (([FASTER], []), ([KNOWN], POINTS), ([HEAVIER], []))
    )
    results.keep({"walk": walk, "growth": growth}, path)
    results.keep({"walk": again}, path)
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert results.points(kept) == POINTS
    assert kept["walk"]["figures"] == [
        {
            "what": "peak memory",
            "against": "a small walk",
            "unit": "MiB",
            "ours": 120.0,
            "yardstick": 75.0,
            "comparison": "difference",
            "value": 45.0,
            "promised": "≤ 40",
            "met": False,
        }
    ]


def test_the_plot_has_a_curve_of_each_client_in_each_panel_and_more_is_higher() -> None:
    svg = ET.fromstring(plot(POINTS))  # noqa: S314 - we wrote it
    space = "{http://www.w3.org/2000/svg}"
    curves = [line.attrib["points"].split() for line in svg.iter(f"{space}polyline")]
    assert [len(curve) for curve in curves] == [2, 2, 2, 2]
    for curve in curves:
        (x, y), (further, higher) = (map(float, place.split(",")) for place in curve)
        assert further > x
        assert higher < y
    written = {text.text for text in svg.iter(f"{space}text")}
    assert written >= {"pingone-mcp", "one page after the other", "1,000", "100,000", "Peak memory of the client (MiB)"}
    assert "prefers-color-scheme: dark" in plot(POINTS)


def test_the_first_second_and_refused_requests_are_not_counted_as_use_of_the_limit() -> None:
    ramp_up = [Received(100.0 + number / 100, 200) for number in range(90)]
    after = [Received(101.0 + number / 40, 200) for number in range(1, 81)]
    refused = [Received(101.5, 429), Received(102.0, 429)]
    assert answered_per_second([*ramp_up, *after, *refused]) == pytest.approx(40)
    assert answered_per_second(ramp_up) == 0


def test_a_percentile_lies_where_one_in_twenty_is_slower() -> None:
    assert percentile_95([float(number) for number in range(101)]) == pytest.approx(95)


def test_every_group_can_be_named_and_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["walking"])
    told = capsys.readouterr().err
    assert all(name in told for name in GROUPS)


def test_three_clients_walk_over_the_same_users_each_in_its_own_process() -> None:
    with serving(size=450) as place:
        forget(place)
        ours, naive, floor = race(place, 450, "ours", "naive", "floor", runs=1)
        log = received(place)
    for (trip,) in (ours, naive, floor):
        assert trip.users == 450
        assert trip.seconds > 0
        assert trip.processor_seconds > 0
        assert 10 < trip.peak < 1_000
    assert {request.status for request in log} == {200}
    assert len(log) >= 9  # three pages for each


def test_a_copy_is_made_renewed_and_asked_the_same_as_live() -> None:
    found = replica.measure(users=450, runs=1)
    assert found.full.users == 450
    assert found.full_requests >= 9
    assert found.incremental.changes >= 60
    assert 1 <= found.incremental_requests <= 21
    assert 0 < found.floor_processor < 10 * found.full.processor_seconds
    for asked in (found.counted, found.searched, found.deactivated):
        assert asked.copy_seconds > 0
        assert asked.live_seconds > 0


def test_a_bomb_lies_where_it_is_asked_for_and_all_else_is_as_it_was() -> None:
    bombs = {"small-bomb": array(1), "zipped-bomb": zipped(3)}
    assert len(bombs["small-bomb"].body) == pytest.approx(2**20, rel=0.01)
    assert len(bombs["zipped-bomb"].body) < 10_000
    assert len(gzip.decompress(bombs["zipped-bomb"].body)) == pytest.approx(3 * 2**20, rel=0.01)
    with serving(size=3) as place, mined(place, bombs) as mines, httpx.Client(base_url=mines.base_url) as http:
        secret = (place.client_id, place.client_secret)
        grant = http.post(f"/{place.environment_id}/as/token", data={"grant_type": "client_credentials"}, auth=secret)
        users = f"/v1/environments/{place.environment_id}/users"
        told = http.get(users, headers={"Authorization": f"Bearer {grant.json()['access_token']}"})
        assert len(told.json()["_embedded"]["users"]) == 3
        assert place.base_url not in told.text
        assert len(http.get(users, params={"filter": "small-bomb"}).json()["_embedded"]["users"]) > 100_000
        assert http.get(users, params={"filter": "zipped-bomb"}).json()["_embedded"]["users"] == []


def test_what_an_attack_does_to_others_is_measured_beside_it(tmp_path: Path) -> None:
    def strike(server: Spoken) -> None:
        assert "error" in server.call("list_users", limit=0)
        raise Harmed("a sync failed")

    with serving(size=3) as place:
        found = withstood(Attack(name="a wrong question", strike=strike), place.variables(tmp_path), patience=60)
        stuck = Attack(name="an endless one", strike=lambda _: threading.Event().wait(60))
        endless = withstood(stuck, place.variables(tmp_path), patience=0.3)
    assert (found.name, found.harm) == ("a wrong question", "a sync failed")
    assert endless.harm is None
    assert endless.seconds == pytest.approx(0.3, abs=0.2)
    for measured in (found, endless):
        assert 0 < measured.ping < 60
        assert 0 < measured.listing < 60
        assert 0 < measured.idle_listing < 60
        assert measured.idle_peak <= measured.peak < 1_000
        assert measured.idle_peak > 10 or sys.platform != "linux"
