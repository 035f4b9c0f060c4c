"""The second provider at work: all that it takes is its own folder and one line of wiring."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pingone_mcp import wiring
from pingone_mcp.server.build import build_server
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.connections import serve_one
from pingone_mcp.settings.parts import ConnectionSettings
from tests.contract.dictionary.company import Company, sample
from tests.contract.dictionary.opening import opening
from tests.world import Checked, error_text, facts, walk


@dataclass
class Served:
    """A company in dicts, and an MCP client of a server that serves it; `rosters` is where rosters lie."""

    company: Company
    client: Client
    rosters: Path

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return facts(await self.client.call_tool(tool, arguments))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    company, rosters = sample(), tmp_path / "rosters"
    rosters.mkdir()
    providers = {**wiring.PROVIDERS, "dictionary": opening(company)}  # the line
    settings = ConnectionSettings(sandbox=True, cache_dir=tmp_path / "cache", rosters=rosters)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Backend]:
        async with wiring.open_backend(settings, providers["dictionary"]) as backend:
            yield backend

    async with Checked(build_server(functools.partial(serve_one, opened), allow_writes=False)) as client:
        yield Served(company, client, rosters)


async def test_its_people_are_listed_with_cursors(served: Served) -> None:
    rows = await walk(served.client, limit=4)
    assert sorted(row["id"] for row in rows) == sorted(served.company.users)
    found = await served.ask("list_users", query="ada", status="active")
    assert {row["id"] for row in found["result"]} == {
        user.id for user in served.company.users.values() if user.first_name == "Ada" and user.status == "active"
    }


async def test_its_copy_answers_sql_and_shows_what_changed(served: Served) -> None:
    company = served.company
    assert (await served.ask("sync_directory"))["complete"]
    counted = await served.ask("query_directory", sql="SELECT status, count(*) AS users FROM users GROUP BY status")
    assert dict(counted["rows"]) == {
        status: sum(user.status == status for user in company.users.values()) for status in ("active", "inactive")
    }
    group = next(group.id for group in company.groups.values() if group.name == "Platform")
    victim, joiner = sorted(company.users)[1], sorted(company.users)[3]
    company.change(victim, title="Chief")
    company.join(joiner, group)
    company.remove(sorted(company.users)[8])
    await served.ask("sync_directory")
    changed = await served.ask("list_changes")
    kinds = {(change["kind"], change["user"]["id"]) for change in changed["result"]}
    assert {("user.updated", victim), ("membership.added", joiner)} <= kinds
    assert any(kind == "user.removed" for kind, _ in kinds)
    titled = await served.ask("query_directory", sql="SELECT id FROM users WHERE title = 'Chief'")
    assert titled["rows"] == [[victim]]


async def test_drift_compares_it_with_a_roster(served: Served) -> None:
    company = served.company
    people = list(company.users.values())
    lines = ["email,status", *(f"{user.email},active" for user in people[1:]), "stranger@dictionary.example,active"]
    (served.rosters / "crm.csv").write_text("\n".join(lines))
    await served.ask("sync_directory")
    found = await served.ask("check_drift", roster="crm")
    counts = found["counts"]
    out = [user for user in people[1:] if user.status == "inactive"]
    assert (counts["matched"], counts["missing"], counts["unexpected"]) == (len(people) - 1, 1, 1)
    assert (counts["status_mismatches"], len(out)) == (5, 5)
    assert [one["person"]["id"] for one in found["unexpected"]] == [people[0].id]
    assert "gaps" not in found


async def test_it_has_no_api_of_its_own(served: Served) -> None:
    refused = error_text(await served.client.call_tool("proxy_request", {"path": "/users"}))
    assert "no API of its own" in refused


@pytest.mark.parametrize("synced", [False, True], ids=["live", "copied"])
async def test_every_reading_tool_answers_about_it(served: Served, synced: bool) -> None:
    company = served.company
    if synced:
        await served.ask("sync_directory")
    described = await served.ask("describe_directory")
    assert described["provider"] == "dictionary"
    assert {place["organization"]["id"] for place in described["organizations"]} == company.environments.keys()
    assert "login" in (await served.ask("describe_directory", topic="filters"))["attributes"]
    groups = await served.ask("list_groups", environment="Head Office")
    assert {group["name"] for group in groups["result"]} >= {"Everybody", "Engineers", "Platform"}
    members = await served.ask("list_members", group="Engineers")
    engineers = next(group.id for group in company.groups.values() if group.name == "Engineers")
    assert len(members["result"]) == sum(engineers in company.memberships(user) for user in company.users)
    boss, managed = list(company.users.values())[:2]
    shown = await served.ask("get_user", user=managed.username)
    assert shown["manager"]["id"] == boss.id
    out = await served.ask("find_deactivated", reasons=["disabled", "locked", "removed"])
    assert {row["status"] for row in out["result"]} == {"inactive", "deleted"}
    assert len(out["result"]) == 6
    found = await served.ask("list_users", filter='town eq "Oslo"')
    assert len(found["result"]) == sum(user.address.city == "Oslo" for user in company.users.values() if user.address)


async def test_access_to_it_is_reviewed(served: Served) -> None:
    await served.ask("sync_directory")
    company = served.company
    group = next(group.id for group in company.groups.values() if group.name == "Everybody")
    review = await served.ask("access_review", group="Everybody")
    assert review["counts"]["people"] == sum(group in company.memberships(user) for user in company.users)


async def test_a_failure_names_it(served: Served) -> None:
    await served.ask("sync_directory")
    gone = min(served.company.users)
    served.company.remove(gone)
    said = error_text(await served.client.call_tool("get_user", {"user": gone}))
    assert said.startswith("dictionary does not show this user now")
