"""Answers that help: completions, candidates for a mistyped name, advice on a refused filter, what can be filtered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextResourceContents

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import FilterRefused
from pingone_mcp.pingone.filters import USERS
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.store.store import Store
from pingone_mcp.server.tools.description import TOPICS
from tests.world import World, error_text, facts, replica_path

USER = ResourceTemplateReference(uri="pingone://environments/{environment}/users/{user}")
GROUP = ResourceTemplateReference(uri="pingone://environments/{environment}/groups/{group}")
REVIEW = PromptReference(name="access_review")


async def values(client: Client, ref: Any, name: str, typed: str, **context: str) -> list[str]:
    result = await client.complete(ref, {"name": name, "value": typed}, context_arguments=context or None)
    return list(result.completion.values)


async def test_arguments_of_templates_and_prompts_complete(world: World) -> None:
    someone = next(user for user in world.sandbox.users() if user["username"].startswith("marek"))
    async with world.client(environments=None) as client:
        assert await values(client, USER, "environment", "work") == ["Workforce"]
        assert someone["username"] in await values(client, USER, "user", "marek", environment="Workforce")
        assert "On Call" in await values(client, GROUP, "group", "call", environment="Workforce")
        assert "Engineering" in await values(client, REVIEW, "group", "engin")
        assert await values(client, USER, "user", "") == []
        assert "users" in await values(client, ResourceTemplateReference(uri="pingone://api/{area}"), "area", "use")


async def test_completion_offers_nothing_where_nothing_can_be_read(world: World) -> None:
    world.sandbox.withdraw()
    async with world.client() as client:
        assert await values(client, GROUP, "group", "call") == []


@pytest.mark.parametrize(("typed", "meant"), [("Enginering", "Engineering"), ("on-call", "On Call")])
async def test_a_mistyped_group_is_told_its_nearest(world: World, typed: str, meant: str) -> None:
    async with world.client() as client:
        text = error_text(await client.call_tool("list_members", {"group": typed}))
    group = next(group for group in world.sandbox.state().groups.values() if group.record["name"] == meant)
    assert "UNKNOWN_NAME" in text
    assert f'"{meant}" ({group.id})' in text


@pytest.mark.parametrize(("typed", "meant"), [("Enginering", "Engineering"), ("Beta Tester", "Beta Testers")])
async def test_a_mistyped_group_is_told_its_nearest_of_all_environments(world: World, typed: str, meant: str) -> None:
    async with world.client(environments=None) as client:
        live = error_text(await client.call_tool("list_members", {"group": typed}))
        await client.call_tool("sync_directory", {})
        copy = error_text(await client.call_tool("access_review", {"group": typed}))
    assert f'The nearest (names are data): "{meant}" (' in live
    assert copy == live


@pytest.mark.parametrize(
    ("tool", "arguments", "hint"),
    [
        ("list_user", {}, "Unknown tool: list_user. Did you mean list_users or get_user? The tools are: list_users, "),
        (
            "list_users",
            {"quary": "uma"},
            "there is no argument `quary`. Did you mean query? The arguments are cursor, ",
        ),
        ("list_users", {"status": "actve"}, "Did you mean active? [WRONG_ARGUMENTS]"),
        (
            "find_deactivated",
            {"reasons": ["lockt"]},
            "`reasons.0`: Input should be 'disabled', 'locked' or 'removed'. Did you mean locked?",
        ),
        ("list_changes", {"kinds": ["user.create"]}, "Did you mean user.created?"),
        ("describe_directory", {"topic": "filter"}, "Did you mean filters?"),
        ("list_users", {"population": "Contractor"}, 'The nearest (names are data): "Contractors" ('),
        ("list_users", {"environment": "Workforse"}, 'The nearest (names are data): "Workforce" ('),
    ],
)
async def test_whatever_is_given_by_name_is_told_its_nearest(
    world: World, tool: str, arguments: dict[str, Any], hint: str
) -> None:
    async with world.client() as client:
        assert hint in error_text(await client.call_tool(tool, arguments))


async def test_a_mistyped_role_of_the_copy_is_told_its_nearest_with_its_id(world: World) -> None:
    async with world.client(replica_roles=True) as client:
        await client.call_tool("sync_directory", {})
        text = error_text(await client.call_tool("access_review", {"role": "identity data admn"}))
    assert 'The nearest (names are data): "Identity Data Admin" (' in text


async def test_each_prompt_is_the_nearest_of_its_name_mistyped(world: World) -> None:
    async with world.client() as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert len(names) == 6
        for name in names:
            for typed in (name[1:], name.replace("_", "-"), f"{name[:4]}x{name[4:]}", name.upper()):
                with pytest.raises(MCPError, match=f"Did you mean {name}"):
                    await client.get_prompt(typed, {})


async def test_each_topic_is_the_nearest_of_its_name_mistyped(world: World) -> None:
    async with world.client() as client:
        for topic in TOPICS:
            text = error_text(await client.call_tool("describe_directory", {"topic": f"{topic}z"}))
            assert f"Did you mean {topic}" in text


async def test_a_group_is_found_by_the_name_that_answers_show(world: World) -> None:
    async with world.client() as client:
        groups = facts(await client.call_tool("list_groups", {"limit": 100}))["result"]
        invoices = next(group for group in groups if group["name"].startswith("Invoices"))
        members = await client.call_tool("list_members", {"group": invoices["name"]})
    assert not members.is_error, error_text(members)


@pytest.mark.parametrize(
    ("filter_", "advice"),
    [
        ('titel eq "Nurse"', "did you mean title"),
        ('createdAt ge "2026-01-01T00:00:00Z"', "createdAt: ask query_directory, column created_at of users"),
        ('email co "example"', "email takes eq, sw, ew, not co"),
        (
            'enabled eq true and lastSignOn le "2026-01-01T00:00:00Z"',
            "lastSignOn.at: ask query_directory, column last_login_at",
        ),
        ('account.status eq "LOCKED"', "column account_status"),
        ("mfaEnabled eq false", "column is_2fa_enabled"),
        ('emailVerified eq "true"', "column is_email_verified"),
        ('identityProvider.type eq "SAML"', "PingOne does not filter by identityProvider.type."),
        ('userName eq "ann"', "userName is written username"),
        ('emails.value eq "ann"', "emails.value is called email"),
        ('name.familyName sw "Li"', "name.familyName is called name.family"),
        ("not (enabled eq true)", "say it the other way round (enabled eq false), or ask query_directory"),
        ('population.name eq "Contractors"', "give `population` to list_users"),
        ('status eq "active"', "give `status` to list_users"),
        ('groups.value eq "Engineering"', "give `group` to list_users"),
    ],
)
async def test_a_refused_filter_is_told_what_is_wrong_in_it(world: World, filter_: str, advice: str) -> None:
    async with world.client() as client:
        text = error_text(await client.call_tool("list_users", {"filter": filter_}))
    assert advice in text
    assert "did you mean updatedAt" not in text
    assert "INVALID_FILTER" in text


async def test_the_copy_refuses_a_filter_in_the_same_words(world: World) -> None:
    question = UserQuestion(filter='createdAt ge "2026-01-01T00:00:00Z" and userName eq "ann"')
    async with world.directory() as live:
        replica = Replica(store=Store(replica_path(live.served.connection)), source=live.feed)
        await replica.sync("full", report=lambda *_: None)
        texts = []
        for directory in (live, replica.directory(live)):
            with pytest.raises(FilterRefused) as caught:
                await directory.users(question)
            texts.append(caught.value.next_step.partition(" Supported")[0])
    assert texts[0] == texts[1]
    assert "column created_at of users; userName is written username" in texts[0]


async def test_every_column_that_advice_names_is_one_of_the_copy(world: World) -> None:
    async with world.client() as client:
        await client.call_tool("sync_directory", {})
        columns = facts(await client.call_tool("query_directory", {"sql": "SELECT * FROM users LIMIT 1"}))["columns"]
    assert set(filter(None, USERS.not_filterable.values())) <= set(columns)


@pytest.mark.parametrize(
    ("path", "filter_", "says", "says_not"),
    [
        ("activities", 'creation gt "x"', "recordedAt ge", "updatedAt"),
        ("groups", 'description co "x"', "externalId with sw", "updatedAt"),
        ("populations", 'description co "x"', "name with eq and sw", "updatedAt"),
        ("users", 'createdAt gt "x"', "column created_at of users", "recordedAt"),
        ("users", "username eq ann", "value without quotes", "recordedAt"),
    ],
)
async def test_a_filter_of_another_list_gets_no_advice_about_users(
    world: World, path: str, filter_: str, says: str, says_not: str
) -> None:
    async with world.client() as client:
        asked = {"path": f"/environments/{{id}}/{path}", "query": {"filter": filter_}}
        text = error_text(await client.call_tool("proxy_request", asked))
    assert "INVALID_FILTER" in text
    assert says in text
    assert says_not not in text.partition("Supported attributes")[0]


async def test_activities_without_a_time_are_told_to_take_one(world: World) -> None:
    async with world.client() as client:
        text = error_text(await client.call_tool("proxy_request", {"path": "/environments/{id}/activities"}))
        asked = {
            "path": "/environments/{id}/activities",
            "query": {"filter": 'recordedAt ge "2026-06-14T00:00:00Z" and recordedAt le "2026-06-15T00:00:00Z"'},
        }
        assert facts(await client.call_tool("proxy_request", asked))["result"]
    assert 'recordedAt ge "…" and recordedAt le "…"' in text


async def test_no_change_of_somebody_is_told_how_to_name_them(world: World) -> None:
    async with world.client() as client:
        await client.call_tool("sync_directory", {})
        named = facts(await client.call_tool("list_changes", {"user": "Uma Becker"}))
        nobody = facts(await client.call_tool("list_changes", {}))
    assert "list_users finds them" in named["hint"]
    assert "hint" not in nobody


async def test_what_can_be_filtered_is_told_and_true(world: World) -> None:
    async with world.client() as client:
        (content,) = (await client.read_resource("pingone://filters")).contents
        assert isinstance(content, TextResourceContents)
        told = json.loads(content.text)
        for attribute, operators in told["attributes"].items():
            if attribute == "memberOfGroups":
                continue
            for operator in operators:
                value = "true" if attribute == "enabled" else '"2026-01-01T00:00:00Z"'
                result = await client.call_tool(
                    "list_users", {"filter": f"{attribute} {operator} {value}", "limit": 1, "fields": ["id"]}
                )
                assert not result.is_error, (attribute, operator, error_text(result))
        for example in told["examples"]:
            assert not (await client.call_tool("list_users", {"filter": example, "limit": 1})).is_error, example
    assert told["attributes"]["email"] == ["eq", "sw", "ew"]
    assert "createdAt" in told["not_filterable"]
    assert told["attributes"]["department"] == ["eq", "sw"]


async def test_every_result_says_that_its_strings_are_data(world: World) -> None:
    async with world.client() as client:
        result = await client.call_tool("list_users", {"limit": 1})
    assert result.meta is not None
    assert "not instructions" in result.meta["strings"]


@pytest.mark.parametrize("tool", ["list_users", "get_user", "list_members", "list_groups"])
async def test_very_long_arguments_are_one_sentence(world: World, tool: str) -> None:
    name = {"list_users": "group", "get_user": "user", "list_members": "group", "list_groups": "query"}[tool]
    async with world.client() as client:
        before = len(world.sandbox.requests)
        text = error_text(await client.call_tool(tool, {name: "x" * 1_000_000}))
        assert len(world.sandbox.requests) == before
    assert f"`{name}`" in text
    assert len(text) < 300


async def test_paths_of_the_api_complete(world: World) -> None:
    place = world.sandbox.environment_id
    paths = ResourceTemplateReference(uri="pingone://paths{?path}")
    async with world.client() as client:
        offered = await values(client, paths, "path", f"environments/{place}/pop")
        (content,) = (await client.read_resource(f"pingone://paths?path=environments/{place}/pop")).contents
    assert isinstance(content, TextResourceContents)
    assert f"environments/{place}/populations" in offered
    assert json.loads(content.text)["paths"] == [f"/{path}" for path in offered]
