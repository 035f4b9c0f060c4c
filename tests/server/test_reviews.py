"""The tools that compare and review, on the local copy of a sample company."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from pingone_mcp.directory.rows import compact
from pingone_mcp.sandbox.app import Sandbox
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


def forbidding(*endings: str) -> Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]:
    """Return what refuses requests whose path ends so (403), and passes on all others."""

    class Forbidding(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self._inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith(endings):
                return httpx.Response(403, json={"code": "ACCESS_FAILED", "message": "No."}, request=request)
            return await self._inner.handle_async_request(request)

    return Forbidding


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return facts(await client.call_tool(tool, arguments))


async def outcome(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Ask until it is not running any more."""
    with anyio.fail_after(30):
        while True:
            told = await ask(client, tool, **arguments)
            if told.get("state") != "running":
                return told


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


async def test_roles_that_nobody_read_are_unknown_everywhere(company: World) -> None:
    """VPN Users are too many for their roles to be read by the way."""
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        asked = len(company.sandbox.requests)
        everybody = await ask(client, "access_review")
        of_a_group = await ask(client, "access_review", group="VPN Users")
        of_a_population = await ask(client, "access_review", population="Contractors")
        exported = await ask(client, "access_review", group="VPN Users", format="csv")
        (piece,) = (await client.read_resource(f"{exported['resource']}?limit=1000")).contents
        counted = await ask(client, "query_directory", sql="SELECT count(*) FROM role_assignments")
    assert len(company.sandbox.requests) == asked
    for told in (everybody, of_a_group, of_a_population, exported["manifest"]):
        assert told["counts"]["flag.privileged"] is None
        assert told["counts"]["roles_unknown"] == told["counts"]["people"] > 0
        assert "".join(told["gaps"]).count("PINGONE_REPLICA_ROLES") == 1, "how to know is said, and said once"
        assert f"of {told['counts']['people']:,} people" in told["gaps"][-1]
    assert "how.role" not in everybody["counts"]
    assert len(everybody["gaps"]) == 2, "who has a role only is not even among those listed"
    assert exported["manifest"]["complete"] is False
    rows = list(csv.DictReader(io.StringIO(getattr(piece, "text", ""), newline="")))
    assert all("roles_unknown" in row["flags"] for row in rows)
    assert all("roles_unknown" in person["flags"] for person in of_a_group["people"])
    assert "PINGONE_REPLICA_ROLES" in counted["gaps"][0]


async def test_roles_of_a_small_group_are_read_when_it_is_reviewed(company: World) -> None:
    state = company.sandbox.state()
    admin = state.user(42)["id"]
    async with company.client() as client, Doors(company.sandbox) as doors:
        (group,) = [one.id for one in state.groups.values() if one.record["name"] == "Retired Projects"]
        for position in (41, 42, 43):
            await doors.send("POST", f"/users/{state.user(position)['id']}/memberOfGroups", {"id": group})
        (role,) = [
            one["id"]
            for one in (await company.native("/roles"))["_embedded"]["roles"]
            if one["name"] == "Client Application Developer"
        ]
        scope = {"id": company.sandbox.environment_id, "type": "ENVIRONMENT"}
        await doors.send("POST", f"/users/{admin}/roleAssignments", {"role": {"id": role}, "scope": scope})
        await client.call_tool("sync_directory", {})
        asked = len(company.api_requests())
        told = await ask(client, "access_review", group="Retired Projects")
        requests = company.api_requests()[asked:]
    assert sum("roleAssignments" in request for request in requests) == 3
    assert (told["counts"]["people"], told["counts"]["flag.privileged"], told["counts"]["roles_unknown"]) == (3, 1, 0)
    assert told["gaps"] == []
    assert [person["id"] for person in told["people"] if "privileged" in person.get("flags", ())] == [admin]


