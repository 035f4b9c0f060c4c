"""The tools that compare and review, on the local copy of a sample company."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.server.edge import compact
from tests.replica.happenings import Doors
from tests.world import NOW, World, error_text, facts, walk

RULES = """
[[rule]]
role = "engineer"
group = "Engineering"

[[rule]]
role = "deployer"
group = "Platform Team"

[[rule]]
role = "nobody"
group = "No Such Group"

[[exclusive]]
roles = ["engineer", "deployer"]
"""


@pytest.fixture
def company(tmp_path: Path) -> World:
    rosters, rules = tmp_path / "rosters", tmp_path / "roles.toml"
    rosters.mkdir()
    rules.write_text(RULES)
    return World(sandbox=Sandbox(size=300, now=NOW), cache=tmp_path / "cache", rosters=rosters, roles_file=rules)


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return facts(await client.call_tool(tool, arguments))


def members(world: World, group: str) -> dict[str, str]:
    """Return who is in a group and how, by PingOne's own answers."""
    state = world.sandbox.state()
    (found,) = [one for one in state.groups.values() if one.record["name"] == group]
    positions = range(300)
    kinds = {position: state.membership(position, found.id) for position in positions}
    return {state.user(at)["id"]: kind.lower() for at, kind in kinds.items() if kind is not None}


# ------------------------------------------------------------------------------------------------------- access review


