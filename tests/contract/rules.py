"""What every directory keeps to, live or copied, whoever provides it: one function for each rule of `Directory`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, get_args

from pingone_mcp.directory.coverage import Reason, covered_so_far
from pingone_mcp.directory.models import AuditEntry
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import (
    AuditQuestion,
    DeactivatedQuestion,
    Directory,
    GroupQuestion,
    MemberQuestion,
    Question,
    Status,
    UserQuestion,
)
from pingone_mcp.errors import FilterRefused, NotFound, Problem, Refused
from tests.contract.truth import Truth

NOBODY = "11111111-1111-1111-1111-111111111111"
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A directory under contract, what is true of it, and how another process opens it."""

    directory: Directory
    truth: Truth
    reopened: Callable[[], AbstractAsyncContextManager[Directory]]


Rule = Callable[[Trial], Awaitable[None]]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


async def page_of(
    directory: Directory, question: Question, at: Position | None = None, size: int | None = None
) -> Page[Any]:
    match question:
        case UserQuestion():
            return await directory.users(question, at, page_size=size)
        case DeactivatedQuestion():
            return await directory.deactivated(question, at, page_size=size)
        case GroupQuestion():
            return await directory.groups(question, at, page_size=size)
        case MemberQuestion():
            return await directory.members(question, at, page_size=size)


async def pages(directory: Directory, question: Question, size: int | None = None) -> list[Page[Any]]:
    found = [await page_of(directory, question, None, size)]
    while (following := found[-1].next) is not None:
        assert len(found) < 1_000, f"the pages have no end: {question}"
        found.append(await page_of(directory, question, following, size))
    return found


def items(read: Sequence[Page[Any]]) -> list[Any]:
    return list(chain.from_iterable(page.items for page in read))


def identity(item: Any) -> str:
    return str(item.user.id if hasattr(item, "user") else item.id)


async def ids(directory: Directory, question: Question, size: int | None = None) -> list[str]:
    """Return the ids that a question finds, each once; what is said of how many there are must be true."""
    read = await pages(directory, question, size)
    found = [identity(item) for item in items(read)]
    assert [one for one, times in Counter(found).items() if times > 1] == [], f"somebody comes twice: {question}"
    assert {page.total for page in read} <= {None, len(found)}, f"a total is not what came: {question}"
    assert [page.gaps for page in read if page.gaps] == [], f"nothing is missing, and a gap is named: {question}"
    return found


async def refusal(asked: Awaitable[Any]) -> Problem:
    """Return the Problem that comes in the place of an answer."""
    try:
        answer = await asked
    except Problem as problem:
        return problem
    raise AssertionError(f"not refused: {answer}")


def as_travelled(position: Position) -> Position:
    """Return a position as another process gets it."""
    return Position.from_json(json.loads(json.dumps(position.to_json())))


def every_question(truth: Truth) -> list[Question]:
    """Return one question of each kind that finds several things."""
    crowd = max(truth.groups, key=lambda group: len(truth.members(group)))
    return [
        UserQuestion(),
        UserQuestion(status="active"),
        UserQuestion(group=crowd),
        GroupQuestion(),
        MemberQuestion(group=crowd),
        DeactivatedQuestion(reasons=("disabled", "locked")),
    ]


# Lists and pages


@rule
async def everybody_comes_once(trial: Trial) -> None:
    for size in (None, 1, 7, 1_000):
        assert set(await ids(trial.directory, UserQuestion(), size)) == trial.truth.people.keys()


@rule
async def every_group_comes_once(trial: Trial) -> None:
    for size in (None, 1, 1_000):
        assert set(await ids(trial.directory, GroupQuestion(), size)) == trial.truth.groups.keys()


@rule
async def a_page_that_is_read_again_begins_at_the_same_place(trial: Trial) -> None:
    for question in every_question(trial.truth):
        for page in (await pages(trial.directory, question, 2))[:3]:
            again = await page_of(trial.directory, question, page.at, 2)
            assert [identity(item) for item in again.items] == [identity(item) for item in page.items]


@rule
async def a_listing_goes_on_in_another_process(trial: Trial) -> None:
    for question in every_question(trial.truth):
        whole = {identity(item) for item in items(await pages(trial.directory, question))}
        at, found = None, list[str]()
        while True:
            async with trial.reopened() as elsewhere:
                page = await page_of(elsewhere, question, at, 5)
            found += [identity(item) for item in page.items]
            if page.next is None:
                break
            at = as_travelled(page.next)
        assert sorted(found) == sorted(whole), question


@rule
async def a_position_of_another_question_is_refused(trial: Trial) -> None:
    page = await trial.directory.users(UserQuestion(status="active"), page_size=2)
    refused = await refusal(trial.directory.users(UserQuestion(status="inactive"), page.next))
    assert (type(refused), refused.code) == (Refused, "STALE_CURSOR")