@pytest.mark.parametrize("trouble", ["time", "/roleAssignments", "/groups"])
async def test_roles_that_could_not_be_read_in_time_or_at_all_stay_unknown(company: World, trouble: str) -> None:
    state = company.sandbox.state()
    async with company.client() as client, Doors(company.sandbox) as doors:
        (group,) = [one.id for one in state.groups.values() if one.record["name"] == "Retired Projects"]
        await doors.send("POST", f"/users/{state.user(1)['id']}/memberOfGroups", {"id": group})
        await client.call_tool("sync_directory", {})
    forbidden = None if trouble == "time" else forbidding(trouble)
    async with company.client(seconds=0.0 if trouble == "time" else 60.0, wrap=forbidden) as client:
        told = await outcome(client, "access_review", group="Retired Projects")
    assert (told["counts"]["people"], told["counts"]["flag.privileged"], told["counts"]["roles_unknown"]) == (
        1,
        None,
        1,
    )
    assert "whether 1 of 1 people are privileged is unknown" in told["gaps"][0]


async def test_a_review_within_some_populations_says_that_it_is_one(company: World) -> None:
    place = company.sandbox.state().contractors()
    async with company.client(populations=(place,), replica_roles=True) as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", group="VPN Users")
        inside = await ask(client, "access_review", population="Contractors")
    assert "only people of the populations that are served were looked at" in told["gaps"]
    assert "only people of the populations that are served were looked at" not in inside["gaps"]


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
        assert "is not known" in error_text(result)
        assert "PINGONE_REPLICA_ROLES" in error_text(result)
    async with company.client(replica_roles=True) as client:
        await client.call_tool("sync_directory", {"mode": "full"})
        told = await ask(client, "access_review", role="environment admin")
        nobody = error_text(await client.call_tool("access_review", {"role": "No Such Role"}))
        of_a_group = await ask(client, "access_review", group="VPN Users")
    (person,) = told["people"]
    assert person["how"] == ["role Environment Admin on environment Workforce"]
    assert (told["gaps"], told["counts"]["flag.privileged"]) == ([], 1)
    assert "Nobody has" in nobody
    assert (of_a_group["gaps"], of_a_group["counts"]["roles_unknown"]) == ([], 0)


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
    assert len(first["unexpected"]) == 20
    assert first["shown"] == {"unexpected": f"20 of {first['counts']['unexpected']:,}"}


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


async def test_an_empty_roster_is_no_comparison_and_not_remembered(company: World) -> None:
    assert company.rosters is not None
    roster, user = company.rosters / "crm.csv", next(iter(company.sandbox.users()))
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        roster.write_text(f"email\ngone@example.com\n{user['email']}\n")
        await ask(client, "check_drift", roster="crm")
        roster.write_text("email,status\n")
        empty = await ask(client, "check_drift", roster="crm")
        roster.write_text(f"email\n{user['email']}\n")
        later = await ask(client, "check_drift", roster="crm")
    assert empty["gaps"] == ["nothing was compared: the roster holds no account"]
    assert empty["since_last"] is None
    assert later["since_last"]["counts"]["resolved_missing"] == 1


async def test_our_own_export_has_no_drift(company: World) -> None:
    assert company.rosters is not None
    state = company.sandbox.state()
    for position, name in enumerate(("=evil", "+1", "-x@y.z", "@home")):
        state.put_user(position, {**state.user(position), "username": name, "email": f"+{position}@corp.example"})
    async with company.client(replica_roles=True) as client:
        await client.call_tool("sync_directory", {"mode": "full"})
        told = await ask(client, "access_review", group="All Staff", format="csv")
        (company.rosters / "own.csv").write_text(
            (company.exports() / told["resource"].rpartition("/")[2]).read_text(encoding="utf-8"),
            encoding="utf-8",
        )
        drift = await ask(client, "check_drift", roster="own")
    assert drift["counts"]["matched"] == drift["counts"]["entries"] == told["manifest"]["rows"]
    assert "status.invited" in told["manifest"]["counts"]
    kinds = ("missing", "status_mismatches", "ambiguous", "attribute_mismatches", "unidentified")
    assert [drift["counts"][kind] for kind in kinds] == [0, 0, 0, 0, 0]
    assert "notes" not in drift


