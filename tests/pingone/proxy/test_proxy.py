"""What the proxy sends is what it was given, and whatever PingOne answers is read as what it is."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pingone_mcp.directory.gaps import ShortNativeList
from pingone_mcp.directory.native import ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.errors import Refused, UnexpectedAnswer
from pingone_mcp.pingone.proxy.redaction import REDACTED
from tests.depth import tries
from tests.pingone.recorder import Recorder
from tests.world import World

THING = "22222222-2222-4222-8222-bbbbbbbbbbbb"
SELF = {"self": {"href": "https://api.example.com/x"}}


def below(world: World, rest: str) -> str:
    return f"/environments/{world.sandbox.environment_id}/{rest}"


async def ask(world: World, recorder: Recorder, rest: str = "things", **question: Any) -> ProxyAnswer:
    async with world.directory(transport=recorder, allow_writes=True) as directory:
        return await directory.native.send(ProxyQuestion(path=below(world, rest), **{"method": "GET", **question}))


async def answered(world: World, body: Any, kind: str = "application/json", status: int = 200) -> ProxyAnswer:
    return await ask(world, Recorder(world, body, kind=kind, status=status))


# Requests


@pytest.mark.parametrize(
    "value",
    ["a+b", "a&b=c", "100%", "%2B", "Zoë 李 🙂", 'name.family sw "O\'Hara"', "", " ", "#;/?:@", "x" * 1_000, "a\nb"],
)
async def test_a_query_value_arrives_exactly_as_it_was_given(world: World, value: str) -> None:
    recorder = Recorder(world, {})
    await ask(world, recorder, query={"filter": value, "limit": "5"})
    (sent,) = recorder.requests
    assert parse_qsl(sent.url.query.decode(), keep_blank_values=True) == [("filter", value), ("limit", "5")]
    assert b"+" not in sent.url.query


@tries(30, HealthCheck.function_scoped_fixture)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12) | st.lists(st.text(max_size=8)), max_size=4)
)
async def test_any_query_arrives_exactly_as_it_was_given(world: World, query: dict[str, str | list[str]]) -> None:
    recorder = Recorder(world, {})
    given_pairs = [(name, one) for name, some in query.items() for one in ([some] if isinstance(some, str) else some)]
    await ask(world, recorder, query=query)
    assert parse_qsl(recorder.requests[0].url.query.decode(), keep_blank_values=True) == given_pairs


async def test_a_list_is_sent_as_one_name_several_times(world: World) -> None:
    recorder = Recorder(world, {})
    await ask(world, recorder, query={"include": ["a", "b"]})
    assert recorder.requests[0].url.query == b"include=a&include=b"


async def test_a_query_in_the_path_is_sent_too_and_the_argument_wins(world: World) -> None:
    recorder = Recorder(world, {})
    rest = 'things?limit=5&expand=&filter=name eq "Zoë%26Co"&filter=x'
    await ask(world, recorder, rest, query={"limit": "7"})
    assert parse_qsl(recorder.requests[0].url.query.decode(), keep_blank_values=True) == [
        ("limit", "7"),
        ("expand", ""),
        ("filter", 'name eq "Zoë&Co"'),
        ("filter", "x"),
    ]


@pytest.mark.parametrize(
    ("rest", "query"),
    [
        ("things?x=1#y", {}),
        ("things?x=%ff", {}),
        ("things", {"x": "\ud800"}),
        ("things", {"x": "y" * 6_000}),
        ("things", {"x": "ü" * 1_500}),
    ],
)
async def test_a_query_that_cannot_be_sent_is_refused(world: World, rest: str, query: dict[str, str]) -> None:
    recorder = Recorder(world, {})
    with pytest.raises(Refused) as caught:
        await ask(world, recorder, rest, query=query)
    assert caught.value.code == "QUERY_REFUSED"
    assert recorder.requests == []


async def test_a_body_is_sent_as_json_under_the_media_type_asked_for(world: World) -> None:
    recorder = Recorder(world, {})
    kind = "application/vnd.pingidentity.account.lock+json"
    await ask(world, recorder, f"users/{THING}", method="POST", body={"unlockAt": "ü"}, content_type=kind)
    await ask(world, recorder, f"users/{THING}/enabled", method="PUT", body={"enabled": False})
    await ask(world, recorder, f"users/{THING}", method="POST", content_type="application/vnd.x+json")
    await ask(world, recorder, f"users/{THING}", method="DELETE")
    first, second, third, fourth = recorder.requests
    assert (first.headers["content-type"], first.content) == (kind, '{"unlockAt": "ü"}'.encode())
    assert (second.headers["content-type"], json.loads(second.content)) == ("application/json", {"enabled": False})
    assert (third.headers["content-type"], third.content) == ("application/vnd.x+json", b"")
    assert (fourth.method, fourth.content) == ("DELETE", b"")
    assert "content-type" not in fourth.headers


@pytest.mark.parametrize(
    ("body", "kind"), [(float("nan"), None), ("\ud800", None), ({}, "a/b\r\nX-Evil: 1"), ({}, "a/ü")]
)
async def test_a_body_that_cannot_be_sent_is_refused(world: World, body: Any, kind: str | None) -> None:
    recorder = Recorder(world, {})
    with pytest.raises(Refused):
        await ask(world, recorder, method="POST", body=body, content_type=kind)
    assert recorder.requests == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/vnd.pingidentity.user+json ; charset="utf-8"',
        "APPLICATION/JSON",
    ],
)
async def test_json_in_utf_8_may_be_called_what_it_is(world: World, kind: str) -> None:
    recorder = Recorder(world, {})
    await ask(world, recorder, method="POST", body={"a": "ü"}, content_type=kind)
    (sent,) = recorder.requests
    assert (sent.headers["content-type"], sent.content) == (kind, '{"a": "ü"}'.encode())


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-16",
        "application/json;charset=latin1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; charset=utf-16; charset=utf-8",
        "application/json; charset*=utf-8''utf-16",
        'application/json; charset="utf-16',
        "application/json; charset=utf-8x",
        "application/json; charset = utf-8",
        "application/json; q=1",
        "application/json;",
        "application/json, text/plain",
        "application/json text/plain",
        "application/xjson",
        "application/+json/x",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; charset=utf-8",
        "application/\uff4ason",
        "json",
        "/json",
        " application/json",
        "application/json\n",
    ],
)
async def test_json_in_utf_8_is_not_called_anything_else(world: World, kind: str) -> None:
    recorder = Recorder(world, {})
    with pytest.raises(Refused) as caught:
        await ask(world, recorder, method="POST", body={}, content_type=kind)
    assert caught.value.code == "MEDIA_TYPE_REFUSED"
    assert "UTF-8" in str(caught.value)
    assert recorder.requests == []


# Answers


@pytest.mark.parametrize(
    "body",
    [
        {"_links": SELF, "_embedded": {"things": [{"id": "a", "_links": SELF}]}, "count": 1, "size": 1},
        {"_embedded": {"things": [{"id": "a"}]}, "size": 1},
        [{"id": "a"}],
        {"_links": None, "_embedded": {"things": [{"id": "a"}]}},
    ],
)
async def test_a_list_is_answered_as_its_items(world: World, body: Any) -> None:
    answer = await answered(world, body)
    assert answer.page is not None
    assert answer.page.items == ({"id": "a"},)
    assert answer.page.next is None
    assert answer.page.total == (body.get("count") if isinstance(body, dict) else None)
    assert answer.body is None


@pytest.mark.parametrize(
    "body", [{"_embedded": {"things": []}, "count": 0}, {"_embedded": {}}, {"_links": SELF, "count": 0, "size": 0}]
)
async def test_an_empty_list_is_a_list(world: World, body: Any) -> None:
    answer = await answered(world, body)
    assert answer.page is not None
    assert (answer.page.items, answer.body) == ((), None)


async def test_a_list_that_counts_more_than_came_is_asked_for_twice_and_then_told(world: World) -> None:
    body = {"_embedded": {"things": [{"id": "a"}]}, "count": 9, "size": 1}
    recorder = Recorder(world, body)
    answer = await ask(world, recorder, "things")
    assert answer.page is not None
    assert (len(recorder.requests), answer.page.total) == (2, None)
    assert answer.page.gaps == (ShortNativeList(counted=9, came=1),)
    days = await ask(world, Recorder(world, body), "totalIdentities")
    assert days.page is not None
    assert (days.page.total, days.page.gaps) == (9, ())


async def test_what_stands_around_a_list_is_kept(world: World) -> None:
    answer = await answered(world, {"_embedded": {"things": [{"id": "a"}]}, "size": 1, "sampling": "DAY"})
    assert answer.page is not None
    assert answer.body == {"sampling": "DAY"}


async def test_a_page_of_several_lists_is_kept_whole_and_goes_on(world: World) -> None:
    following = f"{world.connection().api_base}{below(world, 'things?cursor=x')}"
    body = {"_links": {"next": {"href": following}}, "_embedded": {"a": [{"id": "1"}], "b": [{"id": "2"}]}}
    answer = await answered(world, body)
    assert answer.body == body
    assert answer.page is not None
    assert (answer.page.items, (answer.page.next or Position()).after) == ((), below(world, "things?cursor=x"))


@pytest.mark.parametrize(
    "body",
    [
        {"id": "a", "_embedded": {"things": [{"id": "b"}]}},
        {"_links": SELF, "enabled": True},
        {"_embedded": {"a": [], "b": []}},
        {"_embedded": {"things": [1, 2]}},
        {},
        [],
        [1, "two", None],
        "text",
        7,
        True,
        None,
    ],
)
async def test_anything_else_is_a_body_as_it_came(world: World, body: Any) -> None:
    answer = await answered(world, json.dumps(body).encode())
    assert answer.page is None
    assert answer.body == body
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    "kind",
    ["application/hal+json;charset=UTF-8", "application/vnd.pingidentity.user+json", "text/json", "APPLICATION/JSON"],
)
async def test_vendor_types_of_json_are_json(world: World, kind: str) -> None:
    assert (await answered(world, {"a": 1}, kind)).body == {"a": 1}


@pytest.mark.parametrize(
    "kind", ["text/csv", "text/plain; charset=utf-8", "application/x-pem-file", "application/a+xml"]
)
async def test_text_is_answered_with_its_media_type(world: World, kind: str) -> None:
    answer = await answered(world, "a,b\nü,1".encode(), kind)
    assert (answer.body, answer.content_type) == ("a,b\nü,1", kind.partition(";")[0])


@pytest.mark.parametrize(
    ("charset", "content"),
    [
        ("ISO-8859-1", b"a,b\n\xfc,1"),
        ('"utf-16"', "a,b\nü,1".encode("utf-16")),
        ("utf-16le", "a,b\nü,1".encode("utf-16-le")),
        ("no-such", "a,b\nü,1".encode()),
        ("idna", "a,b\nü,1".encode()),
        ("unicode_escape", "a,b\nü,1".encode()),
    ],
)
async def test_a_text_is_read_as_it_says_it_is_written(world: World, charset: str, content: bytes) -> None:
    assert (await answered(world, content, f"text/csv; charset={charset}")).body == "a,b\nü,1"


@pytest.mark.parametrize("charset", ["zlib", "bz2", "rot13", "punycode"])
async def test_what_only_python_calls_a_charset_is_not_applied(world: World, charset: str) -> None:
    """One unpacks a thousand times as much, another takes the square of the length."""
    answer = await answered(world, b"-" + b"a9" * 1_000_000, f"text/plain; charset={charset}")
    assert answer.body == "-" + "a9" * 1_000_000


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png", "application/pkcs10", "application/zip", ""])
async def test_anything_that_is_no_text_is_not_shown(world: World, kind: str) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        await answered(world, b"\x89PNG hunter2", kind)
    assert caught.value.code == "BINARY_BODY"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204, 304])
async def test_an_empty_answer_is_its_status(world: World, status: int) -> None:
    answer = await answered(world, b"", status=status)
    assert (answer.status, answer.page, answer.body, answer.content_type) == (status, None, None, None)
    assert answer.correlation_id


async def test_head_is_answered_without_a_body(world: World) -> None:
    recorder = Recorder(world, {"a": 1})
    answer = await ask(world, recorder, method="HEAD")
    assert recorder.requests[0].method == "HEAD"
    assert (answer.status, answer.body, answer.content_type) == (200, None, None)


@pytest.mark.parametrize("levels", [10_000, 1_000_000])
@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_what_is_nested_beyond_reading_is_one_sentence(
    world: World, levels: int, start: bytes, end: bytes
) -> None:
    body = start * levels + (b"" if start == b"[" else b"1") + end * levels
    try:
        cut, said = (await answered(world, body)).cut, "nested"  # a Python that reads even that
    except UnexpectedAnswer as problem:
        cut, said = problem.code == "UNREADABLE_ANSWER", str(problem)
    assert cut
    assert "nested" in said


@pytest.mark.parametrize("levels", [66, 400])
async def test_what_is_nested_deeply_is_cut(world: World, levels: int) -> None:
    shown = await answered(world, b"[" * 64 + b"7" + b"]" * 64)
    assert (shown.cut, json.dumps(shown.body).count("[")) == (False, 64)
    answer = await answered(world, b'{"a":' * levels + b"1" + b"}" * levels)
    assert answer.cut
    text = json.dumps(answer.body)
    assert text.count("{") == 64
    assert "nested deeper than 64 levels" in text


@pytest.mark.parametrize("body", [b"{", b'{"a":NaN}', b"[Infinity]", b"\xff\xfe\x00"])
async def test_what_is_no_json_is_one_sentence(world: World, body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        await answered(world, body)
    assert caught.value.code == "UNREADABLE_ANSWER"


async def test_a_number_that_cannot_be_held_stays_readable(world: World) -> None:
    answer = await answered(world, b'{"a":1e999,"b":1.5,"c":12345678901234567890}')
    assert answer.body == {"a": "1e999", "b": 1.5, "c": "12345678901234567890"}
    assert (await answered(world, b"1" * 5_000)).body == "1" * 5_000


# Fences around answers and cursors


async def test_a_next_page_leads_to_what_may_be_read(world: World) -> None:
    base = world.connection().api_base
    population = world.sandbox.environment_id
    for href in (
        f"{base}{below(world, 'users?cursor=x')}",
        f"{base}/environments/{THING}/populations?cursor=x",
        "https://evil.example.net/v1/environments",
    ):
        recorder = Recorder(world, {"_links": {"next": {"href": href}}, "_embedded": {"things": []}})
        async with world.directory(transport=recorder, populations=(population,)) as directory:
            with pytest.raises((Refused, UnexpectedAnswer)):
                await directory.native.send(
                    ProxyQuestion(method="GET", path=below(world, f"populations/{population}/defaultIdentityProvider"))
                )


async def test_pages_outside_environments_go_on(world: World) -> None:
    path = f"/organizations/{THING}/licenses"
    href = f"{world.connection().api_base}{path}?cursor=x"
    recorder = Recorder(world, {"_links": {"next": {"href": href}}, "_embedded": {"licenses": [{"id": "a"}]}})
    async with world.directory(transport=recorder) as directory:
        answer = await directory.native.send(ProxyQuestion(method="GET", path=path))
    assert answer.page is not None
    assert (answer.page.next or Position()).after == f"{path}?cursor=x"


async def test_a_position_outside_the_fence_is_refused(world: World) -> None:
    recorder = Recorder(world, {})
    async with world.directory(transport=recorder) as directory:
        with pytest.raises(Refused):
            await directory.native.send(
                ProxyQuestion(method="GET", path=below(world, "users")),
                Position(after=f"/environments/{THING}/users?cursor=x"),
            )
    assert recorder.requests == []


# Secrets


async def test_secrets_known_by_their_place_are_blanked(world: World) -> None:
    pairing = await ask(world, Recorder(world, {"id": "k", "code": "123456"}), f"users/{THING}/pairingKeys/{THING}")
    push = await ask(world, Recorder(world, {"id": "p", "key": "AAAA"}), f"applications/{THING}/pushCredentials")
    other = await ask(world, Recorder(world, {"id": "c", "code": "en", "key": "shown"}), "languages")
    assert pairing.body == {"id": "k", "code": REDACTED}
    assert push.body == {"id": "p", "key": REDACTED}
    assert other.body == {"id": "c", "code": "en", "key": "shown"}


async def test_private_keys_in_texts_are_blanked(world: World) -> None:
    pem = "-----BEGIN EC PRIVATE KEY-----\nMIIhunter2\n-----END EC PRIVATE KEY-----"
    answer = await answered(world, f"public\n{pem}\nmore".encode(), "application/x-pem-file")
    assert answer.body == f"public\n{REDACTED}\nmore"
