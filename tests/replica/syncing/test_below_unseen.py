"""What happens in and below groups that cannot be seen, in one that can: nobody is lost, and nobody stays for nothing.

A group of a population that is not served (`Reviewers` of the contractors) is such a group without any fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pingone_mcp.sandbox.faults import Fault
from tests.replica.syncing.test_reread import PATIENT, a_copy, pass_time
from tests.replica.syncing.test_unseen_nestings import How, done, hide, joined, kept, named, synced, types
from tests.replica.test_meanwhile import Meanwhile, is_of_events
from tests.replica.truth import Copy, truth

__all__ = ["kept"]  # the fixture
HOW = pytest.mark.parametrize("how", ["incremental", "reread"])
INDIRECT = "/users\\?.*INDIRECT"


@pytest.fixture
def served(tmp_path: Path) -> Copy:
    """A company of which the employees are served."""
    kept = a_copy(tmp_path)
    kept.served["populations"] = frozenset({kept.sandbox.state().employees()})
    return kept


def unserved(kept: Copy) -> str:
    state = kept.sandbox.state()
    groups = (one for one in state.groups.values() if one.record["name"] == "Reviewers")
    [group] = [one.id for one in groups if one.record["population"]["id"] == state.contractors()]
    return group


def nest(group: str, parent: str) -> tuple[Any, ...]:
    return "POST", f"/groups/{group}/memberOfGroups", {"id": parent}


def unnest(group: str, parent: str) -> tuple[Any, ...]:
    return "DELETE", f"/groups/{group}/memberOfGroups/{parent}"


def renamed(kept: Copy, name: str, new: str) -> tuple[Any, ...]:
    return "PUT", f"/groups/{named(kept, name)}", {"name": new}


async def assert_right(kept: Copy, user: str) -> None:
    """Fail unless the copy has of somebody the memberships in the groups of the copy, and no others."""
    state = await kept.state()
    there = {pair: kind for pair, kind in truth(kept.sandbox).memberships.items() if pair[1] in state.groups}
    assert {pair: kind for pair, kind in state.memberships.items() if pair[0] == user} == {
        pair: kind for pair, kind in there.items() if pair[0] == user
    }


async def said(kept: Copy, user: str) -> list[tuple[Any, ...]]:
    """Return the changes of memberships of somebody that were written down, with the names of the groups."""
    query = f"SELECT kind, group_name FROM changes WHERE user_id = '{user}' AND kind LIKE 'membership.%' ORDER BY id"  # noqa: S608 - an id
    return await kept.rows(query)


@HOW
@pytest.mark.parametrize("what", ["nested", "taken out", "deleted", "given a filter"])
async def test_what_happens_to_a_group_below_one_that_cannot_be_seen_is_found(
    served: Copy, how: How, what: str
) -> None:
    between, legal = unserved(served), named(served, "Legal")
    user = await joined(served, "VPN Users")
    await done(served, nest(between, legal), ("POST", "/groups", {"name": "Fit", "userFilter": 'title eq "x"'}))
    below, fit = named(served, "VPN Users"), named(served, "Fit")
    await done(served, nest(fit, between))
    if what != "nested":
        await done(served, nest(below, between))
    await served.sync()
    await assert_right(served, user)
    happens = {
        "nested": nest(below, between),
        "taken out": unnest(below, between),
        "deleted": ("DELETE", f"/groups/{below}"),
        "given a filter": ("PUT", f"/groups/{fit}", {"name": "Fit", "userFilter": 'username eq "ann"'}),
    }
    await synced(served, how, await done(served, happens[what]))
    await assert_right(served, user)
    assert await synced(served, "full", []) == {}


@HOW
@pytest.mark.parametrize("why", ["one nested in it cannot be seen", "it has a filter"])
async def test_who_is_directly_in_an_opaque_group_stays_in_it_whatever_else_ends(
    served: Copy, how: How, why: str
) -> None:
    if why == "it has a filter":
        group = "Fit"
        await done(served, ("POST", "/groups", {"name": group, "userFilter": 'title eq "x"'}))
    else:
        group = "Legal"
        await done(served, nest(unserved(served), named(served, group)))
    user = await joined(served, group, "VPN Users")
    await served.sync()
    left = named(served, "VPN Users")
    events = await done(served, ("DELETE", f"/users/{user}/memberOfGroups/{left}"), ("DELETE", f"/groups/{left}"))
    await synced(served, how, events)
    assert await said(served, user) == [("membership.removed", "VPN Users")]
    await assert_right(served, user)


@HOW
async def test_one_that_can_be_seen_in_the_place_of_one_that_cannot_is_counted_again(served: Copy, how: How) -> None:
    between, legal, finance = unserved(served), named(served, "Legal"), named(served, "Finance")
    user = await joined(served, "VPN Users", "Finance")
    await done(served, nest(named(served, "VPN Users"), between), nest(finance, legal))
    await served.sync()
    await synced(served, how, await done(served, unnest(finance, legal), nest(between, legal)))
    assert await said(served, user) == []
    await assert_right(served, user)


@HOW
async def test_a_group_whose_parents_are_not_found_once_stays_nested(tmp_path: Path, how: How) -> None:
    kept = a_copy(tmp_path)
    user = await joined(kept, "Platform Team")
    await kept.sync()
    group = named(kept, "Platform Team")
    events = await done(kept, renamed(kept, "Platform Team", "Platform Crew"))
    kept.sandbox.faults.add(Fault("not_found", path=f"/groups/{group}/memberOfGroups", times=None))
    await synced(kept, how, events)
    await assert_right(kept, user)
    assert await said(kept, user) == []


async def test_what_a_reread_found_below_a_group_that_is_not_served_is_kept_and_goes_again(served: Copy) -> None:
    between, legal = unserved(served), named(served, "Legal")
    user = await joined(served, "VPN Users")
    await done(served, nest(named(served, "VPN Users"), between))
    await served.sync()
    await synced(served, "reread", await done(served, nest(between, legal), renamed(served, "Legal", "Legal Affairs")))
    await assert_right(served, user)
    await synced(served, "reread", await done(served, ("PATCH", f"/users/{user}", {"title": "Another"})))
    assert await said(served, user) == []
    await assert_right(served, user)
    await synced(
        served, "reread", await done(served, unnest(between, legal), renamed(served, "Legal Affairs", "Legal"))
    )
    await synced(served, "incremental", [])
    await assert_right(served, user)


async def test_a_sync_leaves_alone_what_a_reread_found_below_a_group_that_is_not_served(served: Copy) -> None:
    between, legal = unserved(served), named(served, "Legal")
    user = await joined(served, "VPN Users")
    await done(served, nest(named(served, "VPN Users"), between))
    await served.sync()
    pass_time(served)

    async def meanwhile() -> None:
        nested = nest(between, legal), renamed(served, "Legal", "Legal Affairs")
        await synced(served, "reread", await done(served, *nested))

    transport = Meanwhile(served.sandbox.transport(), is_of_events, meanwhile)
    await served.sync("full", transport=transport, connection=PATIENT)
    assert transport.has_acted
    await assert_right(served, user)
    assert await said(served, user) == []


async def test_a_group_that_is_short_of_members_too_is_still_known_to_be_nested_in_part(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    user = await joined(kept, "VPN Users", "Legal")
    await kept.sync()
    legal, remote = named(kept, "Legal"), named(kept, "VPN Users")
    other = next(one for one, group in truth(kept.sandbox).memberships if group == remote and one != user)
    unseen = Fault("short_list", path=f"/groups/{remote}/memberOfGroups", amount=0, times=None)
    hide(kept)
    kept.sandbox.faults.add(unseen)
    nested = nest(remote, legal), renamed(kept, "Legal", "Legal Affairs")
    await synced(kept, "reread", await done(kept, *nested))
    events = await done(kept, ("DELETE", f"/users/{user}/memberOfGroups/{legal}"))
    for path in (INDIRECT, f"/users/{user}/memberOfGroups"):
        kept.sandbox.faults.add(Fault("bad_request", path=path, times=None))
    await synced(kept, "reread", events)
    kept.sandbox.faults.clear()
    hide(kept)
    kept.sandbox.faults.add(unseen)
    await synced(kept, "reread", await done(kept, ("PATCH", f"/users/{other}", {"title": "Another"})))
    await assert_right(kept, other)


async def test_who_becomes_a_direct_member_while_a_full_sync_reads_stays_in_the_group(kept: Copy) -> None:
    user = await joined(kept, "Platform Team")
    await kept.sync()
    pass_time(kept)
    assert (await types(kept, user))["Engineering"] == "indirect"
    join = ("POST", f"/users/{user}/memberOfGroups", {"id": named(kept, "Engineering")})

    async def meanwhile() -> None:
        await done(kept, join)

    transport = Meanwhile(kept.sandbox.transport(), is_of_events, meanwhile)
    await kept.sync("full", transport=transport, connection=PATIENT)
    assert transport.has_acted
    assert (await types(kept, user))["Engineering"] == "direct"
    await kept.sync("incremental")
    await assert_right(kept, user)


async def test_members_who_were_not_shown_before_have_not_joined_now(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    user = await joined(kept, "Platform Team")
    hide(kept)
    kept.sandbox.faults.add(Fault("bad_request", path=INDIRECT, times=None))
    await kept.sync()
    kept.sandbox.faults.clear()
    pass_time(kept)
    assert await synced(kept, "full", []) == {}
    await assert_right(kept, user)


async def test_a_list_that_comes_empty_while_more_are_counted_ends_nothing(kept: Copy) -> None:
    user = await joined(kept, "Platform Team")
    await kept.sync()
    group = named(kept, "Engineering")
    kept.sandbox.faults.add(Fault("short_list", path=f"/users.*{group}.*INDIRECT", amount=0, times=None))
    pass_time(kept)
    assert await synced(kept, "full", []) == {}
    assert (await types(kept, user))["Engineering"] == "indirect"
    [(total,)] = await kept.rows(f"SELECT total FROM short_groups_ WHERE group_id = '{group}'")  # noqa: S608 - an id
    assert total is not None


async def test_many_who_change_make_no_large_group_above_a_small_one_be_read_again(tmp_path: Path) -> None:
    kept = a_copy(tmp_path, size=400)
    kept.page_size = 20
    await done(kept, ("POST", "/groups", {"name": "Leaf"}), ("POST", "/groups", {"name": "Tiny"}))
    leaf, everybody = named(kept, "Leaf"), named(kept, "All Staff")
    await done(kept, nest(named(kept, "Tiny"), leaf), nest(leaf, everybody))
    kept.sandbox.faults.add(Fault("short_list", path=f"/groups\\?.*memberOfGroups.*{leaf}", amount=0, times=None))
    await kept.sync()
    users = [user["id"] for user in kept.sandbox.users()][:110]
    events = await done(kept, *(("PATCH", f"/users/{user}", {"title": "Another"}) for user in users))
    kept.sandbox.requests.clear()
    assert (await synced(kept, "incremental", events))["user.updated"] == len(users)
    asked = [unquote(one.target) for one in kept.sandbox.requests]
    lists = [one for one in asked if "/users?" in one and "memberOfGroups" in one and ' and (id eq "' not in one]
    assert [one for one in lists if leaf in one]
    assert not [one for one in lists if everybody in one or "cursor" in one]