async def test_accounts_may_be_given_instead(company: World) -> None:
    user = next(iter(company.sandbox.users()))
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "check_drift", entries=[{"username": user["username"]}], match_on=["username"])
    assert told["counts"]["matched"] == 1
    assert "since_last" not in told


# --------------------------------------------------------------------------------------------------------------- roles


async def test_roles_by_groups_that_nobody_read_are_unknown(company: World) -> None:
    """That no sync has read who is in which group is not the same as being in none."""
    user = next(iter(company.sandbox.users()))
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        (copy,) = (company.cache / "replica").glob("*.db")
        with closing(sqlite3.connect(copy)) as database, database:
            (coverage,) = database.execute("SELECT value FROM facts_ WHERE name = 'coverage'").fetchone()
            unread = json.dumps({place: told | {"memberships": "no"} for place, told in json.loads(coverage).items()})
            database.execute("UPDATE facts_ SET value = ? WHERE name = 'coverage'", (unread,))
        told = await ask(client, "map_roles", user=user["id"])
        review = error_text(await client.call_tool("map_roles", {}))
        everybody = await ask(client, "access_review")
    assert (told["roles"], told["user"]["id"]) == (None, user["id"])
    assert told["gaps"] == ["the groups of this user were not read, so roles that follow from groups are unknown"]
    assert "does not hold what this needs" in review
    assert "groups and memberships are not, or not all, in the copy" in everybody["gaps"]


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
    assert "unmapped_groups" not in told.get("shown", {})
    assert told["gaps"] == []
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


# -------------------------------------------------------------------------------------------------------- long answers


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("access_review", {}),
        ("access_review", {"group": "All Staff"}),
        ("check_drift", {"roster": "crm"}),
        ("map_roles", {}),
    ],
)
async def test_what_takes_longer_than_an_answer_goes_on_and_is_the_same(
    company: World, tool: str, arguments: dict[str, Any]
) -> None:
    assert company.rosters is not None
    names = "\n".join(f"nobody{number}@example.com" for number in range(1_200))
    (company.rosters / "crm.csv").write_text(f"email\n{names}\n")
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        patient = await ask(client, tool, **arguments)
    async with company.client(seconds=0.0) as client:
        first = await ask(client, tool, **arguments)
        hurried = await outcome(client, tool, **arguments)
    assert {"state", "stage", "done", "about"} <= first.keys()
    assert first["state"] == "running"
    assert "state" not in hurried
    hurried |= {name: patient[name] for name in ("checked_at", "since_last") if name in patient}
    assert hurried == patient


async def test_a_long_drift_is_done_and_remembered_once_whoever_leaves(company: World) -> None:
    assert company.rosters is not None
    known = next(iter(company.sandbox.users()))["email"]
    (company.rosters / "crm.csv").write_text(f"email\ngone@example.com\n{known}\n")
    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        await ask(client, "check_drift", roster="crm")
    (company.rosters / "crm.csv").write_text(f"email\nelse@example.com\n{known}\n")
    async with company.client(seconds=0.0) as client:
        assert (await ask(client, "check_drift", roster="crm"))["state"] == "running"
        told = await outcome(client, "check_drift", roster="crm")
    assert told["since_last"]["counts"]["new_missing"] == told["since_last"]["counts"]["resolved_missing"] == 1


async def test_progress_of_a_review_always_increases(company: World) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with company.client() as client:
        await client.call_tool("sync_directory", {})
        told = facts(await client.call_tool("access_review", {}, progress_callback=note))
    people = told["counts"]["people"]
    assert seen[-1] == (people, people, f"reading the local copy: {people} of about {people}")
    steps = [step for step, _, _ in seen]
    assert steps == sorted(set(steps))


async def test_what_is_shown_of_how_many_stays_true_when_an_answer_is_cut(company: World) -> None:
    async with company.client(characters=3_000) as client:
        await client.call_tool("sync_directory", {})
        told = await ask(client, "access_review", group="All Staff")
    assert len(told["people"]) < 10
    assert told["shown"] == {"people": f"{len(told['people'])} of {told['counts']['people']}"}
    assert "people" not in told.get("truncated", {})
    assert len(compact(told)) <= 3_000
