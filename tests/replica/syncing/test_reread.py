"""What events name is read again beside whatever sync goes on: the copy is right at once, and syncs leave it so."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from filelock import FileLock
from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import NoReplica, Refused
from pingone_mcp.pingone.feed.events import wanted_by
from pingone_mcp.replica.state import State as Standing
from pingone_mcp.replica.state import state_of
from pingone_mcp.replica.store.edition import edition_of
from pingone_mcp.replica.store.noted import recalled
from pingone_mcp.replica.store.schema import USER
from pingone_mcp.replica.store.staging import Staging
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from tests.depth import long, tries
from tests.replica.happenings import LOCK, Doors, Happening, happen, happenings
from tests.replica.test_meanwhile import Meanwhile, is_of_events, is_of_members, is_of_the_walk
from tests.replica.test_sync import check_equal, last_change, options, replay
from tests.replica.truth import Copy, sent
from tests.world import NOW, World

SIZE = 60
MINUTES = 140.0
"""Longer than what a sync reads again of updates; twice so long is a request held."""
PATIENT = {"request_seconds": 300.0, "retry_seconds": 300.0}


def a_copy(folder: str | Path, given_options: Options | None = None, *, size: int = SIZE) -> Copy:
    sandbox = Sandbox(size, options=given_options, now=NOW, customers=5)
    return Copy(World(sandbox=sandbox, cache=Path(folder) / "cache"))


def so_far(kept: Copy) -> int:
    """Count the events that the sandbox has recorded."""
    return len(kept.sandbox.state().events)


def pass_time(kept: Copy, seconds: float = MINUTES) -> None:
    kept.sandbox.clock.advance(seconds)
    kept.world.time.passed += seconds


@tries(20)
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


@tries(30)
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
    *,
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
        report = await kept.sync(mode, transport=transport, connection=PATIENT)
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


# ------------------------------------------------------------------------------------------ what is read, and how known


@pytest.fixture
async def kept(tmp_path: Path) -> Copy:
    """A copy whose first sync is done."""
    kept = a_copy(tmp_path)
    await kept.sync()
    pass_time(kept)
    return kept


async def done(kept: Copy, *sent_to: Any) -> list[JsonObject]:
    """Do one thing through the sandbox's doors, and return the events of it."""
    seen = so_far(kept)
    async with Doors(kept.sandbox) as doors:
        assert await doors.send(*sent_to) < 300
    return sent(kept.sandbox, seen)


async def changes(kept: Copy, user: str) -> list[tuple[Any, ...]]:
    query = f"SELECT kind, evidence, actor IS NOT NULL FROM changes WHERE user_id = '{user}' ORDER BY id"  # noqa: S608 - an id
    return await kept.rows(query)


def somebody(kept: Copy, number: int = 0) -> str:
    users: list[str] = [user["id"] for user in kept.sandbox.users()]
    return users[number]


def unrecorded(kept: Copy, user: str) -> None:
    """Delete a user behind the back of the audit."""
    state = kept.sandbox.state()
    position = state.position(user)
    assert position is not None
    state.remove_user(position)


async def test_who_was_deleted_is_removed_by_the_event_that_says_so(kept: Copy) -> None:
    ann = somebody(kept)
    events = await done(kept, "DELETE", f"/users/{ann}")
    pass_time(kept)
    report = await kept.reread(events)
    assert report.changes["user.removed"] == 1
    assert set(await changes(kept, ann)) >= {("user.removed", "event", 1)}
    query = f"SELECT at, seen_at FROM changes_ WHERE user_id = '{ann}' AND kind = 'user.removed'"  # noqa: S608 - an id
    [(at, seen_at)] = await kept.rows(query)
    assert at == events[0]["recordedAt"] < seen_at
    await check_equal(kept)


async def test_who_is_there_is_not_removed_by_an_event_however_it_came(kept: Copy) -> None:
    ann = somebody(kept)
    [event] = await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False})
    forged = event | {"id": "forged", "action": {"type": "USER.DELETED"}}
    assert (await kept.reread([forged])).changes == {"user.deactivated": 1}
    await check_equal(kept)


