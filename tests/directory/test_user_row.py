from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import Address, Email, Manager, Named, Phone, StatusSource, User
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import as_json_text, as_unicode, attributes_as_text, row_of, user_of

HERE = "environment-1"
TEXTS = st.text(max_size=8)
MAYBE_TEXT = st.none() | TEXTS
FLAGS = st.none() | st.booleans()
TIMES = st.none() | st.integers(0, 4_000_000_000_000).map(
    lambda at: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at)
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PLACES = st.lists(st.builds(Named, id=TEXTS), max_size=2).map(tuple)


def users() -> st.SearchStrategy[User]:
    """Return users of any provider: several addresses and numbers, places of other environments, any attributes."""
    addresses = st.builds(Address, **dict.fromkeys((f.name for f in dataclasses.fields(Address)), MAYBE_TEXT))
    values: dict[str, st.SearchStrategy[Any]] = {
        "id": TEXTS,
        **dict.fromkeys(
            "username external_id name first_name last_name title department type locale timezone preferred_language "
            "avatar_url".split(),
            MAYBE_TEXT,
        ),
        "identifiers": st.none() | st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=2),
        "emails": st.lists(st.builds(Email, email=TEXTS, type=MAYBE_TEXT, is_primary=st.booleans()), max_size=2).map(
            tuple
        ),
        "phones": st.lists(
            st.builds(Phone, number=TEXTS, type=st.sampled_from((None, "primary", "mobile", "fax"))), max_size=3
        ).map(tuple),
        "manager": st.none() | st.builds(Manager, reference=TEXTS),
        "status": TEXTS,
        "status_reasons": st.lists(st.sampled_from(("disabled", "locked")), unique=True).map(tuple),
        "status_source": st.builds(StatusSource, enabled=FLAGS, account_status=MAYBE_TEXT, lifecycle_status=MAYBE_TEXT),
        **dict.fromkeys(("is_email_verified", "is_2fa_enabled"), FLAGS),
        **dict.fromkeys(("organizations", "workspaces"), PLACES | st.just((Named(id=HERE),))),
        "address": st.none() | addresses.filter(lambda address: address != Address()),
        **dict.fromkeys(("last_login_at", "locked_at", "created_at", "updated_at"), TIMES),
        "custom_attributes": st.dictionaries(TEXTS, JSON, max_size=3),
        "unreadable": st.lists(st.sampled_from(("emails", "status", "address")), unique=True).map(tuple),
        "remote_data": st.none() | st.dictionaries(TEXTS, JSON, max_size=3),
    }
    return st.builds(User, **values)


@given(users())
def test_a_row_says_all_of_a_user(user: User) -> None:
    assert user_of(row_of(user, HERE, remote_data=True)) == user


@given(users())
def test_a_user_of_pingone_has_nothing_that_columns_do_not_say(user: User) -> None:
    plain = dataclasses.replace(
        user,
        identifiers=None,
        emails=(Email(email="a@example.com", type="work", is_primary=True),),
        phones=(Phone(number="1", type="primary"), Phone(number="2", type="mobile")),
        organizations=(Named(id=HERE),),
        workspaces=(Named(id="population-1"),),
    )
    assert row_of(plain, HERE).more is None


def test_names_of_places_come_from_outside() -> None:
    user = User(id="1", status="active", status_source=StatusSource(), organizations=(Named(id=HERE, name="Old"),))
    found = user_of(row_of(user, HERE), environments={HERE: "New"})
    assert found.organizations == (Named(id=HERE, name="New"),)


def test_who_was_removed_is_deleted_whatever_the_row_says() -> None:
    user = User(id="1", status="active", status_source=StatusSource(enabled=True))
    gone = user_of(row_of(user, HERE), removed=True)
    assert (gone.status, gone.status_reasons, gone.status_source.enabled) == ("deleted", ("removed",), True)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_the_same_attributes_are_the_same_text_in_whatever_order_they_came(attributes: dict[str, Any]) -> None:
    assert attributes_as_text(attributes) == attributes_as_text(dict(reversed(attributes.items())))


def test_attributes_that_are_too_long_for_a_query_are_kept_beside_it() -> None:
    queried, whole = attributes_as_text({"essay": "é" * 40_000, "team": "blue"})
    assert queried == as_json_text({"essay": "[80,002 bytes]", "team": "blue"})
    assert whole == as_json_text({"essay": "é" * 40_000, "team": "blue"})


def test_what_is_no_unicode_is_still_json() -> None:
    assert as_json_text({"a": "\ud800"}) == r'{"a":"\ud800"}'


HALF = "half \ud83d a pair"


@given(users(), st.sets(st.sampled_from(("id", "username", "name", "title", "locale", "avatar_url"))))
def test_what_is_no_unicode_is_replaced_in_columns_and_comes_back(user: User, names: set[str]) -> None:
    texts: dict[str, Any] = dict.fromkeys(names, HALF)
    odd = dataclasses.replace(
        user,
        **texts,
        emails=(Email(email=HALF),),
        address=Address(street=HALF),
        custom_attributes={**user.custom_attributes, HALF: [HALF]},
        remote_data={HALF: HALF},
    )
    row = as_unicode(row_of(odd, HERE, remote_data=True))
    assert all(value.encode() is not None for value in row if isinstance(value, str))
    assert "half ? a pair" in row.custom_attributes
    assert all(getattr(row, name) == "half ? a pair" for name in names)
    assert user_of(row) == odd


@given(users())
def test_a_row_of_unicode_stays_as_it_is(user: User) -> None:
    row = row_of(user, HERE, remote_data=True)
    assert as_unicode(row) is row


def test_values_stand_in_the_order_of_their_names() -> None:
    assert UserRow._fields[0] == "id"
    assert len(set(UserRow._fields)) == len(UserRow._fields)
