"""Tool schemas are read by clients of two dialects: VS Code validates as draft-07, the protocol says 2020-12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from mcp import Client

from pingone_mcp.directory.rows import USER_FIELDS
from pingone_mcp.server.build import all_tools, build_server
from pingone_mcp.server.schemas import OUTPUT
from pingone_mcp.server.tools.description import TOPICS
from pingone_mcp.service.connections import serve_one
from tests.server.test_surface import unconfigured
from tests.world import HOST, World, facts

# What both dialects have, with the same meaning. Among what they have not: $defs, prefixItems, dependentRequired,
# unevaluatedProperties, and `items` as a list.
_COMMON = set(
    "type properties required additionalProperties items enum const anyOf description default examples format pattern "
    "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems uniqueItems".split()
)


def keywords(schema: Any) -> Iterator[str]:
    """Yield every keyword of a schema, and of those inside it; names of properties are none."""
    if not isinstance(schema, dict):
        return
    yield from schema
    inside = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    for part in (*inside, schema.get("items"), schema.get("additionalProperties")):
        yield from keywords(part)


async def schemas(*, allow_writes: bool) -> dict[str, Any]:
    server = build_server(partial(serve_one, unconfigured), allow_writes=allow_writes)
    async with Client(server, extensions=HOST) as client:
        tools = (await client.list_tools()).tools
    both = {f"{tool.name} takes": tool.input_schema for tool in tools}
    return both | {f"{tool.name} gives": tool.output_schema for tool in tools if tool.output_schema}


@pytest.mark.parametrize("allow_writes", [False, True])
async def test_every_tool_schema_is_valid_and_means_the_same_in_both_dialects(allow_writes: bool) -> None:
    for what, schema in (await schemas(allow_writes=allow_writes)).items():
        Draft7Validator.check_schema(schema)
        Draft202012Validator.check_schema(schema)
        assert set(keywords(schema)) <= _COMMON, what
        assert not isinstance(schema.get("items"), list), what


@pytest.mark.parametrize("allow_writes", [False, True])
async def test_every_tool_takes_and_gives_an_object(allow_writes: bool) -> None:
    # Sessions of 2024 and 2025 know no other results, and no model provider takes other arguments.
    for what, schema in (await schemas(allow_writes=allow_writes)).items():
        assert schema["type"] == "object", what


def refused(schema: Any, path: str = "") -> Iterator[str]:
    """Yield what Gemini's function declarations refuse: no type, a choice, an object without properties.

    Google's own clients copy `parameters` into a Schema of `type`, `properties`, `items`, `enum` and bounds; the API
    answers 400 for "properties: should be non-empty for OBJECT type", "missing field" for an array without `items`, and
    for an `any_of` that does not stand alone.
    """
    kind = schema.get("type")
    if kind not in ("object", "array", "string", "integer", "number", "boolean"):
        yield f"{path}: type {kind}"
    if kind == "object" and not schema.get("properties"):
        yield f"{path}: an object without properties"
    if kind == "array" and "items" not in schema:
        yield f"{path}: an array without items"
    if "anyOf" in schema:
        yield f"{path}: a choice"
    for name, member in schema.get("properties", {}).items():
        yield from refused(member, f"{path}.{name}")
    if "items" in schema:
        yield from refused(schema["items"], f"{path}[]")


@pytest.mark.parametrize("allow_writes", [False, True])
async def test_gemini_refuses_no_tool(allow_writes: bool) -> None:
    told = await schemas(allow_writes=allow_writes)
    found = {what: list(refused(schema)) for what, schema in told.items() if what.endswith("takes")}
    assert {what: mistakes for what, mistakes in found.items() if mistakes} == {}


def untyped(schema: Any, path: str = "") -> Iterator[str]:
    """Yield where a schema does not say one type, or a choice of such: what the Inspector's --strict warns of."""
    choices = schema.get("anyOf")
    if choices is None and not isinstance(schema.get("type"), str):
        yield f"{path}: {schema.get('type')}"
    for name, member in schema.get("properties", {}).items():
        yield from untyped(member, f"{path}.{name}")
    for inner in (*(choices or []), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from untyped(inner, f"{path}[]")


@pytest.mark.parametrize("allow_writes", [False, True])
async def test_every_part_of_a_schema_says_one_type(allow_writes: bool) -> None:
    for what, schema in (await schemas(allow_writes=allow_writes)).items():
        assert list(untyped(schema)) == [], what


async def test_every_tool_says_what_it_gives() -> None:
    for allow_writes in (False, True):
        told = await schemas(allow_writes=allow_writes)
        given = {what.removesuffix(" gives"): schema for what, schema in told.items() if what.endswith(" gives")}
        assert given == dict(OUTPUT)


def test_the_answer_of_get_user_names_every_field_of_a_user() -> None:
    assert OUTPUT["get_user"]["properties"].keys() == {*USER_FIELDS, "truncated", "gaps"}


async def test_a_member_that_no_schema_names_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every answer in these tests is held against the schema of its tool by `world.client`: see that it is.
    lacking = {**OUTPUT["list_users"], "properties": {**OUTPUT["list_users"]["properties"]}}
    del lacking["properties"]["total"]
    monkeypatch.setattr("tests.world.OUTPUT", {**OUTPUT, "list_users": lacking})
    async with world.client() as client:
        with pytest.raises(AssertionError, match="does not name \\['total'\\]"):
            await client.call_tool("list_users", {"limit": 1})


@pytest.fixture
def ruled(world: World, tmp_path: Path) -> World:
    """A world with everything that an answer may speak of: a roster, rules, roles, a user whom PingOne forgot."""
    (tmp_path / "rosters").mkdir()
    rows = [f"{user['username']},{user['email']},active" for user in list(world.sandbox.users())[:40]]
    (tmp_path / "rosters" / "crm.csv").write_text("\n".join(["username,email,status", "gone,gone@x.y,active", *rows]))
    (tmp_path / "roles.toml").write_text('[[rule]]\nrole = "seller"\ngroup = "Sales"\n')
    return replace(world, rosters=tmp_path / "rosters", roles_file=tmp_path / "roles.toml")


async def test_every_tool_keeps_its_schema_in_every_situation(ruled: World) -> None:
    user = next(iter(ruled.sandbox.users()))["id"]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_users", {"limit": 3}),
        ("list_users", {"query": "nobody at all"}),
        ("list_users", {"fields": ["*"], "include": ["groups", "roles"], "limit": 3, "include_remote_data": True}),
        ("get_user", {"user": user, "include_remote_data": True}),
        ("find_deactivated", {}),
        ("find_deactivated", {"since": "2026-06-01T00:00:00Z", "reasons": ["removed"]}),
        ("list_groups", {"include_remote_data": True}),
        ("list_members", {"group": "Sales", "limit": 2}),
        ("query_directory", {"sql": "SELECT status, count(*) FROM users GROUP BY 1"}),
        ("query_directory", {"sql": "SELECT * FROM role_assignments"}),
        ("browse_directory", {}),
        ("browse_directory", {"view": "removed"}),
        ("directory_view", {"with_filters": True}),
        ("directory_view", {"person": user}),
        ("list_changes", {}),
        ("access_review", {}),
        ("access_review", {"group": "Sales", "format": "csv"}),
        ("check_drift", {"roster": "crm"}),
        ("check_drift", {"entries": [{"email": "gone@x.y"}]}),
        ("map_roles", {}),
        ("map_roles", {"user": user}),
        ("map_roles", {"group": "Sales", "limit": 2}),
        ("sync_directory", {}),
        *(("describe_directory", {"topic": topic}) for topic in (*TOPICS, "api/users")),
        ("proxy_request", {"path": f"/environments/{ruled.sandbox.environment_id}/users", "query": {"limit": 2}}),
        ("proxy_request", {"path": f"/environments/{ruled.sandbox.environment_id}/users/{user}"}),
    ]
    called: set[str] = set()
    for roles, characters in ((False, 20_000), (True, 2_500)):
        async with ruled.client(replica_roles=roles, characters=characters, extensions=HOST) as client:
            await client.call_tool("sync_directory", {"mode": "full"})
            for tool, arguments in calls:
                facts(await client.call_tool(tool, arguments))  # `world.client` looks at the answer
                called.add(tool)
    assert called == {tool.name for tool in all_tools()}, "call the tool above, in each way that it answers"