async def test_who_answers_404_without_an_event_of_it_is_removed_beside_a_control_and_stays_without_one(
    kept: Copy,
) -> None:
    ann, ben = somebody(kept), somebody(kept, 1)
    events = await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False})
    unrecorded(kept, ann)
    assert (await kept.reread(events)).changes["user.removed"] == 1
    assert set(await changes(kept, ann)) >= {("user.removed", "read", 0)}
    events = await done(kept, "PUT", f"/users/{ben}/enabled", {"enabled": False})
    kept.sandbox.narrow(None, Narrowing(populations=frozenset()))
    before = await kept.state()
    assert (await kept.reread(events)).changes == {}
    assert await kept.state() == before


@pytest.mark.parametrize("deleted", [False, True])
async def test_many_who_cannot_be_found_are_left_to_the_sync_that_asks_a_person(kept: Copy, *, deleted: bool) -> None:
    users = [user["id"] for user in kept.sandbox.users()][::2]
    [event] = await done(kept, "PUT", f"/users/{users[0]}/enabled", {"enabled": False})
    if deleted:
        for user in users:
            unrecorded(kept, user)
    else:
        kept.sandbox.narrow(None, Narrowing(hidden=frozenset(users)))
    before = await kept.state()
    assert (await kept.reread([about(event, user) for user in users])).changes == {}
    assert await kept.state() == before
    assert (await kept.sync("full")).held


def about(event: JsonObject, user: str) -> JsonObject:
    """Return an event like another, about somebody else."""
    [resource] = event["resources"]
    root = resource["href"].rpartition("/users/")[0]
    resource = resource | {"id": user, "href": f"{root}/users/{user}"}
    return event | {"id": f"about {user}", "resources": [resource]}


