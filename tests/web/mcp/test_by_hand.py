"""Requests of HTTP by hand: what each gets, by paths, methods, media types, sessions and eras."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from tests.web.mcp.serving import BOTH, Script, Served, call, said, stateless

ONE = call("list_users", limit=1)
LIST = {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with Served(tmp_path).running() as served:
        yield served


def rows(answer: httpx.Response) -> int:
    found: int = said(answer)["result"]["structuredContent"]["result_count"]
    return found


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("path", "key"), [("/c/acme/mcp", "acme"), ("/mcp", "default"), ("/c/default/mcp", "default")])
async def test_a_path_is_the_same_with_a_slash_at_its_end(served: Served, path: str, key: str, slash: str) -> None:
    async with served.http(key) as http:
        script = Script(http, path + slash)
        assert rows(await script.ask(ONE)) == 1
        await script.open()
        assert rows(await script.post(ONE)) == 1
    assert served.worlds[key].sandbox.requests


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BOTH, "text/event-stream"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
async def test_a_client_is_answered_in_what_it_reads(served: Served, accept: str, kind: str) -> None:
    async with served.http("acme") as http:
        del http.headers["accept"]
        script = Script(http, "/c/acme/mcp", accept)
        opening = await script.open()
        called = await script.post(ONE)
        asked = await script.ask(call("list_users", limit=1, fields=["id"]))
    assert [answer.headers["content-type"].partition(";")[0] for answer in (opening, called)] == [kind, kind]
    assert rows(called) == rows(asked) == 1


async def test_a_request_that_names_no_media_type_at_all_is_answered_in_json(served: Served) -> None:
    async with served.http("acme") as http:
        del http.headers["accept"]
        body, headers = stateless(ONE)
        request = http.build_request("POST", "/c/acme/mcp", json=body, headers=headers)
        assert "accept" not in request.headers
        assert rows(await http.send(request)) == 1


async def test_what_needs_a_stream_is_said_to_who_takes_none(served: Served) -> None:
    listen = {"jsonrpc": "2.0", "id": 3, "method": "subscriptions/listen", "params": {"notifications": {}}}
    async with served.http("acme") as http:
        assert (await Script(http, "/c/acme/mcp", "application/json").ask(listen)).status_code == 406
        script = Script(http, "/c/acme/mcp", "application/json")
        await script.open()
        world = served.worlds["acme"]
        path = f"/environments/{world.sandbox.environment_id}/users/{world.sandbox.state().user(3)['id']}"
        refused = said(await script.post(call("proxy_request", method="DELETE", path=path)))
    assert "[CANNOT_ASK]" in refused["result"]["content"][0]["text"]


async def test_a_call_without_the_header_of_the_version_belongs_to_its_session(served: Served) -> None:
    async with served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        del script.session["mcp-protocol-version"]
        assert rows(await script.post(ONE)) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"id": 1, "method": "tools/list"}', 400, -32600),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]', 400, -32600),
        ("no json", 400, -32700),
        ("[" * 100_000, 400, -32700),
        ("", 400, -32700),
        ('"text"', 400, -32600),
    ],
)
async def test_a_body_that_is_no_message_is_the_clients_mistake(
    served: Served, body: str, status: int, code: int
) -> None:
    async with served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        headers = {"accept": BOTH, "content-type": "application/json", **script.session}
        answer = await http.post("/c/acme/mcp", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        later = {"accept": BOTH, "content-type": "application/json", "mcp-protocol-version": "2026-07-28"}
        assert (await http.post("/c/acme/mcp", content=body, headers=later)).status_code == 400


async def test_another_media_type_is_refused(served: Served) -> None:
    async with served.http("acme") as http:
        headers = {"accept": BOTH, "content-type": "text/plain"}
        answer = await http.post("/c/acme/mcp", content="{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, -32600)


async def test_a_session_ends_when_its_client_deletes_it(served: Served) -> None:
    async with served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        assert (await http.delete("/c/acme/mcp", headers=script.session)).status_code == 200
        assert (await script.post(ONE)).status_code == 404
        assert (await http.delete("/c/acme/mcp", headers=script.session)).status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_the_newer_era_has_one_method(served: Served, method: str) -> None:
    async with served.http("acme") as http:
        headers = {"accept": BOTH, "mcp-protocol-version": "2026-07-28"}
        answer = await http.request(method, "/c/acme/mcp", headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "TRACE"])
async def test_other_methods_are_refused(served: Served, method: str) -> None:
    async with served.http("acme") as http:
        answer = await http.request(method, "/c/acme/mcp")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST, DELETE")


@pytest.mark.parametrize("headers", [{}, {"mcp-method": "tools/call"}], ids=["absent", "another"])
async def test_headers_of_the_newer_era_that_do_not_fit_are_refused(served: Served, headers: dict[str, str]) -> None:
    body, _ = stateless(LIST)
    async with served.http("acme") as http:
        answer = await Script(http, "/c/acme/mcp").post(body, **{"mcp-protocol-version": "2026-07-28"}, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_a_session_that_nobody_has_is_not_found(served: Served) -> None:
    async with served.http("acme") as http:
        script = Script(http, "/c/acme/mcp", session={"mcp-session-id": "0" * 32})
        assert (await script.post(ONE)).status_code == 404


@pytest.mark.parametrize(
    ("path", "key"), [("/c/acme/mcp", "colleague"), ("/c/acme/mcp", "both"), ("/c/globex/mcp", "both")]
)
async def test_a_session_is_of_one_caller_on_one_connection(served: Served, path: str, key: str) -> None:
    async with served.http("acme") as http, served.http(key) as other:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        stolen = Script(other, path, session=script.session)
        assert (await stolen.post(ONE)).status_code == 404
        assert (await other.get(path, headers={"accept": BOTH, **script.session})).status_code == 404
        assert (await other.delete(path, headers=script.session)).status_code == 404
        assert rows(await script.post(ONE)) == 1


def without_its_id(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
    """Return all that an answer shows, but for the id of its own that it has."""
    own = answer.headers["x-request-id"]
    return answer.status_code, answer.text.replace(own, ""), {**answer.headers, "x-request-id": ""}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
async def test_a_connection_of_others_is_as_one_that_is_not_there(served: Served, method: str) -> None:
    async with served.http("acme") as http:
        answers = [
            await http.request(method, f"/c/{name}/mcp", json=ONE, headers={"accept": BOTH})
            for name in ("nowhere", "globex", "default", "..", "a" * 4_000)
        ]
    shown = [without_its_id(answer) for answer in answers]
    assert shown == [shown[0]] * len(shown)
    assert answers[0].status_code == 404
    assert "[NO_CONNECTION]" in answers[0].json()["error"]["message"]
    assert not served.worlds["globex"].sandbox.requests


async def test_nobody_is_let_in_where_no_gate_stands(served: Served) -> None:
    naked = httpx.ASGITransport(Starlette(routes=served.face.routes()))
    async with httpx.AsyncClient(transport=naked, base_url="http://here") as http:
        with pytest.raises(KeyError):
            await Script(http, "/c/acme/mcp").ask(ONE)
    assert not served.worlds["acme"].sandbox.requests


@pytest.mark.parametrize("method", [None, "", "GET", "HEAD"])
async def test_who_may_read_may_read_by_the_proxy(served: Served, method: str | None) -> None:
    path = f"/environments/{served.worlds['acme'].sandbox.environment_id}/users"
    message = call("proxy_request", path=path, **({} if method is None else {"method": method}))
    async with served.http("reader") as http:
        answer = await Script(http, "/c/acme/mcp").ask(message)
    assert said(answer)["result"]["structuredContent"]["status"] == 200
