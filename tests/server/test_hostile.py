"""A company whose every string is hostile: nothing hidden leaves, and no sentence of ours repeats what it says.

Data may carry the marker text (it is data, and whoever reads it must see it); errors, progress, coverage, instructions
and definitions may not.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolResult,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from pingone_mcp.advice import spelled
from pingone_mcp.console import Report
from pingone_mcp.pingone.checkup import open_checkup
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.hostile import ATTRIBUTE, HIDDEN, JOINED, MARKER, POISON, SENDABLE, hidden_in, poison, poisoned, strings
from tests.world import NOW, World, error_text

_CANDIDATE = re.compile(r'"[^"`]{1,104}" (?=\([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\))')


class Hostile(httpx.AsyncBaseTransport):
    """Rewrite every string that PingOne answers with; `codes` of errors too, where asked."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, codes: bool = False) -> None:
        self.inner, self.codes = inner, codes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/report"):
            text = f"name,note\n{POISON},{POISON}\n".encode("utf-8", "surrogatepass")
            return httpx.Response(200, headers={"content-type": "text/csv"}, content=text, request=request)
        answer = await self.inner.handle_async_request(request)
        content = await answer.aread()
        if "json" not in answer.headers.get("content-type", "") or (answer.is_success and b"access_token" in content):
            return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)
        body = poison(json.loads(content), single=b'"_embedded"' not in content)
        if self.codes and not answer.is_success:
            body["code"] = body["error"] = poisoned("no code") + "ACCESS_FAILED"
        return httpx.Response(
            answer.status_code,
            headers={"content-type": "application/json", "correlation-id": answer.headers.get("correlation-id", "")},
            content=json.dumps(body).encode(),
            request=request,
        )


def assert_harmless(*values: Any) -> None:
    for text in strings(list(values)):
        assert hidden_in(text) == [], text[:300]
        assert "می" not in text or JOINED in text, "a joiner that belongs to the spelling is gone"


def assert_ours(text: str) -> None:
    """Fail when a sentence of ours holds anything that a directory says, but short names in quotes before their ids."""
    assert_harmless(text)
    ours = _CANDIDATE.sub("", text)
    assert MARKER not in ours
    assert "خواهم" not in ours


class Messages(list[str]):
    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.append(message or "")