async def test_who_moves_out_of_the_populations_served_has_left_and_is_not_gone(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    state = kept.sandbox.state()
    kept.served = {"populations": frozenset({state.employees()})}
    await kept.sync()
    pass_time(kept)
    ann = next(user["id"] for user in kept.sandbox.users() if user["population"]["id"] == state.employees())
    events = await done(kept, "PUT", f"/users/{ann}/population", {"id": state.contractors()})
    assert (await kept.reread(events)).changes == {"user.left_scope": 1}
    assert (await kept.sync("incremental")).changes == {}
    events = await done(kept, "PUT", f"/users/{ann}/population", {"id": state.employees()})
    assert (await kept.reread(events)).changes == {"user.entered_scope": 1}
    assert (await kept.sync("full")).changes == {}


async def test_of_a_foreign_environment_nothing_is_read(kept: Copy) -> None:
    main, other = (one.id for one in kept.sandbox.company.environments)
    events = await done(kept, "PUT", f"/users/{somebody(kept)}/enabled", {"enabled": False})
    [resource] = events[0]["resources"]
    foreign = resource | {"environment": {"id": other}, "href": resource["href"].replace(main, other)}
    odd = resource | {"environment": {"id": other}}
    nowhere = {name: value for name, value in resource.items() if name not in ("environment", "href")}
    kept.sandbox.requests.clear()
    assert (await kept.reread([events[0] | {"resources": [one]} for one in (foreign, odd, nowhere)])).changes == {}
    assert not [one for one in kept.world.api_requests() if "/users" in str(one)]


async def test_the_roles_of_whom_events_name_are_read(kept: Copy) -> None:
    ann = somebody(kept)
    seen = so_far(kept)
    await happen(kept.sandbox, [Happening("grant", 0, 0, 0)])
    await kept.reread(sent(kept.sandbox, seen))
    assert await kept.rows("SELECT user_id, role FROM role_assignments") == [(ann, "Identity Data Read Only")]


# ------------------------------------------------------------------------------------------ what it costs


def busy(events: list[JsonObject], number: int) -> list[JsonObject]:
    """Return so many events, about the same as these."""
    return [events[n % len(events)] | {"id": f"event {n}"} for n in range(number)]


async def test_five_hundred_events_about_one_user_cost_one_read_of_that_user(kept: Copy) -> None:
    ann = somebody(kept)
    events = await done(kept, "PATCH", f"/users/{ann}", {"department": "Diving"})
    await kept.reread([])  # whatever is to be known of places
    kept.sandbox.requests.clear()
    assert (await kept.reread(busy(events, 500))).changes == {"user.updated": 1}
    asked = kept.world.api_requests()
    assert sum(one.endswith(f"/users/{ann}?") for one in asked) == 1
    dynamic = sum("userFilter" in group.record for group in kept.sandbox.state().groups.values())
    assert len(asked) <= 2 + dynamic, asked  # the time, the user, and whether the user is in what groups by a filter


async def test_somebody_beside_many_groups_with_a_filter_is_one_question(kept: Copy) -> None:
    for number in range(12):
        await done(kept, "POST", "/groups", {"name": f"filter {number}", "userFilter": f'title eq "{number}"'})
    await kept.sync("incremental")
    ann = somebody(kept)
    events = await done(kept, "PATCH", f"/users/{ann}", {"title": "7"})
    await kept.reread([])  # whatever is to be known of places
    kept.sandbox.requests.clear()
    assert (await kept.reread(events)).changes["membership.added"] == 1
    asked = kept.world.api_requests()
    assert len(asked) <= 4, asked
    await check_equal(kept)


async def test_a_membership_by_a_filter_that_cannot_be_asked_about_stays(kept: Copy) -> None:
    ann = somebody(kept)
    for number in range(12):
        await done(kept, "POST", "/groups", {"name": f"filter {number}", "userFilter": f'title eq "{number}"'})
    await done(kept, "PATCH", f"/users/{ann}", {"title": "7"})
    await kept.sync("incremental")
    before = await kept.state()
    events = await done(kept, "PATCH", f"/users/{ann}", {"title": "none of them"})
    kept.sandbox.faults.add("forbidden", path=f"{ann}/memberOfGroups", times=None)
    assert (await kept.reread(events)).changes == {"user.updated": 1}
    assert (await kept.state()).memberships == before.memberships
    kept.sandbox.faults.clear()
    assert (await kept.sync("incremental")).changes == {"membership.removed": 1}
    await check_equal(kept)


@pytest.mark.parametrize(
    ("size", "number", "at_once"),
    [
        (600, 1_500, 500),
        pytest.param(2_000, 5_000, 500, marks=long),
        pytest.param(2_000, 5_000, 5_000, marks=long),
    ],
)
async def test_five_thousand_events_about_three_hundred_users_cost_no_more_reads_than_users_and_twenty(
    tmp_path: Path, size: int, number: int, at_once: int
) -> None:
    kept = a_copy(tmp_path, size=size)
    await kept.sync()
    pass_time(kept)
    seen = so_far(kept)
    kinds = "update disable lock rename retitle join leave move delete".split()
    await happen(kept.sandbox, [Happening(kinds[n % len(kinds)], 37 * n, 11 * n, 7 * n) for n in range(size // 5)])
    await happen(kept.sandbox, [Happening("rename-group", 0, n, 0) for n in range(3)])
    events = sent(kept.sandbox, seen)
    wanted = wanted_by(events)
    users = wanted.users | wanted.removed.keys() | {pair.user for pair in wanted.memberships}
    kept.sandbox.requests.clear()
    many = busy(events, number)
    reports = [await kept.reread(many[first : first + at_once]) for first in range(0, len(many), at_once)]
    asked = kept.world.api_requests()
    assert sum(sum(report.changes.values()) for report in reports) >= size * 3 // 20
    assert len(asked) <= len(users) + 20, (len(asked), len(users))
    await check_equal(kept)


# ------------------------------------------------------------------------------------------ beside a sync

Awaited = Callable[[str], bool]


async def beside(kept: Copy, awaited: Awaited, act: Callable[[], Awaitable[list[JsonObject]]], **given: Any) -> None:
    """Let something happen in the midst of a full sync, and be read again then; the sync changes nothing of it."""

    async def meanwhile() -> None:
        pass_time(kept)
        events = await act()
        await kept.reread(events)
        await check_equal(kept)  # long before the sync ends
        pass_time(kept)

    transport = Meanwhile(kept.sandbox.transport(), awaited, meanwhile)
    report = await kept.sync("full", transport=transport, connection=PATIENT, **given)
    assert (report.complete, report.changes, transport.has_acted) == (True, {}, True)
    await check_equal(kept)


async def nothing_is_new(kept: Copy) -> None:
    assert (await kept.sync("incremental")).changes == {}
    await check_equal(kept)


BESIDE = pytest.mark.parametrize("awaited", [is_of_the_walk, is_of_members, is_of_events])


@BESIDE
@pytest.mark.parametrize("which", [0, -1])
async def test_whoever_is_changed_made_or_deleted_beside_a_full_sync_stays_so(
    kept: Copy, awaited: Awaited, which: int
) -> None:
    ann, ben = somebody(kept, which), somebody(kept, which // 2 + 1)
    home = kept.sandbox.state().employees()

    async def act() -> list[JsonObject]:
        new = {"username": "cleo", "email": "cleo@example.org", "population": {"id": home}}
        return [
            *await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False}),
            *await done(kept, "DELETE", f"/users/{ben}"),
            *await done(kept, "POST", "/users", new),
        ]

    await beside(kept, awaited, act)
    await nothing_is_new(kept)


@BESIDE
async def test_memberships_and_groups_that_change_beside_a_full_sync_stay_so(kept: Copy, awaited: Awaited) -> None:
    state = kept.sandbox.state()
    names = {one.record["name"]: one.id for one in state.groups.values()}
    held = (await kept.state()).memberships
    vpn = names["VPN Users"]
    inside = sorted(user for (user, group), kind in held.items() if (group, kind) == (vpn, "direct"))
    outside = sorted({user["id"] for user in kept.sandbox.users()} - {user for user, group in held if group == vpn})

    async def act() -> list[JsonObject]:
        events = [
            *await done(kept, "DELETE", f"/users/{inside[0]}/memberOfGroups/{vpn}"),
            *await done(kept, "POST", f"/users/{outside[0]}/memberOfGroups", {"id": vpn}),
            *await done(kept, "POST", "/groups", {"name": "Divers"}),
            *await done(kept, "POST", "/groups", {"name": "Chiefs", "userFilter": "enabled eq true"}),
            *await done(kept, "DELETE", f"/groups/{names['Retired Projects']}"),
        ]
        divers = next(one.id for one in state.groups.values() if one.record["name"] == "Divers")
        return [
            *events,
            *await done(kept, "POST", f"/groups/{vpn}/memberOfGroups", {"id": divers}),
            *await done(kept, "POST", f"/users/{inside[1]}/memberOfGroups", {"id": divers}),
        ]

    await beside(kept, awaited, act)
    await nothing_is_new(kept)


@BESIDE
async def test_a_group_that_was_never_in_the_copy_and_is_deleted_beside_a_full_sync_does_not_come_into_it(
    kept: Copy, awaited: Awaited
) -> None:
    await done(kept, "POST", "/groups", {"name": "Divers"})
    divers = next(one.id for one in kept.sandbox.state().groups.values() if one.record["name"] == "Divers")

    async def act() -> list[JsonObject]:
        return await done(kept, "DELETE", f"/groups/{divers}")

    await beside(kept, awaited, act)
    await nothing_is_new(kept)


@BESIDE
async def test_who_is_changed_beside_a_full_sync_is_in_a_group_by_its_filter_that_was_never_in_the_copy(
    kept: Copy, awaited: Awaited
) -> None:
    """The reread does not know of the group, and the sync may have read its members before."""
    await done(kept, "POST", "/groups", {"name": "Disabled", "userFilter": "enabled eq false"})
    ann = somebody(kept)

    async def meanwhile() -> None:
        await kept.reread(await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False}))

    transport = Meanwhile(kept.sandbox.transport(), awaited, meanwhile)
    await kept.sync("full", transport=transport, connection=PATIENT)
    assert transport.has_acted
    assert await kept.rows(f"SELECT 1 FROM memberships WHERE user_id = '{ann}' AND group_name = 'Disabled'")  # noqa: S608 - an id
    await check_equal(kept)
    await nothing_is_new(kept)


async def test_nor_is_anybody_missed_in_one_of_several_such_groups_by_an_incremental_sync(kept: Copy) -> None:
    """Somebody is changed when the lists of the first are read, and that of the last is not."""
    for number in range(3):
        await done(kept, "POST", "/groups", {"name": f"Disabled {number}", "userFilter": "enabled eq false"})
    ann = somebody(kept)

    async def meanwhile() -> None:
        await kept.reread(await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False}))

    asked: list[str] = []

    def awaited(address: str) -> bool:
        asked.extend([address] if "INDIRECT" in address else [])
        return len(asked) == 3

    transport = Meanwhile(kept.sandbox.transport(), awaited, meanwhile)
    await kept.sync("incremental", transport=transport, connection=PATIENT)
    assert transport.has_acted
    await check_equal(kept)
    await nothing_is_new(kept)


