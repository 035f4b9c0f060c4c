"""What was measured becomes a table with both sides, bar and verdict, a file, and pictures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.table import results
from benchmarks.table.figures import Bound, Comparison, Figure, at_least, at_most, summary, table
from benchmarks.table.pictures import PICTURES
from benchmarks.table.plot import Panel, Picture, Scale, plot
from benchmarks.table.results import Point

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
SMALL_PASS = Figure(what="tiny", against="b", ours=1, yardstick=2, unit="s", promised=at_most(1), small=True)
SMALL_MISS = Figure(what="small", against="b", ours=3, yardstick=2, unit="s", promised=at_most(1), small=True)
POINTS = [
    Point(panel="Time", curve="ours", users=1_000, value=0.3),
    Point(panel="Time", curve="ours", users=100_000, value=7.0),
    Point(panel="Time", curve="one after the other", users=1_000, value=0.4),
    Point(panel="Time", curve="one after the other", users=100_000, value=31.0),
    Point(panel="Memory", curve="ours", users=1_000, value=60.0),
    Point(panel="Memory", curve="ours", users=100_000, value=99.0),
]
PICTURE = Picture(
    file="some.svg",
    title="Reading & keeping",
    panels=(Panel(title="Time", axis="s"), Panel(title="Memory", axis="MiB")),
)


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


def test_the_table_shows_both_sides_what_came_of_them_the_bar_and_whether_it_is_passed() -> None:
    assert table([("Whole walk", [FASTER]), ("Memory", [HEAVIER, KNOWN])]).splitlines() == [
        "                                 ours       yardstick     result  bar         the yardstick is",
        "",
        "Whole walk",
        "  all of 20,000 users         2.000 s        13.000 s  6.5 times  ≥ 6   pass  one page after the other",
        "",
        "Memory",
        "  peak memory               120.0 MiB        75.0 MiB  +45.0 MiB  ≤ 40  MISS  a small walk",
        "  requests             1,200 requests  1,000 requests       1.20              the naive client",
    ]
    assert summary([FASTER, HEAVIER, KNOWN]) == "1 of 2 promises met; missed: peak memory."
    assert summary([FASTER]) == "1 of 1 promises met."


def test_a_figure_measured_in_small_shows_its_bar_and_is_no_promise() -> None:
    lines = table([("Small", [SMALL_PASS, SMALL_MISS])]).splitlines()[3:]
    assert [line.split()[-3:-1] for line in lines] == [["1", "(pass)"], ["1", "(miss)"]]
    assert summary([FASTER, SMALL_PASS, SMALL_MISS]) == (
        "1 of 1 promises met.\n"
        "In brackets: measured in small. No promise holds for it; its bar is that of the full size."
    )
    assert SMALL_MISS.facts()["met"] is None


def test_a_group_measured_alone_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    path, now = tmp_path / "results" / "latest.json", datetime(2026, 6, 15, tzinfo=UTC)
    walk, growth, again = (
        results.facts(figures, points, now=now, load=0.1)
        for figures, points in (([FASTER], []), ([KNOWN], POINTS), ([HEAVIER], []))
    )
    results.keep({"walk": walk, "growth": growth}, path)
    results.keep({"walk": again}, path)
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert results.points(kept, "growth") == POINTS
    assert results.points(kept, "walk") == results.points(kept, "never measured") == []
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


def test_points_that_another_version_has_kept_are_not_drawn() -> None:
    old = {"client": "ours", "users": 1_000, "seconds": 0.3, "requests": 9, "peak": 60.0}
    assert results.points({"growth": {"points": [old]}}, "growth") == []


def test_a_picture_has_the_curves_of_each_panel_with_their_names_and_more_is_higher() -> None:
    drawn = plot(PICTURE, POINTS)
    svg = ET.fromstring(drawn)  # noqa: S314 - we wrote it
    space = "{http://www.w3.org/2000/svg}"
    curves = [line.attrib["points"].split() for line in svg.iter(f"{space}polyline")]
    assert [len(curve) for curve in curves] == [2, 2, 2]
    for curve in curves:
        (x, y), (further, higher) = (map(float, place.split(",")) for place in curve)
        assert further > x
        assert higher < y
    written = [text.text for text in svg.iter(f"{space}text")]
    assert {"Reading & keeping", "Time (s)", "Memory (MiB)", "1,000", "100,000"} <= set(written)
    assert (written.count("ours"), written.count("one after the other")) == (2, 1)
    assert "prefers-color-scheme: dark" in drawn
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    for text in svg.iter(f"{space}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height


def test_an_axis_reaches_from_a_power_of_ten_to_another() -> None:
    scale = Scale.over([3, 450], 0, 300)
    assert scale.ticks() == [1, 10, 100, 1_000]
    assert [scale.place(tick) for tick in scale.ticks()] == pytest.approx([0, 100, 200, 300])
    assert Scale.over([10, 10], 0, 1).ticks() == [10, 100]


def test_each_picture_has_a_file_of_its_own() -> None:
    assert len({picture.file for picture in PICTURES.values()}) == len(PICTURES)
