"""What a change says as an event, and that no event is larger than it may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.changes import KINDS, Change, ChangedUser, ChangeKind
from pingone_mcp.directory.models import Named
from pingone_mcp.service.events.record_events import LARGEST, LONGEST_TEXT, bounded, record_event

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)


def change(kind: ChangeKind, **members: Any) -> Change:
    user = ChangedUser(id="u1", username="ann", email="ann@example.org")
    whole: dict[str, Any] = {"id": 7, "at": AT, "kind": kind, "user": user, "evidence": "event"}
    return Change(**whole | members)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_change_is_an_event(kind: ChangeKind) -> None:
    called = record_event(change(kind), None, feed="f", connection="c")
    expected = {
        "user.created": "created",
        "user.entered_scope": "created",
        "user.removed": "deleted",
        "user.left_scope": "deleted",
    }.get(kind, "updated")
    assert called.event == f"record:{expected}"
    assert called.payload["change"] == kind


def test_who_is_not_in_the_copy_is_called_as_then() -> None:
    event = record_event(change("user.updated", actor="ada"), None, feed="f", connection="c")
    assert event.payload["records"] == [{"id": "u1", "username": "ann", "email": "ann@example.org"}]
    assert event.payload["evidence"] == {"type": "event", "at": "2026-06-15T12:00:00.000Z", "actor": "ada"}


def test_a_membership_is_one_group_of_its_user() -> None:
    group = Named(id="g1", name="Night shift")
    left = change("membership.removed", group=group, before={"type": "indirect"})
    payload = record_event(left, None, feed="f", connection="c").payload
    assert payload["before"] == {"groups": [{"id": "g1", "name": "Night shift", "type": "indirect"}]}
    assert payload["after"] == {"groups": []}


def test_the_same_change_is_the_same_event_and_any_other_is_another() -> None:
    def name(feed: str = "f", connection: str = "c", **members: Any) -> str | None:
        return record_event(change("user.updated", **members), None, feed=feed, connection=connection).name

    others = {name(), name("g"), name(connection="d"), name(id=8), name(at=AT.replace(year=2027))}
    assert len(others) == 5
    assert name() == name()


TEXTS = st.text(max_size=40) | st.sampled_from([100, 5_000, 400_000]).map("x".__mul__)
MEMBERS = st.dictionaries(st.sampled_from("abcdefgh"), TEXTS | st.lists(TEXTS, max_size=60), max_size=8)


@given(
    st.fixed_dictionaries({"records": st.lists(MEMBERS, max_size=2), "before": MEMBERS | st.none(), "after": MEMBERS})
)
def test_no_payload_is_too_large_and_what_is_missing_is_named(payload: dict[str, Any]) -> None:
    kept: Any = bounded({**payload, "resource": "r"})
    left_out = kept.get("truncated", [])
    assert len(json.dumps({name: one for name, one in kept.items() if name != "truncated"})) <= LARGEST
    assert kept["resource"] == "r"
    for side in ("before", "after"):
        had, has = payload[side], kept[side]
        if had is None:
            assert has is None
        else:
            assert had.keys() - has.keys() == {one.split(".")[1] for one in left_out if one.startswith(f"{side}.")}
    assert all(len(text) <= LONGEST_TEXT + 1 for text in texts(kept))


def test_the_largest_members_go_first() -> None:
    long = ["x" * LONGEST_TEXT] * 20
    payload: dict[str, Any] = {
        "records": [{"id": "u1", "groups": long * 2, "name": "Ann"}],
        "before": {"groups": long, "title": "Nurse"},
        "after": {"groups": [], "title": "Clerk"},
    }
    assert bounded(payload) == {
        "records": [{"id": "u1", "name": "Ann"}],
        "before": {"groups": long, "title": "Nurse"},
        "after": {"groups": [], "title": "Clerk"},
        "truncated": ["records.groups"],
    }
    payload["before"]["custom_attributes"] = [*long, "y"]
    assert bounded(payload)["truncated"] == ["before.custom_attributes", "records.groups"]


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def test_a_small_payload_stays_as_it_is() -> None:
    payload: dict[str, Any] = {"records": [{"id": "u1", "name": "x" * LONGEST_TEXT}], "before": None, "after": {}}
    assert bounded(payload) == payload