async def test_a_role_that_is_given_beside_a_full_sync_is_kept(kept: Copy) -> None:
    users = [user["id"] for user in kept.sandbox.users()]
    ann, ben = min(users), max(users)  # the sync asks for ann's long before it does for ben's

    async def act() -> list[JsonObject]:
        seen = so_far(kept)
        await happen(kept.sandbox, [Happening("grant", users.index(ann), 0, 0)])
        return sent(kept.sandbox, seen)

    await beside(kept, lambda address: f"{ben}/roleAssignments" in address, act, roles=True)
    assert (ann,) in await kept.rows("SELECT user_id FROM role_assignments")


async def test_nobody_is_called_gone_who_was_read_again_meanwhile(tmp_path: Path) -> None:
    """Who could not be seen when the sync looked, in no group either, and can be by now."""
    kept = a_copy(tmp_path, Options(member_counts_narrowed=True))
    await kept.sync()
    pass_time(kept)
    held = (await kept.state()).memberships
    ann = min(user for (user, _), kind in held.items() if kind == "direct")
    ben = max(user["id"] for user in kept.sandbox.users())
    kept.sandbox.narrow(None, Narrowing(hidden=frozenset({ann})))

    async def act() -> list[JsonObject]:
        kept.sandbox.world.narrowed.clear()
        return await done(kept, "PATCH", f"/users/{ann}", {"title": "Diver"})

    await beside(kept, lambda address: f"{ben}/roleAssignments" in address, act, roles=True, by_counts=False)