# Who is found


@rule
async def a_status_has_its_users(trial: Trial) -> None:
    people = trial.truth.people.values()
    for status in STATUSES:
        wanted = {person.id for person in people if person.status == status}
        assert set(await ids(trial.directory, UserQuestion(status=status))) == wanted, status


@rule
async def places_are_found_by_id_and_by_name_in_any_case(trial: Trial) -> None:
    people = trial.truth.people.values()
    for place, name in trial.truth.environments.items():
        wanted = {person.id for person in people if person.environment == place}
        for reference in (place, place.upper(), name, f" {name.upper()} "):
            assert set(await ids(trial.directory, UserQuestion(environment=reference))) == wanted
    for population, (_, name) in trial.truth.populations.items():
        wanted = {person.id for person in people if person.population == population}
        for reference in (population, name.upper()):
            assert set(await ids(trial.directory, UserQuestion(population=reference))) == wanted


@rule
async def a_filter_finds_whom_it_is_about(trial: Trial) -> None:
    assert trial.truth.filters
    for text, holds in trial.truth.filters:
        wanted = {person.id for person in trial.truth.people.values() if holds(person)}
        assert wanted, "a filter that nobody fits proves little"
        assert set(await ids(trial.directory, UserQuestion(filter=text))) == wanted, text


@rule
async def a_search_finds_people_by_the_start_of_a_username(trial: Trial) -> None:
    for username, person in list(trial.truth.usernames().items())[:5]:
        assert person in await ids(trial.directory, UserQuestion(query=username.upper()))


@rule
async def questions_narrow_each_other(trial: Trial) -> None:
    for group in trial.truth.groups:
        active = {one for one in trial.truth.members(group) if trial.truth.people[one].status == "active"}
        assert set(await ids(trial.directory, UserQuestion(group=group, status="active"))) == active


@rule
async def groups_and_roles_come_with_a_list_that_asks_for_them(trial: Trial) -> None:
    people = trial.truth.people
    for user in items(await pages(trial.directory, UserQuestion(include=("groups", "roles")))):
        held = {group.id: group.type for group in user.groups or ()}
        assert held == people[user.id].groups
        assert user.roles is not None or "roles" in user.unreadable
    assert all(user.groups is None for user in items(await pages(trial.directory, UserQuestion())))


@rule
async def a_user_is_shown_whole(trial: Trial) -> None:
    for person in list(trial.truth.people.values())[:12]:
        user = await trial.directory.user(person.id)
        assert (user.id, user.username, user.email) == (person.id, person.username, person.email)
        assert (user.status, user.status_reasons) == (person.status, person.reasons)
        assert [place.id for place in user.organizations] == [person.environment]
        assert [place.name for place in user.workspaces] == [trial.truth.populations[person.population].name]
        assert {group.id: group.type for group in user.groups or ()} == person.groups
        assert {group.name for group in user.groups or ()} == {trial.truth.groups[one].name for one in person.groups}


@rule
async def a_user_is_found_by_username_in_any_case(trial: Trial) -> None:
    for username, person in list(trial.truth.usernames().items())[:8]:
        assert (await trial.directory.user(f" {username.upper()} ")).id == person


# Groups


@rule
async def a_group_has_its_members_direct_ones_first(trial: Trial) -> None:
    for group in trial.truth.groups:
        found = items(await pages(trial.directory, MemberQuestion(group=group), 4))
        ways = [member.type for member in found]
        assert ways == sorted(ways), "direct, then indirect"
        assert {(member.user.id, member.type) for member in found} == {
            (one, trial.truth.people[one].groups[group]) for one in trial.truth.members(group)
        }
        direct = trial.truth.members(group, "direct")
        assert set(await ids(trial.directory, MemberQuestion(group=group, direct_only=True))) == direct
        assert len(await ids(trial.directory, MemberQuestion(group=group))) == len(found)


@rule
async def a_group_is_shown_whole(trial: Trial) -> None:
    for group in trial.truth.groups.values():
        shown = await trial.directory.group(group.id)
        assert (shown.id, shown.name, shown.organization.id) == (group.id, group.name, group.environment)
        assert shown.organization.name == trial.truth.environments[group.environment]
        assert (shown.workspace.id if shown.workspace is not None else None) == group.population
        assert {one.id for one in shown.parents or () if one.type == "direct"} == group.parents
        there = len(trial.truth.members(group.id))
        if not trial.directory.profile.scope.populations:
            assert shown.total_member_count == there
        elif group.population is None:
            assert shown.total_member_count is None, "it would count people who are not served"


