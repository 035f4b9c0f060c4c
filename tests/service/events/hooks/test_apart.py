"""Work in parts: what fails by itself is found, all else is done, and in an outage nothing is blamed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.control.database import ControlUnavailable
from pingone_mcp.errors import NoReplica, NotAuthenticated, Problem, RateLimited, ServerFailed, Unreachable
from pingone_mcp.service.events.hooks.apart import work_apart

GROUPS = [[1, 2], [3], [4, 5, 6], [7], [8]]


class Work:
    """Fails where any of the bad ones is part of it; `world` is what fails with everything."""

    def __init__(self, bad: set[int], failure: Exception | None = None, world: Problem | None = None) -> None:
        self.done: list[int] = []
        self.tries, self.controls = 0, 0
        self._bad, self._failure, self._world = bad, failure or ServerFailed("no", code="OOPS"), world

    async def work(self, given: Sequence[int]) -> None:
        self.tries += 1
        if self._world is not None:
            raise self._world
        if self._bad.intersection(given):
            raise self._failure
        self.done += given

    async def control(self) -> None:
        self.controls += 1
        if self._world is not None:
            raise self._world


@given(bad=st.sets(st.integers(1, 8)))
async def test_all_is_done_but_what_fails_by_itself(bad: set[int]) -> None:
    here = Work(bad)
    failed = await work_apart(GROUPS, here.work, here.control)
    good = [group for group in GROUPS if not bad.intersection(group)]
    assert here.done == [one for group in good for one in group]
    assert [one.part for one in failed] == [group for group in GROUPS if group not in good]
    assert {one.reason for one in failed} <= {"OOPS"}
    assert here.controls == len(failed)


async def test_one_among_many_costs_few_tries() -> None:
    here = Work({777})
    [failed] = await work_apart([[one] for one in range(1_024)], here.work, here.control)
    assert failed.part == [777]
    assert here.tries <= 2 * 10 + 1


async def test_in_an_outage_nothing_is_blamed_and_soon_nothing_is_tried() -> None:
    here = Work(set(), world=ServerFailed("down"))
    with pytest.raises(ServerFailed):
        await work_apart([[one] for one in range(1_024)], here.work, here.control)
    assert (here.tries, here.controls) == (11, 1)


@pytest.mark.parametrize(
    "failure",
    [
        NotAuthenticated("x"),
        RateLimited("x"),
        Unreachable("x"),
        NoReplica("x"),
        Problem("x", code="REPLICA_BUSY"),
        ControlUnavailable(),
        OSError("the disk is full"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_what_no_event_can_be_blamed_for_ends_it_at_once(failure: Exception) -> None:
    here = Work({1}, failure)
    with pytest.raises(type(failure)):
        await work_apart(GROUPS, here.work, here.control)
    assert here.tries == 1


async def test_something_unforeseen_is_a_reason_too() -> None:
    here = Work({3}, KeyError("a name of the directory"))
    [failed] = await work_apart(GROUPS, here.work, here.control)
    assert (failed.part, failed.reason) == ([3], "KeyError")
    assert await work_apart([], here.work, here.control) == []
