"""Reads of PingOne's own API through `/proxy`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.sandbox.faults import Fault
from tests.fleets import SIZE
from tests.web.rest.offices import Office


@pytest.fixture
async def acme(desk: Office) -> str:
    linked = await desk.estate.link("acme", retry_seconds=0)
    desk.is_for(linked.id)
    return linked.id


def people(desk: Office) -> list[dict[str, Any]]:
    return list(desk.estate.company("acme").sandbox.users())


@pytest.mark.parametrize("path", ["/proxy/users", "/proxy/environments/{}/users", "/proxy/v1/environments/{}/users"])
async def test_a_list_comes_in_the_envelope_with_items_as_they_are(desk: Office, acme: str, path: str) -> None:
    home = desk.estate.company("acme").sandbox.environment_id
    page = await desk.ask("GET", path.replace("{}", home), params={"limit": 7})
    assert {"result", "next_cursor", "prev_cursor", "result_count", "is_partial_response", "total"} == page.keys()
    assert (page["result_count"], page["total"], page["prev_cursor"]) == (7, SIZE, None)
    native = {user["id"]: user for user in people(desk)}
    assert all(row["username"] == native[row["id"]]["username"] for row in page["result"])
    rows = await desk.every(path.replace("{}", home), {"limit": 7})
    assert sorted(row["id"] for row in rows) == sorted(native)


async def test_a_cursor_goes_on_with_and_without_the_parameters_it_was_made_with(desk: Office, acme: str) -> None:
    first = await desk.ask("GET", "/proxy/users", params={"limit": 7})
    alone = await desk.ask("GET", "/proxy/users", params={"next_cursor": first["next_cursor"]})
    again = await desk.ask("GET", "/proxy/users", params={"limit": 7, "next_cursor": first["next_cursor"]})
    assert alone["result"] == again["result"] != first["result"]
    other = {"limit": 8, "next_cursor": first["next_cursor"]}
    assert (await desk.ask("GET", "/proxy/users", 400, params=other))["code"] == "FOREIGN_CURSOR"
    elsewhere = {"next_cursor": first["next_cursor"]}
    assert (await desk.ask("GET", "/proxy/groups", 400, params=elsewhere))["code"] == "FOREIGN_CURSOR"


async def test_a_cursor_of_another_connection_is_refused(desk: Office, acme: str) -> None:
    cursor = (await desk.ask("GET", "/proxy/users", params={"limit": 7}))["next_cursor"]
    globex = await desk.estate.link("globex")
    desk.is_for(globex.id)
    assert (await desk.ask("GET", "/proxy/users", 400, params={"next_cursor": cursor}))["code"] == "FOREIGN_CURSOR"


async def test_one_thing_is_the_body_of_pingone(desk: Office, acme: str) -> None:
    user = people(desk)[0]
    answer = await desk.http.get(f"/proxy/users/{user['id']}")
    assert answer.json()["username"] == user["username"]
    assert "_links" in answer.json()
    assert "result" not in answer.json()
    assert answer.headers["correlation-id"]


async def test_parameters_are_passed_on_as_they_are(desk: Office, acme: str) -> None:
    user = people(desk)[3]
    for name in ("filter", "remote_query[filter]"):
        page = await desk.ask("GET", "/proxy/users", params={name: f'username eq "{user["username"]}"'})
        assert [row["id"] for row in page["result"]] == [user["id"]]


async def test_switches_of_unified_lists_are_refused_and_not_sent(desk: Office, acme: str) -> None:
    body = await desk.ask("GET", "/proxy/users", 400, params={"truto_key_by": "id"})
    assert (body["code"], "truto_key_by" in body["message"]) == ("UNKNOWN_PARAMETER", True)


class Emptied:
    """A PingOne whose first pages of users hold nobody, and go on."""

    def __init__(self, app: ASGIApp, pages: int) -> None:
        self._app = app
        self.left = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}
        parts: list[bytes] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = json.loads(b"".join(parts))
            self.left -= 1
            body["_embedded"]["users"] = []
            content = json.dumps(body).encode()
            headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": content})

        is_users = scope["type"] == "http" and scope["path"].endswith("/users") and self.left > 0
        await self._app(scope, receive, sending if is_users else send)


async def test_pages_without_rows_are_read_over(desk: Office, acme: str) -> None:
    sandbox = desk.estate.company("acme").sandbox
    sandbox.app = emptied = Emptied(sandbox.app, 3)
    page = await desk.ask("GET", "/proxy/users", params={"limit": 4})
    assert (emptied.left, page["result_count"]) == (0, 4)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("forbidden", 403), ("server_error", 500), ("unavailable_503", 503), ("rate_limited_seconds", 429)],
)
async def test_errors_keep_the_status_of_pingone(desk: Office, acme: str, kind: Any, status: int) -> None:
    desk.estate.company("acme").sandbox.faults.add(Fault(kind, path="/users", times=None))
    body = await desk.ask("GET", "/proxy/users", status)
    assert body["truto_is_remote_error"] is True
    assert body["raw_response"]["code"] == body["code"]


async def test_what_pingone_does_not_have_is_its_404(desk: Office, acme: str) -> None:
    for path in ("/proxy/users/11111111-1111-1111-1111-111111111111", "/proxy/nonsense"):
        body = await desk.ask("GET", path, 404)
        assert (body["truto_is_remote_error"], body["raw_response"]["code"]) == (True, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        "/proxy/",
        "/proxy//",
        "/proxy/environments/11111111-1111-1111-1111-111111111111/users",
        "/proxy/environments",
        "/proxy/organizations",
        "/proxy/environments/{}/%2e%2e/11111111-1111-1111-1111-111111111111/users",
        "/proxy/environments%2F..%2F..%2Fas/token",
        "/proxy/environments/{}/users%3Ffilter=x",
        "/proxy/environments/{}/users%23x",
        "/proxy/environments/{}/users%252F..",
        "/proxy/environments/{}\\users",
        "/proxy/http://169.254.169.254/latest",
        "/proxy/environments/{}/ü",
        "/proxy/v1/v1/environments/{}/users",
    ],
)
async def test_what_lies_outside_the_fence_is_refused_before_anything_is_sent(
    desk: Office, acme: str, path: str
) -> None:
    sandbox = desk.estate.company("acme").sandbox
    before = len(sandbox.requests)
    body = await desk.ask("GET", path.replace("{}", sandbox.environment_id), 400)
    assert "truto_is_remote_error" not in body
    assert len(sandbox.requests) == before


async def test_secrets_are_blanked(desk: Office, acme: str) -> None:
    sandbox = desk.estate.company("acme").sandbox
    answer = await desk.http.get("/proxy/applications")
    assert sandbox.client_secret not in answer.text


async def test_a_credential_without_the_permission_to_read_is_refused(desk: Office, acme: str) -> None:
    desk.is_for(acme, may=("directory.write",))
    assert "directory.read" in (await desk.ask("GET", "/proxy/users", 403))["message"]


async def test_what_somebody_has_written_is_harmless(desk: Office, acme: str) -> None:
    answer = await desk.http.get("/proxy/users")
    assert json.loads(answer.text) == answer.json()
    assert not any(one in answer.text for one in "\u202e\u200b\u2028")
