"""A sync that would remove too many without evidence: held, said everywhere, and released by a person only."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from tests.replica.happenings import Doors
from tests.world import NOW, World, error_text, facts


@pytest.fixture
def hidden(tmp_path: Path) -> World:
    """A company whose users will answer 404 without an event."""
    options = Options(unreachable_user_status=404)
    return World(sandbox=Sandbox(size=60, options=options, now=NOW, customers=5), cache=tmp_path / "cache")


def hide_everybody(world: World) -> None:
    users = frozenset(user["id"] for user in world.sandbox.users())
    world.sandbox.narrow(world.sandbox.environment_id, Narrowing(hidden=users))


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return facts(await client.call_tool(tool, arguments))


async def test_everybody_who_answers_404_is_held_and_every_answer_says_so(hidden: World) -> None:
    async with hidden.client() as client:
        assert (await called(client, "sync_directory"))["state"] == "done"
        before = await called(client, "query_directory", sql="SELECT id FROM users ORDER BY id", limit=1000)
        gone = await called(client, "find_deactivated", reasons=["removed"])
        hide_everybody(hidden)
        held = await called(client, "sync_directory", mode="full")
        assert (held["state"], held["complete"], held.get("changes")) == ("held", False, None)
        assert "60 of 60 users" in held["reason"]
        assert "--accept-removals" in held["reason"]

        after = await called(client, "query_directory", sql="SELECT id FROM users ORDER BY id", limit=1000)
        assert after["rows"] == before["rows"]
        found = await called(client, "find_deactivated", reasons=["removed"])
        assert [row["id"] for row in found["result"]] == [row["id"] for row in gone["result"]]
        assert "held since" in found["coverage"]["removed"]["note"]
        username = next(hidden.sandbox.users())["username"]
        drift = await called(client, "check_drift", entries=[{"username": username, "status": "active"}])
        assert drift["counts"]["missing"] == 0
        review = await called(client, "access_review")
        changes = await called(client, "list_changes")
        described = await called(client, "describe_directory")
        for told in (after, drift, review, changes):
            assert any("held since" in gap for gap in told["gaps"]), told
        assert described["replica"]["held"] is True

        nobody = await called(client, "list_users")
        unknown = await called(client, "list_users", query=username)
        assert all("A sync is held" in told["hint"] for told in (nobody, unknown))
        text = error_text(await client.call_tool("get_user", {"user": username}))
        assert ("the local copy still has them" in text, "removed at" in text) == (True, False)

        hidden.sandbox.narrow(hidden.sandbox.environment_id)
        again = await called(client, "sync_directory")
        assert (again["state"], again["mode"], again.get("gaps")) == ("done", "full", None)
        assert (await called(client, "describe_directory"))["replica"]["held"] is False


async def test_no_model_can_release_what_is_held(hidden: World) -> None:
    async with hidden.client() as client:
        (tool,) = [one for one in (await client.list_tools()).tools if one.name == "sync_directory"]
        assert "accept" not in str(tool.input_schema)
        refused = await client.call_tool("sync_directory", {"accept_removals": True})
        assert refused.is_error


async def test_get_user_says_whether_somebody_left_the_populations_served_or_was_removed(world: World) -> None:
    state = world.sandbox.state()
    scope = (state.employees(),)
    mover, leaver = [user for user in world.sandbox.users() if user["population"]["id"] in scope][:2]
    async with world.client(populations=scope) as client:
        await client.call_tool("sync_directory", {})
        async with Doors(world.sandbox) as doors:
            await doors.send("PUT", f"/users/{mover['id']}/population", {"id": state.contractors()})
            await doors.send("DELETE", f"/users/{leaver['id']}")
        world.sandbox.clock.advance(60)
        world.time.passed += 60
        await client.call_tool("sync_directory", {})
        moved = error_text(await client.call_tool("get_user", {"user": mover["username"]}))
        removed = error_text(await client.call_tool("get_user", {"user": leaver["id"]}))
        others = [user for user in world.sandbox.users() if user["population"]["id"] == state.contractors()]
        stranger = next(user for user in others if user["id"] != mover["id"])
        unknown = error_text(await client.call_tool("get_user", {"user": stranger["username"]}))
        changes = await called(client, "list_changes", since=(NOW - timedelta(seconds=1)).isoformat())
        status = await called(client, "find_deactivated", reasons=["removed"], since=NOW.isoformat())
    assert "moved, not removed" in moved
    assert "was removed at" in removed
    assert "[NOT_FOUND]" in unknown, "of others nothing is told"
    assert {row["kind"] for row in changes["result"] if row["user"]["id"] == mover["id"]} == {"user.left_scope"}
    assert [row["id"] for row in status["result"]] == [leaver["id"]]


async def test_a_mass_that_is_held_costs_few_requests(tmp_path: Path) -> None:
    options = Options(unreachable_user_status=404)
    world = World(sandbox=Sandbox(size=2_000, options=options, now=NOW, customers=5), cache=tmp_path / "cache")
    async with world.client() as client:
        await called(client, "sync_directory")
        hide_everybody(world)
        world.sandbox.requests.clear()
        assert (await called(client, "sync_directory", mode="full"))["state"] == "held"
    assert len(world.api_requests()) < 200, "not one for each who is missing"
