"""What events name is read again beside whatever sync goes on: the copy is right at once, and every sync leaves it so."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.errors import NoReplica, Refused
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from tests.faults.plans import tries
from tests.replica.happenings import Doors, Happening, happen, happenings
from tests.replica.test_meanwhile import Meanwhile, is_of_members, is_of_the_walk
from tests.replica.test_sync import check_equal, last_change, options, replay
from tests.replica.truth import Copy, sent
from tests.world import NOW, World

SIZE = 60
MINUTES = 400.0


def a_copy(folder: str | Path, given_options: Options | None = None, *, size: int = SIZE) -> Copy:
    sandbox = Sandbox(size, options=given_options, now=NOW, customers=5)
    return Copy(World(sandbox=sandbox, cache=Path(folder) / "cache"))


def so_far(kept: Copy) -> int:
    """Count the events that the sandbox has recorded."""
    return len(kept.sandbox.state().events)


def pass_time(kept: Copy, seconds: float = MINUTES) -> None:
    kept.sandbox.clock.advance(seconds)
    kept.world.time.passed += seconds


@tries(30)
@given(
    scripts=st.lists(happenings(10), min_size=1, max_size=3),
    given_options=options(),
    dice=st.randoms(use_true_random=False),
)
def test_a_reread_makes_the_copy_equal_to_the_directory_and_the_next_sync_finds_nothing_new(
    scripts: list[list[Happening]], given_options: Options, dice: random.Random
) -> None:
    async def go(folder: str) -> None:
        kept = a_copy(folder, given_options)
        await kept.sync()
        before = await check_equal(kept)
        for script in scripts:
            number, seen = await last_change(kept), so_far(kept)
            await happen(kept.sandbox, script)
            events = sent(kept.sandbox, seen)
            events += dice.sample(events, len(events) // 2)
            dice.shuffle(events)
            report = await kept.reread(events)
            assert (report.held, report.notes) == (False, ())
            after = await check_equal(kept)
            told = await replay(kept, before, number)
            assert (told.users, told.memberships) == (after.users, after.memberships)
            assert sum(report.changes.values()) == await last_change(kept) - number
            assert (await kept.reread(events)).changes == {}, "nothing happened since"
            before = after
        number = await last_change(kept)
        for mode in ("incremental", "full"):
            assert (await kept.sync(mode)).changes == {}
        assert await last_change(kept) == number
        await check_equal(kept)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, folder)


@tries(50)
@given(
    before=happenings(4),
    script=happenings(6),
    later=happenings(3),
    mode=st.sampled_from(["full", "incremental"]),
    number=st.integers(1, 45),
    given_options=options(),
)
@example(before=[], script=[Happening("leave", 3, 0, 0)], later=[], mode="full", number=20, given_options=Options())
def test_a_sync_under_way_leaves_alone_what_is_read_again_meanwhile(
    before: list[Happening],
    script: list[Happening],
    later: list[Happening],
    mode: str,
    number: int,
    given_options: Options,
) -> None:
    async def go(folder: str) -> None:
        kept = a_copy(folder, given_options)
        await kept.sync()
        first, state = await last_change(kept), await kept.state()
        pass_time(kept)
        await happen(kept.sandbox, before)
        asked = 0

        def awaited(address: str) -> bool:
            nonlocal asked
            asked += "/v1/environments/" in address
            return asked == number

        async def meanwhile() -> None:
            pass_time(kept)
            seen = so_far(kept)
            await happen(kept.sandbox, script)
            await kept.reread(sent(kept.sandbox, seen))
            pass_time(kept)
            await happen(kept.sandbox, later)

        transport = Meanwhile(kept.sandbox.transport(), awaited, meanwhile)
        report = await kept.sync(mode, transport=transport)
        assert report.complete
        after = await kept.state()
        told = await replay(kept, state, first)
        assert (told.users, told.memberships) == (after.users, after.memberships)
        if not later or not transport.has_acted:
            await check_equal(kept)
        pass_time(kept)
        await kept.sync("incremental")
        after = await check_equal(kept)
        told = await replay(kept, state, first)
        assert (told.users, told.memberships) == (after.users, after.memberships)
        assert (await kept.sync("incremental")).changes == {}

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, folder)
