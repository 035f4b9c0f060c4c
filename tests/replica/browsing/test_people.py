"""People by a few letters of what they are called: whom a look at everybody would find, in order, page after page."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from pingone_mcp.directory.models import User
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.text.harmless import unaccented
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.browsing.counts import choices
from pingone_mcp.replica.browsing.people import COUNTED, PeoplePage, PeopleQuestion, people_page
from pingone_mcp.replica.store.letters import spoken
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.service.backend import Backend
from tests.depth import sampled
from tests.replica.happenings import Doors
from tests.world import NOW, World

T = TypeVar("T")
MANY = 1
"""Counts that are reached at once: everybody is found as if there were very many."""
PEOPLE = (
    ("zoe", "Zoë", "Müller-Lüdenscheidt", "HR-0042"),
    ("lukasz", "Łukasz", "Żak", "x_77"),
    ("o.brien", "Siobhán", "O'Brien", None),
    ("svc-backup", None, None, "SVC backup 9"),
    ("jose", "José", "de la Cruz", None),
    ("zoe2", "Zoe", "muller", None),
)


@pytest.fixture
async def backend(world: World) -> AsyncIterator[Backend]:
    world.sandbox = Sandbox(size=60, now=NOW)
    first = world.sandbox.company.main.populations[0].id
    async with Doors(world.sandbox) as doors:
        for username, given, family, external in PEOPLE:
            name = {key: value for key, value in (("given", given), ("family", family)) if value}
            body = {"username": username, "email": f"{username}@example.net", "population": {"id": first}}
            body |= {"name": name} if name else {}
            body |= {"externalId": external} if external else {}
            assert await doors.send("POST", "/users", body) == 201
    async with world.backend() as opened:
        await opened.replica.sync("full", report=lambda *_: None)
        yield opened


async def look(backend: Backend, work: Callable[[Snapshot], T], scope: Scope | None = None) -> T:
    own = scope or backend.replica.source.scope

    def read(database: sqlite3.Connection) -> T:
        return work(Snapshot(database, own))

    return await backend.replica.store.read(read)


def walk(copy: Snapshot, question: PeopleQuestion, size: int, counted: int = COUNTED) -> list[User]:
    found: list[User] = []
    page: PeoplePage = people_page(copy, question, None, size, counted=counted)
    found += page.items
    while page.next is not None:
        page = people_page(copy, question, page.next, size, counted=counted)
        assert page.items, "a page is never empty"
        found += page.items
        assert len({user.id for user in found}) == len(found), "nobody comes twice"
    return found


async def find(
    backend: Backend, question: PeopleQuestion, size: int, counted: int = COUNTED, scope: Scope | None = None
) -> list[User]:
    """Return all whom a question finds, read in pages of a size."""
    return await look(backend, lambda copy: walk(copy, question, size, counted), scope)


def wanted(user: User, query: str) -> bool:
    """Say whether somebody is meant, by a look at them alone."""
    texts = [spoken(text) for text in (user.name, user.username, user.email, user.external_id) if text]
    words = [spoken(word) for word in query.replace(",", " ").split()]
    return all(any(f" {word}" in f" {text}" for text in texts) for word in words if word)


@pytest.mark.parametrize("counted", [COUNTED, MANY])
@pytest.mark.parametrize(
    "query",
    [
        "z",
        "e",
        "zoe",
        "ZOË mul",
        "müller zoe",
        "Müller, Zoë",
        "ludens",
        "lukasz",
        "zak",
        "0042",
        "hr-00",
        "77",
        "backup svc",
        "brien",
        "o'br",
        "cruz",
        "la de jo",
        "example",
        "net zoe",
    ],
)
@sampled(5)
async def test_whoever_is_called_so_is_found_whatever_the_accents_and_the_order(
    backend: Backend, query: str, counted: int
) -> None:
    everybody = await look(backend, lambda copy: walk(copy, PeopleQuestion(), 1_000))
    found = await look(backend, lambda copy: walk(copy, PeopleQuestion(query=query), 3, counted))
    assert [user.id for user in found] == [user.id for user in everybody if wanted(user, query)] != []


@pytest.mark.parametrize("query", ["!!!", '"', "nobodyiscalledso", "*", "') OR 1=1 --"])
async def test_what_nobody_is_called_finds_nobody(backend: Backend, query: str) -> None:
    for counted in (COUNTED, MANY):
        question = PeopleQuestion(query=query)
        assert await find(backend, question, 10, counted) == []


@pytest.mark.parametrize("counted", [COUNTED, MANY])
@pytest.mark.parametrize("size", [1, 7])
async def test_everybody_comes_once_by_family_name_and_who_has_none_comes_last(
    backend: Backend, size: int, counted: int
) -> None:
    found = await look(backend, lambda copy: walk(copy, PeopleQuestion(), size, counted))
    rows = await backend.replica.store.read(
        lambda database: database.execute(
            "SELECT id FROM users_ WHERE removed_at IS NULL ORDER BY last_name IS NULL, last_name COLLATE NOCASE, "
            "first_name COLLATE NOCASE, number"
        ).fetchall()
    )
    assert [user.id for user in found] == [identity for (identity,) in rows]
    assert found[-1].last_name is None


async def test_filters_narrow_and_their_counts_are_those_that_they_find(backend: Backend) -> None:
    offered = await look(backend, choices)
    asked = [
        *((PeopleQuestion(status=one.value), one) for one in offered.statuses),
        *((PeopleQuestion(population=one.value), one) for one in offered.populations),
        *((PeopleQuestion(department=one.value), one) for one in offered.departments),
        *((PeopleQuestion(group=one.value), one) for one in offered.groups),
    ]
    assert all((offered.statuses, offered.populations, offered.departments, offered.groups))
    for question, one in asked:
        for counted in (COUNTED, MANY):
            assert len(await find(backend, question, 9, counted)) == one.count, one
    assert offered.people == len(await look(backend, lambda copy: walk(copy, PeopleQuestion(), 1_000)))


async def test_those_who_are_gone_are_a_list_of_their_own(backend: Backend, world: World) -> None:
    async with Doors(world.sandbox) as doors:
        (zoe,) = [user["id"] for user in world.sandbox.users() if user["username"] == "zoe"]
        assert await doors.send("DELETE", f"/users/{zoe}") == 204
    await backend.replica.sync("incremental", report=lambda *_: None)
    gone = await look(backend, lambda copy: walk(copy, PeopleQuestion(removed=True, query="muller zoe"), 2))
    assert [(user.id, user.status) for user in gone] == [(zoe, "deleted")]
    there = await look(backend, lambda copy: walk(copy, PeopleQuestion(query="muller zoe"), 2))
    assert [user.username for user in there] == ["zoe2"]
    assert (await look(backend, choices)).removed >= 1


async def test_nobody_beyond_the_scope_is_found_or_counted(backend: Backend, world: World) -> None:
    main = world.sandbox.company.main
    second = main.populations[1].id
    scope = Scope(environments=(main.id,), populations=(second,))
    inside = {user["id"] for user in world.sandbox.users() if user["population"]["id"] == second}
    for counted in (COUNTED, MANY):
        for question in (PeopleQuestion(), PeopleQuestion(query="e"), PeopleQuestion(query="example")):
            found = await find(backend, question, 5, counted, scope)
            assert {user.id for user in found} <= inside
    offered = await look(backend, choices, scope)
    assert offered.people == len(inside)
    assert [one.value for one in offered.populations] == [second]
    assert {one.count for one in offered.groups} <= {None}, "a group reaches beyond what is served"


async def test_more_than_are_counted_are_said_to_be_more(backend: Backend) -> None:
    page = await look(backend, lambda copy: people_page(copy, PeopleQuestion(status="active"), None, 5, counted=7))
    assert (page.total, page.about) == (None, 7)
    called = await look(backend, lambda copy: people_page(copy, PeopleQuestion(query="ludens"), None, 1, counted=1))
    assert called.total == 1, "those who are called so are counted at once"


async def test_a_place_behind_somebody_whom_no_copy_knows_is_refused(backend: Backend) -> None:
    page = await look(backend, lambda copy: people_page(copy, PeopleQuestion(), None, 5))
    assert page.next is not None
    lost = type(page.next)(source="replica", after="00000000-0000-0000-0000-000000000000")
    with pytest.raises(Refused, match="made anew"):
        await look(backend, lambda copy: people_page(copy, PeopleQuestion(), lost, 5))


def test_words_are_what_the_index_of_words_takes_for_words() -> None:
    assert spoken("Müller-Lüdenscheidt_x.Y") == "muller ludenscheidt x y"
    assert unaccented("Łódź") == "lodz"
