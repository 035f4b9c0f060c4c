"""What audit events ask for, and how many memberships one question can ask about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.pingone.feed.events import about, wanted_by, wanted_by_environment
from pingone_mcp.pingone.feed.holding import LONGEST_FILTER, membership_filters
from pingone_mcp.replica.source import Pair, Trace

ANN, BO, STAFF = (f"{n}{n}{n}{n}{n}{n}{n}{n}-1111-4111-8111-111111111111" for n in "abc")
AT = "2026-06-01T08:00:00.000Z"


def activity(action: str, number: int = 1, **resource: Any) -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "recordedAt": AT.replace("08", f"{number:02}"),
        "actors": {"client": {"id": "adminui", "name": "adminui"}, "user": {"id": BO, "name": "bo"}},
        "action": {"type": action},
        "resources": [resource],
        "result": {"status": "SUCCESS"},
    }


def user(action: str, number: int = 1) -> dict[str, Any]:
    return activity(action, number, type="USER", id=ANN, href=f"https://x/v1/environments/e/users/{ANN}")


@pytest.mark.parametrize("action", ["USER.CREATED", "USER.UPDATED", "USER.MOVED", "USER.LOCKED", "USER.UNLOCKED"])
def test_who_is_named_is_to_be_read_again(action: str) -> None:
    assert wanted_by([user(action)]).users == {ANN}


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED"])
@pytest.mark.parametrize("action", ["PASSWORD.UNLOCKED", "PASSWORD.CHECK_FAILED"])
def test_whose_password_was_tried_or_unlocked_is_to_be_read_again(action: str, status: str) -> None:
    """PingOne calls a check that has failed so, too, and it may have locked its user."""
    assert wanted_by([{**user(action), "result": {"status": status}}]).users == {ANN}
    assert wanted_by([user("PASSWORD.CHECK_SUCCEEDED"), user("PASSWORD.SET")]).users == set()


def test_a_lock_is_said_by_its_own_event_or_else_by_a_failed_check() -> None:
    own, check = user("USER.LOCKED", 1), user("PASSWORD.CHECK_FAILED", 2)
    assert wanted_by([check]).trace("user.locked", ANN) == Trace(AT.replace("08", "02"), "bo")
    assert wanted_by([check, own]).trace("user.locked", ANN) == Trace(AT.replace("08", "01"), "bo")


def test_events_about_the_same_belong_together() -> None:
    root = f"https://x/v1/environments/e/users/{ANN}"
    member = activity("MEMBER_OF_GROUP.CREATED", 1, type="X", id="m", href=f"{root}/memberOfGroups/{STAFF}")
    role = activity("ROLE_ASSIGNMENT.CREATED", 2, type="USER", id=ANN, href=f"{root}/roleAssignments/r")
    assert about(user("USER.UPDATED")) == about(member) == about(role) == {ANN}
    assert about(activity("GROUP.UPDATED", 3, type="GROUP", id=STAFF)) == {STAFF}
    assert about({"id": "one"}) != about({"id": "two"})


def test_a_deletion_says_when_and_by_whom() -> None:
    wanted = wanted_by([user("USER.DELETED", 9), user("USER.UPDATED", 8)])
    assert wanted.removed == {ANN: Trace(AT.replace("08", "09"), "bo")}
    assert wanted.trace("user.removed", ANN) == wanted.removed[ANN]


def test_a_deletion_that_failed_is_a_reason_to_look() -> None:
    wanted = wanted_by([{**user("USER.DELETED"), "result": {"status": "FAILED"}}])
    assert (wanted.removed, wanted.users) == ({}, {ANN})


def test_memberships_and_roles_are_found_in_the_address() -> None:
    root = f"https://x/v1/environments/e/users/{ANN}"
    wanted = wanted_by(
        [
            activity(
                "MEMBER_OF_GROUP.CREATED", 1, type="MEMBER_OF_GROUP", id="m", href=f"{root}/memberOfGroups/{STAFF}"
            ),
            activity("ROLE_ASSIGNMENT.DELETED", 2, type="ROLE_ASSIGNMENT", id="r", href=f"{root}/roleAssignments/r"),
            activity("GROUP.UPDATED", 3, type="GROUP", id=STAFF, href=f"https://x/v1/environments/e/groups/{STAFF}"),
            activity("POPULATION.CREATED", 4, type="POPULATION", id="p"),
        ]
    )
    assert (wanted.memberships, wanted.roles, wanted.groups) == ({(ANN, STAFF)}, {ANN}, {STAFF})
    assert wanted.users == set()
    assert wanted.trace("membership.added", ANN, STAFF) == Trace(AT.replace("08", "01"), "bo")


def test_the_latest_of_several_events_counts_in_any_order() -> None:
    told = [user("USER.UPDATED", number) for number in (3, 5, 4)]
    assert wanted_by([*told, *told]).trace("user.updated", ANN) == Trace(AT.replace("08", "05"), "bo")
    assert set(wanted_by([*told, *told]).seen) == {"event-3", "event-4", "event-5"}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"id": "x"},
        {"id": "x", "recordedAt": 1, "action": {"type": "USER.DELETED"}},
        {"id": "x", "recordedAt": AT, "action": "USER.DELETED"},
        {"id": "x", "recordedAt": AT, "action": {"type": "USER.DELETED"}, "resources": [None, {"id": '" or id eq "'}]},
        {"id": "x", "recordedAt": AT, "action": {"type": "MEMBER_OF_GROUP.CREATED"}, "resources": [{"href": 5}]},
        user("USER.ACCESS_ALLOWED"),
        user("PASSWORD.SET"),
    ],
)
def test_what_is_no_event_or_about_other_things_asks_for_nothing(odd: dict[str, Any]) -> None:
    wanted = wanted_by([odd])
    assert not any((wanted.users, wanted.removed, wanted.memberships, wanted.groups, wanted.roles))


IDS = [f"{n:08}-1111-4111-8111-111111111111" for n in range(120)]
PAIRS = st.lists(st.builds(Pair, st.sampled_from(IDS), st.sampled_from(IDS[:6])), unique=True, max_size=400)


@given(PAIRS, st.booleans())
def test_questions_ask_for_every_pair_once_and_fit_into_a_request(pairs: Sequence[Pair], mixed: bool) -> None:
    asked = list(membership_filters(pairs, "indirect", mixed=mixed))
    assert sorted(pair for question in asked for pair in question.groups.items()) == sorted(pairs)
    assert all(len(quote(str(question.filter), safe="")) <= LONGEST_FILTER for question in asked)
    if not mixed:
        assert all(len(set(question.groups.values())) == 1 for question in asked)


HERE, THERE = (f"{n}{n}{n}{n}{n}{n}{n}{n}-2222-4222-8222-222222222222" for n in "ef")


def resource(user: str, environment: str | None, address: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "USER", "id": user}
    if environment is not None:
        found["environment"] = {"id": environment}
    if address is not None:
        found["href"] = f"https://x/v1/environments/{address}/users/{user}"
    return found


def test_what_a_webhook_brings_is_told_apart_by_environment() -> None:
    one = activity("USER.UPDATED") | {"resources": [resource(ANN, HERE, HERE), resource(BO, THERE, THERE)]}
    other = activity("USER.DELETED", 2) | {"resources": [resource(BO, None, HERE.upper()), resource(STAFF, HERE, None)]}
    wanted = wanted_by_environment([one, other])
    assert wanted.keys() == {HERE, THERE}
    assert (wanted[HERE].users, set(wanted[HERE].removed)) == ({ANN}, {BO, STAFF})
    assert (wanted[THERE].users, wanted[THERE].removed) == ({BO}, {})


@pytest.mark.parametrize(
    "odd",
    [
        resource(ANN, None, None),
        resource(ANN, HERE, THERE),
        resource(ANN, "here", "there"),
        {"type": "USER", "id": ANN, "environment": [HERE], "href": 7},
        None,
        [],
    ],
)
def test_what_does_not_say_where_it_is_asks_for_nothing(odd: Any) -> None:
    assert wanted_by_environment([activity("USER.UPDATED") | {"resources": [odd]}]) == {}
    assert wanted_by_environment([activity("USER.UPDATED") | {"resources": odd}, odd]) == {}
