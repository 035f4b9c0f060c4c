"""What PingOne says of itself: its limits, and how large its answers are."""

from __future__ import annotations

import re
from types import MappingProxyType

from pingone_mcp.advice import setting
from pingone_mcp.http.upstream import Rate, Upstream

_KIB = 1024
TOKEN = 64 * _KIB
"""Bytes: an access token may have 16 KiB (`auth`); those of PingOne have 1 to 2."""
SINGLE = 2 * 1024 * _KIB
"""Bytes: one user with all custom attributes has some tens of KiB."""
PAGE = 8 * 1024 * _KIB
"""Bytes: 1,000 users, the most there are in a page (PingOne, "Read all users"), of 8 KiB each; a common one has 1 to 2.

What else is as large is asked for through the proxy: a flow of DaVinci has some hundreds of KiB.
"""
_AREA = re.compile(r"/environments/[^/]+/([^/?]+)")


def group_of(path: str) -> str:
    """Return the rate group of a path, by its nature: which paths PingOne counts in which group is not public."""
    found = _AREA.search(path)
    match found and found[1]:
        case "users" | "groups":
            return "directory"
        case "activities":
            return "audit"
        case _:
            return "configuration"


PINGONE = Upstream(
    name="PingOne",
    place=setting("region"),
    urls=(setting("api_url"), setting("auth_url")),
    domain=setting("custom_domain"),
    largest=SINGLE,
    longest_link=12_000,  # twice what is allowed for request headers, the URL among them (PingOne, "Platform limits")
    # PingOne, "Base rate limits". The numbers of the directory groups are not public.
    rates=MappingProxyType(
        {
            "directory": None,
            "audit": Rate(requests=10, seconds=1.0),
            "configuration": Rate(requests=600, seconds=60.0),
        }
    ),
    group_of=group_of,
)
