"""Groups nested in a group that cannot all be seen: who is in it through them is asked of PingOne, and is not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.sandbox.faults import Fault, Faults
from tests.replica.happenings import Doors
from tests.replica.syncing.test_reread import PATIENT, a_copy, pass_time, so_far
from tests.replica.test_meanwhile import Meanwhile, is_of_events
from tests.replica.test_sync import check_equal
from tests.replica.truth import Copy, sent, truth

How = Literal["incremental", "full", "reread"]
SHORT = "/groups\\?.*memberOfGroups"
OUTSIDE, INSIDE = "Engineering", "Platform Team"  # the second is nested in the first, and that in All Staff


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    """A company where lists of nested groups show none of them, however many are counted."""
    kept = a_copy(tmp_path)
    hide(kept)
    return kept


def hide(kept: Copy, *, amount: int = 0) -> None:
    kept.sandbox.faults.add(Fault("short_list", path=SHORT, amount=amount, times=None))


def named(kept: Copy, name: str) -> str:
    [group] = [one.id for one in kept.sandbox.state().groups.values() if one.record["name"] == name]
    return group


async def done(kept: Copy, *requests: tuple[Any, ...]) -> list[JsonObject]:
    """Do some things while nothing goes wrong, and return the events of them."""
    faults, seen = kept.sandbox.faults, so_far(kept)
    kept.sandbox.faults = Faults()
    async with Doors(kept.sandbox) as doors:
        for request in requests:
            assert await doors.send(*request) < 300
    kept.sandbox.faults = faults
    pass_time(kept)
    return sent(kept.sandbox, seen)


async def joined(kept: Copy, *groups: str, name: str = "ann") -> str:
    """Let somebody begin, and join groups; return who that is."""
    population = {"id": kept.sandbox.state().employees()}
    await done(kept, ("POST", "/users", {"username": name, "email": f"{name}@example.com", "population": population}))
    user = next(str(one["id"]) for one in kept.sandbox.users() if one["username"] == name)
    await done(kept, *(("POST", f"/users/{user}/memberOfGroups", {"id": named(kept, group)}) for group in groups))
    return user


async def synced(kept: Copy, how: How, events: list[JsonObject]) -> dict[str, int]:
    """Bring the copy up to date, and return the changes that were written down."""
    report = await (kept.reread(events) if how == "reread" else kept.sync(how))
    assert not report.held
    return dict(report.changes)


async def types(kept: Copy, user: str) -> dict[str, str]:
    state = kept.sandbox.state()
    held = (await kept.state()).memberships
    return {state.groups[group].record["name"]: kind for (one, group), kind in held.items() if one == user}


async def are_equal(kept: Copy) -> bool:
    """Say whether the copy has all memberships, and no others."""
    return (await kept.state()).memberships == truth(kept.sandbox).memberships


async def test_who_is_in_a_group_through_one_that_cannot_be_seen_is_in_it(kept: Copy) -> None:
    report = await kept.sync()
    assert await are_equal(kept)
    assert (await kept.state()).nestings == set()
    assert report.gaps, "how they are nested is not known"


@pytest.mark.parametrize("how", ["incremental", "full", "reread"])
async def test_who_leaves_a_group_and_is_in_it_through_one_that_cannot_be_seen_stays_in_it(
    kept: Copy, how: How
) -> None:
    user = await joined(kept, OUTSIDE, INSIDE)
    await kept.sync()
    assert await types(kept, user) == {OUTSIDE: "direct", INSIDE: "direct", "All Staff": "indirect"}
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{named(kept, OUTSIDE)}"))
    assert await synced(kept, how, events) == {"membership.removed": 1}
    [(before, after)] = await kept.rows(
        f"SELECT before, after FROM changes WHERE user_id = '{user}' AND kind = 'membership.removed'"  # noqa: S608 - an id
    )
    assert (before, after) == ('{"type":"direct"}', '{"type":"indirect"}')
    assert await are_equal(kept)
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{named(kept, INSIDE)}"))
    assert await synced(kept, how, events) == {"membership.removed": 3}
    assert await types(kept, user) == {}
    assert await are_equal(kept)


@pytest.mark.parametrize("how", ["incremental", "full", "reread"])
async def test_who_leaves_one_nested_group_and_is_in_another_that_cannot_be_seen_stays_in_what_is_above(
    kept: Copy, how: How
) -> None:
    kept.sandbox.faults.clear()
    user = await joined(kept, "Legal", "Finance")
    hide(kept, amount=1)
    await kept.sync()
    everybody = named(kept, "All Staff")
    [child] = [group for group, parent in (await kept.state()).nestings if parent == everybody]
    there = await types(kept, user)
    group = kept.sandbox.state().groups[child]
    if group.record["name"] not in there:
        await done(kept, ("POST", f"/users/{user}/memberOfGroups", {"id": child}))
        await kept.sync("incremental")
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{child}"))
    assert await synced(kept, how, events) == {"membership.removed": 1}
    assert (await types(kept, user))["All Staff"] == "indirect"
    assert await are_equal(kept)


@pytest.mark.parametrize("how", ["incremental", "full"])
async def test_what_goes_out_of_sight_or_comes_into_it_is_no_change(tmp_path: Path, how: How) -> None:
    kept = a_copy(tmp_path)
    user = await joined(kept, OUTSIDE, INSIDE)
    await kept.sync()
    hide(kept)
    await done(kept, ("PATCH", f"/users/{user}", {"title": "Another"}))
    assert await synced(kept, how, []) == {"user.updated": 1}
    assert await are_equal(kept)
    kept.sandbox.faults.clear()
    assert await synced(kept, how, []) == {}
    assert await synced(kept, "full", []) == {}
    await check_equal(kept)
    assert await kept.rows("SELECT value FROM facts_ WHERE name LIKE 'partly nested:%'") == [("[]",)]


async def test_whose_memberships_are_seen_for_the_first_time_has_not_joined_now(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    user = await joined(kept, INSIDE)
    hide(kept)
    for group in ("All Staff", OUTSIDE, INSIDE):
        kept.sandbox.faults.add(
            Fault("short_list", path=f"/users.*{named(kept, group)}.*INDIRECT", amount=0, times=None)
        )
    await kept.sync()
    assert await types(kept, user) == {INSIDE: "direct"}
    with kept.store.writer() as connection:  # as a version left it that did not note them
        connection.execute("DELETE FROM facts_ WHERE name LIKE 'partly nested:%' OR name LIKE 'read through:%'")
    kept.sandbox.faults.clear()
    hide(kept)
    assert await synced(kept, "full", []) == {}
    assert await are_equal(kept)


@pytest.mark.parametrize("how", ["incremental", "full", "reread"])
async def test_who_began_after_the_last_look_was_in_no_group_before_it(tmp_path: Path, how: How) -> None:
    """However little was known of the group before."""
    kept = a_copy(tmp_path)
    await kept.sync()
    seen = so_far(kept)
    pass_time(kept)
    user = await joined(kept, INSIDE)
    update = ("PUT", f"/groups/{named(kept, OUTSIDE)}", {"name": OUTSIDE, "description": "It is looked at again."})
    await done(kept, update)
    hide(kept)  # the nestings are known no more, and what was known of the members by them
    await synced(kept, how, sent(kept.sandbox, seen))
    told = await kept.rows(
        f"SELECT group_id FROM changes WHERE user_id = '{user}' AND kind = 'membership.added'"  # noqa: S608 - an id
    )
    assert {group for (group,) in told} == {named(kept, name) for name in (INSIDE, OUTSIDE, "All Staff")}


@pytest.mark.parametrize("how", ["incremental", "reread"])
async def test_where_the_filter_is_refused_the_lists_of_users_say_who_is_in_it_all_the_same(
    kept: Copy, how: How
) -> None:
    kept.sandbox.faults.add(Fault("bad_request", path="/users\\?.*INDIRECT", times=None))
    users = [await joined(kept, OUTSIDE, INSIDE, name=f"ann{number}") for number in range(8)]  # filters ask less
    await kept.sync()
    leave = [("DELETE", f"/users/{user}/memberOfGroups/{named(kept, OUTSIDE)}") for user in users]
    assert await synced(kept, how, await done(kept, *leave)) == {"membership.removed": len(users)}
    assert [(await types(kept, user))[OUTSIDE] for user in users] == ["indirect"] * len(users)
    events = await done(kept, ("DELETE", f"/users/{users[0]}/memberOfGroups/{named(kept, INSIDE)}"))
    await synced(kept, how, events)
    assert INSIDE not in await types(kept, users[0])


@pytest.mark.parametrize("how", ["incremental", "reread"])
async def test_where_nobody_says_who_is_in_it_all_the_same_nothing_is_concluded(kept: Copy, how: How) -> None:
    user = await joined(kept, OUTSIDE, INSIDE)
    await kept.sync()
    before = await kept.state()
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{named(kept, OUTSIDE)}"))
    for path in ("/users\\?.*INDIRECT", f"/users/{user}/memberOfGroups"):
        kept.sandbox.faults.add(Fault("bad_request", path=path, times=None))
    assert await synced(kept, how, events) == {}
    assert await kept.state() == before
    assert (named(kept, OUTSIDE),) in await kept.rows("SELECT group_id FROM short_groups_ WHERE why != 'NESTED_GROUPS'")
    kept.sandbox.faults.clear()
    hide(kept)
    await kept.sync("full")
    assert await are_equal(kept)


@pytest.mark.parametrize("how", ["incremental", "full"])
async def test_what_is_nested_no_longer_counts_no_longer_though_it_was_never_seen(tmp_path: Path, how: How) -> None:
    kept = a_copy(tmp_path)
    everybody, state = named(kept, "All Staff"), kept.sandbox.state()
    inside = {group.id for group in state.groups.values() if everybody in group.parents}
    hide(kept, amount=len(inside) - 1)
    await kept.sync()
    [unseen] = inside - {group for group, parent in (await kept.state()).nestings if parent == everybody}
    events = await done(kept, ("DELETE", f"/groups/{unseen}/memberOfGroups/{everybody}"))
    assert (await synced(kept, how, events)).keys() == {"membership.removed"}
    assert await are_equal(kept)


async def test_a_group_that_is_nested_out_of_sight_brings_its_members(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    await kept.sync()
    legal, remote = named(kept, "Legal"), named(kept, "VPN Users")
    hide(kept)
    kept.sandbox.faults.add(Fault("short_list", path=f"/groups/{remote}/memberOfGroups", amount=0, times=None))
    events = await done(kept, ("POST", f"/groups/{remote}/memberOfGroups", {"id": legal}))
    await synced(kept, "incremental", events)
    assert (remote, legal) not in (await kept.state()).nestings
    assert await are_equal(kept)


async def test_what_a_reread_found_through_a_group_that_cannot_be_seen_the_next_one_keeps(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    user = await joined(kept, "VPN Users")
    await kept.sync()
    legal, remote = named(kept, "Legal"), named(kept, "VPN Users")
    hide(kept)
    kept.sandbox.faults.add(Fault("short_list", path=f"/groups/{remote}/memberOfGroups", amount=0, times=None))
    update = ("PUT", f"/groups/{legal}", {"name": "Legal Affairs"})
    events = await done(kept, ("POST", f"/groups/{remote}/memberOfGroups", {"id": legal}), update)
    await synced(kept, "reread", events)
    assert await are_equal(kept)
    events = await done(kept, ("PATCH", f"/users/{user}", {"title": "Another"}))
    assert await synced(kept, "reread", events) == {"user.updated": 1}
    assert await are_equal(kept)


async def test_members_through_a_group_of_a_population_that_is_not_served_are_in_it(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    state = kept.sandbox.state()
    [between] = [
        one.id
        for one in state.groups.values()
        if one.record["name"] == "Reviewers" and one.record["population"]["id"] == state.contractors()
    ]
    user = await joined(kept, "VPN Users")
    await done(
        kept,
        ("POST", f"/groups/{named(kept, 'VPN Users')}/memberOfGroups", {"id": between}),
        ("POST", f"/groups/{between}/memberOfGroups", {"id": named(kept, "Legal")}),
    )
    kept.served["populations"] = frozenset({state.employees()})
    report = await kept.sync()
    assert (await types(kept, user)) == {"VPN Users": "direct", "Legal": "indirect", "All Staff": "indirect"}
    assert report.gaps == (), "the group between them is not served"
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{named(kept, 'VPN Users')}"))
    assert await synced(kept, "incremental", events) == {"membership.removed": 3}


async def test_a_group_that_cannot_be_seen_itself_any_more_keeps_whoever_was_in_it(kept: Copy) -> None:
    user = await joined(kept, INSIDE)
    await kept.sync()
    assert (await types(kept, user))[OUTSIDE] == "indirect"
    group = named(kept, OUTSIDE)
    kept.sandbox.faults.add(Fault("forbidden", path="/groups\\?limit", times=1))
    assert await synced(kept, "incremental", []) == {}
    kept.sandbox.faults.add(Fault("short_list", path="/groups\\?limit", amount=1, times=None))
    kept.sandbox.faults.add(Fault("forbidden", path=f"/groups/{group}", times=None))
    assert await synced(kept, "full", []) == {}
    assert (group, "NOT_LISTED") in await kept.rows("SELECT group_id, why FROM short_groups_")
    assert await are_equal(kept)


@pytest.mark.parametrize("how", ["incremental", "full"])
async def test_a_sync_leaves_alone_what_a_reread_found_through_a_group_that_cannot_be_seen(
    tmp_path: Path, how: Literal["incremental", "full"]
) -> None:
    kept = a_copy(tmp_path)
    await kept.sync()
    pass_time(kept)
    legal, remote = named(kept, "Legal"), named(kept, "VPN Users")
    seen: list[dict[tuple[str, str], str]] = []

    async def meanwhile() -> None:
        hide(kept)
        kept.sandbox.faults.add(Fault("short_list", path=f"/groups/{remote}/memberOfGroups", amount=0, times=None))
        update = ("PUT", f"/groups/{legal}", {"name": "Legal Affairs"})
        events = await done(kept, ("POST", f"/groups/{remote}/memberOfGroups", {"id": legal}), update)
        await synced(kept, "reread", events)
        seen.append((await kept.state()).memberships)

    transport = Meanwhile(kept.sandbox.transport(), is_of_events, meanwhile)
    report = await kept.sync(how, transport=transport, connection=PATIENT)
    assert transport.has_acted
    assert "membership.removed" not in report.changes
    assert [(await kept.state()).memberships] == seen == [truth(kept.sandbox).memberships]


async def test_where_nothing_has_changed_no_members_are_read_again(kept: Copy) -> None:
    await kept.sync()
    pass_time(kept)
    kept.sandbox.requests.clear()
    assert await synced(kept, "incremental", []) == {}
    assert kept.sandbox.requests
    assert not [one for one in kept.sandbox.requests if "/users" in one.target and "memberOfGroups" in one.target]
