"""A `next` link is followed letter by letter, below the API and the place that it came from, or not at all."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.http.links import next_link
from pingone_mcp.pingone.api.upstream import PINGONE
from tests.hostile import pieces_of_paths

BASE = "https://api.pingone.com/v1"
HOME = "11111111-1111-4111-8111-aaaaaaaaaaaa"
OTHER = "22222222-2222-4222-8222-bbbbbbbbbbbb"
USERS = f"{BASE}/environments/{HOME}/users"
PIECES = pieces_of_paths(HOME, OTHER)


@pytest.mark.parametrize(
    "query", ["?cursor=abc", "?limit=5&cursor=A%2F..%2F%3D&filter=a%20eq%20%22%40%22", "", "?x=.././"]
)
def test_a_next_link_keeps_its_letters(query: str) -> None:
    assert next_link(PINGONE, USERS + query, BASE, f"/environments/{HOME}/") == f"/environments/{HOME}/users{query}"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#\\")))
def test_any_cursor_is_kept_as_it_came(cursor: str) -> None:
    assert (
        next_link(PINGONE, f"{USERS}?cursor={cursor}", BASE, f"/environments/{HOME}/")
        == f"/environments/{HOME}/users?cursor={cursor}"
    )


FOREIGN: list[object] = [
    None,
    7,
    {"href": USERS},
    "",
    f"/environments/{HOME}/users",
    USERS.replace("https", "http"),
    USERS.replace("api.pingone.com", "api.pingone.com.evil.test"),
    USERS.replace("api.pingone.com", "evil.test"),
    USERS.replace("api.pingone.com", "api.pingone.com@evil.test"),
    USERS.replace("api.pingone.com", "user:pass@api.pingone.com"),
    USERS.replace("api.pingone.com", "api.pingone.com:444"),
    USERS.replace("api.pingone.com", "api.pingone.com:443"),
    USERS.replace("api.pingone.com", "API.PINGONE.COM"),
    USERS.replace("/v1/", "/v2/"),
    USERS.replace(HOME, OTHER),
    f"{BASE}/environments/{HOME}",
    f"{BASE}/environments/{HOME}x/users",
    f"{BASE}/environments/{HOME}/../{OTHER}/users",
    f"{BASE}/environments/{HOME}/%2e%2e/{OTHER}/users",
    f"{BASE}/environments/{HOME}/%252e%252e/{OTHER}/users",
    f"{BASE}/environments/{HOME}/%25252e%25252e/{OTHER}/users",
    f"{BASE}/environments/{HOME}/%2e%2e%2f{OTHER}/users",
    f"{BASE}/environments/{HOME}/..;/{OTHER}/users",
    f"{BASE}/environments/{HOME}/..\\{OTHER}/users",
    f"{BASE}/environments/{HOME}/..%5c{OTHER}/users",
    f"{BASE}/environments/{HOME}/\uff0e\uff0e/{OTHER}/users",
    f"{USERS}#fragment",
    f"{USERS}?x=1#fragment",
    f"{USERS}?x=1\r\nHost: evil.test",
    f"{USERS}?x=\x00",
    f"{USERS}?x={'y' * 30_000}",
    f" {USERS}",
]


@pytest.mark.parametrize("href", FOREIGN)
def test_a_next_link_to_anywhere_else_is_not_followed(href: object) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        next_link(PINGONE, href, BASE, f"/environments/{HOME}/")
    assert caught.value.code == "FOREIGN_LINK"
    assert "evil" not in str(caught.value)


@given(PIECES)
def test_a_followed_link_stays_in_its_environment_in_every_reading(rest: str) -> None:
    href = f"{BASE}/environments/{HOME}/{rest}"
    try:
        path = next_link(PINGONE, href, BASE, f"/environments/{HOME}/")
    except UnexpectedAnswer:
        return
    assert BASE + path == href
    sent = httpx.URL(BASE + path)
    assert (sent.scheme, sent.host, sent.port) == ("https", "api.pingone.com", None)
    assert sent.path.startswith(f"/v1/environments/{HOME}/")
    assert ".." not in sent.path.split("/")
    assert urlsplit(href).hostname == "api.pingone.com"


def test_a_link_of_no_environment_stays_below_the_base() -> None:
    assert next_link(PINGONE, f"{BASE}/environments?cursor=1", BASE, "/") == "/environments?cursor=1"
    with pytest.raises(UnexpectedAnswer):
        next_link(PINGONE, "https://api.pingone.com/v10/environments", BASE, "/")


def test_an_environment_id_may_come_back_in_another_case() -> None:
    environment = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
    href = f"https://api.pingone.eu/v1/environments/{environment}/users?cursor=x"
    assert (
        next_link(PINGONE, href, "https://api.pingone.eu/v1", f"/environments/{environment.upper()}/")
        == f"/environments/{environment}/users?cursor=x"
    )
