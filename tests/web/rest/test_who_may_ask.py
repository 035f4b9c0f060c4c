"""Whose connection is asked, with which permission, and what is answered at paths that there are not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.service.callers import Permission
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.unified.operations import OPERATIONS
from tests.web.faces import HOST, WholeFace, whole_face
from tests.web.rest.doors import ROOT, Door, caller, opened
from tests.world import NOW, World

LISTS = sorted(one.path.removeprefix(ROOT) for one in OPERATIONS if not one.path.endswith("{id}"))


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    worlds = {
        name: World(sandbox=Sandbox(size=20, seed=name, now=NOW), cache=tmp_path / name) for name in ("acme", "other")
    }
    async with opened(worlds) as found:
        found.caller = caller(connections=["acme"])
        yield found


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[WholeFace]:
    async with whole_face(tmp_path) as opened_face:
        yield opened_face


@pytest.mark.parametrize("path", LISTS)
async def test_a_connection_that_is_not_reached_is_as_if_it_were_not_there(door: Door, path: str) -> None:
    query = {"user_id": "11111111-1111-1111-1111-111111111111"} if path == "/role_assignments" else {}
    there = await door.get(path, {**query, "integrated_account_id": "other"}, status=404)
    nowhere = await door.get(path, {**query, "integrated_account_id": "nowhere"}, status=404)
    assert there == nowhere
    assert (await door.http.get(ROOT + path, params=query)).status_code in (200, 404)


async def test_a_cursor_of_another_connection_is_refused_in_words(door: Door) -> None:
    cursor = (await door.get("/users", {"limit": 3}))["next_cursor"]
    door.caller = caller(connections=["other"])
    body = await door.get("/users", {"next_cursor": cursor}, status=400)
    assert body["code"] == "FOREIGN_CURSOR"
    assert "another connection" in body["message"]


async def test_who_reaches_several_connections_names_one(door: Door) -> None:
    door.caller = caller(connections=["acme", "other"])
    await door.get("/users", status=400)
    one = await door.get("/users", {"integrated_account_id": "acme"})
    other = await door.get("/users", {"integrated_account_id": "other"})
    assert {row["id"] for row in one["result"]}.isdisjoint(row["id"] for row in other["result"])


@pytest.mark.parametrize("path", LISTS)
async def test_a_credential_without_the_permission_is_refused(door: Door, path: str) -> None:
    door.caller = caller("directory.sync")
    body = await door.get(path, status=403)
    assert (body["code"], "truto_is_remote_error" in body) == ("INSUFFICIENT_SCOPE", False)
    assert "directory.read" in body["message"]


SWITCHED = b'{"context": {"allow_writes": true}}'


@pytest.mark.parametrize(
    ("method", "path", "body", "held", "needed"),
    [
        ("GET", f"{ROOT}/users", b"", "events.manage", "directory.read"),
        ("GET", "/webhook", b"", "directory.read", "events.manage"),
        ("POST", "/integrated-account", b'{"context": {}}', "directory.read", "connections.manage"),
        ("POST", "/integrated-account", SWITCHED, "directory.read", "connections.manage directory.write"),
        ("POST", "/integrated-account", SWITCHED, "connections.manage", "connections.manage directory.write"),
        ("PATCH", "/integrated-account/{acme}", SWITCHED, "directory.read", "connections.manage directory.write"),
        ("POST", "/integrated-account", b"{no json", "directory.read", "connections.manage"),
    ],
)
async def test_a_refusal_names_all_scopes_that_are_needed_as_a_challenge(
    face: WholeFace, method: str, path: str, body: bytes, *, held: Permission, needed: str
) -> None:
    key = await face.new_key(held)
    kind = ("Content-Type", "application/json")
    answer = await face.ask(method, path.format(acme=face.acme.id), kind, body=body, key=key)
    assert (answer.status, json.loads(answer.body)["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert answer.header("www-authenticate") == (
        f'Bearer error="insufficient_scope", error_description="This needs: {needed.replace(" ", ", ")}.", '
        f'resource_metadata="http://{HOST}/.well-known/oauth-protected-resource", scope="{needed}"'
    )


async def test_a_path_that_there_is_not_names_the_nearest(door: Door) -> None:
    body = await door.get("/user", status=404)
    assert "/unified/user-directory/users" in body["next_step"]


@pytest.mark.parametrize("path", [*LISTS, "/users/1"])
async def test_a_method_that_a_path_does_not_take_is_refused(door: Door, path: str) -> None:
    answer = await door.http.post(ROOT + path, json={})
    assert (answer.status_code, answer.json()["statusCode"]) == (405, 405)
    assert answer.headers["content-type"] == "application/json"
    assert "GET" in answer.headers["allow"]


async def test_a_mistake_of_ours_is_masked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Asking) -> RestAnswer:
        raise KeyError("the secret name of a column")

    operation = RestOperation(name="broken", path=f"{ROOT}/broken", tag="", summary="", answer=broken, answers={})
    world = World(sandbox=Sandbox(size=20, now=NOW), cache=tmp_path)
    async with opened({"acme": world}, operations=[operation]) as door:
        body = await door.get("/broken", status=500)
    assert "secret" not in str(body)
    assert body["correlation_id"] in caplog.text


def test_every_operation_is_described_once_and_whole() -> None:
    assert (
        len({one.name for one in OPERATIONS}) == len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    )
    for one in OPERATIONS:
        names = [name for parameter in one.every_parameter for name in (parameter.name, *parameter.other_names)]
        assert len(names) == len(set(names)), one.name
        assert all(parameter.about for parameter in one.every_parameter), one.name
        assert ("{id}" in one.path) == ("id" in one.about_path)
        assert one.answers["type"] == "object"
