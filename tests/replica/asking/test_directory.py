"""What only the local copy of PingOne does: where answers come from, what it cannot hold, and what it is limited to.

That it answers as the live directory does is part of the contract of every provider (tests/contract).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.directory.coverage import DeactivatedPage, covered_so_far
from pingone_mcp.directory.gaps import UnreadableEnvironment
from pingone_mcp.directory.models import User
from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.directory.paging.listing import Budget, Listing, ListingProgress, gather
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import (
    DeactivatedQuestion,
    Directory,
    GroupQuestion,
    MemberQuestion,
    Provenance,
    Question,
    UserQuestion,
)
from pingone_mcp.errors import FilterRefused, NoReplica, NotPermitted, Problem, Refused, Unreachable
from pingone_mcp.replica.asking.directory import ReplicaDirectory
from pingone_mcp.service.asking.candidates import candidates
from tests.contract.rules import identity, items, pages
from tests.contract.sameness import check_same, comparable, shown
from tests.replica.asking.both import Both, a_world, opened
from tests.replica.happenings import LOCK, Doors
from tests.world import NOW


@pytest.fixture(scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    """The main environment of 500 users, and its copy; nobody changes anything."""
    async with opened(a_world(tmp_path_factory.mktemp("one"))) as both:
        yield both


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    """Both environments, and their copy; nobody changes anything."""
    world = a_world(tmp_path_factory.mktemp("two"))
    places = tuple(sorted(place.id for place in world.sandbox.company.environments))
    async with opened(world, environments=places) as both:
        yield both


async def failure(asked: Awaitable[Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        await asked
    return caught.value


async def test_an_ambiguous_user_is_refused_with_the_same_candidates(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 40), synced=False) as both:
        async with Doors(both.sandbox) as doors:
            for name in ("one", "two", "three"):
                assert await doors.send("POST", "/users", {"username": name, "email": "shared@example.org"}) == 201
        await both.sync()
        ask = "Shared@example.org"
        refused = await failure(both.copy.user(ask))
        assert refused.code == "AMBIGUOUS_USER"
        assert all(f'"{name}" (' in refused.what for name in ("one", "two", "three"))
        assert str(refused) == str(await failure(both.live.user(ask)))
        async with Doors(both.sandbox) as doors:
            body = {"username": "shared@example.org", "email": "other@example.org"}
            assert await doors.send("POST", "/users", body) == 201
        await both.sync("incremental")
        found = await both.copy.user(ask)
        assert (found.email, found.id) == ("other@example.org", (await both.live.user(ask)).id), "a username outweighs"


async def rows_in_small_answers(
    both: Both, question: UserQuestion, between: Callable[[int], Awaitable[None]], limit: int
) -> list[str]:
    """Return the ids that an assistant gets who follows cursors, with something happening between two answers."""

    async def read(at: Position | None) -> Page[User]:
        return await both.copy.users(question, at, page_size=10)

    async def silent(_: ListingProgress) -> None:
        return None

    listing = Listing(read=read, row=lambda user: {"id": user.id}, identify=lambda user, _: user.id)
    mark: Mark | None = Mark()
    found: list[str] = []
    answers = 0
    while mark is not None:
        budget = Budget(limit=limit, characters=20_000, seconds=60.0)
        gathered = await gather(listing, mark, budget, now=lambda: 0.0, report=silent)
        found += [each["id"] for each in gathered.rows]
        mark = gathered.next
        answers += 1
        await between(answers)
    return found


@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_a_cursor_survives_syncs_that_add_and_remove_users(tmp_path: Path, mode: str) -> None:
    async with opened(a_world(tmp_path, 80), roles=False) as both:
        before = {user["id"] for user in both.sandbox.users()}
        removed: set[str] = set()

        async def happen(answers: int) -> None:
            if answers not in (2, 5, 9):
                return
            async with Doors(both.sandbox) as doors:
                present = sorted(user["id"] for user in both.sandbox.users())
                for victim in present[answers::20][:4]:
                    assert await doors.send("DELETE", f"/users/{victim}") == 204
                    removed.add(victim)
                for number in range(5):
                    name = f"new-{answers}-{number}@example.org"
                    assert await doors.send("POST", "/users", {"username": name, "email": name}) == 201
            await both.sync(mode)

        found = await rows_in_small_answers(both, UserQuestion(), happen, 7)
        assert len(removed) == 12
        assert len(set(found)) == len(found), "nobody comes twice"
        assert before - removed <= set(found), "nobody who was there all the time is missing"
        now = {user["id"] for user in both.sandbox.users()}
        assert set(items_ids(await pages(both.copy, UserQuestion()))) == now
        assert (await both.copy.users(UserQuestion())).total == len(now)


def items_ids(read: Sequence[Page[Any]]) -> list[str]:
    return [identity(item) for item in items(read)]


async def test_a_total_is_counted_anew_behind_a_sync(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 40), roles=False) as both:
        first = await both.copy.users(UserQuestion(), page_size=5)
        async with Doors(both.sandbox) as doors:
            await doors.send("POST", "/users", {"username": "new", "email": "new@example.org"})
        await both.sync("incremental")
        assert first.total == 40
        assert (await both.copy.users(UserQuestion(), first.next, page_size=5)).total == 41


async def test_a_listing_that_began_live_goes_on_live(one: Both) -> None:
    question = UserQuestion(status="active")
    first = await one.live.users(question, page_size=10)
    assert first.next is not None
    second = await one.copy.users(question, first.next, page_size=10)
    assert second.items == (await one.live.users(question, first.next, page_size=10)).items
    assert await one.copy.provenance(question, first.next) == Provenance(kind="live")


# Where answers come from


async def test_an_answer_says_where_it_comes_from_and_how_old_it_is(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 40)) as both:
        assert await both.live.provenance() == Provenance(kind="live", age_seconds=0)
        before = await both.copy.provenance()
        assert before.kind == "replica"
        assert before.age_seconds <= 2
        both.world.time.passed += 600
        both.sandbox.clock.advance(600)
        question = UserQuestion(status="active", include=("groups",))
        assert await both.copy.provenance(question) == replace(before, age_seconds=before.age_seconds + 600)
        assert await both.copy.fresh(before.age_seconds + 600)
        assert not await both.copy.fresh(before.age_seconds + 599)
        await both.sync("incremental")
        assert (await both.copy.provenance()).age_seconds <= 2


async def test_without_a_sync_there_is_nothing_to_answer_from(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 20), synced=False) as both:
        assert not await both.copy.fresh(1e9)
        for ask in (both.copy.provenance(), both.copy.users(UserQuestion()), both.copy.describe(), both.copy.user("x")):
            assert isinstance(await failure(ask), NoReplica)


async def test_the_copy_answers_when_pingone_cannot_be_reached(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 60)) as both:
        copy = both.offline
        assert (await copy.users(UserQuestion(include=("groups", "roles")))).total == 60
        assert (await copy.user(both.sandbox.company.main.notables["locked"])).status == "inactive"
        assert (await copy.group("Engineering")).total_member_count
        assert (await copy.describe()).organizations[0].user_count == 60
        assert await candidates(copy, "group", "eng") == ("Engineering",)
        assert isinstance(await failure(copy.users(UserQuestion(remote_data=True))), Unreachable)


@pytest.mark.parametrize(
    "question",
    [
        UserQuestion(filter='name.honorificPrefix eq "dr."'),
        UserQuestion(filter='title sw "S" and nickname eq "x"'),
        UserQuestion(filter='name.formatted eq "王小明"'),
        UserQuestion(filter='costCenter sw "C"'),
        UserQuestion(status="inactive", remote_data=True),
        GroupQuestion(remote_data=True),
    ],
)
async def test_what_the_copy_does_not_hold_is_asked_live(one: Both, question: Question) -> None:
    read = await pages(one.copy, question)
    assert [shown(item) for item in items(read)] == [shown(item) for item in items(await pages(one.live, question))]
    assert await one.copy.provenance(question) == Provenance(kind="live")


async def test_an_attribute_that_nobody_has_is_for_pingone_to_know(one: Both) -> None:
    question = UserQuestion(filter='favouriteColour eq "blue"')
    assert (
        str(await failure(one.copy.users(question))).split("(corr")[0]
        == str(await failure(one.live.users(question))).split("(corr")[0]
    )


async def test_one_user_with_what_pingone_sent_is_asked_live(one: Both) -> None:
    wanted = one.sandbox.company.main.notables["locked"]
    assert shown(await one.copy.user(wanted, remote_data=True)) == shown(await one.live.user(wanted, remote_data=True))


async def test_pingones_own_objects_come_from_a_copy_that_keeps_them(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 60), synced=False) as both:
        await both.sync(remote_data=True)
        copy = both.offline
        users = (await copy.users(UserQuestion(remote_data=True))).items
        assert all(user.remote_data and user.remote_data["id"] == user.id for user in users)
        assert all(user.remote_data is None for user in (await copy.users(UserQuestion())).items)
        assert (await copy.user(users[0].id, remote_data=True)).remote_data == users[0].remote_data
        assert (await copy.user(users[0].id)).remote_data is None
        for text, count in (
            ('name.formatted eq "王小明"', 1),
            ('name.honorificPrefix sw "DR"', 1),
            ('nickname eq "x"', 0),
        ):
            assert (await copy.users(UserQuestion(filter=text))).total == count


async def test_roles_that_were_not_read_of_everybody_are_told_as_unreadable(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 30), roles=False) as both:
        user = await both.copy.user(next(both.sandbox.users())["id"])
        assert (user.roles, user.unreadable) == (None, ("roles",))
        assert user.groups is not None
        rows = (await both.copy.users(UserQuestion(include=("groups", "roles")))).items
        assert all(user.unreadable == ("roles",) and user.groups is not None for user in rows)
        assert all(not user.unreadable for user in (await both.copy.users(UserQuestion(include=("groups",)))).items)


async def test_a_filter_may_hold_the_same_as_live(one: Both) -> None:
    assert one.copy.profile == one.live.profile


# The fence


async def test_the_copy_keeps_to_the_configured_populations(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    main = world.sandbox.company.main
    allowed = tuple(place.id for place in main.populations[1:3])
    async with opened(world, populations=allowed) as both:
        questions: list[Question] = [
            UserQuestion(),
            UserQuestion(status="inactive"),
            UserQuestion(group="VPN Users"),
            UserQuestion(population="Contractors"),
            GroupQuestion(),
            MemberQuestion(group="VPN Users"),
            MemberQuestion(group="Reviewers"),
            DeactivatedQuestion(reasons=("disabled", "locked")),
        ]
        for question in questions:
            await check_same(both.live, both.copy, question)
        everybody = list(world.sandbox.users())
        outside = next(user for user in everybody if user["population"]["id"] == main.populations[0].id)
        asked: list[Callable[[Directory], Awaitable[Any]]] = [
            lambda directory: directory.user(outside["id"]),
            lambda directory: directory.user(outside["username"]),
            lambda directory: directory.users(UserQuestion(population="Employees")),
            lambda directory: directory.users(UserQuestion(population=main.populations[0].id)),
        ]
        for ask in asked:
            assert comparable(await failure(ask(both.copy))) == comparable(await failure(ask(both.live)))
        assert shown(await both.copy.group("VPN Users")) == shown(await both.live.group("VPN Users"))
        for argument in ("population", "group"):
            here, there = await candidates(both.copy, argument, ""), await candidates(both.live, argument, "")
            assert sorted(here) == sorted(there)
        described = (await both.copy.describe()).organizations[0]
        assert described.user_count == sum(user["population"]["id"] in allowed for user in everybody)
        assert described.group_count is None


async def test_a_copy_that_holds_more_is_fenced_all_the_same(tmp_path: Path) -> None:
    world = a_world(tmp_path, 60)
    main, customers = world.sandbox.company.main, world.sandbox.company.environments[1]
    async with opened(world, environments=tuple(sorted((main.id, customers.id)))) as both:
        narrow = replace(both.live.profile, scope=world.connection(populations=(main.populations[1].id,)).scope)
        fenced = ReplicaDirectory(both.store, both.live, narrow, world.time.clock().now)
        found = items(await pages(fenced, UserQuestion()))
        assert found
        assert {user.workspaces[0].id for user in found} == {main.populations[1].id}
        assert await candidates(fenced, "population", "", environment=main.id) == ("Contractors",)
        customer = next(iter(world.sandbox.users(customers.id)))
        with pytest.raises(Problem):
            await fenced.user(customer["id"])
        with pytest.raises(Refused):
            await fenced.users(UserQuestion(environment=customers.id))


async def test_an_environment_that_could_not_be_read_is_told_as_a_gap(tmp_path: Path) -> None:
    world = a_world(tmp_path, 40)
    main, customers = world.sandbox.company.main, world.sandbox.company.environments[1]
    async with opened(world, synced=False, environments=tuple(sorted((main.id, customers.id)))) as both:
        both.line.refused = customers.id
        await both.sync()
        page = await both.copy.users(UserQuestion())
        assert page.gaps == (UnreadableEnvironment(place=customers.id),)
        assert (await both.copy.users(UserQuestion(environment=main.id))).gaps == ()
        assert isinstance(await failure(both.copy.users(UserQuestion(environment=customers.id))), NotPermitted)
        both.line.refused = "nothing"
        await both.sync("full")
        assert (await both.copy.users(UserQuestion())).gaps == ()
        assert (await both.copy.users(UserQuestion(environment=customers.id))).total == 36
        both.line.refused = customers.id
        both.world.time.passed += 300
        both.sandbox.clock.advance(300)
        await both.sync("incremental")
        [gap] = (await both.copy.users(UserQuestion())).gaps
        assert re.fullmatch(rf"not read since 2026-[^ ]+Z: environment {customers.id}", gap.sentence())


async def test_members_are_counted_in_the_population_that_is_asked_for_or_served(one: Both) -> None:
    world = one.world
    here = world.sandbox.company.main.populations[1].id
    group = max((await one.copy.groups(GroupQuestion())).items, key=lambda each: each.member_count or 0).id
    narrow = replace(one.live.profile, scope=world.connection(populations=(here,)).scope)
    fenced = ReplicaDirectory(one.store, one.live, narrow, world.time.clock().now)
    everybody = await one.copy.users(UserQuestion(group=group))
    asked = await one.copy.users(UserQuestion(group=group, population=here))
    served = await fenced.members(MemberQuestion(group=group))
    assert 0 < len(asked.items) == len(served.items) < (everybody.total or 0)
    assert asked.total == served.total == len(asked.items)


async def test_of_all_environments_one_that_could_not_be_read_is_a_gap_until_it_can(tmp_path: Path) -> None:
    world = a_world(tmp_path, 40)
    customers = world.sandbox.company.environments[1]
    async with opened(world, synced=False, environments=None) as both:
        both.line.refused = customers.id
        for mode in ("full", "incremental"):
            await both.sync(mode)
            assert (await both.copy.users(UserQuestion())).gaps == (UnreadableEnvironment(place=customers.id),)
        both.line.refused = "nothing"
        await both.sync("incremental")
        page = await both.copy.users(UserQuestion())
        assert (page.gaps, page.total) == ((), 76)
        both.line.refused = customers.id
        await both.sync("incremental")
        assert (
            await both.copy.provenance(GroupQuestion())
        ).kind == "replica"  # what was read of it once is there still


async def test_the_copy_is_relied_on_from_when_the_last_environment_was_first_read(tmp_path: Path) -> None:
    world = a_world(tmp_path, 40)
    customers = world.sandbox.company.environments[1]
    question = DeactivatedQuestion(reasons=("removed",))

    async def note() -> str | None:
        page = await both.copy.deactivated(question)
        return page.coverage["removed"].note

    async with opened(world, synced=False, environments=None) as both:
        both.line.refused = customers.id
        await both.sync()
        assert "removed before 2026-06-01T12:01:" in str(await note()), "the audit told of fourteen days"
        both.line.refused = "nothing"
        for _ in range(2):  # what is read again was watched all the time
            both.world.time.passed += 600
            both.sandbox.clock.advance(600)
            await both.sync("full")
            assert "removed before 2026-06-01T12:11:" in str(await note())


# Who was deactivated


async def test_deactivations_are_told_with_when_and_by_whom(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 60), roles=False) as both:
        began = both.sandbox.clock.now()
        active = [user for user in both.sandbox.users() if user["enabled"] and user["account"]["status"] == "OK"]
        disabled, locked, removed, twice = (user["id"] for user in active[20:24])
        edited = both.sandbox.company.main.notables["disabled"]
        async with Doors(both.sandbox) as doors:
            both.sandbox.clock.advance(60)
            await doors.send("PUT", f"/users/{disabled}/enabled", {"enabled": False})
            await doors.send("POST", f"/users/{locked}", {}, LOCK)
            await doors.send("PUT", f"/users/{twice}/enabled", {"enabled": False})
            await doors.send("POST", f"/users/{twice}", {}, LOCK)
            await doors.send("DELETE", f"/users/{removed}")
            await doors.send("PATCH", f"/users/{edited}", {"title": "Was disabled long ago"})
        assert began < both.sandbox.clock.now()
        both.world.time.passed += 120
        await both.sync("incremental")
        since = NOW + timedelta(seconds=30)
        question = DeactivatedQuestion(since=since)
        page = await both.copy.deactivated(question)
        found = {item.user.id: item for item in page.items}
        assert found.keys() == {disabled, locked, removed, twice}
        assert [item.user.id for item in page.items][-1] == removed
        for item in found.values():
            assert item.at is not None
            assert since <= item.at <= NOW + timedelta(seconds=120)
        live = {item.user.id: item for item in items(await pages(both.live, question))}
        assert live.keys() - found.keys() == {edited}, "live, users are found by their last change"
        for who in (disabled, removed):
            assert (found[who].at, found[who].by) == (live[who].at, live[who].by)
        assert (found[locked].at, found[locked].by) == (found[locked].user.locked_at, live[locked].by)
        gone = found[removed].user
        assert (gone.status, gone.status_reasons, gone.email) == ("deleted", ("removed",), active[22]["email"])
        coverage = page.coverage
        assert {reason: how.complete for reason, how in coverage.items()} == {
            "disabled": True,
            "locked": False,  # only a full sync sees the locks that raise no event
            "removed": True,
        }
        assert all(how.how.startswith("from the local copy, ") for how in coverage.values())
        assert removed not in {user.id for user in items(await pages(both.copy, UserQuestion()))}


async def test_coverage_says_what_the_copy_cannot_know(one: Both) -> None:
    both = one
    question = DeactivatedQuestion()
    page = await both.copy.deactivated(question, page_size=5)
    assert page.next is not None
    coverage = covered_so_far(page.coverage, page.next)
    assert [how.complete for how in coverage.values()] == [False, False, False], "not yet read to the end"
    coverage = covered_so_far(page.coverage, None)
    assert {reason: how.complete for reason, how in coverage.items()} == {
        "disabled": True,
        "locked": True,
        "removed": False,
    }
    assert "PingOne's audit did not reach back so far" in (coverage["removed"].note or "")
    assert coverage["disabled"].how == "from the local copy, 1 minute old"
    early = DeactivatedQuestion(reasons=("disabled",), since=NOW - timedelta(days=300))
    found = await pages(both.copy, early)
    last = found[-1]
    assert isinstance(last, DeactivatedPage)
    assert set(items_ids(found)) == set(items_ids(await pages(both.live, early)))
    coverage = covered_so_far(last.coverage, None)
    assert not coverage["disabled"].complete
    assert "found by their last change" in (coverage["disabled"].note or "")
    since = DeactivatedQuestion(since=NOW)
    page = await both.live.deactivated(since)
    assert page.next is not None
    goes_on = await both.copy.deactivated(since, page.next)
    assert goes_on.coverage == (await both.live.deactivated(since, page.next)).coverage, "it goes on where it began"


async def test_hidden_letters_in_names_cannot_change_what_is_asked(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 40), synced=False) as both:
        hostile = [
            "') OR 1=1 --",
            '"; DROP TABLE users_; --',
            "%",
            "_",
            "a\\'b",
            "\u202eevil",
            "ＦＵＬＬ",
            "İstanbul",
            "ß",
            "K",
        ]
        async with Doors(both.sandbox) as doors:
            body = {"username": "nul", "email": "nul@example.org", "externalId": "nul\0one"}
            assert await doors.send("POST", "/users", body) == 201
            for number, name in enumerate(hostile):
                body = {
                    "username": f"h{number}",
                    "email": f"h{number}@example.org",
                    "externalId": name,
                    "department": name,
                }
                assert await doors.send("POST", "/users", body) == 201
            for name in ("') OR 1=1 --", "Straße", "%"):
                assert await doors.send("POST", "/groups", {"name": name}) == 201
        await both.sync(roles=True)
        for name in hostile:
            text = name.replace("\\", "\\\\").replace('"', '\\"')
            for form in ('externalId eq "{}"', 'externalId sw "{}"', 'department eq "{}"', 'department sw "{}"'):
                assert await check_same(both.live, both.copy, UserQuestion(filter=form.format(text))) > 0
            assert shown(await both.copy.user(name)) == shown(await both.live.user(name))
            assert len((await both.copy.users(UserQuestion(query=name))).items) == len(
                (await both.live.users(UserQuestion(query=name))).items
            )
        for name in ("') OR 1=1 --", "%", "STRASSE", "straße"):
            await check_same(both.live, both.copy, GroupQuestion(query=name))
        for end, found in (("one", 1), ("ONE", 1), ("two", 0)):
            assert (
                await check_same(both.live, both.copy, UserQuestion(filter=f'externalId eq "nul\\u0000{end}"')) == found
            )
        assert (await both.copy.users(UserQuestion())).total == 51


async def test_a_filter_of_hundreds_of_parts_is_answered(one: Both) -> None:
    parts = " or ".join(f'type eq "{number}"' for number in range(200))
    assert (await one.copy.users(UserQuestion(filter=parts))).total == 0
    deep = "(" * 30 + 'title sw "S"' + ")" * 30
    await check_same(one.live, one.copy, UserQuestion(filter=deep))


async def test_a_refused_filter_says_what_is_wrong_in_it(one: Both) -> None:
    refused = await failure(one.copy.users(UserQuestion(filter='name.famly eq "x"')))
    assert isinstance(refused, FilterRefused)
    assert "did you mean name.family" in refused.next_step


async def test_a_custom_attribute_of_several_values_is_found_by_each(tmp_path: Path) -> None:
    async with opened(a_world(tmp_path, 20), roles=False) as both:
        someone = next(both.sandbox.users())["id"]
        query = """UPDATE users_ SET custom_attributes = json_set(custom_attributes, '$.skills', json('["Go", 7, "SQL"]'),
            '$.badge', json('{"kind": "Go"}')) WHERE id = ?"""
        await both.store.write(lambda database: database.execute(query, (someone,)))
        for text, count in (
            ('skills eq "sql"', 1),
            ('skills sw "g"', 1),
            ('skills eq "7"', 0),
            ('badge eq "Go"', 0),
        ):
            assert (await both.copy.users(UserQuestion(filter=text))).total == count
