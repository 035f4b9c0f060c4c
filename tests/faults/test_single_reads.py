"""One user, and the directory at a glance: what they tell is true, and what could not be read is told or left open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from pingone_mcp.pingone.checkup import open_checkup
from pingone_mcp.sandbox.faults import KINDS, Fault
from pingone_mcp.sandbox.options import Options
from tests.depth import sampled, tries
from tests.faults.honesty import Trial, trial
from tests.faults.plans import ALONE, LIES, UNENDING, Alone, options, plans
from tests.world import World, error_text, facts

JsonObject = dict[str, Any]
PATHS = (None, "/users", "/users/[^/?]*$", "/memberOf", "/roleA", "/roles", "/populations", "/environments/[^/]*$")
TOLD = tuple(kind for kind in KINDS if kind not in LIES)
SMALL = Options(max_page=3)


def person(opened: Trial) -> JsonObject:
    """Return somebody of whom there is much to read: groups by way of other groups, and a manager."""
    state, names = opened.sandbox.state(), {user["username"]: user for user in opened.sandbox.users()}

    def groups(user: JsonObject) -> int:
        position = state.position(user["id"])
        return len(state.memberships(position)) if position is not None else 0

    return max((user for user in names.values() if user.get("manager") in names), key=groups)


async def told_user(client: Client, opened: Trial) -> JsonObject | str:
    return await told(client, opened, "get_user", user=person(opened)["username"])


async def told_directory(client: Client, opened: Trial) -> JsonObject | str:
    return await told(client, opened, "describe_directory")


async def told(client: Client, opened: Trial, tool: str, **arguments: object) -> JsonObject | str:
    """Return what a tool tells, or the sentence by which it fails."""
    result = await client.call_tool(tool, arguments)
    text = error_text(result)
    opened.said += [text, repr(result)]
    assert "Error executing tool" not in text, "a failure that nobody thought of"
    return text if result.is_error else facts(result)


def nameless(thing: Any) -> Any:
    """Leave names out: they are labels, and an answer does without them where they cannot be read."""
    if isinstance(thing, dict):
        return {key: nameless(value) for key, value in thing.items() if key != "name"}
    return [nameless(item) for item in thing] if isinstance(thing, list) else thing


def is_user(now: JsonObject, before: JsonObject, after: JsonObject) -> None:
    """Fail unless each fact was true before or after, or is left out with a word."""
    unread = set(now.pop("unreadable", ()))
    for part in ("groups", "roles"):
        assert part in unread or now.get(part) is not None, part
    cut = "truncated" in {*now, *before, *after}  # how much of them depends on what else there is to tell
    for key, value in now.items():
        if key in unread or value is None or (key in _CUT and cut):
            continue
        if key == "manager":  # a manager who cannot be looked up stays a reference
            assert value["reference"] == before[key]["reference"]
            assert value in (before[key], {"reference": value["reference"]}, after.get(key))
        else:
            was = (nameless(before.get(key)), nameless(after.get(key)))
            assert nameless(value) in was, f"{key} was never that"
    expected = set(before) & set(after) - {"truncated"}  # what is not there need not be cut
    assert expected <= {*now, *unread}, "something is missing without a word"


def is_directory(now: JsonObject, before: JsonObject, after: JsonObject) -> None:
    (place,), (old,), (new,) = now["organizations"], before["organizations"], after["organizations"]
    for key in ("user_count", "disabled_count", "group_count"):
        count = place.get(key)
        assert count is None or count in range(min(old[key], new[key]), max(old[key], new[key]) + 1), key
    known = {one["id"] for one in (*old["workspaces"], *new["workspaces"])}
    shown = [one["id"] for one in place.get("workspaces", ())]
    assert len(shown) == len(set(shown))
    assert set(shown) == known or not place["may_read"]["populations"] or now.get("gaps")


Ask = Callable[[Client, Trial], Awaitable[JsonObject | str]]
Check = Callable[[JsonObject, JsonObject, JsonObject], None]
_CUT = frozenset({"groups", "roles", "custom_attributes", "truncated"})
READS: dict[str, tuple[Ask, Check]] = {"user": (told_user, is_user), "directory": (told_directory, is_directory)}


async def reads(name: str, planned: list[Fault], doubts: Options) -> None:
    ask, check = READS[name]
    with trial(doubts) as opened, anyio.fail_after(60):
        async with opened.world.client(wrap=opened.ear) as client:
            before = await ask(client, opened)
        assert isinstance(before, dict), before
        opened.plan(*planned)
        async with opened.world.client(wrap=opened.ear) as client:
            now = await ask(client, opened)
        opened.sandbox.faults.clear()
        await opened.rest(130)
        async with opened.world.client(wrap=opened.ear) as client:
            after = await ask(client, opened)
        if isinstance(now, dict):
            check(now, before, after if isinstance(after, dict) else before)


@sampled(6)
@pytest.mark.parametrize("alone", [one for one in (*ALONE, *UNENDING) if one.kind in TOLD], ids=lambda one: one.name)
@pytest.mark.parametrize("name", READS)
async def test_one_kind_of_fault_at_a_single_read(name: str, alone: Alone) -> None:
    await reads(name, [alone.fault()], SMALL)


@pytest.mark.slow
@given(
    name=st.sampled_from(sorted(READS)),
    planned=plans(PATHS, TOLD),
    doubts=options(unknown_environment_status=st.sampled_from([403, 404]), requests_per_second=st.none()),
)
@tries(12)
async def test_faults_together_at_a_single_read(name: str, planned: list[Fault], doubts: Options) -> None:
    await reads(name, planned, doubts)


async def test_a_short_page_does_not_turn_a_username_into_somebody_else() -> None:
    """One user's external id is another one's username: the username counts, on whatever page it stands."""
    with trial() as opened:
        state = opened.sandbox.state()
        older, newer = list(opened.sandbox.users())[:2]
        position = state.position(older["id"])
        assert position is not None
        state.put_user(position, older | {"externalId": newer["username"]})
        opened.plan(Fault("short_page", path="/users", times=None))
        async with opened.world.client(wrap=opened.ear) as client:
            found = await told(client, opened, "get_user", user=newer["username"])
        assert not isinstance(found, dict) or found["id"] == newer["id"]


async def test_a_pingone_that_answers_too_late_is_unreachable_and_nobody_waits_longer_than_promised(
    world: World,
) -> None:
    """Two hours for each answer: the time-out of the client ends it, by the clock of the test."""
    world.sandbox.faults.add("slow", seconds=7_200, times=None)
    async with world.client() as client:
        said = error_text(await client.call_tool("get_user", {"user": "nobody@example.com"}))
    assert "did not answer in time" in said
    assert 30 <= world.time.passed <= 300


async def test_a_pingone_that_drips_is_unreachable_and_nobody_waits_longer_than_promised(world: World) -> None:
    """A byte a second: an answer of hours, of which something is always coming."""
    world.sandbox.faults.add("drip", times=None)
    async with world.client() as client:
        said = error_text(await client.call_tool("get_user", {"user": "nobody@example.com"}))
        assert "did not answer in time" in said
        assert 30 <= world.time.passed <= 300


async def test_a_check_of_a_pingone_that_drips_comes_to_its_end(world: World) -> None:
    world.sandbox.faults.add("drip", times=None)
    found = []
    async with open_checkup(
        world.connection(), transport=world.sandbox.transport(), clock=world.time.clock()
    ) as findings:
        found = [finding async for finding in findings]
    assert not all(finding.ok for finding in found)
    assert any("did not answer in time" in finding.text for finding in found)
    assert world.time.passed <= 300
