"""People sign in at the authorization server: as themselves, in the browser that began it, and for what they may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from pingone_mcp.settings.serving import Serving
from pingone_mcp.web.authentication.oidc import BEGUN_SECONDS
from pingone_mcp.web.process import Listening, open_socket, url_of
from tests.web.authorization_server import AUTHORIZE, JWKS, NEXT_RSA_KEY, AuthorizationServer, rsa_jwk
from tests.web.faces import WholeFace, whole_face
from tests.web.mcp.serving import listening
from tests.web.premises import Heard

CLIENT = "pages"


@dataclass(kw_only=True)
class Person:
    """Somebody with a browser."""

    face: WholeFace
    server: AuthorizationServer
    cookies: dict[str, str] = field(default_factory=dict[str, str])

    async def get(self, path: str) -> Heard:
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.face.ask("GET", path, *([("Cookie", jar)] if jar else []), key="")
        for name, value in answer.headers:
            if name == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self.cookies[cookie] = content
        return answer

    async def begin(self, after: str = "/") -> str:
        answer = await self.get(f"/sign-in/oidc?next={after}")
        assert answer.status == 303
        return answer.header("location")

    async def come_back(self, query: str) -> Heard:
        return await self.get(f"/sign-in/callback?{query}")

    async def sign_in(self, **of_person: Any) -> Heard:
        now = self.face.estate.time.now()
        query = self.server.sign_in(await self.begin(), **{"exp": now + 300, "iat": now, **of_person})
        return await self.come_back(query)


@pytest.fixture
async def person(tmp_path: Path) -> AsyncIterator[Person]:
    server = AuthorizationServer(secret="of the client")
    where = Listening(host="127.0.0.1", port=0)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(open_socket(where))
        url = url_of(where, listener)
        server.issuer, server.jwks_uri = f"{url}/acme/as", f"{url}{JWKS}"
        await stack.enter_async_context(listening(server, where, listener, lambda: None))
        settings = Serving(
            oauth_issuer=server.issuer,
            oidc_client_id=CLIENT,
            oidc_client_secret=SecretStr("of the client"),
            oauth_connections_claim="connections",
            admins=("grace", "ada@example.com"),
        )
        face = await stack.enter_async_context(whole_face(tmp_path, settings))
        yield Person(face=face, server=server)


async def test_who_is_an_admin_manages_everything(person: Person) -> None:
    assert "Sign in with your organization" in (await person.get("/sign-in")).text
    answer = await person.sign_in(sub="grace")
    assert (answer.status, answer.header("location")) == (303, "/"), answer.text
    page = (await person.get("/")).text
    assert "acme" in page
    assert "Add a connection" in page
    assert person.server.exchanged[0]["redirect_uri"] == "http://directory.test/sign-in/callback"
    assert "client_secret" not in person.server.exchanged[0]


@pytest.mark.parametrize(
    ("claims", "manages"),
    [
        ({"sub": "x", "email": "ada@example.com", "email_verified": True}, True),
        ({"sub": "x", "email": "ada@example.com", "email_verified": False}, False),
        ({"sub": "x", "email": "ada@example.com"}, False),
        ({"sub": "x", "email": "ada@example.com", "email_verified": "true"}, False),
        ({"sub": "ada"}, False),
    ],
)
async def test_an_address_counts_where_it_was_verified(person: Person, claims: dict[str, Any], manages: bool) -> None:
    await person.sign_in(**claims)
    page = (await person.get("/")).text
    assert ("Add a connection" in page, "acme" in page) == (manages, manages)


async def test_others_read_the_connections_of_their_claim(person: Person) -> None:
    await person.face.estate.link("other", tenant="another")
    await person.sign_in(sub="eve", connections=[person.face.acme.id, 7])
    page = (await person.get("/")).text
    assert "acme" in page
    assert "other" not in page
    assert "Pause" not in page
    assert (await person.get(f"/c/{person.face.acme.id}/link/remove")).status == 403


Wrong = Callable[[Person], dict[str, Any]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda _: {"aud": "another"}, "is not one for this server"),
        (lambda _: {"aud": [CLIENT, "another"]}, "is for another client"),
        (lambda _: {"azp": "another"}, "is for another client"),
        (lambda _: {"iss": "https://evil.example.com"}, "is not one for this server"),
        (lambda one: {"exp": one.face.estate.time.now() - 3_600}, "has expired"),
        (lambda one: {"iat": one.face.estate.time.now() + 3_600}, "not valid yet"),
        (lambda _: {"nonce": "another"}, "belongs to another sign-in"),
        (lambda _: {"nonce": None}, "is malformed"),
        (lambda _: {"sub": None}, "is not one for this server"),
    ],
)
async def test_a_token_that_is_not_of_this_sign_in_signs_nobody_in(person: Person, wrong: Wrong, said: str) -> None:
    answer = await person.sign_in(**{"sub": "grace", **wrong(person)})
    assert answer.status == 403
    assert said in answer.text
    assert (await person.get("/")).status == 303


async def test_a_token_of_another_key_signs_nobody_in(person: Person) -> None:
    person.server.keys = [rsa_jwk("one", NEXT_RSA_KEY)]
    assert (await person.sign_in(sub="grace")).status == 403


async def test_an_answer_counts_once_and_in_the_browser_that_began(person: Person) -> None:
    now = person.face.estate.time.now()
    query = person.server.sign_in(await person.begin(), sub="grace", exp=now + 900, iat=now)
    victim = Person(face=person.face, server=person.server)
    assert "not begun in this browser" in (await victim.come_back(query)).text
    await victim.begin()
    assert "not begun in this browser" in (await victim.come_back(query)).text
    kept = dict(person.cookies)
    assert (await person.come_back(query)).status == 303
    person.cookies = kept
    assert "ended already" in (await person.come_back(query)).text
    assert (await victim.get("/")).status == 303


async def test_who_takes_too_long_begins_again(person: Person) -> None:
    url = await person.begin()
    person.face.estate.time.passed += BEGUN_SECONDS
    assert "taken too long" in (await person.come_back(person.server.sign_in(url, sub="grace"))).text


async def test_another_server_that_answers_is_not_believed(person: Person) -> None:
    query = person.server.sign_in(await person.begin(), sub="grace")
    answer = await person.come_back(query.partition("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example.com")
    assert "Another authorization server" in answer.text
    assert person.server.exchanged == []


async def test_who_is_not_let_in_there_is_not_let_in_here(person: Person) -> None:
    state = person.server.sign_in(await person.begin()).partition("state=")[2].partition("&")[0]
    assert "did not let you in" in (await person.come_back(f"error=access_denied&state={state}")).text


@pytest.mark.parametrize("after", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com"])
async def test_it_leads_to_pages_of_ours_only(person: Person, after: str) -> None:
    now = person.face.estate.time.now()
    url = await person.begin(after)
    assert AUTHORIZE in url
    answer = await person.come_back(person.server.sign_in(url, sub="grace", exp=now + 900, iat=now))
    assert answer.header("location") == "/"


async def test_a_server_that_is_down_is_said(person: Person) -> None:
    person.server.is_down = True
    answer = await person.get("/sign-in/oidc")
    assert answer.status == 502
    assert "could not be reached" in answer.text


async def test_the_session_gets_a_new_name(person: Person) -> None:
    person.cookies["pingone_mcp_80"] = "planted"
    await person.sign_in(sub="grace")
    assert person.cookies["pingone_mcp_80"] not in ("", "planted")
    assert person.cookies["pingone_mcp_80_state"] in ("", '""')


def test_a_client_needs_its_issuer_and_admins_need_a_client() -> None:
    for wrong in ({"oidc_client_id": "x"}, {"admins": "ada"}, {"oidc_client_secret": "x"}):
        with pytest.raises(ValidationError):
            Serving.model_validate(wrong)
    made = Serving.model_validate({"oauth_issuer": "https://as.example.com", "oidc_client_id": "x", "admins": "a, b"})
    assert made.admins == ("a", "b")
