"""Gaps: what an answer lacks is a value, and its sentence is made where it is shown."""

from __future__ import annotations

import json
from typing import get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.advice import spelled
from pingone_mcp.directory.gaps import KINDS, EndedEarly, Gap, OnlyServedPopulations, from_json, listed_as_json
from pingone_mcp.directory.rows import plain

GAPS = st.one_of(
    [
        st.builds(kind, **{name: st.from_type(get_type_hints(kind)[name]) for name in kind.facts()})
        for kind in KINDS.values()
    ]
)


@given(GAPS)
def test_a_gap_survives_a_position(gap: Gap) -> None:
    assert from_json(json.loads(json.dumps(gap.to_json()))) == gap


@given(GAPS)
def test_every_gap_has_a_sentence_that_is_shown(gap: Gap) -> None:
    assert gap.sentence().endswith(spelled(gap.words()))
    assert gap.note().endswith(".")
    assert plain({"gaps": (gap,)}["gaps"]) == [gap.sentence()] == listed_as_json([gap])["gaps"]


def test_a_gap_of_one_part_says_which_but_not_among_sentences_about_that_part() -> None:
    gap = EndedEarly(place="e", part="disabled", noun="users", counted=1_200, came=3)
    said = "PingOne counts 1,200 users in environment e, and 3 came."
    assert (gap.sentence(), gap.note()) == (f"disabled: {said}", said)
    assert (OnlyServedPopulations().note(), listed_as_json(())) == (
        "only the populations that are served were looked at.",
        {},
    )
