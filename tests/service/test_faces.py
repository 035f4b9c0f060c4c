"""Every use case through its tool and through its command: the same facts, the same gaps, one exit status for both."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import Client
from mcp.types import TextResourceContents

from pingone_mcp.commands.call import VERB as CALL
from pingone_mcp.commands.changes import changes
from pingone_mcp.commands.drift import drift
from pingone_mcp.commands.review import manifest_path, review
from pingone_mcp.commands.roles import roles
from pingone_mcp.commands.sync import sync
from pingone_mcp.commands.verb import Doors as CommandDoors
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.reports.drift import KINDS
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from pingone_mcp.server.subscriptions import CHANGES
from pingone_mcp.service.freshness import NotCurrent
from tests.replica.happenings import Doors
from tests.world import NOW, World, error_text, facts, walk

SERVED_ONLY = "only the populations that are served were looked at"
RULES = """
[[rule]]
role = "engineer"
group = "Engineering"

[[rule]]
role = "nobody"
group = "No Such Group"
"""

Json = dict[str, Any]


@dataclass
class Faces:
    """One directory, asked by a model with tools and by a person with commands: each opens it for itself."""

    world: World
    capsys: pytest.CaptureFixture[str]
    served: Json
    """The settings that say what is served."""

    def client(self) -> Any:
        return self.world.client(**self.served)

    async def command(self, run: Callable[..., Awaitable[int]], **options: Any) -> tuple[int, list[Json], str]:
        """Return the exit status of a command, the documents that it printed, and what it said beside them."""
        self.capsys.readouterr()
        status = await run(partial(self.world.backend, **self.served), as_json=True, **options)
        printed = self.capsys.readouterr()
        return status, [json.loads(line) for line in printed.out.splitlines()], printed.err

    async def drift(self, roster: str, kinds: str | None = None) -> tuple[int, Json]:
        status, [document], _ = await self.command(drift, roster=roster, match_on=None, kinds=kinds)
        return status, document

    def passes(self, seconds: float) -> None:
        self.world.sandbox.clock.advance(seconds)
        self.world.time.passed += seconds


@pytest.fixture(params=["everything", "populations", "unreadable"])
def faces(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Faces:
    rosters, rules = tmp_path / "rosters", tmp_path / "roles.toml"
    rosters.mkdir()
    rules.write_text(RULES)
    sandbox = Sandbox(size=120, now=NOW)
    world = World(sandbox=sandbox, cache=tmp_path / "cache", rosters=rosters, roles_file=rules)
    served: Json = {}
    if request.param == "populations":
        served = {"populations": (sandbox.state().contractors(),)}
    if request.param == "unreadable":
        other = next(one.id for one in sandbox.company.environments if one.id != sandbox.environment_id)
        served = {"environments": (sandbox.environment_id, other)}
        sandbox.faults.add("forbidden", path=f"{other}/users", times=None)
    return Faces(world=world, capsys=capsys, served=served)


async def call(faces: Faces, *words: str) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    CALL.add(parser)
    return await CALL.run(parser.parse_args(words), cast(CommandDoors, faces))


def lacks(faces: Faces) -> bool:
    """Say whether this directory is not looked at as a whole."""
    return bool(faces.served)


async def write_roster(client: Client, path: Path, *, without: int = 0, beside: str = "") -> None:
    """Write everybody whom the copy holds into a roster; leave some out, and add a line."""
    sql = "SELECT username, status FROM users ORDER BY id"
    found = facts(await client.call_tool("query_directory", {"sql": sql, "limit": 1000}))
    rows = [f"{name},{'active' if status == 'active' else 'disabled'}" for name, status in found["rows"][without:]]
    path.write_text("\n".join(["username,status", *rows, beside]) + "\n")


def roster_of(faces: Faces) -> Path:
    assert faces.world.rosters is not None
    return faces.world.rosters / "crm.csv"


async def test_a_sync_comes_to_the_same(faces: Faces, tmp_path: Path) -> None:
    async with faces.client() as client:
        by_tool = facts(await client.call_tool("sync_directory", {}))
    faces.world.cache = tmp_path / "another"
    status, [by_command], _ = await faces.command(sync, full=False, every=None)
    same = ("mode", "complete", "reason", "gaps", "counts", "changes", "held", "taken_over")
    assert {name: by_tool.get(name) or None for name in same} == {name: by_command.get(name) or None for name in same}
    assert by_tool["state"] == "done"
    assert status == (0 if by_command["complete"] else 1)


async def test_changes_are_the_same_rows_with_the_same_gaps(faces: Faces) -> None:
    inside = faces.world.sandbox.state().contractors()
    someone = next(user for user in faces.world.sandbox.users() if user["population"]["id"] == inside)
    async with faces.client() as client, Doors(faces.world.sandbox) as doors:
        await client.call_tool("sync_directory", {})
        faces.passes(600)
        await doors.send("PATCH", f"/users/{someone['id']}", {"title": "Chief of Faces"})
        faces.passes(600)
        await client.call_tool("sync_directory", {})
        by_tool = facts(await client.call_tool("list_changes", {"limit": 1000}))
        (read,) = (await client.read_resource(CHANGES)).contents
    assert isinstance(read, TextResourceContents)
    by_resource = json.loads(read.text)
    assert by_resource.get("gaps") == by_tool.get("gaps")
    assert by_resource["known_since"] == by_tool["known_since"]
    status, by_command, said = await faces.command(changes, since=None, kinds=None)
    assert [row["id"] for row in by_command] == [row["id"] for row in by_tool["result"]]
    assert "Chief of Faces" in json.dumps(by_command)
    for row, also in zip(by_command, by_tool["result"], strict=True):
        assert (row["kind"], row["at"], row["user"]["id"]) == (also["kind"], also["at"], also["user"]["id"])
    assert [line for line in said.splitlines() if line.startswith("Note: ")] == [
        f"Note: {gap}." for gap in by_tool.get("gaps", [])
    ]
    assert bool(by_tool.get("gaps")) == ("environments" in faces.served)
    assert status == 0


async def test_drift_that_is_none_is_sure_only_where_everybody_was_looked_at(faces: Faces) -> None:
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        await write_roster(client, roster_of(faces))
        by_tool = facts(await client.call_tool("check_drift", {"roster": "crm"}))
    status, by_command = await faces.drift("crm")
    assert by_tool["counts"] == by_command["counts"]
    assert by_tool.get("gaps", []) == by_command["gaps"]
    assert not any(by_command["counts"][kind] for kind in KINDS)
    assert bool(by_command["gaps"]) == lacks(faces)
    assert (SERVED_ONLY in by_command["gaps"]) == ("populations" in faces.served)
    assert status == (3 if lacks(faces) else 0)


async def test_what_drift_finds_is_the_same(faces: Faces) -> None:
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        await write_roster(client, roster_of(faces), without=3, beside="gone@example.com,active")
        by_tool = facts(await client.call_tool("check_drift", {"roster": "crm"}))
    status, by_command = await faces.drift("crm")
    assert (by_command["counts"]["missing"], status) == (1, 1)
    for name in ("counts", "match_on", *KINDS):
        assert by_tool.get(name, []) == by_command[name], name
    assert (await faces.drift("crm", kinds="ambiguous"))[0] == (3 if lacks(faces) else 0)


async def test_checks_in_turns_say_what_is_new_since_the_last_one_whoever_made_it(faces: Faces) -> None:
    path = roster_of(faces)
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        await write_roster(client, path)
        first = facts(await client.call_tool("check_drift", {"roster": "crm"}))
        faces.passes(60)
        await write_roster(client, path, beside="gone@example.com,active")
        _, second = await faces.drift("crm")
        faces.passes(60)
        third = facts(await client.call_tool("check_drift", {"roster": "crm"}))
        faces.passes(60)
        await write_roster(client, path)
        _, fourth = await faces.drift(str(path))
    assert first["since_last"] is None
    for check, before in ((second, first), (third, second), (fourth, third)):
        assert check["since_last"] is not None, "the two faces saw the same directory"
        assert check["since_last"]["since"] == before["checked_at"]
    numbers = [
        (check["since_last"]["counts"]["new"], check["since_last"]["counts"]["resolved"])
        for check in (second, third, fourth)
    ]
    assert numbers == [(1, 0), (0, 0), (0, 1)]


@pytest.mark.parametrize("question", [{}, {"group": "All Staff"}])
async def test_a_review_says_the_same_of_the_same_people_with_the_same_gaps(
    faces: Faces, question: Json, tmp_path: Path
) -> None:
    out = tmp_path / "review.csv"
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        summary = facts(await client.call_tool("access_review", question))
        made = facts(await client.call_tool("access_review", {**question, "format": "csv"}))
        by_tool = made["manifest"]
        rows = await exported(client, question, made["next_cursor"])
    status, [by_command], _ = await faces.command(
        review, question=AccessQuestion(**question), path=out, format_=None, force=False
    )
    same = ("counts", "gaps", "complete", "filters", "data_as_of")
    assert {name: by_tool[name] for name in same} == {name: by_command[name] for name in same}
    assert (summary["counts"], summary["gaps"]) == (by_command["counts"], by_command["gaps"])
    assert json.loads(manifest_path(out).read_text()) == by_command
    signed = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8-sig"))))
    assert len(signed) == by_command["rows"] == by_command["totals"]["rows"]
    assert {row["user_id"]: (row["username"], row["flags"], row["mfa"]) for row in signed} == {
        row["id"]: (row["username"], row.get("flags", ""), row["mfa"]) for row in rows
    }
    assert by_tool["rows"] == len(rows) == by_command["totals"]["people_in_file"]
    assert ("only people of the populations that are served were looked at" in by_command["gaps"]) == (
        "populations" in faces.served
    )
    assert status == (0 if by_command["complete"] else 1)


async def exported(client: Client, question: Json, cursor: str | None) -> list[Json]:
    """Return all rows of a file that the tool has made."""
    rows: list[Json] = []
    while cursor is not None:
        page = facts(await client.call_tool("access_review", {**question, "format": "csv", "cursor": cursor}))
        rows += page["result"]
        cursor = page.get("next_cursor")
    return rows


async def test_a_review_of_the_rules_finds_the_same(faces: Faces) -> None:
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        by_tool = facts(await client.call_tool("map_roles", {}))
    status, [by_command], _ = await faces.command(roles, user=None, diff=None, kinds=None)
    for name in ("counts", "gaps", "unknown_groups", "ambiguous_groups", "idle", "expired", "offenders"):
        assert by_tool.get(name, []) == by_command[name], name
    assert (by_command["counts"]["unknown_groups"], status) == (1, 1)
    sure, [document], _ = await faces.command(roles, user=None, diff=None, kinds="offenders")
    assert bool(document["gaps"]) == lacks(faces)
    assert sure == (3 if lacks(faces) else 0)


async def test_the_roles_of_a_user_are_the_same(faces: Faces) -> None:
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        (row,) = (await walk(client, limit=1000))[:1]
        by_tool = facts(await client.call_tool("map_roles", {"user": row["id"]}))
    status, [by_command], _ = await faces.command(roles, user=row["id"], diff=None, kinds=None)
    assert by_tool.pop("replica_age_s") >= 0
    assert by_tool == by_command
    assert status == (3 if by_command.get("gaps") else 0)


async def test_roles_that_follow_from_groups_that_nobody_may_read_are_unknown_to_both(faces: Faces) -> None:
    faces.world.sandbox.faults.add("forbidden", path="/groups", times=None)
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        (row,) = (await walk(client, limit=1000))[:1]
        by_tool = facts(await client.call_tool("map_roles", {"user": row["id"]}))
    status, [by_command], _ = await faces.command(roles, user=row["id"], diff=None, kinds=None)
    assert by_tool["gaps"] == by_command["gaps"] != []
    assert status == 3


async def test_roles_of_an_application_lack_what_the_rules_lack(faces: Faces) -> None:
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        rules = facts(await client.call_tool("map_roles", {}))
        roster_of(faces).write_text("username,roles\numa.becker@example.com,engineer\n")
    _, [compared], _ = await faces.command(roles, user=None, diff="crm", kinds=None)
    assert compared["gaps"] == rules["gaps"]


async def test_call_prints_what_the_tool_answers(faces: Faces) -> None:
    async with faces.client() as client:
        answered = facts(await client.call_tool("list_users", {"limit": 3, "fields": ["id", "status"]}))
    faces.capsys.readouterr()
    status = await call(faces, "list_users", "limit=3", "fields=id,status")
    assert json.loads(faces.capsys.readouterr().out) == answered
    assert status == 0


async def test_call_fails_with_what_the_tool_refuses(faces: Faces) -> None:
    async with faces.client() as client:
        refused = error_text(await client.call_tool("check_drift", {"roster": "nothing"}))
    faces.capsys.readouterr()
    status = await call(faces, "check_drift", "roster=nothing")
    assert faces.capsys.readouterr().err.strip() == refused
    assert status == 1


async def test_a_copy_that_cannot_be_brought_up_to_date_is_not_compared_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rosters = tmp_path / "rosters"
    rosters.mkdir()
    sandbox = Sandbox(size=60, options=Options(unreachable_user_status=404), now=NOW)
    faces = Faces(World(sandbox=sandbox, cache=tmp_path / "cache", rosters=rosters), capsys, {})
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        await write_roster(client, roster_of(faces))
    everybody = frozenset(user["id"] for user in sandbox.users())
    sandbox.narrow(sandbox.environment_id, Narrowing(hidden=everybody))
    faces.passes(2 * 86_400)
    with pytest.raises(NotCurrent):
        await faces.drift("crm")


async def test_what_is_held_is_held_for_both_and_said_by_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(unreachable_user_status=404)
    rosters = tmp_path / "rosters"
    rosters.mkdir()
    sandbox = Sandbox(size=60, options=options, now=NOW, customers=5)
    faces = Faces(World(sandbox=sandbox, cache=tmp_path / "cache", rosters=rosters), capsys, {})
    async with faces.client() as client:
        await client.call_tool("sync_directory", {})
        await write_roster(client, roster_of(faces))
        everybody = frozenset(user["id"] for user in sandbox.users())
        sandbox.narrow(sandbox.environment_id, Narrowing(hidden=everybody))
        by_tool = facts(await client.call_tool("sync_directory", {"mode": "full"}))
        drift_by_tool = facts(await client.call_tool("check_drift", {"roster": "crm"}))
    status, [by_command], _ = await faces.command(sync, full=True, every=None)
    assert (by_tool["state"], by_command["held"], by_command["complete"], status) == ("held", True, False, 1)
    said = [found["gaps"][0].partition(", ")[2] for found in (by_tool, by_command)]
    assert said[0] == said[1] != "", "but for the time of the sync"
    sure, drift_by_command = await faces.drift("crm")
    assert drift_by_tool["counts"] == drift_by_command["counts"]
    assert any("held since" in gap for gap in drift_by_tool["gaps"])
    assert any("held since" in gap for gap in drift_by_command["gaps"])
    assert sure == 3, "nobody knows who is gone"