@rule
async def groups_are_found_by_parts_of_their_names_and_by_population(trial: Trial) -> None:
    groups = trial.truth.groups.values()
    for group in groups:
        part = group.name[1:4].strip().upper()
        wanted = {one.id for one in groups if part.casefold() in one.name.casefold()}
        assert wanted <= set(await ids(trial.directory, GroupQuestion(query=part)))
    for population in trial.truth.populations:
        wanted = {group.id for group in groups if group.population == population}
        assert set(await ids(trial.directory, GroupQuestion(population=population))) == wanted


# What is refused


@rule
async def a_name_that_nothing_has_is_refused_with_candidates(trial: Trial) -> None:
    ask: list[tuple[str, Awaitable[Any]]] = [
        ("environment", trial.directory.users(UserQuestion(environment="nowhere at all"))),
        ("population", trial.directory.users(UserQuestion(population="nowhere at all"))),
        ("group", trial.directory.users(UserQuestion(group="no such group"))),
        ("group", trial.directory.group("no such group")),
        ("group", trial.directory.members(MemberQuestion(group="no such group"))),
        ("group", trial.directory.group(NOBODY)),
    ]
    for what, asked in ask:
        refused = await refusal(asked)
        assert isinstance(refused, Refused)
        assert refused.code == "UNKNOWN_NAME", refused
        assert f"There is no {what} of this" in refused.what


@rule
async def a_name_of_several_is_refused_unless_the_environment_is_named(trial: Trial) -> None:
    names = Counter(group.name for group in trial.truth.groups.values())
    [name, *_] = [one for one, times in names.items() if times > 1]
    refused = await refusal(trial.directory.group(name))
    assert refused.code == "AMBIGUOUS_NAME"
    meant = [group for group in trial.truth.groups.values() if group.name == name]
    assert all(group.id in refused.what for group in meant)
    places = Counter(group.environment for group in meant)
    for group in meant:
        if places[group.environment] == 1:
            assert (await trial.directory.group(name, environment=group.environment)).id == group.id


@rule
async def what_lies_outside_the_scope_is_refused(trial: Trial) -> None:
    for asked in (
        trial.directory.users(UserQuestion(environment=NOBODY)),
        trial.directory.user("x", environment=NOBODY),
        trial.directory.groups(GroupQuestion(environment=NOBODY)),
    ):
        assert (await refusal(asked)).code == "OUTSIDE_CONFIGURATION"


@rule
async def a_population_of_no_such_id_is_refused(trial: Trial) -> None:
    limited = bool(trial.directory.profile.scope.populations)
    for asked in (
        trial.directory.users(UserQuestion(population=NOBODY)),
        trial.directory.groups(GroupQuestion(population=NOBODY)),
    ):
        assert (await refusal(asked)).code == ("OUTSIDE_CONFIGURATION" if limited else "UNKNOWN_NAME")


@rule
async def who_is_outside_the_populations_served_is_nobody(trial: Trial) -> None:
    assert bool(trial.truth.hidden) == bool(trial.directory.profile.scope.populations)
    for person in trial.truth.hidden[:5]:
        for reference in (person.id, person.username):
            assert isinstance(await refusal(trial.directory.user(reference)), NotFound)
        assert person.id not in await ids(trial.directory, UserQuestion(query=person.username))
        assert (await refusal(trial.directory.users(UserQuestion(population=person.population)))).code == (
            "OUTSIDE_CONFIGURATION"
        )


@rule
async def nobody_is_not_found(trial: Trial) -> None:
    for reference in (NOBODY, "nobody@nowhere.example", " ", "\ud800"):
        assert isinstance(await refusal(trial.directory.user(reference)), NotFound), reference


@rule
async def a_filter_that_is_not_taken_is_refused_with_what_is(trial: Trial) -> None:
    for text in trial.truth.wrong_filters:
        refused = await refusal(trial.directory.users(UserQuestion(filter=text)))
        assert isinstance(refused, FilterRefused), text
        assert "Supported operators" in refused.next_step
    for text in ("family", 'family eq "x', "()", "a eq b"):
        refused = await refusal(trial.directory.users(UserQuestion(filter=text)))
        assert (type(refused), refused.code) == (Refused, "INVALID_FILTER"), text
    assert (await refusal(trial.directory.users(UserQuestion(query=" , ")))).code == "EMPTY_QUERY"


@rule
async def the_future_is_refused(trial: Trial) -> None:
    question = DeactivatedQuestion(since=datetime(2999, 1, 1, tzinfo=UTC))
    assert (await refusal(trial.directory.deactivated(question))).code == "FUTURE_TIME"


# Who cannot sign in


@rule
async def who_cannot_sign_in_comes_once_reason_after_reason(trial: Trial) -> None:
    people = trial.truth.people.values()
    out: dict[Reason, set[str]] = {
        "disabled": {person.id for person in people if "disabled" in person.reasons},
        "locked": {person.id for person in people if "locked" in person.reasons},
    }
    for reason, wanted in out.items():
        assert set(await ids(trial.directory, DeactivatedQuestion(reasons=(reason,)), 2)) == wanted
    found = await ids(trial.directory, DeactivatedQuestion(reasons=("locked", "disabled")))
    assert set(found) == out["disabled"] | out["locked"]
    first = found[: len(out["disabled"])]
    assert set(first) == out["disabled"], "disabled ones first"


