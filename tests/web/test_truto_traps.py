"""What SDKs of Truto's contract stumble over, each against the whole HTTP face."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.faces import HOST, WholeFace, whole_face

USERS = "/unified/user-directory/users"
LISTS = (
    USERS,
    "/unified/user-directory/groups",
    "/proxy/users",
    "/integrated-account",
    "/sync-job-run",
    "/webhook",
    "/schedule",
)

THINGS = (
    "/integrated-account",
    "/webhook",
    "/sync-job-run",
    USERS,
    "/unified/user-directory/groups",
    "/unified/user-directory/roles",
)
PLACES = ("metrics", USERS[1:], "proxy/users", "integrated-account", "c/{acme}/mcp", "mcp", "webhook")


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[WholeFace]:
    async with whole_face(tmp_path) as opened:
        yield opened


async def body_of(face: WholeFace, target: str, status: int = 200) -> Any:
    heard = await face.ask("GET", target)
    assert heard.status == status, heard.text
    assert heard.header("content-type") == "application/json"
    return json.loads(heard.body)


@pytest.mark.parametrize("filters", ["", "&status=inactive", "&username=nobody", "&status=invited"])
async def test_trap_1_no_page_is_empty_while_there_is_a_next_one(face: WholeFace, filters: str) -> None:
    cursor = ""
    while cursor is not None:
        page = await body_of(face, f"{USERS}?limit=7{filters}&next_cursor={cursor}")
        assert page["result"] or page["next_cursor"] is None
        cursor = page["next_cursor"]


@pytest.mark.parametrize("path", LISTS)
async def test_trap_2_an_empty_cursor_is_none(face: WholeFace, path: str) -> None:
    first, again = await body_of(face, path), await body_of(face, f"{path}?next_cursor=")
    assert {**first, "next_cursor": ""} == {**again, "next_cursor": ""}


@pytest.mark.parametrize("path", [USERS, "/proxy/users", "/unified/user-directory/roles"])
async def test_trap_3_no_cursor_comes_twice_and_the_last_is_null(face: WholeFace, path: str) -> None:
    seen: list[str] = []
    ids: list[str] = []
    while True:
        page = await body_of(face, f"{path}?limit=9&next_cursor={seen[-1] if seen else ''}")
        ids += [row["id"] for row in page["result"]]
        if page["next_cursor"] is None:
            break
        seen.append(page["next_cursor"])
    assert len(set(seen)) == len(seen)
    assert len(set(ids)) == len(ids) == page["total"]


async def test_trap_4_a_cursor_that_is_sent_again_goes_on_in_the_same_place_or_is_refused(face: WholeFace) -> None:
    first = await body_of(face, f"{USERS}?limit=9")
    second, again = [await body_of(face, f"{USERS}?limit=9&next_cursor={first['next_cursor']}") for _ in range(2)]
    assert second["result"] == again["result"] != first["result"]
    other = await body_of(face, f"{USERS}?limit=9&status=active&next_cursor={first['next_cursor']}", 400)
    assert other["code"] == "FOREIGN_CURSOR"


async def test_trap_5_rows_by_key_are_an_object(face: WholeFace) -> None:
    keyed = await body_of(face, f"{USERS}?limit=3&truto_key_by=id")
    assert [row["id"] for row in keyed["result"].values()] == [*keyed["result"]]
    assert len(keyed["result"]) == keyed["result_count"] == 3


async def test_trap_7_a_pause_is_asked_for_in_whole_seconds(face: WholeFace) -> None:
    heard = [await face.ask("GET", "/ping") for _ in range(2)]
    assert {one.status for one in heard} == {200}
    async with face.client() as client:
        answers = [
            await client.get(USERS, params={"limit": 1, "integrated_account_id": face.acme.id}) for _ in range(55)
        ]
    refused = [one for one in answers if one.status_code == 429]
    assert len(refused) == 5
    assert {one.headers["retry-after"] for one in refused} == {"10"}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PUT"])
async def test_trap_8_every_answer_is_json(face: WholeFace, method: str) -> None:
    for path in ("/nowhere", "/webhook/nobody", f"{USERS}/nobody", "/integrated-account/nobody"):
        heard = await face.ask(method, path, ("Content-Type", "application/json"), body=b"{}")
        assert heard.header("content-type") == "application/json"
        assert json.loads(heard.body)["statusCode"] == heard.status


@pytest.mark.parametrize("path", THINGS)
async def test_trap_9_an_encoded_slash_is_a_part_of_an_id_that_there_is_not(face: WholeFace, path: str) -> None:
    missing = await face.ask("GET", f"{path}/nobody")
    assert missing.status == 404
    for written in ("a%2Fb", "..%2F..%2Fping", "%2F%2Fping", "x%2F..%2Fme", "%2e%2e%2f", "a%252Fb"):
        heard = await face.ask("GET", f"{path}/{written}")
        assert (heard.status, json.loads(heard.body)["message"]) == (404, json.loads(missing.body)["message"])


async def test_trap_9_an_encoded_slash_leads_no_write_to_another_route(face: WholeFace) -> None:
    webhook = await face.ask("DELETE", f"/webhook/x%2F..%2F..%2Fintegrated-account%2F{face.acme.id}")
    assert webhook.status == 404
    proxied = await face.ask("DELETE", f"/proxy/users/x%2F..%2F..%2F..%2F..%2Fintegrated-account%2F{face.acme.id}")
    assert proxied.status in (400, 403, 404)
    assert (await body_of(face, f"/integrated-account/{face.acme.id}"))["status"] == "active"


async def test_trap_9_a_name_with_slashes_still_finds_who_has_it(face: WholeFace) -> None:
    user, name = face.estate.company("acme").sandbox.state().user(3)["id"], "https://idp.example.com//people/3"
    content = json.dumps({"externalId": name}).encode()
    written = await face.ask("PATCH", f"/proxy/users/{user}", ("Content-Type", "application/json"), body=content)
    assert written.status == 200
    assert (await body_of(face, f"{USERS}/{quote(name, safe='')}"))["id"] == user


@pytest.mark.parametrize(
    ("several", "one"),
    [
        ("//ping", "/ping"),
        ("/proxy//users", "/proxy/users"),
        ("//proxy///users", "/proxy/users"),
        ("//unified/user-directory//users", USERS),
        ("/unified//user-directory/groups", "/unified/user-directory/groups"),
        ("//integrated-account", "/integrated-account"),
        ("//openapi.json", "/openapi.json"),
        ("//healthz", "/healthz"),
    ],
)
async def test_trap_11_several_slashes_are_one(face: WholeFace, several: str, one: str) -> None:
    twice, once = await face.ask("GET", several), await face.ask("GET", one)
    assert (twice.status, _told(twice.body)) == (once.status, _told(once.body))
    assert once.status == 200


async def test_trap_11_a_body_that_is_sent_to_several_slashes_arrives(face: WholeFace) -> None:
    content = json.dumps({"id": face.acme.id}).encode()
    heard = await face.ask(
        "POST", "//integrated-account/refresh-credentials", ("Content-Type", "application/json"), body=content
    )
    assert (heard.status, json.loads(heard.body)) == (200, {"success": True})


async def test_trap_11_a_body_that_fetch_calls_text_is_read_as_json(face: WholeFace) -> None:
    """So the SDK for TypeScript sends it where it joins paths without a slash of its own."""
    text = ("Content-Type", "text/plain;charset=UTF-8")
    content = json.dumps({"id": face.acme.id}).encode()
    heard = await face.ask("POST", "//integrated-account/refresh-credentials", text, body=content)
    assert (heard.status, json.loads(heard.body)) == (200, {"success": True})
    for body, kind in ((b"id=1", text), (content, ("Content-Type", "application/x-www-form-urlencoded"))):
        heard = await face.ask("POST", "/integrated-account/refresh-credentials", kind, body=body)
        assert heard.status in (400, 415)
    user = face.estate.company("acme").sandbox.state().user(3)["id"]
    written = await face.ask("PATCH", f"/proxy/users/{user}", text, body=b'{"title": "Tester"}')
    assert (written.status, json.loads(written.body)["title"]) == (200, "Tester")


@pytest.mark.parametrize("slashes", ["//", "////////"])
async def test_trap_11_several_slashes_open_nothing(face: WholeFace, slashes: str) -> None:
    syncs = await face.new_key("directory.sync", connections=[face.acme.id])
    for place in (one.replace("{acme}", face.acme.id) for one in PLACES):
        for key, target in itertools.product(("", syncs), (f"{slashes}{place}", f"/{place.replace('/', slashes)}")):
            once, several = await face.ask("GET", f"/{place}", key=key), await face.ask("GET", target, key=key)
            assert (several.status, _told(several.body)) == (once.status, _told(once.body))
            assert several.header("www-authenticate") == once.header("www-authenticate")
            assert key or several.status == 401


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/", "///evil.example/%2e%2e", f"//{HOST}//ping", "//"]
)
async def test_trap_11_several_slashes_lead_to_no_other_host(face: WholeFace, path: str) -> None:
    heard = await face.ask("GET", path)
    assert heard.status in (200, 404)
    assert "location" not in dict(heard.headers)
    assert "evil" not in heard.header("content-location")


async def test_trap_11_a_connection_behind_several_slashes_is_counted_as_itself(face: WholeFace) -> None:
    async with face.client() as client:
        for _ in range(50):
            await client.get(f"http://{HOST}//integrated-account//{face.acme.id}")
        answer = await client.get(f"http://{HOST}/integrated-account/{face.acme.id}")
    assert answer.status_code == 429


@pytest.mark.parametrize("path", LISTS)
async def test_trap_12_a_question_mark_alone_asks_nothing(face: WholeFace, path: str) -> None:
    with_mark, without = await body_of(face, f"{path}?"), await body_of(face, path)
    assert {**with_mark, "next_cursor": ""} == {**without, "next_cursor": ""}


async def test_trap_12_a_delete_may_say_that_it_has_no_body(face: WholeFace) -> None:
    heard = await face.ask(
        "DELETE", f"/integrated-account/{face.acme.id}?", ("Content-Length", "0"), ("Content-Type", "application/json")
    )
    assert (heard.status, json.loads(heard.body)) == (200, {"id": face.acme.id})


def _told(body: bytes) -> Any:
    """Return what an answer says, without what is another one each time."""
    if not body.startswith(b"{"):
        return body
    told = json.loads(body)
    for one in (told, told.get("error", {}).get("data", {}) if isinstance(told.get("error"), dict) else {}):
        one.pop("correlation_id", None)
        one.pop("next_cursor", None)
    return told
