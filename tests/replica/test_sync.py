"""A sync makes the local copy equal to the directory, whatever happened, and its changes tell the way there."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import anyio
import httpx
import pytest
from filelock import FileLock
from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.directory.changes import ChangeKind, ObservedChange, replayed
from pingone_mcp.directory.provider import DeactivatedQuestion
from pingone_mcp.errors import NoReplica, Problem, Refused
from pingone_mcp.replica.asking.deactivated import deactivated_parts
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.options import Options
from tests.depth import tries
from tests.faults.plans import plans
from tests.replica.happenings import KINDS, Doors, Happening, happen, happenings
from tests.replica.truth import Copy, State, truth
from tests.world import NOW, World, replica_path

SIZE = 70
MODES = st.sampled_from(["incremental", "incremental", "full", "auto"])


def options() -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        max_page=st.sampled_from([7, 50, 200]),
        writes_bump_updated_at=st.booleans(),
        membership_bumps_group=st.booleans(),
        event_lag=st.sampled_from([0.0, 30.0]),
        cursor_carries_filter=st.booleans(),
        refused_filters=st.sampled_from([(), (), (), ("updatedAt",)]),
        inaccurate_updated_at_count=st.booleans(),
    )


def copy(folder: str, given: Options | None = None, *, size: int = SIZE) -> Copy:
    return Copy(World(sandbox=Sandbox(size, options=given, now=NOW, customers=5), cache=Path(folder) / "cache"))


async def replay(kept: Copy, state: State, after: int) -> State:
    """Return a state with the changes behind one laid over it."""
    users, memberships = dict(state.users), dict(state.memberships)
    query = f"SELECT kind, user_id, group_id, before, after FROM changes WHERE id > {after} ORDER BY id"  # noqa: S608 - a number
    for kind, user, group, before, now in await kept.rows(query):
        assert kind in get_args(ChangeKind)
        old, new = (None if text is None else json.loads(text) for text in (before, now))
        if group is not None:
            assert memberships.pop((user, group), None) == (old and old["type"])
            if new is not None:
                memberships[user, group] = new["type"]
            continue
        record = replayed(users.pop(user, None), ObservedChange(kind, old, new))
        if record is not None:
            record.pop("last_login_at", None)
            users[user] = record
    return State(users=users, memberships=memberships)


async def last_change(kept: Copy) -> int:
    [(number,)] = await kept.rows("SELECT coalesce(max(id), 0) FROM changes")
    return int(number)


async def check_equal(kept: Copy) -> State:
    there, held = truth(kept.sandbox), await kept.state()
    assert held.groups == there.groups
    assert held.nestings == there.nestings
    assert held.users == there.users
    assert held.memberships == there.memberships
    return held


@tries(20)
@given(
    scripts=st.lists(st.tuples(happenings(12), MODES), min_size=1, max_size=3),
    given_options=options(),
)
def test_a_sync_makes_the_copy_equal_to_the_directory_and_tells_how(
    scripts: list[tuple[list[Happening], str]], given_options: Options
) -> None:
    async def go(folder: str) -> None:
        kept = copy(folder, given_options)
        first = await kept.sync()
        assert (first.mode, first.complete, first.changes) == ("full", True, {})
        before = await check_equal(kept)
        everybody = set(before.users) | {row[0] for row in await kept.rows("SELECT id FROM removed_users")}
        for script, mode in scripts:
            number = await last_change(kept)
            await happen(kept.sandbox, script)
            report = await kept.sync(mode)
            assert report.complete
            after = await check_equal(kept)
            told = await replay(kept, before, number)
            assert told.users == after.users
            assert told.memberships == after.memberships
            everybody |= set(after.users)
            gone = {row[0] for row in await kept.rows("SELECT id FROM removed_users WHERE status = 'deleted'")}
            assert gone == everybody - set(after.users)
            before = after
            again = await kept.sync("incremental")
            assert again.changes == {}, "nothing happened since"

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, folder)


@tries(15)
@given(script=happenings(8), faults=plans(), mode=MODES)
@example(script=[], faults=[Fault("slow", every=1, times=None, seconds=7_200.0)], mode="full")
def test_whatever_goes_wrong_the_copy_is_the_old_or_the_new_state(
    script: list[Happening], faults: list[Any], mode: str
) -> None:
    async def go(folder: str) -> None:
        kept = copy(folder)
        await kept.sync()
        before = await kept.state()
        await happen(kept.sandbox, script)
        for fault in faults:
            kept.sandbox.faults.add(fault)
        try:
            report = await kept.sync(mode)
        except Problem:
            assert await kept.state() == before
        else:
            assert report.taken_over or await kept.state() == before
            assert report.complete or report.reason
            assert report.complete or not report.taken_over or report.gaps, "what was left out is said"
        kept.sandbox.faults.clear()
        kept.sandbox.clock.advance(1)
        report = await kept.sync(mode)
        assert report.complete
        await check_equal(kept)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, folder)


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    return copy(str(tmp_path))


class Between(httpx.AsyncBaseTransport):
    """Stand before a sandbox, and change its answers."""

    def __init__(self, sandbox: Sandbox, change: Callable[[str, Any], Any]) -> None:
        self._inner = sandbox.transport()
        self._change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        if answer.status_code != 200 or not answer.content:
            return answer
        body = self._change(str(request.url), answer.json())
        headers = {"Content-Type": "application/json", "Date": answer.headers.get("date", "")}
        return httpx.Response(answer.status_code, json=body, headers=headers, request=request)


def hiding(user: str) -> Callable[[str, Any], Any]:
    """Leave a user out of all lists."""

    def change(url: str, body: Any) -> Any:
        users = body.get("_embedded", {}).get("users")
        if users is not None:
            body["_embedded"]["users"] = [one for one in users if one["id"] != user]
        return body

    return change


async def test_who_was_not_met_but_is_there_stays(kept: Copy) -> None:
    """A list that leaves somebody out is no evidence: a single read is."""
    await kept.sync()
    before = await kept.state()
    hidden = next(iter(before.users))
    report = await kept.sync("full", transport=Between(kept.sandbox, hiding(hidden)))
    assert report.complete
    assert (await kept.state()).users == before.users
    assert "user.removed" not in report.changes


async def test_without_the_audit_a_full_sync_proves_a_removal_by_reading(kept: Copy) -> None:
    await kept.sync()
    number = await last_change(kept)
    gone = next(user["id"] for user in kept.sandbox.users() if user["username"].startswith("a"))
    kept.sandbox.withdraw("Environment Admin", "Configuration Read Only")
    async with Doors(kept.sandbox) as doors:
        await doors.send("DELETE", f"/users/{gone}")
    unseen = await kept.sync("incremental")
    assert "removals are not seen" in unseen.reason
    assert gone in (await kept.state()).users
    report = await kept.sync("full")
    assert report.changes["user.removed"] == 1
    await check_equal(kept)
    told = f"SELECT user_id, evidence, actor FROM changes WHERE kind = 'user.removed' AND id > {number}"  # noqa: S608 - a number
    assert await kept.rows(told) == [(gone, "read", None)]


async def test_an_event_says_when_and_by_whom(kept: Copy) -> None:
    await kept.sync()
    kept.sandbox.clock.advance(5)
    gone = next(kept.sandbox.users())["id"]
    async with Doors(kept.sandbox) as doors:
        await doors.send("DELETE", f"/users/{gone}")
    kept.sandbox.clock.advance(60)
    await kept.sync("incremental")
    [(at, seen_at, evidence, actor)] = await kept.rows(
        f"SELECT at, seen_at, evidence, actor FROM changes_ WHERE user_id = '{gone}' AND kind = 'user.removed'"  # noqa: S608 - an id
    )
    assert (at[:18], evidence) == ("2026-06-15T12:00:0", "event")
    assert seen_at > at
    assert actor
    [(status, reasons, removed)] = await kept.rows(
        f"SELECT status, status_reasons, removed_at FROM removed_users WHERE id = '{gone}'"  # noqa: S608 - an id
    )
    assert (status, reasons, removed) == ("deleted", "removed", at)


async def test_a_hundred_changes_take_few_requests(tmp_path: Path) -> None:
    kept = copy(str(tmp_path), size=2_000)
    await kept.sync()
    kinds = [kind for kind in KINDS if kind not in ("sign-on", "delete-group", "new-dynamic-group")]
    script = [Happening(kinds[n % len(kinds)], 37 * n, 11 * n, 7 * n) for n in range(100)]
    await happen(kept.sandbox, script)
    kept.sandbox.requests.clear()
    report = await kept.sync("incremental")
    asked = kept.world.api_requests()
    assert sum(report.changes.values()) >= 60
    assert len(asked) <= 20, asked
    await check_equal(kept)


async def test_a_walk_that_is_not_complete_changes_nothing(kept: Copy) -> None:
    await kept.sync()
    before = await kept.state()
    await happen(kept.sandbox, [Happening("delete", 3, 0, 0), Happening("create", 0, 0, 0)])
    kept.sandbox.faults.add("server_error", path="/users", nth=2, times=None, every=None)
    kept.sandbox.faults.add("server_error", path="/users.*", every=1, times=None)
    report = await kept.sync("full", connection={"retry_seconds": 0.0})
    assert not report.complete
    assert report.reason
    assert await kept.state() == before
    [(mode, outcome, reason)] = await kept.rows("SELECT mode, outcome, reason FROM sync_runs_ ORDER BY id DESC LIMIT 1")
    assert (mode, outcome, reason) == ("full", "incomplete", report.reason)
    kept.sandbox.faults.clear()
    assert (await kept.sync()).mode == "incremental"
    await check_equal(kept)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_the_provider_s_own_objects_are_kept_of_who_changed_too(kept: Copy, mode: str) -> None:
    await kept.sync(remote_data=True)
    kept.sandbox.clock.advance(60)
    await happen(kept.sandbox, [Happening("update", 3, 0, 0), Happening("create", 0, 0, 0)])
    report = await kept.sync(mode, remote_data=True)
    assert (report.mode, sum(report.changes.values()) >= 2) == (mode, True)
    lacking = "SELECT count(*) FROM users_ WHERE removed_at IS NULL AND json_type(remote_data, '$.id') IS NULL"
    assert await kept.rows(lacking) == [(0,)]


async def test_who_was_hidden_from_a_walk_that_came_to_nothing_is_found_by_the_sync_that_takes_it_up(
    kept: Copy,
) -> None:
    sandbox = kept.sandbox
    seen = frozenset(list(sandbox.state().populations)[1:])
    sandbox.narrow(sandbox.environment_id, Narrowing(populations=seen))
    sandbox.faults.add("server_error", path="/groups.*", every=1, times=None)
    with pytest.raises(Problem):  # behind the walk
        await kept.sync("full", connection={"retry_seconds": 0.0})
    sandbox.faults.clear()
    sandbox.narrow(sandbox.environment_id)
    assert (await kept.sync("full")).complete
    await check_equal(kept)


async def test_a_full_sync_is_due_after_a_day_and_after_a_long_silence(kept: Copy) -> None:
    day = {"full_after": timedelta(hours=24)}
    assert (await kept.sync(**day)).mode == "full"
    assert (await kept.sync(**day)).mode == "incremental"
    kept.sandbox.clock.advance(25 * 3600)
    kept.world.time.passed += 25 * 3600
    assert (await kept.sync(**day)).mode == "full"
    kept.sandbox.clock.advance(13.5 * 86_400)
    kept.world.time.passed += 13.5 * 86_400
    assert (await kept.sync("incremental", full_after=timedelta(days=365))).mode == "full"


async def test_other_settings_make_every_record_anew_and_are_no_change(kept: Copy) -> None:
    await kept.sync()
    report = await kept.sync(connection={"attributes": {"department": "department"}})
    assert (report.mode, report.changes) == ("full", {})
    assert await kept.rows("SELECT count(manager) FROM users") == [(0,)]


async def test_a_renamed_population_changes_no_user(kept: Copy) -> None:
    await kept.sync()
    await happen(kept.sandbox, [Happening("rename-population", 0, 0, 1)])
    report = await kept.sync("full")
    assert report.changes == {}
    assert await kept.rows("SELECT count(*) FROM populations WHERE name LIKE 'made-%'") == [(1,)]


async def test_roles_are_read_of_whom_events_name_or_of_everybody(kept: Copy) -> None:
    await kept.sync()
    held = "SELECT DISTINCT user_id FROM role_assignments_"
    assert await kept.rows(held) == []
    await happen(kept.sandbox, [Happening("grant", 5, 0, 0)])
    granted = [user["id"] for user in kept.sandbox.users()][5]
    await kept.sync("incremental")
    assert await kept.rows("SELECT user_id, role, scope_type FROM role_assignments") == [
        (granted, "Identity Data Read Only", "population")
    ]
    assert await coverage(kept) == {
        "memberships": "all",
        "roles": "named in events",
        "events": True,
        "audited_since": "2026-06-01T12:01:00.000Z",
    }
    await kept.sync("full", roles=True)
    state = kept.sandbox.state()
    users = [user["id"] for user in kept.sandbox.users()]
    assert {row[0] for row in await kept.rows(held)} == {
        user for user in users if state.roles_of(state.position(user) or 0) and state.position(user) is not None
    }
    await happen(kept.sandbox, [Happening("revoke", 5, 0, 0)])
    await kept.sync("incremental")
    assert granted not in {row[0] for row in await kept.rows(held)}
    assert (await coverage(kept))["roles"] == "all"


async def coverage(kept: Copy) -> dict[str, Any]:
    [(told,)] = await kept.rows("SELECT value FROM facts_ WHERE name = 'coverage'")
    [found] = json.loads(told).values()
    return dict(found)


async def test_only_the_configured_populations_are_copied(kept: Copy) -> None:
    state = kept.sandbox.state()
    here = {"populations": frozenset({state.employees()})}
    await kept.sync(connection=here)

    store = Store(replica_path(kept.world.connection(**here)))

    async def copied_ids() -> set[str]:
        rows: list[tuple[str]] = await store.read(lambda one: one.execute("SELECT id FROM users").fetchall())
        assert await store.read(lambda one: one.execute("SELECT count(*) FROM populations").fetchone()) == (1,)
        return {row[0] for row in rows}

    def there() -> set[str]:
        return {user["id"] for user in kept.sandbox.users() if user["population"]["id"] == state.employees()}

    assert await copied_ids() == there()
    leaver = min(there())
    async with Doors(kept.sandbox) as doors:
        await doors.send("PUT", f"/users/{leaver}/population", {"id": state.contractors()})
    kept.sandbox.clock.advance(1)
    report = await kept.sync("incremental", connection=here)
    assert report.changes == {"user.left_scope": 1}, "who was moved is not deleted"
    assert await copied_ids() == there()


async def test_who_moves_leaves_the_groups_of_the_old_population(kept: Copy) -> None:
    """No event tells, and where only some populations are served the counts of groups tell nothing either."""
    state = kept.sandbox.state()
    here = {"populations": frozenset({state.employees(), state.contractors()})}
    await kept.sync(connection=here)
    [group] = [
        one.id
        for one in state.groups.values()
        if one.record["name"] == "Reviewers" and one.record["population"]["id"] == state.contractors()
    ]
    mover = min(user for (user, inside), _ in truth(kept.sandbox).memberships.items() if inside == group)
    async with Doors(kept.sandbox) as doors:
        await doors.send("PUT", f"/users/{mover}/population", {"id": state.employees()})
    kept.sandbox.clock.advance(1)
    report = await kept.sync("incremental", connection=here)
    assert report.changes == {"user.updated": 1, "membership.removed": 1}


async def test_one_nested_group_in_the_place_of_another_is_found(kept: Copy) -> None:
    """The number of groups in a group stays the same; only the events tell."""
    names = {one.record["name"]: one.id for one in kept.sandbox.state().groups.values()}
    old, new, parent = names["Legal"], names["VPN Users"], names["All Staff"]
    await kept.sync()
    async with Doors(kept.sandbox) as doors:
        await doors.send("DELETE", f"/groups/{old}/memberOfGroups/{parent}")
        await doors.send("POST", f"/groups/{new}/memberOfGroups", {"id": parent})
    kept.sandbox.clock.advance(1)
    assert (await kept.sync("incremental")).changes.keys() == {"membership.added", "membership.removed"}
    await check_equal(kept)


async def test_a_group_that_is_nested_deep_down_counts_all_the_way_up(kept: Copy) -> None:
    names = {one.record["name"]: one.id for one in kept.sandbox.state().groups.values()}
    await kept.sync()
    async with Doors(kept.sandbox) as doors:
        await doors.send("POST", f"/groups/{names['VPN Users']}/memberOfGroups", {"id": names["On Call"]})
    kept.sandbox.clock.advance(1)
    await kept.sync("incremental")
    await check_equal(kept)
    told = await kept.rows("SELECT DISTINCT group_name FROM changes WHERE kind = 'membership.added'")
    assert {row[0] for row in told} == {"On Call", "Platform Team", "Engineering", "All Staff"}


async def test_a_manager_is_meant_by_id_username_or_address(kept: Copy) -> None:
    await kept.sync()
    boss, *staff = list(kept.sandbox.users())[:6]
    async with Doors(kept.sandbox) as doors:
        await doors.send("PATCH", f"/users/{boss['id']}", {"username": "the.boss", "email": "boss@example.com"})
        references = [boss["id"], boss["id"].upper(), "The.Boss", "BOSS@example.com", "nobody"]
        for user, reference in zip(staff, references, strict=True):
            await doors.send("PATCH", f"/users/{user['id']}", {"manager": reference})
    kept.sandbox.clock.advance(1)
    await kept.sync("incremental")
    found = dict(await kept.rows("SELECT id, manager_id FROM users"))
    assert [found[user["id"]] for user in staff] == [boss["id"]] * 4 + [None]
    async with Doors(kept.sandbox) as doors:
        await doors.send("DELETE", f"/users/{boss['id']}")
    kept.sandbox.clock.advance(1)
    await kept.sync("incremental")
    assert await kept.rows(f"SELECT id FROM users WHERE manager_id = '{boss['id']}'") == []  # noqa: S608 - an id


async def test_without_the_audit_the_counts_of_groups_tell_of_memberships(tmp_path: Path) -> None:
    kept = copy(str(tmp_path), Options(membership_bumps_group=False))
    await kept.sync()
    kept.sandbox.withdraw("Environment Admin", "Configuration Read Only")
    names = {one.record["name"]: one.id for one in kept.sandbox.state().groups.values()}
    user = next(kept.sandbox.users())["id"]
    async with Doors(kept.sandbox) as doors:
        await doors.send("POST", f"/users/{user}/memberOfGroups", {"id": names["Retired Projects"]})
    kept.sandbox.clock.advance(1)
    assert (await kept.sync("incremental")).changes == {"membership.added": 1}
    await check_equal(kept)


async def test_several_environments_are_one_copy(kept: Copy) -> None:
    both = tuple(one.id for one in kept.sandbox.company.environments)
    report = await kept.sync(connection={"environments": both})
    assert report.counts["environments"] == 2
    assert report.counts["users"] == sum(len(truth(kept.sandbox, one).users) for one in both)
    assert (await kept.sync(connection={"environments": both})).changes == {}


async def test_one_syncs_and_the_other_is_told_so(kept: Copy) -> None:
    kept.path.parent.mkdir(parents=True)
    with FileLock(kept.path.with_suffix(".lock")):
        with pytest.raises(Refused) as caught:
            await kept.sync(patience=2.0)
        assert caught.value.code == "SYNC_IN_PROGRESS"
        assert sum(kept.world.time.naps) >= 2.0
    assert (await kept.sync()).complete


async def test_a_damaged_copy_is_made_anew(kept: Copy) -> None:
    await kept.sync()
    kept.path.write_bytes(b"\0" * 5000)
    assert (await kept.sync()).mode == "full"
    await check_equal(kept)


async def test_nothing_is_left_beside_the_copy_and_managers_are_found(kept: Copy) -> None:
    with pytest.raises(NoReplica):
        await kept.state()
    stages: list[str] = []
    await kept.sync(report=lambda stage, done, about: stages.append(stage))
    assert {path.suffix for path in kept.path.parent.iterdir()} <= {".db", ".lock"}
    assert set(stages) == {"places", "users", "events", "groups", "memberships", "merge"}
    wrong = await kept.rows(
        """SELECT u.id FROM users u LEFT JOIN users m ON m.environment_id = u.environment_id
        AND u.manager IN (m.id, m.username, m.email) WHERE u.manager IS NOT NULL AND u.manager_id IS NOT m.id"""
    )
    assert wrong == []
    assert await kept.rows("SELECT count(*) > 0 FROM users WHERE manager_id IS NOT NULL") == [(1,)]
    found = await kept.rows(
        "SELECT u.username FROM people JOIN users u ON u.id = people.id WHERE people MATCH 'amara*'"
    )
    assert found


async def test_that_some_were_removed_misleads_no_question_to_another_index(tmp_path: Path) -> None:
    """SQLite takes `removed_at IS NULL` for a narrow choice when there are many times at which somebody was removed."""
    kept = copy(str(tmp_path), size=5_000)
    await kept.sync()
    assert (await kept.rows("SELECT count(DISTINCT removed_at) FROM users_"))[0][0] > 10

    def plans(database: sqlite3.Connection) -> list[str]:
        stretches = deactivated_parts(Snapshot(database, kept.world.connection().scope), DeactivatedQuestion())
        asked = ((f"EXPLAIN QUERY PLAN SELECT count(*) FROM users_ u WHERE {one.where.sql}", one) for one in stretches)  # noqa: S608 - our own text
        return [database.execute(sql, one.where.values).fetchall()[0][3] for sql, one in asked]

    found = await kept.store.read(plans)
    assert len(found) == 3
    assert all("users_not_active_" in plan for plan in found), found


async def test_roles_that_are_wanted_from_now_on_are_read_of_everybody_by_the_next_sync(kept: Copy) -> None:
    await kept.sync()
    assert (await kept.sync("incremental", roles=True)).mode == "incremental"
    state, users = kept.sandbox.state(), [user["id"] for user in kept.sandbox.users()]
    held = "SELECT DISTINCT user_id FROM role_assignments_"
    assert {row[0] for row in await kept.rows(held)} == {
        user for user in users if state.roles_of(state.position(user) or 0) and state.position(user) is not None
    }
    assert (await coverage(kept))["roles"] == "all"
    kept.sandbox.requests.clear()
    await kept.sync("incremental", roles=True)
    assert not [one for one in kept.sandbox.requests if "roleAssignments" in str(one)], "once is enough"


async def test_roles_that_may_not_be_read_say_why_and_are_tried_again(kept: Copy) -> None:
    await kept.sync()
    kept.sandbox.faults.add("forbidden", path="roleAssignments", times=None)
    await kept.sync("incremental", roles=True)
    assert (await coverage(kept))["roles"] == "unreadable"
    assert await why_no_roles(kept) == "refused"
    kept.sandbox.faults.clear()
    await kept.sync("incremental", roles=True)
    assert (await coverage(kept))["roles"] == "all"


async def test_whose_roles_cannot_be_read_is_left_to_the_next_full_sync(kept: Copy) -> None:
    await kept.sync()
    kept.sandbox.faults.add("bad_request", path="roleAssignments", times=1)
    await kept.sync("incremental", roles=True)
    assert await why_no_roles(kept) == "missed"
    kept.sandbox.requests.clear()
    await kept.sync("incremental", roles=True)
    assert not [one for one in kept.sandbox.requests if "roleAssignments" in str(one)]
    assert await why_no_roles(kept) == "missed"
    await kept.sync("full", roles=True)
    assert (await coverage(kept))["roles"] == "all"


async def why_no_roles(kept: Copy) -> str:
    scope = kept.world.connection().scope
    return await kept.store.read(lambda database: Snapshot(database, scope).why_no_roles)
