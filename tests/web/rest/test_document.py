"""The document of the API: a valid one, of every route and of nothing else, that anybody may read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from pingone_mcp.web.rest.document import HEALTH_PATHS
from tests.web.faces import whole_face
from tests.web.rest.offices import SERVER, Office


@pytest.fixture
async def described(desk: Office) -> dict[str, Any]:
    desk.caller = None
    answer = await desk.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body: dict[str, Any] = answer.json()
    return body


FILES = {"putRoster": ("text/csv", "application/json"), "putRoleRules": ("application/toml", "text/plain")}


def filled(path: str) -> str:
    return path.replace("{id}", "1").replace("{path}", "x").replace("{name}", "crm")


def of_the_api(described: dict[str, Any]) -> dict[str, Any]:
    """Return the paths but for those of who runs the server, which are not at the desk."""
    return {path: methods for path, methods in described["paths"].items() if path not in HEALTH_PATHS}


async def test_it_is_valid_and_says_where_it_is_served(described: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": SERVER}]


async def test_every_route_is_in_it_and_nothing_else(desk: Office, described: dict[str, Any]) -> None:
    told = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    health = {("GET", path) for path in HEALTH_PATHS}
    assert told == {(one.method, one.path) for one in desk.operations} | health
    assert {path.partition("/")[2].partition("/")[0] for _, path in told} == {
        *("unified", "integrated-account", "link-token", "webhook", "sync-job-run", "proxy", "ping", "openapi.json"),
        *("roster", "role-rules", "schedule", "healthz", "readyz", "metrics"),
    }
    names = [one["operationId"] for methods in described["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names) == len(desk.operations) + len(health)


async def test_what_is_described_is_there_and_what_is_not_is_not(desk: Office, described: dict[str, Any]) -> None:
    linked = await desk.estate.link("acme")
    desk.is_for(linked.id)
    for path, methods in of_the_api(described).items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = await desk.http.request(method, filled(path), json={})
            assert (answer.status_code == 405) == (method.lower() not in methods), (method, path)


async def test_a_path_that_does_not_take_a_method_says_which_it_takes(desk: Office, described: dict[str, Any]) -> None:
    for path, methods in of_the_api(described).items():
        taken = {one.upper() for one in methods}
        for method in ("OPTIONS", *({"GET", "POST", "PUT", "PATCH", "DELETE"} - taken)):
            answer = await desk.http.request(method, filled(path))
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == taken, (method, path)


async def test_what_is_asked_by_who_runs_the_server_answers_as_described(tmp_path: Path) -> None:
    async with whole_face(tmp_path) as face, face.client() as client:
        described = (await client.get("/openapi.json")).json()
        [keys] = tmp_path.rglob("control/keys")
        for path, whole in [("/healthz", True), ("/readyz", True), ("/metrics", True), ("/readyz", False)]:
            if not whole:
                keys.rename(keys.with_name("away"))
            one = described["paths"][path]["get"]
            answer = await client.get(path)
            assert answer.status_code == (200 if whole else 503)
            [(kind, content)] = one["responses"][str(answer.status_code)]["content"].items()
            assert answer.headers["content-type"].partition(";")[0] == kind
            if kind == "application/json":
                Draft202012Validator(content["schema"]).validate(answer.json())
            bare = await face.ask("GET", path, key="")
            assert (bare.status == 401) == ("security" not in one), path
            assert (await client.post(path)).status_code == 405


async def test_every_reference_in_it_leads_somewhere(described: dict[str, Any]) -> None:
    referred = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(described)))
    assert {"#/components/schemas/Error", "#/components/schemas/JsonValue"} <= referred
    for reference in referred:
        found: Any = described
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


async def test_a_body_is_required_where_one_of_its_members_is(described: dict[str, Any]) -> None:
    bodies = [
        one["requestBody"]
        for methods in described["paths"].values()
        for one in methods.values()
        if "requestBody" in one and one["operationId"] not in FILES
    ]
    needed = [bool(one["content"]["application/json"]["schema"].get("required")) for one in bodies]
    assert needed == [one["required"] for one in bodies]
    assert {True, False} == set(needed)


async def test_a_body_that_is_a_file_is_called_as_it_may_be_called(described: dict[str, Any]) -> None:
    bodies = {
        one["operationId"]: one["requestBody"]
        for methods in described["paths"].values()
        for one in methods.values()
        if one["operationId"] in FILES
    }
    assert {name: tuple(body["content"]) for name, body in bodies.items()} == FILES
    assert all(body["required"] for body in bodies.values())


async def test_only_what_needs_no_credential_says_so(desk: Office, described: dict[str, Any]) -> None:
    is_open = {
        path
        for path, methods in described["paths"].items()
        if any(one.get("security") == [] for one in methods.values())
    }
    assert is_open == {"/ping", "/openapi.json", "/healthz", "/readyz"}
    assert described["security"] == [{"bearer": []}]


async def test_it_names_every_parameter_and_body(desk: Office, described: dict[str, Any]) -> None:
    users = described["paths"]["/unified/user-directory/users"]["get"]["parameters"]
    names = {one["name"] for one in users}
    assert {"integrated_account_id", "limit", "next_cursor", "created_at[gt]", "id[in]", "truto_super_query"} <= names
    body = described["paths"]["/webhook"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (body["required"], body["additionalProperties"]) == (["target_url"], False)


async def test_an_empty_choice_is_absent_and_described(desk: Office, described: dict[str, Any]) -> None:
    [status] = [one for one in described["paths"]["/sync-job-run"]["get"]["parameters"] if one["name"] == "status"]
    assert "" in status["schema"]["enum"]
    desk.is_for()
    assert (await desk.ask("GET", "/sync-job-run?status="))["result"] == []


async def test_it_holds_nothing_of_anybody(desk: Office) -> None:
    before = (await desk.http.get("/openapi.json")).text
    await desk.estate.link("acme", tenant="customer-17")
    assert (await desk.http.get("/openapi.json")).text == before
    assert len(json.dumps(json.loads(before))) < 400_000
