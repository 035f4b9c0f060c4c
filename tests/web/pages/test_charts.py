"""Charts: drawn without anything that a strict policy refuses, and named for who does not see them."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.web.pages.charts import Series, stacked_bars
from tests.hostile import POISON

_NUMBERS = st.lists(st.integers(0, 10**7), min_size=1, max_size=40)


@given(values=_NUMBERS, text=st.text(max_size=20))
def test_a_drawing_is_well_formed_and_holds_no_style_no_script_and_no_address(values: list[int], text: str) -> None:
    labels = [f"{text}{number}" for number in range(len(values))]
    drawn = stacked_bars(
        title=text, description=text, what="Day", labels=labels, series=[Series(name=text, values=values)]
    )
    svg = ET.fromstring(drawn.svg)  # noqa: S314 - our own drawing
    for one in svg.iter():
        assert not one.tag.endswith(("script", "style", "foreignObject", "image"))
        assert not [name for name in one.attrib if name == "style" or name.startswith("on") or "href" in name]
    assert svg.get("role") == "img"
    assert [row for _, row in drawn.rows] == [[value] for value in values]


def test_what_is_said_in_a_drawing_is_text_and_hides_nothing() -> None:
    text = f"<script>&{POISON}"
    drawn = stacked_bars(title=text, description="d", what="w", labels=["a"], series=[Series(name="n", values=[1])])
    assert "<script>" not in drawn.svg
    assert "\u202e" not in drawn.svg
    drawn.svg.encode()


def test_bars_are_as_high_as_their_numbers() -> None:
    drawn = stacked_bars(
        title="t", description="d", what="w", labels=["a", "b"], series=[Series(name="n", values=[1, 3])]
    )
    bars = ET.fromstring(drawn.svg).iter()  # noqa: S314 - our own drawing
    heights = [float(one.get("height", 0)) for one in bars if "reactive" in one.get("class", "")]
    assert heights[1] == pytest.approx(3 * heights[0])


def test_what_lays_them_out_looks_at_no_import_of_others() -> None:
    stacked_bars(title="t", description="d", what="w", labels=["a"], series=[Series(name="s", values=[1])])
    assert [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")] == []
