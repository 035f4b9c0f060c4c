"""The body of a list is read as bytes, and says what the same JSON says; each body is read once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.directory.text import json_text
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone.api.answers import is_cut_short, list_of
from pingone_mcp.pingone.api.hal import HalPage, ListBody, list_body

ODD = [*map(json.dumps, [None, True, 7, -1, 1.5, "x", "ü", "\ud800", [], {}, [[]], [{}], {"href": None}, {"href": 7}])]
ODD += ["1" * 30, "1e999", "NaN", "[" * 2_000 + "]" * 2_000, '{"id":"u1"}', '"\\x"', '"\t"', "01", "[1,]", "\ud800"]
VALUES = st.sampled_from(ODD)


def body(*, items: str = "[]", links: str = "{}", count: str = "0", key: str = "users", rest: str = "") -> str:
    return f'{{"_embedded":{{"{key}":{items}}},"_links":{links},"count":{count},"size":1{rest}}}'


BODIES = (
    st.builds(
        body,
        items=st.lists(VALUES, max_size=3).map(lambda items: f"[{','.join(items)}]") | VALUES,
        links=VALUES.map(lambda value: f'{{"self":1,"next":{value}}}') | VALUES,
        count=VALUES,
        key=st.sampled_from(["users", "user", "groups"]),
        rest=VALUES.map(lambda value: f',"_embedded":{value}')
        | VALUES.map(lambda value: f',"x":{value}')
        | st.just(""),
    )
    | VALUES
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32-be"])


def said(content: bytes, key: str) -> tuple[Any, Any, Any] | type[Exception] | None:
    """Return items, link and count of a list as the JSON of the whole body has them."""
    try:
        whole = json_text.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as broken:
        return type(broken)
    except ValueError:
        return ValueError
    if not isinstance(whole, dict):
        return None
    embedded, links, count = whole.get("_embedded"), whole.get("_links"), whole.get("count")
    items = embedded.get(key) if isinstance(embedded, dict) else None
    following = links.get("next") if isinstance(links, dict) else None
    href = following.get("href", following) if isinstance(following, dict) else following
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**12
    objects = [item if isinstance(item, dict) else {} for item in items] if isinstance(items, list) else None
    return objects, href, count if is_count else None


def read(content: bytes, key: str) -> tuple[Any, Any, Any] | type[Exception] | None:
    try:
        found = list_body(content, key)
    except (json.JSONDecodeError, UnicodeDecodeError) as broken:
        return type(broken)
    except ValueError:
        return ValueError
    if found is None:
        return None
    items = None if found.items is None else list(HalPage(raws=found.items, next=None, count=None).items)
    return items, found.href, found.total


@given(BODIES, ENCODINGS, st.none() | st.integers(0, 120))
@example(body(items='["\xff"]'), "latin-1", None)
@example(body(items='[{"id":"' + "x" * 30 + '"}]'), "utf-8", 40)
def test_the_body_of_a_list_says_what_its_json_says(text: str, encoding: str, end: int | None) -> None:
    content = text.encode(encoding, "surrogatepass")[:end]
    assert read(content, "users") == said(content, "users")


def test_a_body_is_read_once_and_its_items_when_they_are_looked_at() -> None:
    reads: list[bytes] = []

    def reading(content: bytes) -> ListBody | None:
        reads.append(content)
        return list_body(content, "users")

    content = body(items='[{"id":"u1"},7]', count="9").encode()
    answer = httpx.Response(200, content=content, headers={"content-type": "application/hal+json"})
    assert not is_cut_short(answer, reading)
    found = list_of(answer, "users")
    assert reads == [content]
    assert found.items is not None
    page = HalPage(raws=found.items, next=None, count=found.total)
    assert (page.items, page.count) == (({"id": "u1"}, {}), 9)
    assert page.items is page.items


@pytest.mark.parametrize("content", [b"7", b"null", b"[]", b"", b"{", b"NaN"])
def test_what_is_no_object_is_no_list(content: bytes) -> None:
    answer = httpx.Response(200, content=content, request=httpx.Request("GET", "https://api.pingone.eu/v1/x"))
    with pytest.raises(UnexpectedAnswer, match="not the JSON that it should be"):
        list_of(answer, "users")
