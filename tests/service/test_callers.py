"""What a credential reaches, and what it may be used for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pingone_mcp.service.callers import Caller

ONE = Caller(
    kind="api_key",
    client_id="key:1",
    issuer="local",
    subject="1",
    permissions=frozenset({"directory.read"}),
    connections=frozenset({"a"}),
)
OF_TENANT = dataclasses.replace(ONE, connections=None, tenant="acme")
OF_ALL = dataclasses.replace(ONE, connections=None)


@pytest.mark.parametrize(
    ("caller", "connection", "tenant", "reached"),
    [
        (ONE, "a", "acme", True),
        (ONE, "b", "acme", False),
        (OF_TENANT, "b", "acme", True),
        (OF_TENANT, "b", "beta", False),
        (OF_TENANT, "default", None, False),
        (OF_ALL, "b", "beta", True),
        (OF_ALL, "default", None, True),
    ],
)
def test_a_credential_reaches_its_connections_or_those_of_its_tenant(
    caller: Caller, connection: str, tenant: str | None, *, reached: bool
) -> None:
    assert caller.reaches(connection, tenant) is reached


def test_connections_that_are_named_count_also_beside_a_tenant() -> None:
    assert not dataclasses.replace(OF_TENANT, connections=frozenset[str]()).reaches("b", "acme")


def test_what_a_credential_may_not_be_used_for_is_named() -> None:
    assert ONE.lacks({"directory.read", "directory.write"}) == {"directory.write"}
    assert not ONE.lacks({"directory.read"})


@pytest.mark.parametrize("member", ["client_id", "issuer", "subject"])
def test_no_two_principals_have_one_name(member: str) -> None:
    different: dict[str, Any] = {member: "another"}
    other = dataclasses.replace(ONE, **different)
    assert other.principal != ONE.principal