@rule
async def coverage_says_of_each_reason_whether_all_have_come(trial: Trial) -> None:
    question = DeactivatedQuestion(reasons=("disabled", "locked"))
    at: Position | None = None
    while True:
        page = await trial.directory.deactivated(question, at, page_size=1)
        assert list(page.coverage) == ["disabled", "locked"]
        assert all(covered.how for covered in page.coverage.values())
        so_far = covered_so_far(page.coverage, page.next)
        if page.next is None:
            break
        assert not so_far["locked"].complete, "its last one has not come yet"
        at = page.next
    assert so_far["disabled"].complete


# What was done


async def entries(directory: Directory, question: AuditQuestion, size: int | None = None) -> list[AuditEntry]:
    """Return the lines of the audit that a question finds; its positions travel as to another process."""
    page = await directory.audit(question, page_size=size)
    found = [*page.items]
    while page.next is not None:
        page = await directory.audit(question, as_travelled(page.next), page_size=size)
        found += page.items
    return found


@rule
async def the_audit_comes_once_the_newest_first(trial: Trial) -> None:
    every = await entries(trial.directory, AuditQuestion())
    assert len({one.id for one in every}) == len(every) > 0
    for environment in trial.truth.environments:
        here = await entries(trial.directory, AuditQuestion(environment=environment), 3)
        assert here == [one for one in every if one.organization.id == environment]
        assert [one.created_at for one in here] == sorted((one.created_at for one in here), reverse=True)
        assert {one.organization.name for one in here} <= {trial.truth.environments[environment]}


@rule
async def the_audit_is_narrowed_by_times_and_action(trial: Trial) -> None:
    every = await entries(trial.directory, AuditQuestion())
    middle = every[len(every) // 2]
    since, until = AuditQuestion(since=middle.created_at), AuditQuestion(until=middle.created_at)
    assert await entries(trial.directory, since) == [one for one in every if one.created_at >= middle.created_at]
    assert await entries(trial.directory, until) == [one for one in every if one.created_at <= middle.created_at]
    for action in {one.action for one in every} | {middle.event}:
        found = await entries(trial.directory, AuditQuestion(action=action), 2)
        assert found == [one for one in every if action in (one.action, one.event)], action


@rule
async def the_audit_names_nobody_in_a_population_that_is_not_served(trial: Trial) -> None:
    named = {one.entity for one in await entries(trial.directory, AuditQuestion())}
    assert named.isdisjoint({person.id for person in trial.truth.hidden})


# The whole of it


@rule
async def the_roles_that_somebody_has_are_among_all(trial: Trial) -> None:
    every = {one.id: one.name for one in await trial.directory.roles()}
    assert every
    page = await trial.directory.users(UserQuestion(include=("roles",)))
    held = [role for user in page.items for role in user.roles or ()]
    assert {(role.id, role.name) for role in held} <= every.items()


@rule
async def what_is_served_is_described(trial: Trial) -> None:
    described = await trial.directory.describe()
    people = trial.truth.people.values()
    assert {one.organization.id for one in described.organizations} == trial.truth.environments.keys()
    for one in described.organizations:
        here = [person for person in people if person.environment == one.organization.id]
        assert one.organization.name == trial.truth.environments[one.organization.id]
        assert one.user_count == len(here)
        assert one.disabled_count == sum("disabled" in person.reasons for person in here)
        assert {(place.id, place.name) for place in one.workspaces} == {
            (identity, name)
            for identity, (home, name) in trial.truth.populations.items()
            if home == one.organization.id
        }


@rule
async def places_are_listed(trial: Trial) -> None:
    found = await trial.directory.environments()
    assert {place.id: place.name for place in found} == trial.truth.environments
    assert [place.id for place in found] == sorted(trial.truth.environments), "in one order"
    for environment in trial.truth.environments:
        populations = await trial.directory.populations(environment)
        assert {(one.id, one.name) for one in populations} == {
            (one, name) for one, (home, name) in trial.truth.populations.items() if home == environment
        }


@rule
async def a_profile_says_what_is_fixed(trial: Trial) -> None:
    profile = trial.directory.profile
    assert profile.provider
    assert profile.scope.environments is None or set(profile.scope.environments) == trial.truth.environments.keys()
    assert profile.scope.has_several_environments == (len(trial.truth.environments) > 1)
    for attribute in profile.filterable.attributes.values():
        assert attribute.operators
        assert attribute.held_in
    for question in every_question(trial.truth):
        assert (await trial.directory.provenance(question)).age_seconds >= 0
