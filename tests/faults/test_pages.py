"""Lists through MCP, read to their end whatever happens: everybody once, or an answer that says what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.options import Options
from tests.depth import SOAK, sampled, soaked, tries
from tests.faults.honesty import Members, Reading, Trial, everybody, judge, trial
from tests.faults.plans import ALONE, PASSING, UNENDING, Alone, options, plans
from tests.world import NOW, error_text

TRIES = 4
"""How often a caller asks again after an error before it gives up."""
MOST_CALLS = 400
RECENTLY = (NOW - timedelta(days=13)).isoformat()


@dataclass(frozen=True)
class Asked:
    """A question, and who belongs to its answer."""

    name: str
    tool: str
    members: Members
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


def where(test: Any) -> Members:
    return lambda sandbox: {user["id"] for user in sandbox.users() if test(sandbox, user)}


def staff(sandbox: Sandbox) -> str:
    return next(group.id for group in sandbox.state().groups.values() if group.record["name"] == "All Staff")


def in_group(sandbox: Sandbox) -> set[str]:
    state = sandbox.state()
    positions = [(state.position(user["id"]), user["id"]) for user in sandbox.users()]
    return {identity for at, identity in positions if at is not None and state.membership(at, staff(sandbox))}


def removed(sandbox: Sandbox) -> set[str]:
    since = NOW.timestamp() * 1_000 - timedelta(days=13).total_seconds() * 1_000
    return {
        event.resource_id for event in sandbox.state().events if event.action == "USER.DELETED" and event.at >= since
    }


def groups(sandbox: Sandbox) -> set[str]:
    return set(sandbox.state().groups)


def employed(sandbox: Sandbox, user: dict[str, Any]) -> bool:
    return bool(user["population"]["id"] == sandbox.state().employees())


def out(_: Sandbox, user: dict[str, Any]) -> bool:
    return not user["enabled"] or user["account"]["status"] == "LOCKED"


ENABLED = "enabled eq true"
QUESTIONS = (
    Asked("everybody", "list_users", everybody),
    Asked("of-a-population", "list_users", where(employed), {"population": "Employees"}),
    Asked("of-a-filter", "list_users", where(lambda _, user: user["enabled"]), {"filter": ENABLED}),
    Asked("of-a-status", "list_users", where(out), {"status": "inactive"}),
    Asked("with-groups", "list_users", everybody, {"include": ["groups"]}),
    Asked("members", "list_members", in_group, {"group": "All Staff"}),
    Asked("groups", "list_groups", groups),
    Asked("out", "find_deactivated", where(out), {"reasons": ["disabled", "locked"]}),
    Asked("removed", "find_deactivated", removed, {"reasons": ["removed"], "since": RECENTLY}),
    Asked("proxied", "proxy_request", everybody, {"path": "/users", "query": {"limit": 9}}),
    Asked(
        "proxied-filter", "proxy_request", where(lambda _, user: user["enabled"]), {"path": f"/users?filter={ENABLED}"}
    ),
)


async def read(client: Client, trial: Trial, asked: Asked, limit: int) -> Reading:
    """Read to the end as an assistant would: by cursor, and after an error once more from the same place."""
    arguments = dict(asked.arguments)
    if asked.tool == "proxy_request":
        arguments["path"] = f"/environments/{trial.sandbox.environment_id}{arguments['path']}"
    else:
        arguments["limit"] = limit
    reading, failed = Reading(), 0
    for _ in range(MOST_CALLS):
        result = await client.call_tool(asked.tool, arguments)
        text = error_text(result)
        trial.said += [text, repr(result)]
        content = result.structured_content
        if result.is_error or content is None or "error" in content:
            failed += 1
            assert "Error executing tool" not in text, "a failure that nobody thought of"
            if failed == TRIES:
                reading.told.append(text)
        if not result.is_error and content is not None:
            reading.ids += [row["id"] for row in content["result"]]
            assert (content.get("stopped") == "error") == ("error" in content)
            if content["next_cursor"] is None:
                reading.told += content.get("gaps", [])
                for reason, how in content.get("coverage", {}).items():
                    if not how["complete"]:
                        reading.told.append(f"{reason}: {how['note']}")
                return reading
            claimed = [how["complete"] for how in content.get("coverage", {}).values()]
            assert not claimed or not all(claimed), "complete, and yet there is more"
            arguments["cursor"] = content["next_cursor"]
        if reading.told:
            return reading
    raise AssertionError(f"no end after {MOST_CALLS} answers")


async def reads(asked: Asked, faults: list[Fault], doubts: Options, *, limit: int, characters: int = 20_000) -> Reading:
    """Read a list while the faults happen, and judge it."""
    with trial(doubts) as opened, anyio.fail_after(60):
        truth = opened.sandbox.watch(asked.members)
        there = opened.sandbox.watch()
        opened.plan(*faults)
        async with opened.world.client(wrap=opened.ear, characters=characters) as client:
            reading = await read(client, opened, asked, limit)
        # Who was found disabled and is removed meanwhile is told so, too: two facts about one user.
        gone = there.ever - there.always if asked.tool == "find_deactivated" else set[str]()
        judge(reading, truth, twice=frozenset(gone))
    return reading


SMALL = Options(max_page=7)
OTHERS = {"everybody", "members", "out", "proxied"}
"""Questions that are read in ways of their own; the remaining ones come up in combinations and in a soak."""


@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked.name)
async def test_without_a_fault_everything_is_read_and_nothing_is_missing(asked: Asked) -> None:
    reading = await reads(asked, [], SMALL, limit=20)
    assert (len(reading.ids) > 3, reading.told) == (True, [])


@soaked
@sampled(4)
@pytest.mark.parametrize(
    ("asked", "alone"),
    [
        *((asked, alone) for asked in QUESTIONS if SOAK or asked.name in OTHERS for alone in ALONE),
        *((asked, alone) for asked in QUESTIONS if SOAK or asked.name == "everybody" for alone in UNENDING),
    ],
    ids=lambda value: value.name,
)
async def test_one_kind_of_fault(asked: Asked, alone: Alone) -> None:
    reading = await reads(asked, [alone.fault()], SMALL, limit=20)
    assert reading.told == [] or alone in UNENDING or alone.kind not in PASSING


@pytest.mark.slow
@given(
    asked=st.sampled_from(QUESTIONS),
    faults=plans(),
    doubts=options(),
    limit=st.sampled_from([1, 6, 50, 1_000]),
    characters=st.sampled_from([4_000, 20_000]),
)
@tries(30)
async def test_faults_together(asked: Asked, faults: list[Fault], doubts: Options, limit: int, characters: int) -> None:
    await reads(asked, faults, doubts, limit=limit, characters=characters)


async def test_a_page_that_is_read_again_and_is_shorter_brings_nobody_twice() -> None:
    """An answer of the proxy ends in the middle of a page; when it is read again, only its first row comes."""
    proxied = next(asked for asked in QUESTIONS if asked.name == "proxied")
    await reads(proxied, [Fault("short_page", nth=4)], Options(max_page=3), limit=1, characters=4_000)
