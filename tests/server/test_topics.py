"""What hosts without resources can ask a tool for: the topics of describe_directory, and the rows of an export."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.types import TextResourceContents

from pingone_mcp.directory.rows import compact
from pingone_mcp.server.tools.description import TOPICS
from tests.world import World, error_text, facts, walk


async def described(client: Client, topic: str) -> dict[str, Any]:
    return facts(await client.call_tool("describe_directory", {"topic": topic}))


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


@pytest.mark.parametrize(
    ("topic", "uri"),
    [
        ("views", "pingone://schema/views"),
        ("filters", "pingone://filters"),
        ("api", "pingone://api"),
        ("api/users", "pingone://api/users"),
    ],
)
async def test_a_topic_tells_what_its_resource_tells(world: World, topic: str, uri: str) -> None:
    async with world.client() as client:
        told = await described(client, topic)
        assert told.pop("topic") == topic
        assert told == json.loads(await read(client, uri))


async def test_every_topic_fits_one_answer(world: World) -> None:
    async with world.client() as client:
        areas = (await described(client, "api"))["areas"]
        assert areas["users"] > 50
        for topic in (*TOPICS, *(f"api/{area}" for area in areas)):
            told = await described(client, topic)
            assert len(compact(told)) <= 20_000
            assert "truncated" not in told, topic
            assert len(told.get("operations", ())) == (areas[topic[4:]] if topic.startswith("api/") else 0)


async def test_no_topic_and_an_empty_one_are_the_overview(world: World) -> None:
    async with world.client() as client:
        plain = facts(await client.call_tool("describe_directory", {}))
        for topic in ("", "overview", " overview "):
            assert await described(client, topic) == plain


@pytest.mark.parametrize(
    ("topic", "says"),
    [
        ("view", "The topics are overview, views, filters, api, roles, rosters, and api/{area}"),
        ("api/user", "Did you mean users?"),
        ("api/\u202enothing like it", "topic api, lists them"),
    ],
)
async def test_a_topic_that_is_none_is_told_which_there_are(world: World, topic: str, says: str) -> None:
    async with world.client() as client:
        result = await client.call_tool("describe_directory", {"topic": topic})
    assert result.is_error
    assert says in error_text(result)
    assert "\u202e" not in error_text(result)


async def test_rules_and_rosters_are_told_or_why_there_are_none(world: World, tmp_path: Path) -> None:
    async with world.client() as client:
        assert "PINGONE_ROLES_FILE" in (await described(client, "roles"))["note"]
        assert "PINGONE_ROSTERS" in (await described(client, "rosters"))["note"]
    (tmp_path / "rosters").mkdir()
    (tmp_path / "rosters" / "crm.csv").write_text("email\na@b.c\n")
    (tmp_path / "roles.toml").write_text(
        '[[rule]]\nrole = "seller"\ngroup = "Sales"\nattributes = { title = ["Buyer"] }\n'
    )
    configured = replace(world, rosters=tmp_path / "rosters", roles_file=tmp_path / "roles.toml")
    async with configured.client() as client:
        (rule,) = (await described(client, "roles"))["rules"]
        assert (rule["role"], rule["group"], rule["attributes"]) == ("seller", "Sales", {"title": ["Buyer"]})
        assert (await described(client, "rosters"))["rosters"] == ["crm"]


class WithoutAudit(httpx.AsyncBaseTransport):
    """A PingOne whose audit events the credentials may not read."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/activities"):
            return httpx.Response(403, json={"code": "ACCESS_FAILED"}, request=request)
        return await self.inner.handle_async_request(request)


async def test_the_overview_says_how_the_local_copy_stands(world: World) -> None:
    async with world.client(wrap=WithoutAudit) as client:
        assert (await described(client, "overview"))["replica"] is None
        await client.call_tool("sync_directory", {})
        replica = (await described(client, "overview"))["replica"]
    assert replica["users"] == 500
    assert any("audit events" in gap for gap in replica["gaps"])


# The rows of an export


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_the_rows_of_an_export_are_read_by_cursor(world: World, form: str) -> None:
    async with world.client(characters=6_000) as client:
        await client.call_tool("sync_directory", {})
        made = facts(await client.call_tool("access_review", {"format": form}))
        rows = await walk(client, "access_review", cursor=made["next_cursor"])
        pages = facts(await client.call_tool("access_review", {"cursor": made["next_cursor"]}))
    content = (world.exports() / made["resource"].rpartition("/")[2]).read_text(encoding="utf-8")
    whole: list[dict[str, Any]] = (
        list(csv.DictReader(io.StringIO(content)))
        if form == "csv"
        else [json.loads(line) for line in content.splitlines()]
    )
    assert rows == [{name: value for name, value in row.items() if value not in ("", None, [])} for row in whole]
    assert len(rows) == made["manifest"]["rows"] > 400
    assert len(compact(pages)) <= 6_000
    assert pages["stopped"] == "size"
    assert pages["resource"] == made["resource"]


async def test_a_cursor_of_an_export_is_bound_to_its_review(world: World) -> None:
    async with world.client() as client:
        await client.call_tool("sync_directory", {})
        made = facts(await client.call_tool("access_review", {"group": "Sales", "format": "csv"}))
        cursor = made["next_cursor"]
        same = {"group": "Sales", "format": "csv", "cursor": cursor}
        assert facts(await client.call_tool("access_review", same))["result_count"] > 10
        for other in ({"group": "Engineering"}, {"format": "summary"}, {"population": "Employees"}):
            assert "FOREIGN_CURSOR" in error_text(await client.call_tool("access_review", {**other, "cursor": cursor}))
        (world.exports() / made["resource"].rpartition("/")[2]).unlink()
        assert "make it again" in error_text(await client.call_tool("access_review", {"cursor": cursor}))
