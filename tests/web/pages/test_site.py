"""The door of all pages: who is let in, what a form must carry, and what no other site can do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.web.faces import HOST, WholeFace, whole_face
from tests.web.premises import Heard

ORIGIN = ("Origin", f"http://{HOST}")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[WholeFace]:
    async with whole_face(tmp_path) as opened:
        yield opened


async def sign_in(face: WholeFace, key: str, after: str = "/", *headers: tuple[str, str]) -> Heard:
    body = urlencode({"key": key, "next": after}).encode()
    return await face.ask("POST", "/sign-in", *(headers or (ORIGIN,)), FORM, body=body, key="")


def cookie_of(answer: Heard) -> tuple[str, str]:
    return ("Cookie", answer.header("set-cookie").partition(";")[0])


def token_in(answer: Heard) -> str:
    found = re.search(rb'name="csrf" value="([^"]+)"', answer.body)
    assert found is not None
    return found[1].decode()


async def test_who_has_not_signed_in_is_led_to_where_that_is_done(face: WholeFace) -> None:
    answer = await face.ask("GET", f"/c/{face.acme.id}/people?q=a", key="")
    assert (answer.status, answer.header("location")) == (303, f"/sign-in?next=%2Fc%2F{face.acme.id}%2Fpeople%3Fq%3Da")


@pytest.mark.parametrize("after", ["//evil.test/", "https://evil.test", "/\\evil.test", "\\/evil.test", "evil", "/\n"])
async def test_signing_in_leads_to_no_other_site(face: WholeFace, after: str) -> None:
    answer = await sign_in(face, face.key, after)
    assert (answer.status, answer.header("location")) == (303, "/")


async def test_each_signing_in_gets_a_name_of_its_own(face: WholeFace) -> None:
    first = await sign_in(face, face.key)
    fixed = cookie_of(first)
    second = await sign_in(face, face.key, "/", ORIGIN, fixed)
    assert cookie_of(second) != fixed
    assert (await face.ask("GET", "/", fixed, key="")).status == 303, "the session before it has ended"
    assert {"HttpOnly", "SameSite=lax"} <= set(second.header("set-cookie").split("; "))


@pytest.mark.parametrize("headers", [(("Origin", "https://evil.test"),), (("Origin", "null"),), (("X-None", "1"),)])
async def test_another_site_signs_nobody_in(face: WholeFace, headers: tuple[tuple[str, str], ...]) -> None:
    answer = await sign_in(face, face.key, "/", *headers)
    assert (answer.status, answer.header("set-cookie")) == (403, "")


async def test_a_form_needs_the_token_of_its_session(face: WholeFace) -> None:
    mine, other = cookie_of(await sign_in(face, face.key)), cookie_of(await sign_in(face, face.key))
    token = token_in(await face.ask("GET", "/", mine, key=""))
    foreign = token_in(await face.ask("GET", "/", other, key=""))
    for given in ({}, {"csrf": ""}, {"csrf": foreign}, {"csrf": token + "0"}):
        answer = await face.ask("POST", "/sign-out", ORIGIN, FORM, mine, body=urlencode(given).encode(), key="")
        assert answer.status == 400
        assert b"Nothing was changed" in answer.body
    assert (await face.ask("GET", "/", mine, key="")).status == 200, "nobody has signed out"
    done = await face.ask("POST", "/sign-out", ORIGIN, FORM, mine, body=urlencode({"csrf": token}).encode(), key="")
    assert (done.status, (await face.ask("GET", "/", mine, key="")).status) == (303, 303)


async def test_a_form_of_another_site_is_refused_whatever_it_carries(face: WholeFace) -> None:
    mine = cookie_of(await sign_in(face, face.key))
    body = urlencode({"csrf": token_in(await face.ask("GET", "/", mine, key=""))}).encode()
    answer = await face.ask("POST", "/sign-out", ("Origin", "https://evil.test"), FORM, mine, body=body, key="")
    assert answer.status == 403


async def test_no_page_can_be_framed_and_none_runs_what_is_not_ours(face: WholeFace) -> None:
    mine, policy = cookie_of(await sign_in(face, face.key)), ""
    for path, cookie in (("/", (mine,)), ("/sign-in", ()), ("/c/none/settings", (mine,))):
        answer = await face.ask("GET", path, *cookie, key="")
        policy = answer.header("content-security-policy")
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
        assert nonce is not None
        assert nonce[1].encode() in answer.body
        assert answer.header("cache-control") == "no-store"
        assert not re.search(rb"<[^>]+ (?:on\w+|style)=", answer.body)
    again = await face.ask("GET", "/", mine, key="")
    assert again.header("content-security-policy") != policy, "a nonce is good for one answer"


async def test_the_token_of_one_connection_opens_no_session_and_no_page(face: WholeFace) -> None:
    permissions = ["directory.read", "connections.manage"]
    made, _ = await face.estate.control.tokens.create_account(face.acme.id, permissions)
    token = made.get_secret_value()
    answer = await sign_in(face, token)
    assert (answer.status, answer.header("set-cookie")) == (403, "")
    assert b"Use an API key" in answer.body
    for path in ("/", f"/c/{face.acme.id}/people", f"/c/{face.acme.id}/link", "/c/none/people"):
        refused = await face.ask("GET", path, key=token)
        assert (refused.status, b'"code":"ACCOUNT_TOKEN"' in refused.body) == (403, True)
    assert (await face.ask("GET", "/unified/user-directory/users", key=token)).status == 200


async def test_what_a_key_may_not_do_its_session_may_not(face: WholeFace) -> None:
    key = await face.new_key("directory.sync", connections=[face.acme.id])
    mine = cookie_of(await sign_in(face, key))
    assert (await face.ask("GET", "/", mine, key="")).status == 200
    other = await face.estate.link("globex", tenant="customer")
    elsewhere = cookie_of(await sign_in(face, await face.new_key("directory.read", connections=[other.id])))
    shown = (await face.ask("GET", "/", elsewhere, key="")).body
    assert (b"globex" in shown, b"acme" in shown, face.acme.id.encode() in shown) == (True, False, False)


async def test_programs_hear_at_the_front_what_they_heard_before(face: WholeFace) -> None:
    answer = await face.ask("GET", "/")
    assert (answer.status, b'"api":"/openapi.json"' in answer.body) == (200, True)


async def test_files_of_pages_are_kept_by_browsers_and_named_by_their_content(face: WholeFace) -> None:
    page = await face.ask("GET", "/sign-in", key="")
    paths = set(re.findall(rb'(?:src|href)="(/assets/[^"]+)"', page.body))
    assert len(paths) == 3
    for path in paths:
        answer = await face.ask("GET", path.decode(), key="")
        assert (answer.status, "immutable" in answer.header("cache-control")) == (200, True)
    assert (await face.ask("GET", "/assets/../pages.css", key="")).status in (400, 404)
