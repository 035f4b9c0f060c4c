"""Compact JSON that is harmless is what cleaning everything gives, only faster."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.text.compact_json import compact_json, harmless_json
from pingone_mcp.directory.text.harmless import clean

TEXTS = st.text(max_size=6) | st.sampled_from(
    [
        "",
        "Zoë",
        "a\u202eb",
        "a\x7fb",
        "a\nb",
        'quote " and \\',
        "\\n",
        "می\u200cخواهم",
        "☎\ufe0f",
        "\ud800",
        "x\u200by",
        "\\u0000",
    ]
)
DATA: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(DATA)
def test_harmless_json_is_the_json_of_cleaned_data(data: Any) -> None:
    assert json.loads(harmless_json(data)) == clean(data)


@given(st.lists(DATA, max_size=4))
def test_rows_of_a_body_are_cleaned_like_any_data(rows: list[Any]) -> None:
    body = {"result": rows, "next_cursor": None}
    assert json.loads(harmless_json(body)) == clean(body)


@given(DATA)
def test_compact_json_is_the_data(data: Any) -> None:
    assert json.loads(compact_json(data)) == data
