"""What is decided without sending anything: which events, in what batches, until when, and when again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.sandbox.activities import Activity, Actor
from pingone_mcp.sandbox.times import DAY, SECOND
from pingone_mcp.sandbox.webhooks.feeds import backoff, how_many, is_lost, matches
from pingone_mcp.sandbox.webhooks.subscription import EventFilter

EVENT = Activity(
    id="e",
    at=0,
    action="USER.UPDATED",
    result="Updated User kim",
    resource_id="u",
    resource_name="kim",
    path="users/u",
    actor=Actor("worker", "Worker", user_id="boss"),
    correlation_id="c",
    population_id="p",
)
MEMBERSHIP = replace(EVENT, action="MEMBER_OF_GROUP.CREATED", path="users/u/memberOfGroups/g")
ASKED = EventFilter(actions=frozenset({"USER.UPDATED", "MEMBER_OF_GROUP.CREATED"}))


def test_an_event_of_a_type_that_is_named_matches_and_no_other() -> None:
    assert matches(ASKED, EVENT, memberships=False)
    assert not matches(ASKED, replace(EVENT, action="USER.CREATED"), memberships=False)
    assert not matches(EventFilter(actions=frozenset({"USER.*"})), EVENT, memberships=False), "there is no wildcard"


def test_populations_are_those_of_whom_it_is_about() -> None:
    within = replace(ASKED, populations=frozenset({"p", "q"}))
    assert matches(within, EVENT, memberships=False)
    assert not matches(within, replace(EVENT, population_id="elsewhere"), memberships=False)
    assert not matches(within, replace(EVENT, population_id=None), memberships=True)
    assert [matches(within, MEMBERSHIP, memberships=option) for option in (False, True)] == [False, True]


def test_applications_are_those_that_acted() -> None:
    assert matches(replace(ASKED, applications=frozenset({"worker"})), EVENT, memberships=False)
    assert not matches(replace(ASKED, applications=frozenset({"boss", "u"})), EVENT, memberships=False)


def test_a_tag_is_had_by_the_event() -> None:
    tagged = replace(ASKED, tags=frozenset({"adminIdentityEvent"}))
    assert matches(tagged, EVENT, memberships=False)
    assert not matches(tagged, replace(EVENT, tags=()), memberships=False)


@pytest.mark.parametrize(("days", "lost"), [(6.99, False), (7, False), (7.01, True)])
def test_an_event_is_tried_for_seven_days(days: float, lost: bool) -> None:
    assert is_lost(EVENT, round(days * DAY), enabled=True, resumed=0) is lost


@pytest.mark.parametrize(("days", "lost"), [(7.01, False), (14, False), (14.01, True)])
def test_an_event_is_kept_for_two_weeks_while_its_subscription_is_off(days: float, lost: bool) -> None:
    assert is_lost(EVENT, round(days * DAY), enabled=False, resumed=0) is lost


def test_what_piled_up_is_tried_for_seven_days_from_the_restart() -> None:
    assert not is_lost(EVENT, 20 * DAY, enabled=True, resumed=13 * DAY)
    assert is_lost(EVENT, 20 * DAY + SECOND, enabled=True, resumed=13 * DAY)


def test_a_batch_has_as_many_events_as_fit_and_one_at_least() -> None:
    assert how_many([1] * 700, 500, None) == 500
    assert how_many([400, 400, 400], 500, 1_024) == 2
    assert how_many([512, 512, 1], 500, 1_024) == 2
    assert how_many([5_000, 1], 500, 1_024) == 1
    assert how_many([], 500, 1_024) == 0


@given(st.lists(st.integers(1, 3_000), max_size=40), st.integers(1, 30), st.one_of(st.none(), st.integers(1, 9_000)))
def test_no_batch_is_too_large_but_one_of_a_single_event(sizes: list[int], most: int, limit: int | None) -> None:
    count = how_many(sizes, most, limit)
    assert count <= most
    assert count == 1 or limit is None or sum(sizes[:count]) <= limit
    full = count == most or count == len(sizes)
    assert full or (limit is not None and sum(sizes[: count + 1]) > limit)


def test_waits_double_up_to_the_longest_and_are_a_little_shorter_by_chance() -> None:
    assert [backoff(attempt, 1, 60, 0.0) for attempt in (1, 2, 3, 6, 7, 8, 5_000)] == [1, 2, 4, 32, 60, 60, 60]
    assert backoff(3, 1, 60, 1.0) == pytest.approx(3.6)
