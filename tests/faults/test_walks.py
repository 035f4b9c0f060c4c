"""Walks over everybody, whatever happens on the way: everybody once, or a verdict that says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.errors import Problem
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.options import Options
from tests.depth import sampled, tries
from tests.faults.honesty import Reading, Trial, everybody, judge, trial
from tests.faults.plans import ALONE, CHANGES, PASSING, UNENDING, Alone, faults, options, plans
from tests.world import NOW

SIZE, PAGE = 130, 4
"""More than thirty pages: enough for a walk to split into parts."""
PEOPLE = [user["id"] for user in Sandbox(SIZE, now=NOW, customers=5).users()]
PATHS = (None, "/users", "/users.*updatedAt", "/users.*cursor=", "/users.*population", "/populations", "cursor=")
REFUSALS = ((), ("updatedAt",), ("updatedAt", "population.id"))


def flatten(sandbox: Sandbox) -> None:
    """Give all users one and the same time of their last change, as an import does."""
    state, at = sandbox.state(), "2026-05-01T08:00:00.000Z"
    for user in list(sandbox.users()):
        position = state.position(user["id"])
        assert position is not None
        state.put_user(position, user | {"updatedAt": at})


async def go(
    opened: Trial, reading: Reading, *, ledger: Path | None = None, pages: int | None = None, **changes: Any
) -> None:
    """Walk, to the end or for so many pages; what was handed over counts once it is kept."""
    held: list[str] = []
    try:
        async with (
            opened.world.directory(transport=opened.ear(), page_size=PAGE, **changes) as directory,
            directory.walk(opened.sandbox.environment_id, ledger=ledger) as walk,
        ):
            async for page in walk:
                reading.ids += held
                opened.said.append(repr(page))
                held = [user.id for user in page.users]
                known = {*reading.ids, *held}
                assert {user.id for user in page.changed} <= known, "who has changed was handed over before"
                if pages is not None:
                    pages -= 1
                    if pages < 0:
                        reading.told.append("stopped by the test")
                        return
                walk.kept()
            reading.ids += held
            opened.said += [repr(walk), repr(walk.verdict)]
            if not walk.verdict.complete:
                assert walk.verdict.reason, "an incomplete walk says why"
                reading.told.append(walk.verdict.reason)
    except Problem as problem:
        reading.ids += held
        reading.told.append(opened.hear(problem))


def employed(sandbox: Sandbox) -> set[str]:
    return {user["id"] for user in sandbox.users() if user["population"]["id"] == sandbox.state().employees()}


async def walks(
    planned: list[Fault], doubts: Options, *, flat: bool = False, limited: bool = False, **changes: Any
) -> Reading:
    """Walk while the faults happen, and judge what came; `limited` serves one population only."""
    reading = Reading()
    with trial(doubts, size=SIZE) as opened, anyio.fail_after(60):
        if flat:
            flatten(opened.sandbox)
        truth = opened.sandbox.watch(employed if limited else everybody)
        if limited:
            changes["populations"] = (opened.sandbox.state().employees(),)
        opened.plan(*planned)
        await go(opened, reading, **changes)
        judge(reading, truth)
    return reading


@pytest.mark.parametrize(
    ("flat", "refused"),
    [
        (False, ()),
        (False, ("updatedAt",)),
        (False, ("updatedAt", "population.id")),
        (True, ()),
        (True, ("updatedAt",)),
        (True, ("updatedAt", "population.id")),
    ],
)
async def test_without_a_fault_a_walk_is_complete(*, flat: bool, refused: tuple[str, ...]) -> None:
    reading = await walks([], Options(refused_filters=refused), flat=flat)
    assert (set(reading.ids), reading.told) == (set(PEOPLE), [])


@sampled(4)
@pytest.mark.parametrize("alone", [*ALONE, *UNENDING], ids=lambda alone: alone.name)
async def test_one_kind_of_fault_in_a_walk(alone: Alone) -> None:
    reading = await walks([alone.fault()], Options())
    assert reading.told == [] or alone in UNENDING or alone.kind not in PASSING


@pytest.mark.parametrize("nth", [1, 2, 7, 30])
async def test_a_token_that_is_revoked_in_a_walk_is_renewed_and_nobody_is_missed(nth: int) -> None:
    """Many requests are under way then, and all are refused at once."""
    reading = await walks([Fault("token_revoked", nth=nth)], Options())
    assert (set(reading.ids), reading.told) == (set(PEOPLE), [])


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda names: "+".join(names) or "nothing-refused")
@pytest.mark.parametrize("place", ["never", "skipped", "repeated"])
async def test_who_is_moved_behind_the_back_of_a_walk_is_found(place: Any, refused: tuple[str, ...]) -> None:
    """People move, most of them before they were read, and where they go has been read."""
    doubts = Options(moved_users_change_place=place, refused_filters=refused)
    movers = [
        Fault("user_moved", path="/users", nth=3 + at % 20, user_id=person) for at, person in enumerate(PEOPLE[::7])
    ]
    await walks(movers, doubts)


# People who are touched in the middle of a walk, by name: they may stand anywhere in it.
CHANGED = st.lists(
    st.builds(
        Fault,
        kind=st.sampled_from(CHANGES),
        path=st.just("/users"),
        nth=st.integers(1, 45),
        user_id=st.sampled_from(PEOPLE),
    ),
    max_size=6,
)
DOUBTS = options(
    max_page=st.sampled_from([200, PAGE - 1]),
    refused_filters=st.sampled_from(REFUSALS),
    moved_users_change_place=st.sampled_from(["never", "skipped", "repeated"]),
)
SETTINGS = st.fixed_dictionaries(
    {
        "concurrency": st.sampled_from([1, 2, 16]),
        "retry_seconds": st.sampled_from([0, 30]),
        "flat": st.booleans(),
        "limited": st.booleans(),
    }
)


@pytest.mark.slow
@given(planned=plans(PATHS) | st.just([]), changed=CHANGED, doubts=DOUBTS, settings=SETTINGS)
@tries(30)
async def test_faults_together_in_a_walk(
    planned: list[Fault], changed: list[Fault], doubts: Options, settings: dict[str, Any]
) -> None:
    await walks([*planned, *changed], doubts, **settings)


@pytest.mark.slow
@given(
    stops=st.lists(st.integers(0, 25), min_size=1, max_size=4),
    planned=st.lists(faults(PATHS), max_size=2),
    changed=CHANGED,
    doubts=DOUBTS,
)
@tries(15)
async def test_a_walk_that_is_stopped_goes_on_from_its_notes(
    stops: list[int], planned: list[Fault], changed: list[Fault], doubts: Options
) -> None:
    reading = Reading()
    with trial(doubts, size=SIZE) as opened, anyio.fail_after(60):
        truth = opened.sandbox.watch()
        opened.plan(*planned, *changed)
        ledger = opened.world.cache / "notes.db"
        for pages in stops:
            reading.told = []
            await go(opened, reading, ledger=ledger, pages=pages)
            judge(replace(reading, told=["not at its end"]), truth)
            if not reading.told:
                break
        else:
            opened.sandbox.faults.clear()
            await opened.rest(130)
            reading.told = []
            await go(opened, reading, ledger=ledger)
        judge(reading, truth)


@pytest.mark.parametrize("nth", [1, 5])
async def test_a_cursor_that_expires_once_costs_a_part_read_anew_and_nothing_else(nth: int) -> None:
    reading = await walks([Fault("cursor_refused", nth=nth)], Options())
    assert (set(reading.ids), reading.told) == (set(PEOPLE), [])
