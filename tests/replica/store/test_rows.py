"""Rows of users and groups say what there is, and differ where it does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import Address, Email, Group, Manager, Named, Phone, StatusSource, User
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import group_of, group_row, record_of, storable

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
    address=st.none() | st.builds(Address, city=TEXT, country=st.text(max_size=5), street=TEXT),
    last_login_at=TIMES,
    locked_at=TIMES,
    created_at=TIMES,
    updated_at=TIMES,
    custom_attributes=st.dictionaries(st.text(max_size=3), JSON, max_size=2),
    remote_data=st.none() | st.just({"id": "x"}),
)


@given(USERS)
def test_a_record_is_a_plain_user_without_names_of_places(user: User) -> None:
    named = replace(user, workspaces=tuple(replace(place, name="Staff") for place in user.workspaces))
    assert record_of(row_of(named, "e", remote_data=True)) == plain(replace(user, remote_data=None))


@given(st.lists(USERS, min_size=1, max_size=3, unique_by=lambda user: user.id), TIMES)
def test_columns_differ_for_any_difference_but_a_sign_on(users: list[User], at: datetime | None) -> None:
    first = [row_of(user, "e", remote_data=True) for user in users]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE u ({', '.join(schema.USER_COLUMNS)}, removed_at)")
        database.execute(f"CREATE TABLE s ({', '.join(schema.USER_COLUMNS)})")
        marks = ", ".join("?" * len(schema.USER_COLUMNS))
        database.executemany(f"INSERT INTO u VALUES ({marks}, NULL)", first)  # noqa: S608 - our names

        def altered(rows: list[UserRow]) -> set[str]:
            database.execute("DELETE FROM s")
            database.executemany(f"INSERT INTO s VALUES ({marks})", rows)  # noqa: S608 - our names
            query = f"SELECT s.id FROM s LEFT JOIN u ON u.id = s.id WHERE {schema.ALTERED}"  # noqa: S608 - our names
            return {row[0] for row in database.execute(query)}

        signed_on = [replace(user, last_login_at=at, remote_data={"id": "another"}) for user in users]
        assert altered([row_of(user, "e", remote_data=True) for user in signed_on]) == set()
        others = [row_of(replace(users[0], title=f"{users[0].title}!"), "e"), *first[1:]]
        assert altered(others) == {users[0].id}


def test_what_is_no_unicode_is_replaced() -> None:
    assert storable(("a\ud800", None, 1, b"x")) == ("a?", None, 1, b"x")


def test_a_group_comes_back_as_it_was() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    group = Group(id="g", name="G", organization=Named(id="e"), workspace=Named(id="p"), member_count=3, created_at=at)
    assert group_of(group_row(group, "e")) == group


def test_every_field_of_a_user_is_kept_or_known_to_be_left_out() -> None:
    kept = set(record_of(row_of(User(**FULL), "e")))
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
