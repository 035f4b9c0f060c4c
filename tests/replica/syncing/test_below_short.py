"""A nested group whose own list is short: who is in it unseen is in those above it, and is not called out of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pingone_mcp.sandbox.faults import Fault
from tests.replica.syncing.test_reread import a_copy, pass_time, so_far
from tests.replica.syncing.test_unseen_nestings import INSIDE, OUTSIDE, How, done, joined, named, synced, types
from tests.replica.truth import Copy, sent, truth


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    return a_copy(tmp_path)


def shorten(kept: Copy, name: str) -> None:
    """Let the list of a group's own members show none of them, however many are counted; one by one they are shown."""
    path = f"/users(?!.*INDIRECT)(?!.*and.{{1,6}}id).*{named(kept, name)}.*DIRECT"
    kept.sandbox.faults.add(Fault("short_list", path=path, amount=0, times=None))


async def assert_right(kept: Copy) -> None:
    assert (await kept.state()).memberships == truth(kept.sandbox).memberships


async def read_through(kept: Copy) -> str:
    [(groups,)] = await kept.rows("SELECT value FROM facts_ WHERE name LIKE 'read through:%'")
    return str(groups)


@pytest.mark.parametrize("how", ["incremental", "full", "reread"])
async def test_who_leaves_a_group_and_is_in_a_short_one_below_it_stays_in_it(kept: Copy, how: How) -> None:
    user = await joined(kept, OUTSIDE, INSIDE)
    shorten(kept, INSIDE)
    await kept.sync()
    assert await types(kept, user) == {OUTSIDE: "direct", "All Staff": "indirect"}
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{named(kept, OUTSIDE)}"))
    assert await synced(kept, how, events) == {"membership.removed": 1}
    assert await types(kept, user) == {OUTSIDE: "indirect", "All Staff": "indirect"}
    assert named(kept, OUTSIDE) in await read_through(kept)
    kept.sandbox.faults.clear()
    pass_time(kept)
    assert (await synced(kept, "full", []))["membership.added"] > 0, "who is in the short one itself is seen now"
    await assert_right(kept)
    pass_time(kept)
    assert await synced(kept, "full", []) == {}
    assert await read_through(kept) == "[]"


@pytest.mark.parametrize("how", ["incremental", "full", "reread"])
async def test_who_joins_a_short_group_is_in_those_above_it_from_now_on(kept: Copy, how: How) -> None:
    shorten(kept, INSIDE)
    await kept.sync()
    seen = so_far(kept)
    user = await joined(kept)
    await synced(kept, how, sent(kept.sandbox, seen))
    events = await done(kept, ("POST", f"/users/{user}/memberOfGroups", {"id": named(kept, INSIDE)}))
    assert await synced(kept, how, events) == {"membership.added": 2 if how == "full" else 3}
    assert (await types(kept, user)).items() >= {OUTSIDE: "indirect", "All Staff": "indirect"}.items()


async def test_where_a_list_comes_short_now_those_above_are_read_at_once(kept: Copy) -> None:
    user = await joined(kept)
    await kept.sync()
    assert await read_through(kept) == "[]"
    seen = so_far(kept)
    await done(kept, ("POST", f"/users/{user}/memberOfGroups", {"id": named(kept, INSIDE)}))
    del kept.sandbox.state().events[seen:]  # nothing but the counts says that something has changed
    shorten(kept, INSIDE)
    assert await synced(kept, "incremental", []) == {}
    assert await types(kept, user) == {OUTSIDE: "indirect", "All Staff": "indirect"}


async def test_what_an_older_version_did_not_read_is_seen_for_the_first_time_and_is_no_change(kept: Copy) -> None:
    user = await joined(kept, INSIDE)
    shorten(kept, INSIDE)
    for name in (OUTSIDE, "All Staff"):
        path = f"/users.*{named(kept, name)}.*INDIRECT"
        kept.sandbox.faults.add(Fault("short_list", path=path, amount=0, times=None))
    await kept.sync()
    assert await types(kept, user) == {}
    with kept.store.writer() as connection:
        connection.execute("DELETE FROM facts_ WHERE name LIKE 'read through:%'")
    kept.sandbox.faults.clear()
    shorten(kept, INSIDE)
    pass_time(kept)
    assert await synced(kept, "full", []) == {}
    assert await types(kept, user) == {OUTSIDE: "indirect", "All Staff": "indirect"}


@pytest.mark.parametrize("how", ["incremental", "full"])
async def test_who_joins_another_group_below_while_one_comes_short_has_joined_what_is_above(
    kept: Copy, how: How
) -> None:
    user = await joined(kept)
    await kept.sync()
    shorten(kept, INSIDE)
    await done(kept, ("POST", f"/users/{user}/memberOfGroups", {"id": named(kept, "Legal")}))
    assert await synced(kept, how, []) == {"membership.added": 2}
    assert await types(kept, user) == {"Legal": "direct", "All Staff": "indirect"}


async def test_nothing_is_read_again_above_a_group_that_stays_short(kept: Copy) -> None:
    shorten(kept, INSIDE)
    await kept.sync()
    for _ in range(5):  # it is tried some times
        pass_time(kept)
        await kept.sync("incremental")
    pass_time(kept)
    kept.sandbox.requests.clear()
    assert await synced(kept, "incremental", []) == {}
    assert kept.sandbox.requests
    assert not [one for one in kept.sandbox.requests if "/users" in one.target and "memberOfGroups" in one.target]
