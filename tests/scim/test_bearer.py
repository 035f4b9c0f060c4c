"""A token of a SCIM server goes to that server only, and what comes back is JSON or nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pingone_mcp.errors import Refused
from pingone_mcp.scim.bearer import bearer_get

BASE = "https://scim.example.com:8443/v2"


@dataclass
class Raw:
    body: bytes = b"{}"
    status: int = 200
    retry_after: float | None = 3.0
    date: float | None = 4.0


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.com:8443/v2/Users",
        "https://scim.example.com/v2/Users",
        "http://scim.example.com:8443/v2/Users",
        "https://scim.example.com:8443@evil.example.com/Users",
    ],
)
async def test_a_token_goes_to_no_other_server(url: str) -> None:
    sent: list[str] = []

    async def fetch(url: str, query: str, headers: dict[str, str]) -> Raw:
        sent.append(url)
        return Raw()

    with pytest.raises(Refused, match="for another server"):
        await bearer_get(fetch, BASE, "secret")(url, {})
    assert sent == []


async def test_a_cursor_of_any_characters_arrives_as_it_was_given() -> None:
    sent: list[tuple[str, str, str | None]] = []

    async def fetch(url: str, query: str, headers: dict[str, str]) -> Raw:
        sent.append((url, query, headers.get("Authorization")))
        return Raw(b'{"a":1}')

    answer = await bearer_get(fetch, BASE, "secret")(f"{BASE}/Users", {"cursor": "+=/: &%é", "count": "1"})
    assert sent == [(f"{BASE}/Users", "cursor=%2B%3D%2F%3A%20%26%25%C3%A9&count=1", "Bearer secret")]
    assert (answer.status, answer.document, answer.size) == (200, {"a": 1}, 7)
    assert (answer.retry_after, answer.date) == (3.0, 4.0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'"\\ud800"', b"\xff", b"[" * 200_000])
async def test_what_is_no_json_is_no_document(body: bytes) -> None:
    async def fetch(url: str, query: str, headers: dict[str, str]) -> Raw:
        return Raw(body)

    assert (await bearer_get(fetch, BASE, None)(f"{BASE}/Users", {})).document is None


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünicode"])
def test_what_is_no_token_is_refused_before_anything_is_sent(token: str) -> None:
    async def fetch(url: str, query: str, headers: dict[str, str]) -> Raw:
        raise AssertionError

    with pytest.raises(Refused, match="characters that no token has") as refusal:
        bearer_get(fetch, BASE, token)
    assert not token or token not in str(refusal.value)
