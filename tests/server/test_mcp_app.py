"""The MCP App: who is offered what of it, what it answers, and that nothing of a directory gets out of hand in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.types import TextResourceContents, Tool

from pingone_mcp.directory.rows import compact
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.server.apps.facts import choices
from pingone_mcp.service.browsing.people import FilterChoice, FilterChoices
from tests.hostile import MARKER, SENDABLE
from tests.server.test_hostile import Hostile, assert_harmless, assert_ours, refused
from tests.world import HOST, NOW, World, error_text, facts

URI = "ui://pingone/directory"
ERAS = ("auto", "legacy")
# A host of something else than what our view is made of.
OTHER = (advertise(EXTENSION_ID, {"mimeTypes": ["text/html"]}),)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path)


async def listed(world: World, **client: Any) -> dict[str, Tool]:
    async with world.client(**client) as opened:
        return {tool.name: tool for tool in (await opened.list_tools()).tools}


async def page(client: Client, **arguments: Any) -> dict[str, Any]:
    return facts(await client.call_tool("directory_view", arguments))


# Who is offered what


@pytest.mark.parametrize("mode", ERAS)
async def test_the_tool_names_the_view_whoever_asks(world: World, mode: str) -> None:
    for extensions in ((), OTHER, HOST):
        tool = (await listed(world, mode=mode, extensions=extensions))["browse_directory"]
        assert tool.meta == {"ui": {"resourceUri": URI}}


@pytest.mark.parametrize("mode", ERAS)
async def test_only_hosts_are_offered_what_is_for_the_view_alone(world: World, mode: str) -> None:
    to_host = await listed(world, mode=mode, extensions=HOST)
    assert to_host["directory_view"].meta == {"ui": {"resourceUri": URI, "visibility": ["app"]}}
    for extensions in ((), OTHER):
        to_other = await listed(world, mode=mode, extensions=extensions)
        assert to_other.keys() == to_host.keys() - {"directory_view"}


async def test_no_cache_shares_the_list_of_tools_between_clients(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        tools, resources = await client.list_tools(), await client.list_resources()
    assert (tools.cache_scope, resources.cache_scope) == ("private", "public")


async def test_who_mistypes_a_tool_hears_of_none_that_is_for_the_view(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        said = error_text(await client.call_tool("directory_viw", {}))
    assert "browse_directory" in said
    assert "directory_view" not in said


async def test_the_server_says_that_it_has_views(world: World) -> None:
    # Before 2026-07-28 there is no word for it: hosts see it by the tool.
    async with world.client() as client:
        assert client.server_capabilities.extensions == {EXTENSION_ID: {}}


# The view


async def read(client: Client) -> TextResourceContents:
    [content] = (await client.read_resource(URI)).contents
    assert isinstance(content, TextResourceContents)
    return content


@pytest.mark.parametrize("mode", ERAS)
async def test_the_view_is_a_document_that_asks_for_no_origin(world: World, mode: str) -> None:
    nowhere: dict[str, list[str]] = {
        "connectDomains": [],
        "resourceDomains": [],
        "frameDomains": [],
        "baseUriDomains": [],
    }
    async with world.client(mode=mode) as client:
        [resource] = [one for one in (await client.list_resources()).resources if str(one.uri) == URI]
        content = await read(client)
    assert resource.mime_type == content.mime_type == APP_MIME_TYPE
    assert resource.meta == content.meta == {"ui": {"csp": nowhere, "prefersBorder": True}}


async def test_the_view_stands_alone_and_puts_nothing_on_the_page_but_texts(world: World) -> None:
    async with world.client() as client:
        document = (await read(client)).text
    assert len(document.encode()) <= 150_000
    assert [document.count(tag) for tag in ("<script>", "</script>", "<style>", "</style>")] == [1, 1, 1, 1]
    assert (
        re.findall(r"\w+://|<(?:link|img|iframe|base|form|object)\b|\b(?:src|href|action)=|@import|url\(", document)
        == []
    )
    assert re.findall(r"\son\w+=|\sstyle=", document) == []
    dangerous = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|import\(|fetch\(|XMLHttp"
    assert re.findall(dangerous, document) == []


# What the model and the person without a view read


async def test_a_client_without_views_gets_the_first_matches_and_how_to_go_on(world: World) -> None:
    async with world.client() as client:
        await client.call_tool("sync_directory", {})
        everybody = facts(await client.call_tool("browse_directory", {}))
        few = facts(await client.call_tool("browse_directory", {"query": everybody["result"][0]["name"]}))
        gone = facts(await client.call_tool("browse_directory", {"view": "removed"}))
    assert everybody["result_count"] == len(everybody["result"]) == 10
    assert everybody["total"] == sum(1 for _ in world.sandbox.users())
    assert {"id", "name", "username", "status"} <= everybody["result"][0].keys()
    assert everybody["replica_age_s"] == 0
    assert "more than these" in everybody["hint"]
    assert "list_users" in everybody["hint"]
    assert everybody["result"][0] in few["result"]
    assert few["total"] == few["result_count"] < 10
    assert "There are these." in few["hint"]
    assert "find_deactivated" in gone["hint"]
    assert {row["status"] for row in gone["result"]} <= {"deleted"}


async def test_in_a_host_the_model_hears_that_the_person_sees_them(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        told = facts(await client.call_tool("browse_directory", {}))
    assert "sees the directory browser" in told["hint"]
    assert told["result_count"] == 10


async def test_before_the_first_sync_both_say_what_to_do(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        for tool in ("browse_directory", "directory_view"):
            said = error_text(await client.call_tool(tool, {}))
            assert "sync_directory" in said
            assert said.endswith("[NO_REPLICA]")


# What the view asks for


async def test_pages_go_through_everybody_once(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        pages = [await page(client)]
        while (cursor := pages[-1]["next_cursor"]) is not None:
            pages.append(await page(client, cursor=cursor))
    ids = [row["id"] for one in pages for row in one["people"]]
    assert len(ids) == len(set(ids)) == sum(1 for _ in world.sandbox.users())
    assert {one["total"] for one in pages} == {len(ids)}
    assert [len(one["people"]) for one in pages][:-1] == [15] * (len(pages) - 1)
    assert all(one["copy"]["age"] == "less than a minute ago" for one in pages)


async def test_each_filter_finds_as_many_as_it_says(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        first = await page(client, with_filters=True)
        offered = first["filters"]
        assert "filters" not in await page(client)
        assert all(offered[name] for name in ("statuses", "populations", "groups"))
        for argument, name in (("status", "statuses"), ("population", "populations"), ("group", "groups")):
            for choice in offered[name]:
                found = await page(client, **{argument: choice["value"]})
                assert found["total"] == choice["count"], choice
        gone = await page(client, status="removed")
    assert gone["total"] == offered["removed"]
    assert {row["state"]["label"] for row in gone["people"]} <= {"Removed"}


async def test_a_person_is_shown_with_status_and_why(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        inactive = (await page(client, status="inactive"))["people"]
        told = [(await page(client, person=row["id"]))["person"] for row in inactive]
    why = {sentence for one in told for sentence in one["why"]}
    assert "An administrator has disabled the account." in why
    assert {one["state"]["kind"] for one in told} == {"inactive"}
    assert all({"enabled", "account"} & {raw["name"] for raw in one["raw"]} for one in told)
    assert any(group["how"] == "directly" for one in told for group in one["groups"])
    assert all(one["roles_note"].startswith("Roles are not in the copy") for one in told)


async def test_who_is_gone_is_shown_with_what_was_known(world: World) -> None:
    state = world.sandbox.state()
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        world.sandbox.clock.advance(600)
        world.time.passed += 600
        world.sandbox.faults.add("user_deleted", path=f"{state.id}/", user_id=state.user(21)["id"])
        await client.call_tool("sync_directory", {})
        told = (await page(client, person=state.user(21)["id"]))["person"]
    assert told["state"] == {"label": "Removed", "kind": "deleted"}
    assert "an event of the provider says so" in told["notices"][0]["text"]
    assert told["groups_note"] == "Of somebody who is gone, no memberships are kept."
    assert "groups" not in told


async def test_what_the_copy_lacks_is_said_with_everything(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        assert (await page(client))["copy"]["lacks"] == []
        hidden = frozenset(user["id"] for user in list(world.sandbox.users())[:30])
        world.sandbox.narrow(world.sandbox.environment_id, Narrowing(hidden=hidden))
        assert facts(await client.call_tool("sync_directory", {"mode": "full"}))["state"] == "held"
        people = await page(client)
        person = await page(client, person=people["people"][0]["id"])
        opened = facts(await client.call_tool("browse_directory", {}))
    assert people["copy"]["is_held"]
    assert opened["gaps"] == people["copy"]["lacks"] == person["copy"]["lacks"] != []


# Bounds


async def test_what_makes_no_sense_is_refused_in_a_sentence(world: World) -> None:
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        cursor = (await page(client))["next_cursor"]
        for arguments in (
            {"query": "a" * 201},
            {"status": "a" * 101},
            {"person": "a" * 1_025},
            {"person": SENDABLE},
            {"cursor": "a"},
            {"cursor": cursor, "query": "ann"},
            {"population": f"Nobody{SENDABLE}"},
            {"group": f"Nobody{SENDABLE}"},
            {"limit": 1_000},
        ):
            await refused(client, "directory_view", **arguments)
        for arguments in ({"query": "a" * 201}, {"view": "everything"}, {"limit": 5}):
            await refused(client, "browse_directory", **arguments)


def test_choices_without_end_stay_within_their_size_and_say_so() -> None:
    def many(of: str) -> tuple[FilterChoice, ...]:
        return tuple(FilterChoice(value=f"{of}{at}", name=f"{of} {at} " + "n" * 250, count=at) for at in range(3_000))

    counted = FilterChoices(
        edition="1", people=1, statuses=(), populations=many("p"), departments=many("d"), groups=many("g"), removed=0
    )
    offered = choices(counted, 20_000)
    assert len(compact(offered)) <= 20_200
    assert min(len(offered[name]) for name in ("populations", "groups")) > 50
    assert offered["truncated"].keys() == {"populations", "groups"}
    assert all(how["of"] == 3_000 for how in offered["truncated"].values())


def long_texts(sandbox: Sandbox) -> None:
    """Give everybody texts that are as long as PingOne takes them."""
    state = sandbox.state()
    for position, user in enumerate(list(sandbox.users())):
        name = {"given": "G" * 256, "family": "F" * 256, "formatted": "N" * 256}
        long = {
            "title": "T" * 256,
            "username": f"{position}" + "u" * 120,
            "email": f"{position}" + "e" * 120 + "@x.example",
        }
        own = {f"field{at}": "v" * 4_000 for at in range(20)}
        state.put_user(position, user | long | own | {"name": name})
    for group in list(state.groups.values()):
        group.record["name"] = f"{group.record['name']} {'g' * 200}"
        state.put_group(group)


async def test_texts_of_any_length_leave_answers_within_their_size(world: World) -> None:
    long_texts(world.sandbox)
    async with world.client(extensions=HOST) as client:
        await client.call_tool("sync_directory", {})
        told = [await page(client), await page(client, with_filters=True)]
        person = await page(client, person=told[0]["people"][0]["id"])
        opened = facts(await client.call_tool("browse_directory", {}))
    assert len(told[0]["people"]) == 15
    assert len(compact(told[0])) <= 20_000
    assert len(compact(told[1]["filters"])) <= 21_000
    assert len(compact(person)) <= 20_000
    customs = person["person"]["truncated"]["custom"]
    assert (customs["of"], 0 < customs["shown"] < 20) == (20, True)
    assert len(compact(opened)) <= 20_000
    assert all(row["name"].endswith("…") for row in told[0]["people"])


# Hostile strings


async def test_a_hostile_company_leaves_harmless(world: World) -> None:
    async with world.client(
        wrap=Hostile, extensions=HOST, characters=400_000, environments=None, replica_roles=True
    ) as client:
        await client.call_tool("sync_directory", {})
        world.sandbox.faults.add("user_deleted", user_id=world.sandbox.state().user(21)["id"])
        world.sandbox.clock.advance(600)
        world.time.passed += 600
        await client.call_tool("sync_directory", {})
        opened = facts(await client.call_tool("browse_directory", {}))
        assert MARKER in json.dumps(opened["result"])
        assert_harmless(opened)
        assert_ours(opened["hint"])
        told = await page(client, with_filters=True)
        while True:
            assert_harmless(told)
            assert_ours(json.dumps(told["copy"]))
            for row in told["people"]:
                assert row["state"]["kind"] in ("active", "inactive", "invited", "deleted", "other")
                one = await page(client, person=row["id"])
                assert_harmless(one)
                assert_ours(json.dumps([one["person"]["why"], one["copy"]]))
            if told["next_cursor"] is None:
                break
            told = await page(client, cursor=told["next_cursor"])
        for row in (await page(client, status="removed"))["people"]:
            assert_harmless(await page(client, person=row["id"]))
