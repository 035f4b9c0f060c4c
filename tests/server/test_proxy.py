"""The proxy, its catalogue and their completion: through the MCP client."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ResourceTemplateReference, TextResourceContents

from pingone_mcp.pingone.proxy import catalogue
from pingone_mcp.server.build import build_server
from pingone_mcp.service.connections import serve_one
from tests.pingone.recorder import Recorder
from tests.server.test_surface import unconfigured
from tests.world import World, error_text, facts, walk


async def read(client: Client, uri: str) -> tuple[Any, int]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return json.loads(content.text), len(content.text)


async def areas_for(client: Client, typed: str, *, name: str = "area") -> list[str]:
    area = ResourceTemplateReference(uri="pingone://api/{area}")
    found = await client.complete(area, {"name": name, "value": typed})
    assert found.completion.total == len(found.completion.values)
    return found.completion.values


async def asked(world: World, recorder: Recorder, *, characters: int = 20_000, **arguments: Any) -> dict[str, Any]:
    path = f"/environments/{world.sandbox.environment_id}/things"
    async with world.client(wrap=lambda _: recorder, characters=characters) as client:
        result = await client.call_tool("proxy_request", {"path": path} | arguments)
    answer = facts(result)
    text = error_text(result)
    assert json.loads(text) == answer
    assert len(text) <= characters
    return answer


# The catalogue


async def test_the_api_is_told_area_by_area_and_whole(world: World) -> None:
    async with world.client() as client:
        told, _ = await read(client, "pingone://api")
        told_operations: list[tuple[str, str]] = []
        for area, count in told["areas"].items():
            inside, size = await read(client, f"pingone://api/{area}")
            assert size < 20_000
            assert inside["area"] == area
            assert len(inside["operations"]) == count
            told_operations += [(one["method"], one["path"]) for one in inside["operations"]]
    assert sorted(told_operations) == sorted((one.method, one.path) for one in catalogue.operations())
    assert "proxy_request" in told["use"]
    assert world.api_requests() == []


async def test_an_area_tells_media_types(world: World) -> None:
    async with world.client() as client:
        users, _ = await read(client, "pingone://api/users")
    paths = {(one["method"], one["path"]): one for one in users["operations"]}
    assert paths["PUT", "/environments/{environmentID}/users/{userID}/password"] == {
        "method": "PUT",
        "path": "/environments/{environmentID}/users/{userID}/password",
        "takes": ["application/json", "application/vnd.pingidentity.password.set+json"],
        "answers": ["application/json"],
    }


@pytest.mark.parametrize("area", ["nothing", "..", "users%2f.."])
async def test_an_area_that_is_not_there_is_not_found(world: World, area: str) -> None:
    async with world.client() as client:
        with pytest.raises(MCPError):
            await client.read_resource(f"pingone://api/{area}")


async def test_areas_complete(world: World) -> None:
    async with world.client() as client:
        assert await areas_for(client, "") == list(catalogue.areas())
        assert (await areas_for(client, "POP"))[0] == "populations"
        assert await areas_for(client, "policies") == [area for area in catalogue.areas() if "olicies" in area]
        assert await areas_for(client, "nothing") == []
        assert await areas_for(client, "", name="other") == []


async def test_an_unconfigured_server_completes_nothing() -> None:
    async with Client(build_server(partial(serve_one, unconfigured))) as client:
        assert await areas_for(client, "") == []


# Requests


async def test_parameters_are_sent_as_they_were_given(world: World) -> None:
    recorder = Recorder(world, {})
    query = {"filter": 'name eq "a+b & c%"', "limit": 5, "expand": True, "include": ["x", 2, False]}
    await asked(world, recorder, query=query)
    assert parse_qsl(recorder.requests[0].url.query.decode()) == [
        ("filter", 'name eq "a+b & c%"'),
        ("limit", "5"),
        ("expand", "true"),
        ("include", "x"),
        ("include", "2"),
        ("include", "false"),
    ]


async def test_a_cursor_goes_on_with_a_list_of_parameters(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/users"
    async with world.client(characters=100_000) as client:
        query = {"limit": 100, "filter": ["enabled eq false"]}
        rows = await walk(client, "proxy_request", path=path, query=query)
    assert len(rows) == sum(not user["enabled"] for user in world.sandbox.users())


# Answers


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"null", None),
        (b"7", 7),
        (b'"text"', "text"),
        (b"[1,2]", [1, 2]),
        (b'{"id":"a"}', {"id": "a"}),
    ],
)
async def test_any_json_is_answered_inside_an_object(world: World, body: bytes, expected: Any) -> None:
    answer = await asked(world, Recorder(world, body))
    assert answer["body"] == expected
    assert answer.keys() == {"status", "correlation_id", "body"}


async def test_text_says_its_media_type(world: World) -> None:
    answer = await asked(world, Recorder(world, b"a,b", kind="text/csv;charset=utf-8"))
    assert (answer["body"], answer["content_type"]) == ("a,b", "text/csv")


async def test_an_empty_list_is_an_envelope(world: World) -> None:
    answer = await asked(world, Recorder(world, {"_embedded": {"things": []}, "count": 0, "size": 0}))
    assert (answer["result"], answer["total"], answer["next_cursor"], answer["status"]) == ([], 0, None, 200)
    assert "body" not in answer


async def test_what_stands_around_a_list_comes_with_it(world: World) -> None:
    answer = await asked(world, Recorder(world, {"_embedded": {"things": [{"id": "a"}]}, "sampling": "DAY"}))
    assert (answer["result"], answer["body"]) == ([{"id": "a"}], {"sampling": "DAY"})


async def test_a_page_of_several_lists_comes_whole_with_a_cursor(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/things"
    following = f"{world.connection().api_base}{path}?cursor=x"
    body = {"_links": {"next": {"href": following}}, "_embedded": {"a": [{"id": "1"}], "b": []}}
    recorder = Recorder(world, body)
    async with world.client(wrap=lambda _: recorder) as client:
        first = facts(await client.call_tool("proxy_request", {"path": path}))
        recorder.body = {"_embedded": {"a": [], "b": [{"id": "2"}]}}
        second = facts(await client.call_tool("proxy_request", {"cursor": first["next_cursor"], "path": path}))
    assert first["body"] == body
    assert "result" not in first
    assert second["body"] == recorder.body
    assert recorder.requests[-1].url.query == b"cursor=x"


@pytest.mark.parametrize("characters", [4_000, 20_000])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"id": "a", "small": 1, "large": "x" * 50_000}, "application/json"),
        ({"id": "a", "list": [{"n": n} for n in range(9_000)]}, "application/json"),
        ({f"member{n}": "x" * 30 for n in range(3_000)}, "application/json"),
        (["x" * 50] * 2_000, "application/json"),
        ("\n\"\\'" * 20_000, "application/json"),
        ({"_embedded": {"things": [{"id": "a", "large": "x" * 50_000}]}}, "application/json"),
        ({"_embedded": {"things": [{"id": "a"}]}, "around": "x" * 50_000}, "application/json"),
        (b'a,"b"\n' * 20_000, "text/csv"),
    ],
)
async def test_a_body_beyond_the_budget_is_cut_and_says_so(world: World, body: Any, kind: str, characters: int) -> None:
    answer = await asked(world, Recorder(world, body, kind=kind), characters=characters)
    said = json.dumps(answer)
    assert "truncated" in said
    if "result" not in answer or "body" in answer:
        assert "PINGONE_ANSWER_CHARACTERS" in answer["truncated"]


async def test_a_list_at_the_root_is_cut_and_goes_on(world: World) -> None:
    recorder = Recorder(world, [{"id": str(n), "text": "x" * 90} for n in range(200)])
    path = f"/environments/{world.sandbox.environment_id}/things"
    async with world.client(wrap=lambda _: recorder, characters=6_000) as client:
        rows = await walk(client, "proxy_request", path=path)
    assert [row["id"] for row in rows] == [str(n) for n in range(200)]


@pytest.mark.parametrize("levels", [70, 500, 900, 10_000])
@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_deep_nesting_is_an_answer_or_a_sentence(world: World, levels: int, start: bytes, end: bytes) -> None:
    recorder = Recorder(world, start * levels + (b"" if start == b"[" else b"1") + end * levels)
    path = f"/environments/{world.sandbox.environment_id}/things"
    async with world.client(wrap=lambda _: recorder) as client:
        text = error_text(await client.call_tool("proxy_request", {"path": path}))
    assert "nested" in text
    assert "Error executing" not in text


async def test_secrets_do_not_leave(world: World) -> None:
    body = {
        "id": "a",
        "clientSecret": "hunter2",
        "httpEndpoint": {"url": "https://x", "headers": {"X-Own": "hunter2"}},
        "tokenEndpointAuthMethod": "NONE",
    }
    answer = await asked(world, Recorder(world, body))
    assert "hunter2" not in json.dumps(answer)
    assert answer["body"]["tokenEndpointAuthMethod"] == "NONE"


@pytest.mark.parametrize("status", [204, 304])
async def test_nothing_is_answered_as_a_status(world: World, status: int) -> None:
    answer = await asked(world, Recorder(world, b"", status=status))
    assert answer.keys() == {"status", "correlation_id"}
    assert answer["status"] == status


async def test_a_transport_sees_one_request_per_call(world: World) -> None:
    recorder = Recorder(world, {"a": 1})
    await asked(world, recorder, method="HEAD")
    assert [type(request) for request in recorder.requests] == [httpx.Request]
    assert recorder.requests[0].method == "HEAD"


# Paths as they are meant


@pytest.mark.parametrize(
    "path",
    [
        "/environments/{id}/populations",
        "environments/{environmentID}/populations",
        "/environments/{environment}/populations",
        "/environments/{envId}/populations?limit=5",
        "/environments/%7BenvironmentId%7D/populations",
        "/v1/environments/{id}/populations",
        "v1/environments/{id}/populations",
    ],
)
async def test_the_only_environment_takes_the_place_that_is_left_open(world: World, path: str) -> None:
    async with world.client() as client:
        told = facts(await client.call_tool("proxy_request", {"path": path}))
    assert len(told["result"]) == len(world.sandbox.state().populations)
    assert world.api_requests()[-1].startswith(f"/v1/environments/{world.sandbox.environment_id}/populations?")


async def test_only_the_environment_is_filled_in(world: World) -> None:
    main, other = world.sandbox.environment_id, world.sandbox.company.environments[1].id
    async with world.client() as client:
        before = len(world.sandbox.requests)
        user = error_text(await client.call_tool("proxy_request", {"path": "/environments/{id}/users/{userID}"}))
        top = error_text(await client.call_tool("proxy_request", {"path": "/organizations/{id}"}))
        name = error_text(await client.call_tool("proxy_request", {"path": "/environments/Workforce/users"}))
    async with world.client(environments=(main, other)) as client:
        several = error_text(await client.call_tool("proxy_request", {"path": "/environments/{id}/users"}))
    assert "`path` has {userID} where an id belongs" in user
    assert "{id} where an id belongs" in top
    assert "{id} where an id belongs" in several
    assert "describe_directory" in several
    assert f"Configured: {main}." in name
    assert len(world.sandbox.requests) == before