async def test_what_happens_behind_a_reread_is_found_by_the_next_sync_where_only_an_event_tells_of_it(
    tmp_path: Path,
) -> None:
    """The sync under way reads that event and who it is about, and leaves them alone: the event is not done."""
    kept = a_copy(tmp_path, Options(writes_bump_updated_at=False))
    await kept.sync()
    pass_time(kept)
    ann = somebody(kept)

    async def meanwhile() -> None:
        pass_time(kept)
        await kept.reread(await done(kept, "POST", f"/users/{ann}", {}, LOCK))
        pass_time(kept)
        await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False})

    transport = Meanwhile(kept.sandbox.transport(), is_of_the_walk, meanwhile)  # of who was changed, before the events
    assert (await kept.sync("incremental", transport=transport, connection=PATIENT)).changes == {}
    pass_time(kept)
    pass_time(kept)
    pass_time(kept)
    assert (await kept.sync("incremental")).changes == {"user.deactivated": 1}
    await check_equal(kept)


class Killed(BaseException):
    """The end of a process, as far as its files can tell."""


@pytest.mark.parametrize("awaited", [is_of_members, is_of_events])
async def test_a_full_sync_that_is_taken_up_after_a_kill_leaves_alone_what_was_read_again_since_it_began(
    tmp_path: Path, awaited: Awaited
) -> None:
    """What was staged before the kill is older, and where `updatedAt` stays nothing else would say so."""
    kept = a_copy(tmp_path, Options(writes_bump_updated_at=False))
    await kept.sync()
    pass_time(kept)
    ann = somebody(kept)

    async def kill() -> None:
        raise Killed

    with pytest.RaisesGroup(Killed, flatten_subgroups=True):
        await kept.sync("full", transport=Meanwhile(kept.sandbox.transport(), awaited, kill))
    pass_time(kept)
    await kept.reread(await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False}))
    pass_time(kept)
    for mode in ("full", "incremental"):
        assert (await kept.sync(mode)).changes == {}
        await check_equal(kept)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_what_was_read_again_before_a_sync_began_is_not_left_alone(kept: Copy, mode: str) -> None:
    ann = somebody(kept)
    await kept.reread(await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False}))
    await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": True})
    assert await kept.rows("SELECT count(*) FROM reread_ WHERE what = 'user'") == [(1,)]
    await kept.sync(mode)
    assert await kept.rows("SELECT count(*) FROM reread_") == [(0,)]
    await check_equal(kept)


