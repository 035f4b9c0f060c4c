"""Drafts are found by their owners alone, end, and are heard while their check-up goes on."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest

from pingone_mcp.service.fleet.drafting.drafts import DRAFT_SECONDS, CheckedSteps, Drafts, Invitation, NoDraft
from tests.world import Time


@dataclass(frozen=True)
class Found:
    step: str
    ok: bool = True
    text: str = ""
    needed: bool = True
    answered: bool = True
    signs_in: bool = False
    where: str = ""


def test_a_draft_is_its_owners() -> None:
    drafts = Drafts(Time().clock())
    mine = drafts.add("me", Invitation(), {"client_secret": "hidden"}, "name")
    assert drafts.find("me", mine.id) is mine
    with pytest.raises(NoDraft):
        drafts.find("you", mine.id)
    assert "hidden" not in repr(mine)


def test_a_draft_ends_after_half_an_hour() -> None:
    time = Time()
    drafts = Drafts(time.clock())
    mine = drafts.add("me", Invitation(), {}, "name")
    time.passed += DRAFT_SECONDS - 1
    assert drafts.find("me", mine.id) is mine
    time.passed += 1
    with pytest.raises(NoDraft):
        drafts.find("me", mine.id)


def test_the_oldest_of_one_owner_makes_way_and_those_of_others_stay() -> None:
    drafts = Drafts(Time().clock())
    other = drafts.add("you", Invitation(), {}, "name")
    many = [drafts.add("me", Invitation(), {}, "name") for _ in range(9)]
    with pytest.raises(NoDraft):
        drafts.find("me", many[0].id)
    assert drafts.find("me", many[1].id) is many[1]
    assert drafts.find("you", other.id) is other


async def test_steps_are_heard_as_they_come_by_all_who_listen() -> None:
    steps, heard = CheckedSteps(), list[str]()
    first = anyio.Event()

    async def listen() -> None:
        async for step in steps.all():
            heard.append(step.step)
            first.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await anyio.lowlevel.checkpoint()
        steps.hear(Found("region"))
        await first.wait()
        assert heard == ["region"]
        assert not steps.works
        tasks.start_soon(listen)
        steps.hear(Found("token"))
        steps.end()
    assert sorted(heard) == ["region", "region", "token", "token"]
    assert steps.works


@pytest.mark.parametrize(
    ("found", "works"), [((), False), ((Found("a", ok=False),), False), ((Found("a", ok=False, needed=False),), True)]
)
def test_what_works_has_ended_with_all_that_is_needed(found: tuple[Found, ...], works: bool) -> None:
    steps = CheckedSteps()
    for one in found:
        steps.hear(one)
    steps.end()
    assert steps.works == works
