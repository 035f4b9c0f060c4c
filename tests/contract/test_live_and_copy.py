"""The local copy of every provider answers every question as the provider itself does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pingone_mcp.directory.provider import (
    DeactivatedQuestion,
    Directory,
    GroupQuestion,
    MemberQuestion,
    Question,
    UserQuestion,
)
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.directory import ReplicaDirectory
from pingone_mcp.service.asking.candidates import candidates
from tests.contract import pingone_questions
from tests.contract.dictionary import questions as dictionary_questions
from tests.contract.dictionary.company import sample
from tests.contract.dictionary.opening import opened
from tests.contract.pingone_questions import Ask
from tests.contract.rules import identity, items, page_of, pages, refusal
from tests.contract.sameness import check_same, comparable, shown
from tests.contract.subjects import replica_at
from tests.depth import sampled
from tests.replica.asking.both import Both, a_world
from tests.replica.asking.both import opened as opened_pingone


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A live directory and its copy, with what to ask: questions, references to users and groups, what is refused.

    `crowd` is a group of many. Nobody changes anything meanwhile.
    """

    live: Directory
    copy: ReplicaDirectory
    questions: Sequence[Question]
    users: Sequence[str]
    groups: Sequence[str]
    crowd: str
    wrong: Sequence[tuple[str, Ask]]


async def of_pingone(both: Both) -> Compared:
    sandbox = both.sandbox
    return Compared(
        live=both.live,
        copy=both.copy,
        questions=pingone_questions.questions(sandbox),
        users=pingone_questions.references(sandbox),
        groups=[*(group.id for group in sandbox.company.main.groups), "platform team"],
        crowd="Platform Team",
        wrong=pingone_questions.WRONG,
    )


@asynccontextmanager
async def pingone(folder: Path) -> AsyncIterator[Compared]:
    """The main environment of 500 users."""
    async with opened_pingone(a_world(folder)) as both:
        yield await of_pingone(both)


@asynccontextmanager
async def pingone_of_two(folder: Path) -> AsyncIterator[Compared]:
    world = a_world(folder)
    places = tuple(sorted(place.id for place in world.sandbox.company.environments))
    async with opened_pingone(world, environments=places) as both:
        yield await of_pingone(both)


@asynccontextmanager
async def dictionary(folder: Path) -> AsyncIterator[Compared]:
    company = sample()
    async with opened(company) as provider:
        replica = replica_at(folder, provider)
        await replica.sync("full", report=lambda *_: None)
        yield Compared(
            live=provider.directory,
            copy=replica.directory(provider.directory),
            questions=dictionary_questions.questions(company),
            users=dictionary_questions.references(company),
            groups=[*company.groups, "engineers"],
            crowd="Engineers",
            wrong=dictionary_questions.WRONG,
        )


COMPARED: dict[str, Callable[[Path], AbstractAsyncContextManager[Compared]]] = {
    "pingone": pingone,
    "pingone of two environments": pingone_of_two,
    "dictionary": dictionary,
}


@pytest.fixture(scope="module", params=COMPARED)
async def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Compared]:
    async with COMPARED[request.param](tmp_path_factory.mktemp("compared")) as opened_now:
        yield opened_now


@sampled(2)
async def test_every_question_is_answered_as_live(compared: Compared) -> None:
    sizes = [await check_same(compared.live, compared.copy, question) for question in compared.questions]
    assert sum(size > 0 for size in sizes) > 0.85 * len(sizes), "questions that nobody answers to prove little"


async def test_users_and_groups_are_shown_whole_as_live(compared: Compared) -> None:
    managers = set[bool]()
    for reference in compared.users:
        live, copy = await compared.live.user(reference), await compared.copy.user(reference)
        assert shown(copy) == shown(live)
        managers.add(copy.manager is not None and bool(copy.manager.username))
    assert True in managers, "somebody has a manager who is known by name"
    for reference in compared.groups:
        assert shown(await compared.copy.group(reference)) == shown(await compared.live.group(reference))


async def test_what_is_wrong_is_refused_as_live(compared: Compared) -> None:
    for label, ask in compared.wrong:
        live, copy = await refusal(ask(compared.live)), await refusal(ask(compared.copy))
        assert comparable(copy) == comparable(live), label


@pytest.mark.parametrize("size", [1, 7, 50])
@pytest.mark.parametrize(
    "kind",
    [
        lambda _: UserQuestion(),
        lambda _: UserQuestion(status="inactive"),
        lambda _: GroupQuestion(),
        lambda compared: MemberQuestion(group=compared.crowd),
        lambda _: DeactivatedQuestion(reasons=("disabled", "locked")),
    ],
    ids=["users", "inactive", "groups", "members", "deactivated"],
)
@sampled(5)
async def test_pages_of_any_size_make_the_whole_list(
    compared: Compared, kind: Callable[[Compared], Question], size: int
) -> None:
    question = kind(compared)
    whole = [identity(item) for item in items(await pages(compared.copy, question, 1000))]
    read = await pages(compared.copy, question, size)
    assert [identity(item) for item in items(read)] == whole
    assert len(set(whole)) == len(whole)
    assert {page.total for page in read} == {len(whole)}
    assert all(len(page.items) == size for page in read[:-1])
    assert read[-1].items, "a page behind the last one is not promised"
    for page in (read[0], read[-1]):  # a page may be read again, whatever size is asked for then
        again = await page_of(compared.copy, question, page.at, 3)
        assert [identity(item) for item in again.items] == [identity(item) for item in page.items]


async def test_a_position_of_another_question_is_refused_as_live(compared: Compared) -> None:
    at = (await compared.copy.users(UserQuestion(status="active"), page_size=5)).next
    refused = await refusal(compared.copy.users(UserQuestion(status="inactive"), at))
    assert (type(refused), refused.code) == (Refused, "STALE_CURSOR")
    assert str(refused) == str(await refusal(compared.live.users(UserQuestion(status="inactive"), at)))


async def test_what_is_served_is_described_and_completed_as_live(compared: Compared) -> None:
    live, copy = await compared.live.describe(), await compared.copy.describe()
    assert copy.organizations == tuple(
        replace(place, may_read={}, workspaces=tuple(sorted(place.workspaces, key=lambda one: one.id)))
        for place in live.organizations
    )
    assert (copy.region, copy.provider, copy.kept_seconds) == (live.region, live.provider, 0)
    assert compared.copy.profile == compared.live.profile
    for argument, typed in (
        ("environment", ""),
        ("population", ""),
        ("group", "e"),
        ("user", "ada"),
        ("user", " "),
        ("x", ""),
    ):
        here = await candidates(compared.copy, argument, typed)
        there = await candidates(compared.live, argument, typed)
        assert set(there) <= set(here)
        assert len(there) == len(here) or compared.live.profile.scope.has_several_environments, (
            "live looks at one environment then"
        )
