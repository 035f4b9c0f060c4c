"""Compact JSON that is harmless is what cleaning everything gives, only faster."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.text.compact_json import _SURE, compact_json, harmless_json, json_size
from pingone_mcp.directory.text.harmless import clean, hides_nothing

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


def test_what_is_not_looked_at_hides_nothing() -> None:
    """The bytes that pass unseen make no character that `harmless` would change."""
    everything = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert [one for one in everything if not one.encode().translate(None, _SURE) and not hides_nothing(one)] == []


@given(DATA)
def test_the_size_is_that_of_the_text(data: Any) -> None:
    assert json_size(data) == len(compact_json(data))
