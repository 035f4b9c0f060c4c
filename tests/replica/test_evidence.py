"""A removal needs evidence: of people and memberships alike, whatever PingOne does not show, and however it fails."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import Client

from pingone_mcp.errors import Problem
from pingone_mcp.replica.syncing.run import SyncReport
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.options import Options
from tests.depth import sampled, tries
from tests.replica.evidence import Mode, Watched, deactivated, gaps_of, queried, watched
from tests.replica.happenings import KINDS, Doors, Happening
from tests.replica.truth import State
from tests.world import NOW, World, facts

MINUTES = 300.0


@asynccontextmanager
async def opened(folder: Path, options: Options | None = None, **more: Any) -> AsyncIterator[tuple[Watched, Client]]:
    """Open a company and a client of a server beside its copy."""
    company = watched(folder, options, **more)
    async with asking(company.kept.world, **company.kept.served) as client:
        yield company, client


@asynccontextmanager
async def asking(world: World, **served: Any) -> AsyncIterator[Client]:
    """Open a client for long answers; a failure inside its task groups is itself again outside."""
    try:
        async with world.client(characters=400_000, **served) as client:
            yield client
    except BaseExceptionGroup as several:
        alone: BaseException = several
        while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
            alone = alone.exceptions[0]
        raise alone from None


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Watched, Client]]:
    """A company whose first sync is done."""
    async with opened(tmp_path) as (company, client):
        await well(company, client)
        company.pass_time(MINUTES)
        yield company, client


async def well(company: Watched, client: Client, mode: Mode = "full") -> SyncReport:
    """Sync, and fail unless that comes to a good end."""
    report = await company.synced(client, mode)
    assert not isinstance(report, Problem), report
    assert report.complete, report.reason
    return report


async def held(company: Watched, client: Client, mode: Mode = "full") -> None:
    """Sync, and fail unless that is held."""
    report = await company.synced(client, mode)
    assert not isinstance(report, Problem), report
    assert (report.complete, report.held, report.taken_over) == (False, True, False)


@dataclass
class Watching(httpx.AsyncBaseTransport):
    """Call `seen` with each address before it is asked, and answer with what `changed` makes of the answer."""

    inner: httpx.AsyncBaseTransport
    seen: Callable[[str], object] = lambda address: None
    changed: Callable[[str, Any], Any] = lambda address, body: body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        address = str(request.url)
        self.seen(address)
        answer = await self.inner.handle_async_request(request)
        if answer.status_code != 200 or "/v1/" not in address:
            return answer
        await answer.aread()
        body = self.changed(address, answer.json())
        return httpx.Response(200, json=body) if body is not None else httpx.Response(404, json={"code": "NOT_FOUND"})


def without_members(address: str, body: Any) -> Any:
    """Show no member of any group, and count none."""
    for one in body.get("_embedded", {}).get("groups", ()):
        one.pop("directMemberCounts", None)
    if "/users?" in address and "memberOfGroups" in address:
        body |= {"_embedded": {"users": []}, "count": 0, "size": 0, "_links": {}}
    return body


# ---------------------------------------------------------------------------------------------- mass disappearance

MASSES: dict[str, Callable[[list[str]], list[str]]] = {
    "all": lambda users: users,
    "half": lambda users: users[::2],
    "a third": lambda users: users[::3],
}


@pytest.mark.parametrize("mode", ["full", "auto"])
@pytest.mark.parametrize("which", MASSES)
@sampled(3)
async def test_many_who_cannot_be_found_any_more_are_a_question_and_no_fact(
    both: tuple[Watched, Client], which: str, mode: Mode
) -> None:
    company, client = both
    (main, *_) = company.places
    company.sandbox.narrow(main, Narrowing(hidden=frozenset(MASSES[which](company.there(main)))))
    before = await company.state()
    for user in company.there(main):  # so that an incremental sync asks for them, too
        company.sandbox.state(main).record(
            actor=company.sandbox.state(main).sample.administrator,
            correlation_id="0",
            action="USER.UPDATED",
            result="Updated User",
            resource=(user, "somebody", f"users/{user}"),
        )
    company.pass_time(1)
    await held(company, client, mode)
    assert await company.state() == before
    assert await company.changes() == {}
    assert await gaps_of(client)
    company.heal()
    company.pass_time(MINUTES)
    await well(company, client)
    await company.equal(client)


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("listed", [True, False])
async def test_one_population_that_is_hidden_is_a_gap_however_small_it_is(
    tmp_path: Path, status: Literal[403, 404], *, listed: bool
) -> None:
    options = Options(
        unreachable_user_status=status, unreachable_population_status=status, unreachable_populations_listed=listed
    )
    async with opened(tmp_path, options) as (company, client):
        await company.synced(client, "full")
        state = company.sandbox.state()
        assert 0 < state.user_count(state.contractors()) <= 20
        company.sandbox.narrow(None, Narrowing(populations=frozenset(state.populations) - {state.contractors()}))
        before = await company.state()
        company.pass_time(MINUTES)
        await company.synced(client, "full")
        after = await company.state()
        assert after.users == before.users
        assert after.memberships == before.memberships
        assert await gaps_of(client)
        company.heal()
        company.pass_time(MINUTES)
        await company.synced(client, "full")
        await company.equal(client)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_a_clean_out_whose_events_can_be_read_passes(both: tuple[Watched, Client], mode: Mode) -> None:
    company, client = both
    main, _ = company.places
    leavers = company.there(main)[::2]
    company.delete(main, leavers, told=True)
    company.pass_time(MINUTES)
    await well(company, client, mode)
    assert (await company.changes())["user.removed"] == len(leavers)
    await company.equal(client)


async def test_a_clean_out_without_events_waits_for_a_person(both: tuple[Watched, Client]) -> None:
    company, client = both
    main, _ = company.places
    company.delete(main, company.there(main)[::2], told=False)
    company.pass_time(MINUTES)
    for _ in range(2):
        await held(company, client)
    report = await company.sync("full", accept=True)
    assert not isinstance(report, Problem)
    assert report.complete
    await company.equal(client)


@pytest.mark.parametrize("refused", [(), ("id",)])
async def test_one_who_is_gone_without_an_event_is_removed_by_a_404_beside_a_control(
    tmp_path: Path, refused: tuple[str, ...]
) -> None:
    async with opened(tmp_path, Options(refused_filters=refused)) as (company, client):
        await well(company, client)
        main, _ = company.places
        gone = company.there(main)[7]
        company.delete(main, [gone], told=False)
        company.pass_time(MINUTES)
        await well(company, client)
        assert await company.removed() == {gone}
        await company.equal(client)


async def test_many_who_are_missing_are_a_question_without_each_of_them_being_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path, Options(unreachable_user_status=404), size=600) as (company, client):
        await company.sync("full")
        main = company.sandbox.environment_id
        company.delete(main, company.there(main)[::2], told=False)
        company.pass_time(MINUTES)
        company.sandbox.requests.clear()
        report = await company.sync("full")
        assert not isinstance(report, Problem)
        assert report.held
        assert len(company.kept.world.api_requests()) <= 150
        assert "300 of 600" in str(report.reason)
        assert await gaps_of(client)
        accepted = await company.sync("auto", accept=True)
        assert not isinstance(accepted, Problem)
        assert accepted.changes["user.removed"] == 300


@pytest.mark.parametrize("stage", ["places", "users", "events", "groups", "memberships", "merge"])
async def test_a_sync_that_is_cancelled_takes_over_nothing_and_the_next_one_everything(
    tmp_path: Path, stage: str
) -> None:
    async with opened(tmp_path) as (company, client):
        with anyio.CancelScope() as scope:

            def report(now: str, _: int, __: int | None) -> None:
                if now == stage:
                    scope.cancel()

            async with company.kept.syncing(report=report) as sync:
                await sync.run("full")
        assert scope.cancelled_caught
        assert await company.state() == State()
        await well(company, client, "auto")
        await company.equal(client)


async def test_a_held_sync_stays_a_question_while_the_place_cannot_be_read(both: tuple[Watched, Client]) -> None:
    company, client = both
    main, _ = company.places
    hidden = Narrowing(hidden=frozenset(company.there(main)[::2]))
    company.sandbox.narrow(main, hidden)
    await held(company, client)
    company.sandbox.narrow(main, Narrowing(populations=frozenset()))
    company.pass_time(MINUTES)
    await company.synced(client, "full")
    company.sandbox.narrow(main, hidden)
    company.pass_time(MINUTES)
    await company.synced(client, "incremental")
    assert any(gap.startswith("held") for gap in await gaps_of(client))
    company.heal()
    company.pass_time(MINUTES)
    await well(company, client)
    await company.equal(client)


async def test_a_yes_is_for_those_whom_the_question_named(both: tuple[Watched, Client]) -> None:
    """Who was seen again since is asked about again, though another question came in between."""
    company, client = both
    main, _ = company.places
    hidden = Narrowing(hidden=frozenset(company.there(main)[::2]))
    company.sandbox.narrow(main, hidden)
    await held(company, client)
    company.heal()
    company.pass_time(MINUTES)

    async with company.kept.syncing(transport=Watching(company.sandbox.transport(), changed=without_members)) as sync:
        assert "membership" in str((await sync.run("full")).reason)
    company.sandbox.narrow(main, hidden)
    company.pass_time(MINUTES)
    report = await company.sync("full", accept=True)
    assert not isinstance(report, Problem)
    assert report.held
    assert await company.removed() == set()


async def test_a_hidden_population_whose_count_changes_is_not_looked_for_in_full_again_and_again(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (company, _):
        contractors, hidden = company.sandbox.state().contractors(), 500

        def counted(_: str, body: Any) -> Any:
            for one in body.get("_embedded", {}).get("populations", ()):
                one["userCount"] += hidden if one["id"] == contractors else 0
            return body

        walks = 0

        def walked(address: str) -> None:
            nonlocal walks
            walks += address.endswith("/users?limit=40")

        await company.sync("full")
        for number in range(8):
            hidden += number % 2
            company.pass_time(MINUTES)
            transport = Watching(company.sandbox.transport(), walked, counted)
            async with company.kept.syncing(transport=transport) as sync:
                await sync.run("auto")
        assert walks == 1


# --------------------------------------------------------------------------------------- a role narrowed in between


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("page", [5, 7, 8, 10, 12])
@sampled(3)
async def test_a_role_that_is_narrowed_during_a_full_sync_removes_nobody_and_no_membership(
    tmp_path: Path, page: int, *, listed: bool
) -> None:
    """Who was read before it was narrowed is no control of those who cannot be found afterwards."""
    options = Options(max_page=15, unreachable_user_status=404, unreachable_populations_listed=listed)
    async with opened(tmp_path, options) as (company, client):
        await well(company, client)
        before = await company.state()
        company.pass_time(MINUTES)
        state, main = company.sandbox.state(), company.sandbox.environment_id
        asked: list[str] = []

        def narrow(address: str) -> None:
            if f"{main}/users?" in address:
                asked.append(address)
            if len(asked) == page:
                others = frozenset(state.populations) - {state.employees()}
                company.sandbox.narrow(main, Narrowing(populations=others))

        async with company.kept.syncing(transport=Watching(company.sandbox.transport(), narrow)) as sync:
            await sync.run("full")
        assert await company.changes() == {}
        after = await company.state()
        assert (after.users, after.memberships) == (before.users, before.memberships)
        assert await gaps_of(client)
        company.heal()
        company.pass_time(MINUTES)
        await well(company, client)
        await company.equal(client)


# ------------------------------------------------------------------------------------------------------ memberships


def group(company: Watched, name: str) -> str:
    (found,) = [one.id for one in company.sandbox.state().groups.values() if one.record["name"] == name]
    return found


@dataclass(frozen=True)
class Members:
    """What comes of the question for the members of a group."""

    name: str
    fault: dict[str, Any]


MEMBERS = [
    Members("empty", {"kind": "short_list", "amount": 0}),
    Members("cut", {"kind": "short_list", "amount": 2}),
    Members("without its link", {"kind": "lost_next"}),
    Members("404", {"kind": "not_found"}),
    Members("400", {"kind": "bad_request"}),
]


@pytest.mark.parametrize("members", MEMBERS, ids=lambda members: members.name)
@sampled(3)
async def test_fewer_members_than_pingone_counts_is_a_gap_and_nobody_leaves(
    both: tuple[Watched, Client], members: Members
) -> None:
    company, client = both
    users = group(company, "VPN Users")
    before = await company.state()
    others = [user for user in company.there(company.sandbox.environment_id) if (user, users) not in before.memberships]
    newcomer = others[-1]  # behind those whom the list still has
    async with Doors(company.sandbox) as doors:
        await doors.send("POST", f"/users/{newcomer}/memberOfGroups", {"id": users})
    company.sandbox.faults.add(Fault(times=None, path=f"memberOfGroups.*{users}", **members.fault))
    company.pass_time(MINUTES)
    await well(company, client)
    after = await company.state()
    assert after.memberships == before.memberships
    assert "membership.removed" not in await company.changes()
    told = " ".join(await gaps_of(client))
    assert users in told or "VPN Users" in told
    review = facts(await client.call_tool("access_review", {"group": users}))
    assert review["gaps"]
    exported = facts(await client.call_tool("access_review", {"group": users, "format": "jsonl"}))
    assert (bool(exported["manifest"]["gaps"]), exported["manifest"]["complete"]) == (True, False)
    company.heal()
    company.pass_time(MINUTES)
    await well(company, client)
    await company.equal(client)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_groups_that_are_not_found_any_more_end_no_memberships_of_many(
    both: tuple[Watched, Client], mode: Mode
) -> None:
    """However few groups there are: those of the environment, which only a role over all of it shows, answer 404."""
    company, client = both
    main = company.sandbox.environment_id
    before = await company.state()
    hidden = {one.id for one in company.sandbox.state().groups.values() if "population" not in one.record}

    def without(address: str, body: Any) -> Any:
        listed = body.get("_embedded", {}).get("groups")
        if listed is not None and main in address:
            body["_embedded"]["groups"] = [one for one in listed if one["id"] not in hidden]
            body["size"] = body["count"] = len(body["_embedded"]["groups"])
        return None if any(f"/groups/{one}" in address for one in hidden) else body

    async with company.kept.syncing(transport=Watching(company.sandbox.transport(), changed=without)) as sync:
        await sync.run(mode)
    assert (await company.state()).memberships == before.memberships
    assert await gaps_of(client)
    company.pass_time(MINUTES)
    await well(company, client)
    await company.equal(client)


async def test_a_copy_that_is_made_anew_asks_before_many_lose_their_memberships(both: tuple[Watched, Client]) -> None:
    company, client = both
    before = await company.state()

    transport = Watching(company.sandbox.transport(), changed=without_members)
    async with company.kept.syncing(transport=transport, connection={"attributes": {"department": "team"}}) as sync:
        assert (await sync.run("auto")).held
    assert (await company.state()).memberships == before.memberships
    assert await gaps_of(client)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_a_group_that_no_count_tells_of_loses_nobody_because_its_list_comes_short(
    tmp_path: Path, mode: Mode
) -> None:
    """PingOne counts no members by a filter in lists, and direct ones not by population."""
    scope = frozenset({Sandbox(120, now=NOW, customers=60).state().employees()})
    async with opened(tmp_path, populations=scope) as (company, client):
        await well(company, client)
        before = await company.state()
        some = {group for _, group in before.memberships}
        async with Doors(company.sandbox) as doors:
            for one in some & company.sandbox.state().groups.keys():
                await doors.send("PATCH", f"/groups/{one}", {"description": "read it again"})

        def shortened(address: str, body: Any) -> Any:
            if "/users?" in address and "memberOfGroups" in address and "id%20eq" in address.partition("%5D")[0]:
                told = address.count("id+eq") + address.count("id%20eq")
                if told == 1:  # the list of a group, and no question about single users
                    body["_embedded"]["users"] = body["_embedded"]["users"][:1]
                    body |= {"count": 1, "size": 1}
                    body["_links"].pop("next", None)
            return body

        company.pass_time(MINUTES)
        async with company.kept.syncing(transport=Watching(company.sandbox.transport(), changed=shortened)) as sync:
            await sync.run(mode)
        assert "membership.removed" not in await company.changes()
        assert (await company.state()).memberships == before.memberships


@pytest.mark.parametrize("members", MEMBERS, ids=lambda members: members.name)
async def test_a_first_sync_that_reads_too_few_members_says_so(tmp_path: Path, members: Members) -> None:
    async with opened(tmp_path) as (company, client):
        users = group(company, "VPN Users")
        company.sandbox.faults.add(Fault(times=None, path=f"memberOfGroups.*{users}", **members.fault))
        await well(company, client)
        assert await gaps_of(client)
        [[counted, there]] = await queried(
            client,
            f"SELECT member_count, member_count_in_copy FROM groups WHERE id = '{users}'",  # noqa: S608 - an id
        )
        true = sum(one == users for _, one in company.moment().state.memberships)
        assert (there < true, counted == true or members.name in {"404", "400"}) == (True, True)
        company.sandbox.requests.clear()
        for _ in range(3):
            company.pass_time(MINUTES)
            report = await company.sync("incremental")
            assert isinstance(report, SyncReport)
            assert report.complete
        asked = [one for one in company.kept.world.api_requests() if users in one]
        assert len(asked) <= 6, "idle syncs do not read such a group again each time"


async def test_members_whom_the_role_does_not_show_stay_members(tmp_path: Path) -> None:
    options = Options(unreachable_user_status=404, unreachable_groups_listed=True)
    async with opened(tmp_path, options) as (company, client):
        await company.synced(client, "full")
        state = company.sandbox.state()
        before = await company.state()
        company.sandbox.narrow(None, Narrowing(populations=frozenset({state.employees()})))
        for mode in ("incremental", "full", "incremental"):
            company.pass_time(MINUTES)
            await company.synced(client, mode)
        after = await company.state()
        assert after.memberships == before.memberships
        assert await gaps_of(client)


# ------------------------------------------------------------------------------------------------------ lost links


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("when", [{"nth": 1}, {"nth": 2}, {"every": 1, "times": None}])
@pytest.mark.parametrize("path", ["/users\\?", "/users.*cursor=", "/groups\\?"])
@sampled(5)
async def test_a_page_without_its_link_does_not_end_a_list(
    tmp_path: Path, path: str, when: dict[str, Any], *, first: bool
) -> None:
    async with opened(tmp_path, Options(max_page=10)) as (company, client):
        if not first:
            await company.synced(client, "full")
            company.pass_time(MINUTES)
        company.sandbox.faults.add(Fault("lost_next", path=path, **when))
        outcome = await company.synced(client, "full")
        if isinstance(outcome, Problem) or not outcome.complete:
            assert str(outcome if isinstance(outcome, Problem) else outcome.reason)
        elif not await gaps_of(client):
            await company.equal(client)
        company.heal()
        company.pass_time(MINUTES)
        await well(company, client)
        await company.equal(client)


# ------------------------------------------------------------------------------------------------------------ scope


async def test_who_is_moved_out_of_scope_has_left_it_and_was_not_removed(tmp_path: Path) -> None:
    scope = frozenset({Sandbox(120, now=NOW, customers=60).state().employees()})
    async with opened(tmp_path, populations=scope) as (company, client):
        await company.synced(client, "full")
        state = company.sandbox.state()
        mover = next(user["id"] for user in company.sandbox.users() if user["population"]["id"] in scope)
        held = [pair for pair in company.moment().state.memberships if pair[0] == mover]
        assert held
        for place, kind in ((state.contractors(), "user.left_scope"), (state.employees(), "user.entered_scope")):
            async with Doors(company.sandbox) as doors:
                await doors.send("PUT", f"/users/{mover}/population", {"id": place})
            company.pass_time(MINUTES)
            await well(company, client, "incremental")
            assert (await company.changes()).get(kind) == 1
            rows = await company.copied(f"SELECT id FROM users WHERE id = '{mover}'")  # noqa: S608 - an id
            assert bool(rows) == (place in scope)
            assert "user.removed" not in await company.changes()
            assert await company.removed() == set()
        await company.equal(client)


@pytest.mark.parametrize("listed", [True, False])
async def test_whom_a_wider_role_shows_is_read_or_is_a_gap(tmp_path: Path, *, listed: bool) -> None:
    """Nobody of them was changed, and no event names them; the population counts them."""
    async with opened(tmp_path, Options(unreachable_populations_listed=listed)) as (company, client):
        state = company.sandbox.state()
        company.sandbox.narrow(None, Narrowing(populations=frozenset(state.populations) - {state.contractors()}))
        await company.synced(client, "full")
        company.heal()
        company.pass_time(MINUTES)
        await company.synced(client, "incremental")
        await well(company, client)
        await company.equal(client)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_members_of_groups_that_a_wider_role_shows_have_not_just_joined(tmp_path: Path, mode: Mode) -> None:
    async with opened(tmp_path) as (company, client):
        state = company.sandbox.state()
        company.sandbox.narrow(None, Narrowing(populations=frozenset(state.populations) - {state.contractors()}))
        await company.synced(client, "full")
        company.heal()
        company.pass_time(MINUTES)
        await company.synced(client, mode)
        assert "membership.added" not in await company.changes()
        company.pass_time(MINUTES)
        await well(company, client)
        await company.equal(client)


# ------------------------------------------------------------------------------------------------------ stale places

LOST: dict[str, Narrowing] = {
    "left /environments": Narrowing(environment=False),
    "no user may be read": Narrowing(populations=frozenset()),
    "nothing may be read": Narrowing(populations=frozenset(), configuration=False),
}


@pytest.mark.parametrize("mode", ["full", "incremental"])
@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("lost", LOST)
@sampled(5)
async def test_a_place_that_cannot_be_read_any_more_is_named_everywhere(
    tmp_path: Path, lost: str, mode: Mode, *, everywhere: bool
) -> None:
    """Whether the connection serves it by name or because it serves all there are."""
    more: dict[str, Any] = {"environments": None} if everywhere else {}
    async with opened(tmp_path, Options(places_without_users=everywhere), **more) as (company, client):
        await company.synced(client, "full")
        _, other = company.places
        before = await company.state()
        company.sandbox.narrow(other, LOST[lost])
        company.pass_time(MINUTES)
        await well(company, client, mode)
        assert await company.state() == before
        assert any(other in gap for gap in await gaps_of(client))
        _, coverage, _ = await deactivated(client)
        assert not coverage["disabled"]["complete"]
        for tool, arguments in (
            ("access_review", {}),
            ("check_drift", {"entries": [{"username": "nobody@example.com", "status": "active"}]}),
        ):
            assert any(other in gap for gap in facts(await client.call_tool(tool, arguments))["gaps"]), tool
        company.heal()
        company.pass_time(MINUTES)
        await well(company, client)
        await company.equal(client)


# --------------------------------------------------------------------------------------------------- one bad thing


@pytest.mark.parametrize("first", [True, False])
async def test_one_environment_that_refuses_its_users_does_not_stop_the_other(tmp_path: Path, *, first: bool) -> None:
    async with opened(tmp_path) as (company, client):
        if not first:
            await company.synced(client, "full")
            company.pass_time(MINUTES)
        main, other = company.places
        company.sandbox.faults.add("forbidden", path=f"{other}/users", times=None)
        await well(company, client)
        assert any(other in gap for gap in await gaps_of(client))
        assert set(company.there(main)) <= (await company.state()).users.keys()


@pytest.mark.parametrize(
    ("path", "first"), [("/users.*{}", False), ("/groups.*{}", False), ("{}", False), ("{}", True)]
)
@pytest.mark.parametrize("kind", ["not_found", "bad_request", "forbidden"])
@sampled(5)
async def test_one_group_that_cannot_be_read_is_named_and_left_out(
    tmp_path: Path, path: str, kind: Any, *, first: bool
) -> None:
    async with opened(tmp_path) as (company, client):
        if not first:
            await company.synced(client, "full")
            company.pass_time(MINUTES)
        broken = group(company, "Engineering")
        company.sandbox.faults.add(Fault(kind, path=path.format(broken), times=None))
        await well(company, client)
        told = " ".join(await gaps_of(client))
        assert broken in told or "Engineering" in told
        assert (await company.state()).users == company.moment().state.users


@pytest.mark.parametrize("when", ["soon", "2099-01-01T00:00:00.000Z", 17])
async def test_one_event_at_an_odd_time_hides_no_other(both: tuple[Watched, Client], when: object) -> None:
    company, client = both
    main, _ = company.places

    def odd(address: str, body: Any) -> Any:
        for one in body.get("_embedded", {}).get("activities", ())[:1]:
            one |= {"recordedAt": when, "createdAt": when}
        return body

    for at in (3, 5):
        company.delete(main, company.there(main)[at : at + 1], told=True)
        company.pass_time(MINUTES)
        async with company.kept.syncing(transport=Watching(company.sandbox.transport(), changed=odd)) as sync:
            assert (await sync.run("incremental")).complete
    gone = company.there(main)[7]
    company.delete(main, [gone], told=True)
    company.pass_time(MINUTES)
    await well(company, client, "incremental")
    assert gone in await company.removed()
    await well(company, client)
    await company.equal(client)


UNREADABLE: dict[str, dict[str, object]] = {
    "last sign-on": {"lastSignOn.at": "soon"},
    "last change": {"updatedAt": "yesterday"},
    "creation": {"createdAt": "2026-06-31T00:00:00Z"},
}
WRONG_TYPES: dict[str, dict[str, object]] = {
    "time as a number": {"createdAt": 17},
    "name as a text": {"name": "Kim"},
    "account as a list": {"account": []},
    "username as a number": {"username": 5},
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("how", [*UNREADABLE, *WRONG_TYPES])
@sampled(5)
async def test_one_user_who_cannot_be_understood_is_named_or_read_and_so_is_the_rest(
    tmp_path: Path, how: str, *, first: bool
) -> None:
    async with opened(tmp_path) as (company, client):
        if not first:
            await company.synced(client, "full")
            company.pass_time(MINUTES)
        main, _ = company.places
        odd = company.there(main)[11]
        company.sandbox.state(main).spoiled[odd] = (UNREADABLE | WRONG_TYPES)[how]
        await well(company, client)
        there, copied = company.moment().state.users.keys(), (await company.state()).users.keys()
        assert there - copied <= {odd}
        told = " ".join(await gaps_of(client))
        assert odd in told or (how in WRONG_TYPES and odd in copied)
        company.heal()
        company.pass_time(MINUTES)
        await well(company, client)
        await company.equal(client)


# ------------------------------------------------------------------------------- live and copy answer questions alike


async def answers(client: Client, since: str | None) -> list[tuple[Any, ...]]:
    """Return who cannot sign in, why, since when and by whom, in one order."""
    rows: list[tuple[Any, ...]] = []
    arguments: dict[str, Any] = {"limit": 1000} | ({"since": since} if since else {})
    while True:
        page = facts(await client.call_tool("find_deactivated", arguments))
        rows += [(row["id"], *row["status_reasons"], row.get("deactivated_at")) for row in page["result"]]
        if page["next_cursor"] is None:
            return sorted(rows, key=str)
        arguments["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("days", [None, 2, 7, 13])
@pytest.mark.parametrize("synced", ["once", "again"])
async def test_live_and_copy_find_the_same_deactivated_users_right_after_the_first_sync(
    tmp_path: Path, synced: str, days: int | None
) -> None:
    world = World(sandbox=Sandbox(size=300, now=NOW), cache=tmp_path / "cache")
    since = (NOW - timedelta(days=days)).isoformat() if days is not None else None
    async with asking(world) as client:
        live = await answers(client, since)
        assert facts(await client.call_tool("find_deactivated", {}))["source"]["kind"] == "live"
        assert any("removed" in row for row in live), "the sample has removed users"
        for _ in range(1 if synced == "once" else 2):
            assert facts(await client.call_tool("sync_directory", {}))["complete"]
        assert facts(await client.call_tool("find_deactivated", {}))["source"]["kind"] == "replica"
        copy = await answers(client, since)
    told = dict.fromkeys(row[:-1] for row in live)
    assert [row[:-1] for row in copy] == list(told), "the same people, for the same reasons"
    times = {row[:-1]: row[-1] for row in copy}
    poorer = [row for row in live if row[-1] is not None and times[row[:-1]] != row[-1]]
    assert poorer == [], "the copy knows when, too"


async def test_changes_from_before_the_first_sync_say_since_when_they_are_known(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=300, now=NOW), cache=tmp_path / "cache")
    since = (NOW - timedelta(days=10)).isoformat()
    async with world.client(characters=400_000) as client:
        live = {row[0] for row in await answers(client, since) if "removed" in row}
        assert live
        assert facts(await client.call_tool("sync_directory", {}))["complete"]
        told = facts(await client.call_tool("list_changes", {"since": since, "limit": 1000}))
        assert told["known_since"]
        assert {row["user"]["id"] for row in told["result"] if row["kind"] == "user.removed"} == live
        out = facts(await client.call_tool("list_changes", {"since": since, "kinds": ["user.deactivated"]}))
        found = await answers(client, since)
        assert {row["user"]["id"] for row in out["result"]} <= {row[0] for row in found}


# ------------------------------------------------------------------------------------------------- the long property

TROUBLE = ("hide-population", "see-one-population", "hide-many", "hide-all", "no-users", "nothing", "gone", "no-audit")
STEPS = ("widen", "fault", "heal", "delete", "clean-out", "spoil", "forget-events")
VALUES = [*UNREADABLE.values(), *WRONG_TYPES.values()]
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "lost_next", "path": "/users", "every": 2},
    {"kind": "lost_next", "path": "/users", "nth": 1},
    {"kind": "lost_next", "path": "cursor="},
    {"kind": "lost_next", "path": "/groups"},
    {"kind": "lost_next", "path": "/activities"},
    {"kind": "lost_next", "path": "memberOfGroups"},
    {"kind": "short_list", "path": "/users.*memberOfGroups.*%22DIRECT", "amount": 0},
    {"kind": "short_list", "path": "/users.*memberOfGroups.*%22DIRECT", "amount": 2},
    {"kind": "short_list", "path": r"/groups\?.*memberOfGroups", "amount": 0},
    {"kind": "not_found", "path": "{group}"},
    {"kind": "bad_request", "path": "{group}"},
    {"kind": "forbidden", "path": "{group}"},
    {"kind": "forbidden", "path": "{place}/users"},
    {"kind": "forbidden", "path": "{place}/groups"},
    {"kind": "server_error", "path": "/users.*cursor="},
)


@dataclass(frozen=True)
class Step:
    """One thing that goes wrong, or right again; `where` and `what` choose among places and things there are then."""

    kind: str
    where: int
    what: int
    times: int | None
    script: tuple[Happening, ...] = ()


def steps() -> st.SearchStrategy[Step]:
    number = st.integers(0, 999)
    events = st.builds(Happening, st.sampled_from(KINDS), number, number, number)
    return st.one_of(
        st.builds(Step, st.sampled_from(TROUBLE), number, number, st.none()),
        st.builds(Step, st.sampled_from(STEPS), number, number, st.sampled_from([1, 2, None])),
        st.builds(
            Step, st.just("happen"), number, number, st.none(), st.lists(events, min_size=1, max_size=6).map(tuple)
        ),
    )


def pingones() -> st.SearchStrategy[Options]:
    """Draw a PingOne: the doubts that change what a narrowed role shows."""

    def honest(options: Options) -> bool:
        """Leave out a population that is listed as empty while its users answer 404: nobody can tell."""
        return not (options.user_counts_narrowed and options.unreachable_populations_listed)

    return st.builds(
        Options,
        max_page=st.sampled_from([15, 200]),
        unreachable_user_status=st.sampled_from([404, 404, 403]),
        unreachable_population_status=st.sampled_from([403, 404]),
        unreachable_populations_listed=st.booleans(),
        unreachable_groups_listed=st.booleans(),
        member_counts_narrowed=st.booleans(),
        user_counts_narrowed=st.booleans(),
        places_without_users=st.booleans(),
        unknown_environment_status=st.sampled_from([403, 404]),
    ).filter(honest)


Scope = Literal["all", "some populations", "everywhere"]


@dataclass(frozen=True)
class Play:
    """What happens in one try: which PingOne, what is served, and rounds of things that happen before a sync."""

    options: Options
    scope: Scope
    first: tuple[Step, ...]
    rounds: tuple[tuple[tuple[Step, ...], Mode], ...]


@st.composite
def plays(draw: st.DrawFn) -> Play:
    scope: Scope = draw(st.sampled_from(["all", "all", "everywhere", "some populations"]))
    step = steps()
    some = st.lists(step, min_size=1, max_size=3).map(tuple)
    modes: tuple[Mode, ...] = ("incremental", "full", "auto")
    mode = st.sampled_from(modes)
    rounds = st.lists(st.tuples(some, mode), min_size=1, max_size=4).map(tuple)
    return Play(draw(pingones()), scope, draw(st.one_of(st.just(()), some)), draw(rounds))


class Scene:
    """A play on its way."""

    def __init__(self, company: Watched) -> None:
        self._company = company
        self._sandbox = company.sandbox

    async def step(self, one: Step) -> None:
        company, sandbox = self._company, self._sandbox
        place = company.places[one.where % 2]
        state = sandbox.state(place)
        users = company.there(place)
        if one.kind in TROUBLE:
            sandbox.narrow(place, self._narrowing(one.kind, place, one.what))
            return
        match one.kind:
            case "happen":
                await company.happen(list(one.script))
            case "widen":
                sandbox.narrow(place)
            case "heal":
                company.heal()
            case "fault":
                self._plan(one, place)
            case "delete" if len(users) > 10:
                company.delete(place, users[one.what % 10 :: 37], told=one.times is None)
            case "clean-out" if len(users) > 50:
                company.delete(place, users[one.what % 2 :: 2], told=one.times is None)
            case "spoil" if users:
                state.spoiled[users[one.what % len(users)]] = VALUES[one.what % len(VALUES)]
            case "forget-events":
                state.unrecorded |= {"USER.DELETED", "MEMBER_OF_GROUP.DELETED"}
            case _:
                assert one.kind in STEPS

    def _narrowing(self, kind: str, place: str, what: int) -> Narrowing:
        populations = sorted(self._sandbox.state(place).populations)
        one = populations[what % len(populations)]
        users = self._company.there(place)
        match kind:
            case "hide-population":
                return Narrowing(populations=frozenset(populations) - {one})
            case "see-one-population":
                return Narrowing(populations=frozenset({one}))
            case "hide-many":
                return Narrowing(hidden=frozenset(user for at, user in enumerate(users) if (at + what) % 4))
            case "hide-all":
                return Narrowing(hidden=frozenset(users))
            case "no-users":
                return Narrowing(populations=frozenset())
            case "nothing":
                return Narrowing(populations=frozenset(), configuration=False)
            case "gone":
                return Narrowing(environment=False)
            case _:
                return Narrowing(configuration=False)

    def _plan(self, one: Step, place: str) -> None:
        planned = FAULTS[one.what % len(FAULTS)]
        if planned["kind"] == "short_list" and self._company.populations:
            return  # PingOne counts the members of all populations: that some served are missing, nothing tells
        groups = sorted(self._sandbox.state(place).groups)
        path = planned["path"].format(group=groups[one.what % len(groups)], place=place)
        self._sandbox.faults.add(Fault(**planned | {"path": path, "times": one.times}))

    async def correct(self) -> None:
        """Show again those who are hidden one by one, where they are so few that nobody can tell."""
        known = {row[0] for row in await self._company.copied("SELECT id FROM users")}
        for place, narrowing in list(self._sandbox.world.narrowed.items()):
            there = known & set(self._company.there(place))
            gone = narrowing.hidden & there
            if narrowing.hidden and not (len(gone) > 20 and len(gone) > 0.2 * len(there)):
                self._sandbox.narrow(place)


UNLISTED = Play(
    options=Options(unreachable_groups_listed=False, places_without_users=False),
    scope="all",
    first=(Step("fault", 0, 13, 1),),
    rounds=(((Step("hide-population", 0, 0, None),), "incremental"),),
)
"""The groups may not be listed at the first sync: PingOne itself is asked for their members, and knows them all."""


@tries(8)
@given(play=plays())
@example(play=UNLISTED)
def test_nobody_is_called_gone_without_evidence_and_nobody_is_left_out_without_a_gap(play: Play) -> None:
    async def go(folder: Path) -> None:
        more: dict[str, Any] = {}
        if play.scope == "everywhere":
            more["environments"] = None
        if play.scope == "some populations":
            sample = Sandbox(120, now=NOW, customers=60)
            more["populations"] = frozenset(
                population
                for one in sample.company.environments
                for population in list(sample.state(one.id).populations)[:2]
            )
        async with opened(folder, play.options, **more) as (company, client):
            scene = Scene(company)
            beginning: tuple[tuple[Step, ...], Mode] = (play.first, "full")
            for planned, mode in (beginning, *play.rounds):
                for one in planned:
                    await scene.step(one)
                company.pass_time(MINUTES)
                await scene.correct()
                await company.synced(client, mode)
            company.heal()
            company.pass_time(MINUTES)
            last = await company.synced(client, "full")
            if not isinstance(last, Problem) and last.held:
                last = await company.sync("full", accept=True)
            assert not isinstance(last, Problem), last
            assert last.complete, last.reason
            await company.equal(client)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, Path(folder))


# -------------------------------------------------------------------------------------------------- who comes back


async def test_who_comes_back_is_told_when_found_with_all_memberships_by_the_next_incremental_sync(
    tmp_path: Path,
) -> None:
    options = Options(unreachable_user_status=404, user_counts_narrowed=True, member_counts_narrowed=True)
    async with opened(tmp_path, options) as (company, client):
        await well(company, client)
        main, _ = company.places
        somebody = next(user for user, _ in sorted(company.moment().state.memberships))
        before = await company.state()
        company.sandbox.narrow(main, Narrowing(hidden=frozenset({somebody})))
        company.excused.add(somebody)  # nobody can tell this from a removal
        company.pass_time(MINUTES)
        await company.sync("full")
        assert (somebody,) in await company.copied("SELECT id FROM removed_users")
        company.heal()
        company.pass_time(MINUTES)
        found = NOW + timedelta(seconds=company.kept.world.time.passed)
        await company.sync("incremental")
        assert (somebody,) not in await company.copied("SELECT id FROM removed_users")
        assert (await company.state()).memberships == before.memberships
        rows = await company.copied(
            f"SELECT kind, at FROM changes WHERE user_id = '{somebody}' ORDER BY id DESC LIMIT 1"  # noqa: S608 - an id
        )
        [(kind, at)] = rows
        assert kind == "user.entered_scope"
        assert abs(datetime.fromisoformat(at) - found) < timedelta(minutes=1), "when it was found, not when created"


@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_who_is_moved_out_of_sight_is_not_called_removed(tmp_path: Path, mode: Mode) -> None:
    """A user of a population that answers is missing: the event says where to, and that population does not answer."""
    async with opened(tmp_path, Options(unreachable_user_status=404)) as (company, client):
        state = company.sandbox.state()
        company.sandbox.narrow(None, Narrowing(populations=frozenset(state.populations) - {state.contractors()}))
        await well(company, client)
        company.pass_time(MINUTES)
        (mover, *_) = [one["id"] for one in company.sandbox.users() if one["population"]["id"] == state.employees()]
        with company.administrator():
            async with Doors(company.sandbox) as doors:
                await doors.send("PUT", f"/users/{mover}/population", {"id": state.contractors()})
        for _ in range(2):  # the second sync reads no event about it any more
            company.pass_time(MINUTES)
            await company.sync(mode)
            assert "user.removed" not in await company.changes()
            assert (mover,) in await company.copied("SELECT id FROM users")
            assert any("nothing proves" in gap for gap in await gaps_of(client))
