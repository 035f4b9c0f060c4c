"""What PingOne says of its limits, and which requests share one."""

from __future__ import annotations

import pytest

from pingone_mcp.pingone.api.upstream import PINGONE, group_of

ENVIRONMENT = "/v1/environments/3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


@pytest.mark.parametrize(
    ("path", "group"),
    [
        (f"{ENVIRONMENT}/users", "directory"),
        (f"{ENVIRONMENT}/users/1/memberOfGroups", "directory"),
        (f"{ENVIRONMENT}/groups", "directory"),
        (f"{ENVIRONMENT}/activities", "audit"),
        (f"{ENVIRONMENT}/populations", "configuration"),
        (ENVIRONMENT, "configuration"),
        ("/v1/environments", "configuration"),
        ("/v1/roles", "configuration"),
    ],
)
def test_every_path_has_its_rate_group(path: str, group: str) -> None:
    assert group_of(path) == group
    assert group in PINGONE.rates
