"""The changes between two looks at a user: which kinds there are, and that they lead from the one to the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.changes import UNCOMPARED, changes_between, replayed
from pingone_mcp.directory.models import Email, JsonObject, Manager, Named, StatusSource, User
from pingone_mcp.directory.rows import plain
from pingone_mcp.pingone import wire

AT = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
ANN = User(
    id="ann",
    username="ann",
    name="Ann Lee",
    emails=(Email(email="ann@example.com", type="work", is_primary=True),),
    title="Nurse",
    manager=Manager(reference="bo"),
    status="active",
    status_source=StatusSource(enabled=True, account_status="OK", lifecycle_status="ACCOUNT_OK"),
    workspaces=(Named(id="p1", name="Staff"),),
    last_login_at=AT,
    updated_at=AT,
)


def with_source(user: User, **source: object) -> User:
    told = replace(user.status_source, **source)  # type: ignore[arg-type]  # the fields of a StatusSource
    status, reasons = wire.status_of(told)
    return replace(user, status_source=told, status=status, status_reasons=reasons)


DISABLED = with_source(ANN, enabled=False)
LOCKED = replace(with_source(ANN, account_status="LOCKED"), locked_at=AT)
BOTH = with_source(LOCKED, enabled=False)
INVITED = with_source(ANN, lifecycle_status="VERIFICATION_REQUIRED")


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (None, None, []),
        (None, ANN, ["user.created"]),
        (ANN, None, ["user.removed"]),
        (ANN, ANN, []),
        (ANN, replace(ANN, title="Doctor"), ["user.updated"]),
        (ANN, replace(ANN, title=None), ["user.updated"]),
        (ANN, DISABLED, ["user.deactivated"]),
        (DISABLED, ANN, ["user.reactivated"]),
        (ANN, LOCKED, ["user.locked"]),
        (LOCKED, ANN, ["user.unlocked"]),
        (ANN, BOTH, ["user.deactivated", "user.locked"]),
        (BOTH, ANN, ["user.reactivated", "user.unlocked"]),
        (LOCKED, DISABLED, ["user.deactivated", "user.unlocked"]),
        (ANN, replace(DISABLED, title="Doctor"), ["user.deactivated", "user.updated"]),
        (ANN, replace(DISABLED, updated_at=AT.replace(hour=9)), ["user.deactivated"]),
        (ANN, replace(ANN, updated_at=AT.replace(hour=9)), ["user.updated"]),
        (INVITED, ANN, ["user.updated"]),
        (ANN, replace(ANN, last_login_at=AT.replace(hour=9)), []),
        (ANN, replace(ANN, workspaces=(Named(id="p1", name="Everybody"),)), []),
        (ANN, replace(ANN, workspaces=(Named(id="p2", name="Staff"),)), ["user.updated"]),
        (ANN, replace(ANN, manager=Manager(reference="bo", id="b", name="Bo")), []),
        (ANN, replace(ANN, groups=()), []),
    ],
)
def test_one_look_gives_the_kinds_of_change(before: User | None, after: User | None, kinds: list[str]) -> None:
    assert [change.kind for change in changes_between(record(before), record(after))] == kinds


def test_a_change_tells_the_fields_that_changed_on_both_sides() -> None:
    later = replace(ANN, title=None, department="ICU", updated_at=AT.replace(hour=9))
    [change] = changes_between(plain(ANN), plain(later))
    assert change.before == {"department": None, "title": "Nurse", "updated_at": "2026-06-01T08:00:00.000Z"}
    assert change.after == {"department": "ICU", "title": None, "updated_at": "2026-06-01T09:00:00.000Z"}


def record(user: User | None) -> JsonObject | None:
    return None if user is None else plain(user)


def users() -> st.SearchStrategy[User]:
    text = st.none() | st.sampled_from(["a", "b", ""])
    return st.builds(
        lambda enabled, account, lifecycle, **told: with_source(
            User(id="u", status="", status_source=StatusSource(), **told),
            enabled=enabled,
            account_status=account,
            lifecycle_status=lifecycle,
        ),
        st.none() | st.booleans(),
        st.none() | st.sampled_from(["OK", "LOCKED", "ODD"]),
        st.none() | st.sampled_from(["ACCOUNT_OK", "VERIFICATION_REQUIRED"]),
        username=text,
        title=text,
        is_2fa_enabled=st.none() | st.booleans(),
        locked_at=st.none() | st.just(AT),
        updated_at=st.none() | st.sampled_from([AT, AT.replace(hour=9)]),
        last_login_at=st.none() | st.just(AT),
        custom_attributes=st.dictionaries(st.sampled_from("xy"), st.none() | st.integers(0, 2)),
        workspaces=st.sampled_from([(), (Named(id="p1"),), (Named(id="p2"),)]),
    )


@given(st.lists(st.none() | users(), min_size=2, max_size=6))
def test_replaying_the_changes_leads_from_each_record_to_the_next(looks: list[User | None]) -> None:
    known: JsonObject | None = None
    for user in looks:
        found = record(user)
        changes = changes_between(known, found)
        for change in changes:
            known = replayed(known, change)
        assert compared(known) == compared(found)
        assert changes_between(known, found) == ()
        assert len({change.kind for change in changes}) == len(changes)


def compared(told: JsonObject | None) -> JsonObject | None:
    return None if told is None else {name: value for name, value in told.items() if name not in UNCOMPARED}


def test_what_could_not_be_read_in_one_of_two_records_has_not_changed() -> None:
    whole = {"id": "u", "title": "Nurse", "status": "inactive", "status_reasons": ["disabled"], "name": "Ann"}
    lost = {"id": "u", "status": "OK", "name": "Ann", "unreadable": ["title", "status"]}
    assert changes_between(whole, lost) == changes_between(lost, whole) == ()
    (change,) = changes_between(whole, {**lost, "name": "Anna"})
    assert (change.kind, change.before, change.after) == ("user.updated", {"name": "Ann"}, {"name": "Anna"})