async def test_a_reread_that_a_sync_overtakes_reads_once_more(kept: Copy) -> None:
    ann = somebody(kept)
    events = await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False})

    async def overtake() -> None:
        await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": True})
        await done(kept, "PATCH", f"/users/{ann}", {"title": "Diver"})
        await kept.sync("incremental")

    transport = Meanwhile(kept.sandbox.transport(), lambda address: address.endswith(f"/users/{ann}"), overtake)
    assert (await kept.reread(events, transport=transport)).changes == {}
    assert sum(address.endswith(f"/users/{ann}") for address in transport.asked) == 2
    await check_equal(kept)


async def standing(kept: Copy) -> Standing:
    found = await kept.store.read(lambda connection: state_of(connection, NOW))
    assert found is not None
    return found


async def test_the_copy_is_another_state_of_the_same_age_that_counts_right(kept: Copy) -> None:
    before, edition, memory = await standing(kept), await kept.store.read(edition_of), await kept.store.read(recalled)
    await kept.reread(await done(kept, "DELETE", f"/users/{somebody(kept)}"))
    after = await standing(kept)
    assert (after.users, after.synced_at, after.full_at) == (before.users - 1, before.synced_at, before.full_at)
    assert after.memberships < before.memberships
    assert after.changes > before.changes
    assert await kept.store.read(edition_of) != edition
    assert await kept.store.read(recalled) == memory
    await done(kept, "DELETE", f"/users/{somebody(kept, 1)}")
    await kept.sync("incremental")
    assert (await standing(kept)).users == after.users - 1


async def test_before_the_first_sync_there_is_nothing_to_read_again(tmp_path: Path) -> None:
    kept = a_copy(tmp_path)
    with pytest.raises(NoReplica):
        await kept.reread(sent(kept.sandbox))
    await kept.sync()
    with pytest.raises(NoReplica):  # in other records than the copy's
        await kept.reread(sent(kept.sandbox), remote_data=True)


async def test_one_rereads_and_the_other_is_told_so(kept: Copy) -> None:
    with FileLock(kept.path.with_suffix(".reread.lock")):
        with pytest.raises(Refused) as caught:
            await kept.reread([], patience=2.0)
        assert caught.value.code == "SYNC_IN_PROGRESS"
    assert (await kept.reread([])).changes == {}


async def test_what_a_kill_has_left_of_a_reread_is_no_part_of_the_next(kept: Copy) -> None:
    ann, ben = somebody(kept), somebody(kept, 1)
    events = await done(kept, "PUT", f"/users/{ann}/enabled", {"enabled": False})
    left = kept.path.with_suffix(".reread")
    staging = Staging(left, kept.world.time.clock())
    await staging.open(kept.sandbox.environment_id)
    query = f"SELECT {USER} FROM users_ u WHERE u.id = '{ben}'"  # noqa: S608 - our names
    await staging.put_users([UserRow(*row)._replace(title="Diver") for row in await kept.rows(query)])
    await staging.keep()
    await staging.close()
    await kept.reread(events)
    await check_equal(kept)
    assert not left.exists()
