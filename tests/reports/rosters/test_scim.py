"""What of a user of SCIM says who has an account: core and enterprise extension, and nothing that a list needs not."""

from __future__ import annotations

from typing import Any

import pytest

from pingone_mcp.reports.rosters.objects import roster_of
from pingone_mcp.reports.rosters.scim import members_of, needed_of

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
# RFC 7643 §8.3, shortened.
FULL: dict[str, Any] = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
    "id": "2819c223",
    "externalId": "701984",
    "userName": "bjensen@example.com",
    "name": {"formatted": "Ms. Barbara J Jensen", "familyName": "Jensen", "givenName": "Barbara", "middleName": "Jane"},
    "displayName": "Babs Jensen",
    "emails": [
        {"value": "babs@jensen.example", "type": "home"},
        {"value": "bjensen@example.com", "type": "work", "primary": True},
    ],
    "addresses": [{"type": "work", "locality": "Hollywood"}],
    "phoneNumbers": [{"value": "555-555-5555"}],
    "title": "Tour Guide",
    "active": True,
    "password": "t1meMa$heen",
    "groups": [{"value": "e9e30dba", "display": "Tour Guides"}],
    "roles": [{"value": "admin", "primary": True}],
    "x509Certificates": [{"value": "MII"}],
    "meta": {"resourceType": "User"},
    ENTERPRISE: {
        "employeeNumber": "1",
        "costCenter": "4130",
        "department": "Tours",
        "manager": {"value": "26118915", "displayName": "John Smith"},
    },
}


def test_a_whole_user_is_an_account_and_nothing_is_left_unsaid() -> None:
    roster = roster_of([FULL])
    [entry] = roster.entries
    assert (entry.email, entry.more_emails) == ("bjensen@example.com", ("babs@jensen.example",))
    assert (entry.username, entry.external_id, entry.name) == ("bjensen@example.com", "701984", "Ms. Barbara J Jensen")
    assert (entry.active, entry.roles) == (True, ("admin",))
    expected = {"department": "Tours", "title": "Tour Guide", "manager": "John Smith", "costCenter": "4130"}
    assert entry.attributes.items() >= expected.items()
    assert entry.attributes.keys().isdisjoint({"id", "password"})
    assert roster.notes == ()


@pytest.mark.parametrize("secret", ["t1meMa$heen", "MII", "Hollywood", "555", "e9e30dba", "2819c223", "26118915"])
def test_what_no_roster_needs_is_left_out(secret: str) -> None:
    assert secret not in repr(members_of(FULL))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"USERNAME": "ann", "Active": "False"}, ("ann", None, False)),
        ({"userName": "ann", "displayName": "Ann Lee"}, ("ann", "Ann Lee", None)),
        ({"userName": "ann", "name": {"givenName": "Ann", "familyName": "Lee"}}, ("ann", "Ann Lee", None)),
        ({"userName": "ann", "emails": [], "roles": None, "manager": 3}, ("ann", None, None)),
    ],
)
def test_servers_that_write_less_or_otherwise(user: dict[str, Any], expected: tuple[object, ...]) -> None:
    [entry] = roster_of([members_of(user)]).entries
    assert (entry.username, entry.name, entry.active) == expected


def test_what_is_held_of_a_user_while_a_list_is_read_is_all_that_is_kept_of_it() -> None:
    held = needed_of(FULL)
    assert members_of(held) == members_of(FULL)
    assert members_of(needed_of({"USERNAME": "ann", ENTERPRISE.upper(): {"DEPARTMENT": "Tours"}})) == {
        "USERNAME": "ann",
        "DEPARTMENT": "Tours",
    }
    assert held.keys().isdisjoint({"groups", "x509Certificates", "password", "addresses", "phoneNumbers"})


def test_an_employee_number_is_the_external_id_of_who_has_no_other() -> None:
    [entry] = roster_of([members_of({"userName": "ann", ENTERPRISE: {"employeeNumber": "7"}})]).entries
    assert entry.external_id == "7"
