"""Groups in groups, at any depth and in circles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.nesting import above_each, chains_to

TREE = [("desk", "support"), ("support", "staff"), ("night", "desk"), ("night", "staff")]


def test_groups_above_are_found_at_any_height() -> None:
    assert above_each(TREE) == {
        "desk": {"support", "staff"},
        "support": {"staff"},
        "night": {"desk", "support", "staff"},
    }


def test_the_shortest_way_up_is_shown_from_the_group_itself_on() -> None:
    assert chains_to("staff", TREE) == {
        "support": ("support",),
        "night": ("night",),
        "desk": ("desk", "support"),
    }


GROUPS = st.sampled_from("abcdef")


@given(st.lists(st.tuples(GROUPS, GROUPS), max_size=20))
def test_no_circle_is_walked_twice_and_both_directions_agree(nestings: Sequence[tuple[str, str]]) -> None:
    above = above_each(nestings)
    for group in "abcdef":
        chains = chains_to(group, nestings)
        assert set(chains) == {other for other, over in above.items() if group in over}
        assert group not in chains
        steps = [(*chain, group) for chain in chains.values()]
        assert all(pair in nestings for way in steps for pair in pairwise(way))