async def called(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a tool, follow its cursor to the end, look at every form of what leaves; return the answer with all rows."""
    first: dict[str, Any] | None = None
    while True:
        told = Messages()
        result = await client.call_tool(tool, arguments, progress_callback=told.hear)
        text = error_text(result)
        assert not result.is_error, text
        facts = result.structured_content
        assert facts is not None
        assert json.loads(text) == facts
        text_body = facts.get("body") if isinstance(facts.get("body"), str) else None
        assert_harmless(facts if text_body is None else facts | {"body": re.split(r"[\n\r\t]", text_body)})
        for message in told:
            assert re.fullmatch(r"[a-z ]+|(page \d+|[a-z ]+): [\d,]+( of about [\d,]+)?( [a-z ]+)?", message)
        assert_ours(json.dumps(facts.get("coverage"), ensure_ascii=False))
        if first is None:
            first = facts
        elif "result" in first:
            first["result"] += facts["result"]
        if not facts.get("next_cursor"):
            return first
        arguments |= {"cursor": facts["next_cursor"]}


async def refused(client: Client, tool: str, /, **arguments: Any) -> str:
    told = Messages()
    result: CallToolResult = await client.call_tool(tool, arguments, progress_callback=told.hear)
    text = error_text(result)
    assert result.is_error, text[:500]
    for sentence in (text, *told):
        assert_ours(sentence)
    return text


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path)


@asynccontextmanager
async def hostile(world: World, *, codes: bool = False, **changes: Any) -> AsyncIterator[Client]:
    changes = {"characters": 400_000, "environments": None} | changes
    async with world.client(wrap=lambda inner: Hostile(inner, codes=codes), **changes) as client:
        yield client


def places(world: World) -> list[str]:
    return [environment.id for environment in world.sandbox.company.environments]


def test_the_poison_is_what_it_should_be() -> None:
    assert len(hidden_in(HIDDEN)) == len(HIDDEN.replace("[31m", ""))
    assert hidden_in(JOINED) == []
    assert MARKER in poisoned("Ann Lee")
    assert poisoned("DIRECT") == "DIRECT"


# Answers


async def test_users_leave_harmless(world: World) -> None:
    async with hostile(world) as client:
        row = (await called(client, "list_users", limit=50))["result"][1]
        assert {"name", "department", "workspace", "organization"} <= row.keys()
        assert MARKER in row["name"], "data is shown, not hidden"
        by_name = await called(client, "list_users", population=row["workspace"], environment=row["organization"])
        assert by_name["result"], "what is shown can be asked for"
        everything = (await called(client, "list_users", fields=["*"], limit=50))["result"][1]
        assert any(MARKER in name for name in everything["custom_attributes"])
        await called(client, "list_users", include_remote_data=True, limit=50)
        await called(client, "list_users", include=["groups", "roles"], limit=50)
        for status in ("active", "inactive", "invited"):
            await called(client, "list_users", status=status, limit=200)


async def test_answers_that_end_in_the_middle_leave_harmless(world: World) -> None:
    async with hostile(world, characters=9_000) as client:
        told = await called(client, "list_users")
        user = await called(client, "get_user", user=world.sandbox.state().user(20)["id"], include_remote_data=True)
    assert len(told["result"]) == 60 + 36
    assert "truncated" in user


async def test_every_user_alone_leaves_harmless(world: World) -> None:
    async with hostile(world) as client:
        for place in places(world):
            for user in world.sandbox.users(place):
                told = await called(client, "get_user", user=user["id"], include_remote_data=True)
                if "manager" in user and "manager" in told and "id" in told["manager"]:
                    assert MARKER in told["manager"]["username"]


async def test_deactivated_users_leave_harmless(world: World) -> None:
    async with hostile(world) as client:
        answer = await called(client, "find_deactivated", limit=500)
        await called(client, "find_deactivated", limit=3)
        lately = await called(client, "find_deactivated", since="2026-06-02T00:00:00Z", limit=500)
    assert any(MARKER in row.get("deactivated_by", "") for row in answer["result"] + lately["result"])
    assert {"disabled", "locked", "removed"} <= answer["coverage"].keys()


async def test_groups_and_members_leave_harmless(world: World) -> None:
    async with hostile(world) as client:
        groups = await called(client, "list_groups", limit=100)
        await called(client, "list_groups", limit=100, include_remote_data=True)
        for group in groups["result"]:
            assert MARKER in group["name"]
            await called(client, "list_members", group=group["id"], fields=["*"], limit=100)


async def test_the_local_copy_leaves_harmless(world: World, tmp_path: Path) -> None:
    world.roles_file = tmp_path / "roles.toml"
    world.roles_file.write_text('[[rule]]\nrole = "caller"\ngroup = "VPN*"\n', encoding="utf-8")
    async with hostile(world, replica_roles=True) as client:
        await called(client, "sync_directory")
        world.sandbox.clock.advance(600)
        world.time.passed += 600
        state = world.sandbox.state()
        state.put_user(20, state.user(20) | {"title": f"Cook {SENDABLE}", "updatedAt": "2026-06-15T12:05:00.000Z"})
        world.sandbox.faults.add("user_deleted", path=f"{state.id}/", user_id=state.user(21)["id"])
        await called(client, "describe_directory")
        await called(client, "sync_directory")
        views = json.loads(await text_of(client, "pingone://schema/views"))["views"]
        for view in views:
            answer = await called(client, "query_directory", sql=f"SELECT * FROM {view} LIMIT 200")  # noqa: S608 - our own views
            assert answer["rows"], view
        changes = await called(client, "list_changes", limit=2)
        assert MARKER in json.dumps(changes["result"])
        (group,) = [one.id for one in state.groups.values() if one.record["name"] == "VPN Users"]
        roles = await called(client, "query_directory", sql="SELECT role_id FROM role_assignments")
        for arguments in ({}, {"group": group}, {"role": roles["rows"][0][0]}):
            await called(client, "access_review", **arguments)
        await called(client, "check_drift", entries=[{"email": f"{SENDABLE}@example.com", "name": SENDABLE}])
        await called(client, "map_roles")
        await called(client, "map_roles", group=group, limit=10)
        await called(client, "map_roles", user=state.user(22)["id"])
        rows = await called(client, "find_deactivated", limit=500)
        assert rows["source"]["kind"] == "replica"


async def text_of(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_the_directory_and_every_resource_leave_harmless(world: World) -> None:
    state = world.sandbox.state()
    async with hostile(world) as client:
        await called(client, "describe_directory")
        await called(client, "sync_directory")
        export = (await called(client, "access_review", format="jsonl"))["resource"]
        lines = (await text_of(client, export)).splitlines()
        assert lines
        assert_harmless(*lines, *map(json.loads, lines))
        root = f"pingone://environments/{state.id}"
        listed = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        uris = [str(one.uri) for one in listed if not str(one.uri).startswith("ui:")]  # a view is the same for all
        uris += [f"{root}/users/{user['id']}" for user in state.users()]
        uris += [f"{root}/groups/{group}" for group in state.groups]
        uris += ["pingone://api/users", "pingone://api/groups", "pingone://paths", "pingone://paths?path=environments"]
        for template in templates:
            if "/exports/" in template.uri_template:
                continue  # it is no JSON: above
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.uri_template.partition("{?")[0]))
            assert any(re.fullmatch(pattern, uri) for uri in uris), f"{template.uri_template} is not walked"
        for uri in uris:
            for content in (await client.read_resource(uri)).contents:
                assert isinstance(content, TextResourceContents)
                assert_harmless(content.text, json.loads(content.text))


async def test_proxied_bodies_leave_harmless(world: World) -> None:
    state = world.sandbox.state()
    root = f"/environments/{state.id}"
    user = state.user(20)["id"]
    events = 'recordedAt ge "2026-06-02T00:00:00.000Z" and recordedAt le "2026-06-15T12:00:00.000Z"'
    async with hostile(world) as client:
        for path in (f"{root}/users", f"{root}/groups", f"{root}/populations", "/roles", "/environments"):
            answer = await called(client, "proxy_request", path=path, query={} if path == "/roles" else {"limit": 7})
            assert answer["result"]
        await called(client, "proxy_request", path=f"{root}/activities", query={"limit": 50, "filter": events})
        await called(client, "proxy_request", path=f"{root}/users/{user}/memberOfGroups", query={"expand": "group"})
        for path in (root, f"{root}/users/{user}", f"{root}/populations/{state.employees()}"):
            assert MARKER in json.dumps((await called(client, "proxy_request", path=path))["body"])
        text = await called(client, "proxy_request", path=f"{root}/report")
        assert MARKER in text["body"]
    async with hostile(world, characters=3_000) as client:
        assert "truncated" in (await called(client, "proxy_request", path=f"{root}/users/{user}"))["body"]


async def test_definitions_instructions_and_prompts_hold_nothing_of_the_directory(world: World) -> None:
    async with hostile(world) as client:
        await called(client, "describe_directory")
        told = [
            *(await client.list_tools()).tools,
            *(await client.list_resources()).resources,
            *(await client.list_resource_templates()).resource_templates,
            *(await client.list_prompts()).prompts,
        ]
        texts = [item.model_dump_json() for item in told] + [client.instructions or ""]
        for prompt in (await client.list_prompts()).prompts:
            given = {argument.name: f"Ann{HIDDEN}`{HIDDEN}" for argument in prompt.arguments or []}
            for message in (await client.get_prompt(prompt.name, given)).messages:
                assert isinstance(message.content, TextContent)
                texts += message.content.text.splitlines()
    for text in texts:
        assert_ours(text)


async def test_what_completes_while_a_person_types_leaves_harmless(world: World) -> None:
    offered = 0
    async with hostile(world) as client:
        slots: list[tuple[ResourceTemplateReference | PromptReference, str]] = [
            (ResourceTemplateReference(type="ref/resource", uri=template.uri_template), name)
            for template in (await client.list_resource_templates()).resource_templates
            for name in re.findall(r"\{(\w+)\}", template.uri_template)
        ]
        slots += [
            (PromptReference(type="ref/prompt", name=prompt.name), argument.name)
            for prompt in (await client.list_prompts()).prompts
            for argument in prompt.arguments or []
        ]
        for reference, name in slots:
            given = {"environment": world.sandbox.environment_id} if name != "environment" else {}
            answer = await client.complete(reference, {"name": name, "value": ""}, context_arguments=given)
            assert_harmless(answer.completion.values)
            offered += len(answer.completion.values)
    assert offered


# Failures


async def test_names_that_are_not_there_or_not_alone_are_told_as_data_with_their_ids(world: World) -> None:
    state = world.sandbox.state()
    twin, other = state.user(20), state.user(30)
    position = state.position(other["id"])
    assert position is not None
    state.put_user(position, other | {"email": twin["email"]})
    async with hostile(world) as client:
        for tool, argument in (
            ("list_users", "population"),
            ("list_groups", "population"),
            ("find_deactivated", "population"),
            ("list_users", "environment"),
            ("list_users", "group"),
            ("list_members", "group"),
        ):
            text = await refused(client, tool, **{argument: f"Nobody{SENDABLE}"})
            assert "UNKNOWN_NAME" in text
            assert "Nobody" not in text
            assert _CANDIDATE.search(text) or argument == "environment"
        assert "NOT_FOUND" in await refused(client, "get_user", user=f"nobody{SENDABLE}")
        assert "AMBIGUOUS_USER" in await refused(client, "get_user", user=twin["email"])
    twins = f"Twins{SENDABLE}"
    first, second, *_ = state.populations.values()
    first["name"] = second["name"] = twins
    for group in list(state.groups.values())[:2]:
        group.record["name"] = twins
        state.put_group(group)
    async with world.client() as client:
        for tool, argument in (
            ("list_members", "group"),
            ("list_users", "group"),
            ("list_users", "population"),
            ("find_deactivated", "population"),
        ):
            text = await refused(client, tool, **{argument: twins.replace("\0", "")})
            assert "AMBIGUOUS_NAME" in text
            assert len(_CANDIDATE.findall(text)) == 2


@pytest.mark.parametrize("codes", [False, True])
async def test_what_pingone_refuses_is_told_in_our_words(world: World, codes: bool) -> None:
    root = f"/environments/{world.sandbox.environment_id}"
    async with hostile(world, codes=codes, environments=(world.sandbox.environment_id,)) as client:
        await refused(client, "list_users", filter='nickname eq "x" and lastSignOn.at gt "2026-01-01"')
        await refused(client, "proxy_request", path=f"{root}/nothing")
        await refused(client, "proxy_request", path=f"{root}/users", query={"limit": 0})
        await refused(client, "proxy_request", path=f"{root}/users/3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10")
        for kind in ("server_error", "unavailable_503", "rate_limited_seconds", "truncated_body", "bad_gateway_html"):
            world.sandbox.faults.add(kind, times=None, seconds=2)
            if kind != "truncated_body":  # which is no JSON that could be poisoned
                await refused(client, "list_users")
            world.sandbox.faults.clear()
        world.sandbox.withdraw()
        for tool, arguments in CALLS.items():
            if tool not in ("describe_directory", "sync_directory"):  # they say so in their answer
                await refused(client, tool, **{k: v.replace("{root}", root) for k, v in arguments.items()})


CALLS: dict[str, dict[str, str]] = {
    "list_users": {},
    "get_user": {"user": "ann"},
    "find_deactivated": {},
    "list_groups": {},
    "list_members": {"group": "VPN Users"},
    "describe_directory": {},
    "proxy_request": {"path": "{root}/users"},
    "query_directory": {"sql": f"SELECT '{SENDABLE}'"},
    "browse_directory": {"query": SENDABLE},
    "list_changes": {"since": "2026-06-02T00:00:00Z"},
    "access_review": {"group": f"Nobody{SENDABLE}"},
    "check_drift": {"roster": f"none{SENDABLE}"},
    "map_roles": {"group": f"Nobody{SENDABLE}"},
    "sync_directory": {},
}


async def test_every_tool_that_reads_is_walked_here(world: World) -> None:
    async with world.client() as client:
        tools = (await client.list_tools()).tools
    reads = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert reads <= CALLS.keys(), "a new tool: walk it in this file too"


@pytest.mark.parametrize("codes", [False, True])
async def test_a_refused_token_is_told_in_our_words(world: World, codes: bool) -> None:
    async with hostile(world, codes=codes, client_id="3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10") as client:
        for tool, arguments in CALLS.items():
            await refused(client, tool, **{k: v.replace("{root}", "/roles") for k, v in arguments.items()})


@pytest.mark.parametrize("kind", ["foreign_next", "foreign_path_next", "repeated_next"])
async def test_links_that_are_not_followed_are_not_repeated(tmp_path: Path, kind: Any) -> None:
    world = World(sandbox=Sandbox(size=60, now=NOW, options=Options(max_page=7)), cache=tmp_path)
    world.sandbox.faults.add(kind, path="/users", times=None)
    async with hostile(world, environments=(world.sandbox.environment_id,)) as client:
        text = await refused(client, "list_users", limit=60)
    assert "_LINK" in text
    assert "://" not in text


async def test_arguments_are_not_repeated_either(world: World) -> None:
    async with hostile(world) as client:
        await refused(client, "list_users", fields=[SENDABLE])
        await refused(client, "list_users", status=SENDABLE)
        await refused(client, "list_users", cursor=SENDABLE)
        await refused(client, "list_users", filter=f'name.family zz "{MARKER}"')
        await refused(client, "find_deactivated", since=SENDABLE)
        await refused(client, "proxy_request", path=f"/environments/{SENDABLE}")
        assert_harmless(error_text(await client.call_tool("list_users", {ATTRIBUTE.replace("\ud83d", ""): 1})))


async def test_resources_that_are_not_there_do_not_repeat_names(world: World) -> None:
    root = f"pingone://environments/{world.sandbox.environment_id}"
    world.sandbox.withdraw()
    async with hostile(world, environments=(world.sandbox.environment_id,)) as client:
        for uri in (f"{root}/users/ann", f"{root}/groups/vpn", "pingone://environments/x/users/y"):
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
            assert_ours(str(caught.value))


# The check-up


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("withdrawn", [(), ("Identity Data Admin",), ("Environment Admin", "Configuration Read Only")])
async def test_the_check_up_prints_nothing_hidden(
    world: World, capsys: pytest.CaptureFixture[str], as_json: bool, withdrawn: tuple[str, ...]
) -> None:
    if withdrawn:
        world.sandbox.withdraw(*withdrawn)
    report = Report(as_json=as_json)
    connection = world.connection(environments=None)
    transport = Hostile(world.sandbox.transport())
    async with open_checkup(connection, transport=transport, clock=world.time.clock()) as findings:
        async for finding in findings:
            text = spelled(finding.text)
            assert_harmless(finding.step, text)
            report.add(finding.step, text, ok=finding.ok, needed=finding.needed)
    report.close()
    out = capsys.readouterr().out
    assert out
    assert_harmless(*out.splitlines())
    assert MARKER in " ".join(out.split()), "the name of the environment is shown"
    if as_json:
        assert_harmless(json.loads(out))
