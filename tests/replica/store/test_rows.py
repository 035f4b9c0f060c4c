"""A user written as a row is the same user when read again."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import Address, Email, Group, Manager, Named, Phone, StatusSource, User
from pingone_mcp.directory.rows import plain
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import group_of, group_row, record_of, storable, user_of, user_row

TEXT = st.none() | st.text(max_size=5)
TIMES = st.none() | st.integers(0, 10**12).map(lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
NAMED = st.sampled_from([(), (Named(id="p1"),)])
USERS = st.builds(
    User,
    id=st.uuids().map(str),
    **dict.fromkeys("username external_id name first_name last_name title department type avatar_url".split(), TEXT),
    **dict.fromkeys("locale timezone preferred_language".split(), TEXT),
    identifiers=st.none() | st.just({"account_id": "1"}),
    emails=st.sampled_from([(), (Email(email="a@example.com", type="work", is_primary=True),), (Email(email="b"),)]),
    phones=st.sampled_from([(), (Phone(number="1", type="primary"), Phone(number="2", type="mobile"))]),
    manager=st.none() | st.builds(Manager, reference=st.text(min_size=1)),
    status=st.sampled_from(["active", "inactive", "ODD"]),
    status_reasons=st.sampled_from([(), ("disabled", "locked")]),
    status_source=st.builds(
        StatusSource, enabled=st.none() | st.booleans(), account_status=TEXT, lifecycle_status=TEXT
    ),
    is_email_verified=st.none() | st.booleans(),
    is_2fa_enabled=st.none() | st.booleans(),
    organizations=NAMED,
    workspaces=NAMED,
    address=st.none() | st.builds(Address, city=TEXT, country=TEXT, street=TEXT),
    last_login_at=TIMES,
    locked_at=TIMES,
    created_at=TIMES,
    updated_at=TIMES,
    custom_attributes=st.dictionaries(st.text(max_size=3), JSON, max_size=2),
    remote_data=st.none() | st.just({"id": "x"}),
)


def column(row: tuple[Any, ...], name: str) -> Any:
    return row[schema.USER_COLUMNS.index(name)]


@given(USERS)
def test_a_user_comes_back_as_it_was(user: User) -> None:
    row = user_row(user, "e", remote_data=True)
    assert user_of(column(row, "record")) == user
    assert json.loads(column(row, "record")) == json.loads(json.dumps(plain(user)))
    assert len(row) == len(schema.USER_COLUMNS)


@given(USERS)
def test_names_of_places_are_no_part_of_a_record(user: User) -> None:
    named = replace(user, workspaces=tuple(replace(place, name="Staff") for place in user.workspaces), remote_data=None)
    assert record_of(named) == record_of(replace(user, remote_data=None))
    again = user_of(record_of(named), populations={"p1": "Staff"})
    assert again == named


@given(USERS, TIMES)
def test_only_a_sign_on_leaves_the_digest_as_it_is(user: User, at: datetime | None) -> None:
    def digest(one: User) -> bytes:
        found: bytes = column(user_row(one, "e"), "digest")
        return found

    assert digest(replace(user, last_login_at=at)) == digest(user)
    assert digest(replace(user, title=f"{user.title}!")) != digest(user)


def test_a_removed_user_is_deleted_whatever_the_record_says() -> None:
    user = User(id="u", status="active", status_source=StatusSource(enabled=True))
    gone = user_of(record_of(user), removed=True)
    assert (gone.status, gone.status_reasons) == ("deleted", ("removed",))


def test_what_is_no_unicode_is_replaced() -> None:
    assert storable(("a\ud800", None, 1, b"x")) == ("a?", None, 1, b"x")


def test_a_group_comes_back_as_it_was() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    group = Group(id="g", name="G", organization=Named(id="e"), workspace=Named(id="p"), member_count=3, created_at=at)
    assert group_of(group_row(group, "e")) == group


def test_every_field_of_a_user_is_kept_or_known_to_be_left_out() -> None:
    kept = set(record_of(User(**FULL)))
    assert {f.name for f in fields(User)} - kept == {"groups", "roles", "remote_data"}


FULL: dict[str, Any] = {
    **{f.name: "x" for f in fields(User)},
    **{name: datetime(2026, 1, 1, tzinfo=UTC) for name in ("last_login_at", "locked_at", "created_at", "updated_at")},
    "identifiers": {"account_id": "1"},
    "emails": (Email(email="x"),),
    "phones": (Phone(number="1"),),
    "manager": Manager(reference="m"),
    "status_reasons": ("disabled",),
    "status_source": StatusSource(),
    "organizations": (Named(id="e"),),
    "workspaces": (Named(id="p"),),
    "address": Address(city="c"),
    "custom_attributes": {"a": 1},
}
