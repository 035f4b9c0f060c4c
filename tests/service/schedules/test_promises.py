"""Whatever kills the process: every finding that is new is said once, and what a schedule is for is done.

The process dies between any two steps of a check, the next one goes on, and two of them may do the same work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.control.outbox import NewEvent
from pingone_mcp.control.watching.schedules import ScheduleRecord
from tests.depth import tries
from tests.fleets import Estate, estate
from tests.service.events.receivers import URL
from tests.service.schedules.hours import (
    at_its_time,
    everybody,
    given_files,
    kept,
    new_usernames,
    news,
    scheduled,
    working,
    write_roster,
)

Fate = Literal[
    "whole",
    "dies before it looks",
    "dies before it writes",
    "dies before the event is written",
    "dies when the event is written",
]
Step = tuple[Literal["strangers"], int] | tuple[Literal["checked"], Fate] | tuple[Literal["twice"], Fate]
FATES: list[Fate] = [
    "whole",
    "dies before it looks",
    "dies before it writes",
    "dies before the event is written",
    "dies when the event is written",
]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("strangers"), st.integers(1, 3)),
    st.tuples(st.just("checked"), st.sampled_from(FATES)),
    st.tuples(st.just("twice"), st.sampled_from(FATES)),
)


class Killed(Exception):
    """The process is dead."""


class Life:
    """A connection whose roster gets accounts that nobody has, and the schedule that looks at it."""

    def __init__(self, serving: Estate, schedule: ScheduleRecord) -> None:
        self.serving, self.schedule = serving, schedule
        self.strangers: list[str] = []

    def add(self, count: int) -> None:
        known = len(self.strangers)
        self.strangers += [f"stranger{n}" for n in range(known, known + count)]
        rows = [{"username": name, "active": True} for name in self.strangers]
        write_roster(self.serving, [*everybody(self.serving), *rows])

    async def check(self, fate: Fate, schedule: ScheduleRecord) -> None:
        control = self.serving.control
        settle, add_all = control.schedules.settle, control.outbox.add_all

        async def settling(schedule: ScheduleRecord, **more: Any) -> bool:
            if fate == "dies before it writes":
                raise Killed
            return await settle(schedule, **more)

        async def adding(events: Sequence[NewEvent], *, connection_id: str, tenant: str | None) -> int:
            if fate == "dies before the event is written":
                raise Killed
            written = await add_all(events, connection_id=connection_id, tenant=tenant)
            if fate == "dies when the event is written":
                raise Killed
            return written

        with pytest.MonkeyPatch.context() as dying, suppress(Killed):
            if fate == "dies before it looks":
                raise Killed
            dying.setattr(control.schedules, "settle", settling)
            dying.setattr(control.outbox, "add_all", adding)
            async with working(self.serving) as schedules:
                await schedules.do(schedule)

    async def at_its_time(self, fate: Fate, *, again: bool = False) -> None:
        schedule = await at_its_time(self.serving, self.schedule)
        await self.check(fate, schedule)
        if again:  # by another process, which had read it before
            await self.check("whole", schedule)
        after = await kept(self.serving, self.schedule)
        if again or fate == "whole":
            assert after.next_at > self.serving.time.clock().now()
        elif "event" not in fate:  # there is none where nothing is new
            assert after == schedule, "it is due as before"


async def live(script: list[Step], folder: Path) -> None:
    async with estate(folder, given=given_files(folder)) as serving:
        acme = await serving.link("acme")
        await serving.control.webhooks.create(target_url=URL, event_types=["drift:new"])
        backend = await (await serving.fleet.current(acme)).backend()
        await backend.replica.sync("full", report=lambda *_: None)
        life = Life(serving, await scheduled(serving, acme))
        life.add(0)
        await life.at_its_time("whole")
        for step in script:
            match step:
                case ("strangers", count):
                    life.add(count)
                case ("checked", fate):
                    await life.at_its_time(fate)
                case ("twice", fate):
                    await life.at_its_time(fate, again=True)
        await life.at_its_time("whole")
        said = [name for event in await news(serving) for name in new_usernames(event, "missing")]
        assert said == life.strangers, "each once, in order"
        assert (await kept(serving, life.schedule)).next_at > serving.time.clock().now()


@pytest.mark.parametrize("fate", FATES)
async def test_each_death_is_survived(fate: Fate, tmp_path: Path) -> None:
    await live([("strangers", 2), ("checked", fate), ("strangers", 1), ("twice", fate)], tmp_path)


@pytest.mark.slow
@tries(25)
@given(st.lists(STEPS, max_size=12))
def test_what_is_new_is_said_once_whatever_dies(script: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(live, script, Path(folder))