async def test_a_review_counts_everybody_and_shows_who_deserves_a_look(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", group="All Staff")
    ways = Counter(members(company, "All Staff").values())
    assert told["counts"]["people"] == sum(ways.values()) > 100
    assert told["counts"]["how.indirect"] == ways["indirect"]
    assert len(told["people"][0]["flags"]) >= len(told["people"][-1]["flags"])
    assert told["replica_age_s"] >= 0


async def test_who_is_gone_has_no_access(company: World) -> None:
    place = company.sandbox.state().contractors()
    inside = [user["id"] for user in company.sandbox.users() if user["population"]["id"] == place]
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        company.sandbox.clock.advance(600)
        company.time.passed += 600
        company.sandbox.faults.add("user_deleted", path="/populations", user_id=inside[0])
        await client.call_tool("sync_directory", {"mode": "full"})
        company.sandbox.clock.advance(600)
        company.time.passed += 600
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", population="Contractors")
    assert company.sandbox.user(None, inside[0]) is None
    assert told["counts"]["people"] == len(inside) - 1


async def test_a_review_says_through_which_group(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", group="All Staff")
    for person in told["people"]:
        (how,) = person["how"]
        assert how.startswith("in group All Staff through ")
        assert how.endswith(person["department"])


async def test_a_review_says_since_when_as_far_as_that_is_known(company: World) -> None:
    state = company.sandbox.state()
    (group,) = [one.id for one in state.groups.values() if one.record["name"] == "Retired Projects"]
    joins = state.user(40)["id"]
    async with company.client() as client, Doors(company.sandbox) as doors:
        await client.call_tool("sync_directory", {})
        company.sandbox.clock.advance(600)
        company.time.passed += 600
        await doors.send("POST", f"/users/{joins}/memberOfGroups", {"id": group})
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", group="Retired Projects")
    (person,) = told["people"]
    assert (person["id"], person["since"][:16]) == (joins, "2026-06-15T12:10")


async def test_a_review_of_everybody_says_what_it_does_not_know(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review")
        of_a_group = await ask(client, "access_review", group="VPN Users")
    assert "PINGONE_REPLICA_ROLES" in told["gaps"][0]
    assert of_a_group["gaps"] == []


async def test_an_export_is_read_in_pieces_and_proved_by_its_manifest(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", population="Contractors", format="csv")
        text = ""
        while True:
            uri = f"{told['resource']}?offset={text.count(chr(10))}&limit=20"
            (piece,) = (await client.read_resource(uri)).contents
            text += getattr(piece, "text", "")
            if not getattr(piece, "text", ""):
                break
    place = company.sandbox.state().contractors()
    contractors = [user for user in company.sandbox.users() if user["population"]["id"] == place]
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["id"] for row in rows} == {user["id"] for user in contractors}
    assert told["manifest"]["rows"] == len(contractors)
    assert told["manifest"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()


async def test_a_role_is_reviewed_with_its_scope_and_says_what_is_not_known(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        result = await client.call_tool("access_review", {"role": "Environment Admin"})
        assert "PINGONE_REPLICA_ROLES" in error_text(result)
    async with company.client(replica_roles=True) as client:
        await client.call_tool("sync_directory", {"mode": "full"})
        told = await ask(client, "access_review", role="environment admin")
    (person,) = told["people"]
    assert person["how"] == ["role Environment Admin on environment Workforce"]
    assert (told["gaps"], told["counts"]["flag.privileged"]) == ([], 1)


async def test_a_piece_of_an_export_keeps_the_size_of_an_answer(company: World) -> None:
    async with company.client(characters=3_000) as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", format="jsonl")
        (piece,) = (await client.read_resource(f"{told['resource']}?limit=1000")).contents
    assert 1_000 < len(getattr(piece, "text", "")) <= 3_000


async def test_an_export_that_is_not_there_any_more_says_so(company: World) -> None:
    async with company.client() as client:
        for name in ("access-review-20260101-000000-abcdef.csv", "..%2f..%2fetc%2fpasswd"):
            with pytest.raises(MCPError):
                await client.read_resource(f"pingone://exports/{name}")


# --------------------------------------------------------------------------------------------------------------- drift


async def test_a_roster_is_compared_and_then_with_the_last_time(company: World) -> None:
    assert company.rosters is not None
    users = list(company.sandbox.users())
    active = next(user for user in users if user["enabled"] and user["account"]["status"] == "OK")
    off = next(user for user in users if not user["enabled"])
    lines = ["email,status", f"{active['email'].upper()},active", f"{off['email']},active", "gone@example.com,active"]
    (company.rosters / "crm.csv").write_text("\n".join(lines))
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        assert (await ask(client, "describe_directory"))["rosters"] == ["crm"]
        first = await ask(client, "check_drift", roster="crm")
        (company.rosters / "crm.csv").write_text("\n".join(lines[:-1]))
        second = await ask(client, "check_drift", roster="crm")
    assert (first["counts"]["missing"], first["counts"]["status_mismatches"]) == (1, 1)
    assert first["status_mismatches"][0]["person"]["id"] == off["id"]
    assert first["since_last"] is None
    assert second["since_last"]["counts"]["resolved_missing"] == 1
    assert first["counts"]["unexpected"] > 100
    assert len(first["unexpected"]) <= 20


async def test_a_roster_is_named_and_never_a_path(company: World, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("email\na@example.com\n")
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        for name in ("../secret", str(tmp_path / "secret"), "secret.csv"):
            result = await client.call_tool("check_drift", {"roster": name})
            assert "There is no roster of this name" in error_text(result)
        result = await client.call_tool("check_drift", {})
        assert "either `roster` or `entries`" in error_text(result)


async def test_whoever_is_missing_may_be_where_nobody_looked(company: World) -> None:
    place = company.sandbox.state().contractors()
    elsewhere = next(user for user in company.sandbox.users() if user["population"]["id"] != place)
    async with company.client(populations=(place,)) as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "check_drift", entries=[{"email": elsewhere["email"]}])
    assert told["counts"]["missing"] == 1
    assert told["gaps"] == ["only the populations that are served were looked at"]


async def test_accounts_may_be_given_instead(company: World) -> None:
    user = next(iter(company.sandbox.users()))
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "check_drift", entries=[{"username": user["username"]}], match_on=["username"])
    assert told["counts"]["matched"] == 1
    assert "since_last" not in told


# --------------------------------------------------------------------------------------------------------------- roles


async def test_roles_of_one_user_come_with_the_rule_that_gave_them(company: World) -> None:
    inside = next(iter(members(company, "Platform Team")))
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "map_roles", user=inside)
    user = company.sandbox.user(None, inside)
    assert user is not None
    expected = ["deployer", "engineer"] if user["enabled"] and user["account"]["status"] == "OK" else []
    assert told["roles"] == expected or user["lifecycle"]["status"] == "VERIFICATION_REQUIRED"
    assert {granted["line"] for granted in told["granted"]} <= {2, 6}


async def test_roles_of_a_group_come_member_by_member(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        rows = await walk(client, "map_roles", group="Engineering", limit=7)
    inside = members(company, "Engineering")
    assert {row["id"] for row in rows} == set(inside)
    active = [row for row in rows if row["status"] == "active"]
    assert all("engineer" in {one["role"] for one in row["roles"]} for row in active)
    assert any("conflicts" in row for row in active)


async def test_the_rules_themselves_are_reviewed(company: World) -> None:
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "map_roles")
    assert told["counts"]["groups"] == 21
    assert [rule["group"] for rule in told["unknown_groups"]] == ["No Such Group"]
    assert told["counts"]["unmapped_groups"] == 19
    assert told["counts"]["offenders"] > 0


async def test_wrong_rules_are_told_with_their_lines(company: World) -> None:
    assert company.roles_file is not None
    company.roles_file.write_text('[[rule]]\nrole = "x"\ngruop = "y"\n')
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        result = await client.call_tool("map_roles", {})
        assert "line 3" in error_text(result)
    company.roles_file = None
    async with company.client() as client:
        assert "PINGONE_ROLES_FILE" in error_text(await client.call_tool("map_roles", {}))


async def test_answers_keep_their_size(company: World) -> None:
    async with company.client(characters=4_000) as client:
        await client.call_tool("sync_directory", {})
        for tool, arguments in (
            ("access_review", {}),
            ("check_drift", {"entries": [{"email": "nobody@example.com"}]}),
            ("map_roles", {}),
            ("map_roles", {"group": "All Staff", "limit": 200}),
        ):
            told = await ask(client, tool, **arguments)
            assert len(compact(told)) <= 4_000, tool
