"""While something heavy runs, others get their turn soon, and afterwards all is as it was."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from pingone_mcp.heavy_work import heavy_work, take_short_turns


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    usual = sys.getswitchinterval()
    yield
    sys.setswitchinterval(usual)


def test_turns_are_short_and_no_full_search_comes_until_the_last_of_it_has_ended() -> None:
    before = sys.getswitchinterval(), gc.get_threshold()
    with heavy_work():
        with heavy_work():
            pass
        assert sys.getswitchinterval() < before[0]
        assert gc.get_threshold()[2] > before[1][2]
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_short_turns_stay_short_behind_heavy_work() -> None:
    take_short_turns()
    taken = sys.getswitchinterval()
    assert taken < 0.001
    with heavy_work():
        assert sys.getswitchinterval() == taken
    assert sys.getswitchinterval() == taken
