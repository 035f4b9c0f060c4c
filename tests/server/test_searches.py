"""A search by name: however a name is divided, turned or accented, and what to try when nobody is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.replica.happenings import Doors
from tests.world import NOW, World, error_text, facts, walk

PEOPLE = {
    "jan": ("Jan", "van der Berg"),
    "maria": ("María", "de la Cruz"),
    "maryann": ("Mary Ann", "Smith"),
    "hanna": ("Hanna", "Böhm"),
    "hans": ("Hans", "Bohm"),
    "lukasz": ("Łukasz", "Wiśniewski"),
    "soren": ("Søren", "Ægidius"),
}


async def company(folder: Path, **options: Any) -> World:
    """Return a company of 60 with these people, whose usernames tell nothing of their names."""
    world = World(sandbox=Sandbox(size=60, now=NOW, options=Options(**options)), cache=folder / "cache")
    async with Doors(world.sandbox) as doors:
        for number, (given, family) in enumerate(PEOPLE.values()):
            person = {
                "username": f"u{number}",
                "email": f"u{number}@example.net",
                "name": {"given": given, "family": family},
            }
            assert await doors.send("POST", "/users", person) == 201
    return world


@pytest.fixture
async def named(tmp_path: Path) -> World:
    return await company(tmp_path)


async def found(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("list_users", {"fields": ["name"], **arguments})
    told = facts(result)
    assert json.loads(error_text(result)) == told, "both forms say the same"
    return told


def names(told: dict[str, Any]) -> list[str]:
    return [row["name"] for row in told["result"]]


async def sync(client: Client) -> None:
    assert facts(await client.call_tool("sync_directory", {}))["state"] == "done"


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        ("Jan van der Berg", "jan"),
        ("van der berg", "jan"),
        ("van der Berg, Jan", "jan"),
        ("de la Cruz", "maria"),
        ("Mary Ann", "maryann"),
        ("Smith, Mary Ann", "maryann"),
        ("Smith Mary Ann", "maryann"),
    ],
)
async def test_pingone_finds_a_name_however_it_is_divided_and_turned(named: World, typed: str, who: str) -> None:
    async with named.client() as client:
        live = await found(client, query=typed)
        await sync(client)
        beside = await found(client, query=typed)
    assert names(live) == names(beside) == [" ".join(PEOPLE[who])]
    assert live["total"] == beside["total"] == 1


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        ("Bohm", ["hans", "hanna"]),
        ("Böhm", ["hanna", "hans"]),
        ("hanna bohm", ["hanna"]),
        ("Bohm, Hanna", ["hanna"]),
        ("maria de la cruz", ["maria"]),
        ("lukasz wisniewski", ["lukasz"]),
        ("soren aegidius", ["soren"]),
        ("sören", ["soren"]),
    ],
)
async def test_the_fresh_copy_adds_who_is_written_with_other_accents(named: World, typed: str, who: list[str]) -> None:
    async with named.client() as client:
        await sync(client)
        told = await found(client, query=typed)
        one_by_one = await walk(client, query=typed, fields=["name"], limit=1)
    assert names(told) == [" ".join(PEOPLE[one]) for one in who]
    assert (told["total"], told["next_cursor"]) == (len(who), None)
    assert "with other accents" in told["hint"]
    assert "0 s old" in told["hint"]
    assert one_by_one == told["result"]


async def test_without_a_fresh_copy_an_answer_says_that_accents_count(named: World) -> None:
    async with named.client() as client:
        before = await found(client, query="Bohm")
        await sync(client)
        named.time.passed += 100_000
        late = await found(client, query="Bohm")
    for told in (before, late):
        assert names(told) == ["Hans Bohm"]
        assert "Only names with these very accents" in told["hint"]


async def test_one_or_two_letters_are_looked_for_as_they_are_written(named: World) -> None:
    async with named.client() as client:
        await sync(client)
        told = await found(client, query="Bo")
    assert "Hans Bohm" in names(told)
    assert "Hanna Böhm" not in names(told)
    assert "Only names with these very accents" in told["hint"]


async def test_where_pingone_makes_no_difference_nobody_comes_twice(tmp_path: Path) -> None:
    world = await company(tmp_path, accents_folded=True)
    async with world.client() as client:
        await sync(client)
        told = await found(client, query="Bohm", limit=2)
    assert sorted(names(told)) == ["Hanna Böhm", "Hans Bohm"]
    assert (told["total"], told["next_cursor"]) == (2, None)
    assert "hint" not in told


async def test_what_narrows_a_search_narrows_the_copy_too(named: World) -> None:
    async with named.client() as client:
        await sync(client)
        active = await found(client, query="Bohm", status="active")
        gone = await found(client, query="Bohm", status="inactive")
        typed = await found(client, query="Bohm", filter='name.given sw "Hanna"')
        elsewhere = await found(client, query="Bohm", population="Contractors")
    assert len(names(active)) == 2
    assert names(gone) == names(elsewhere) == []
    assert names(typed) == ["Hanna Böhm"]


async def test_a_zero_says_what_to_try(named: World) -> None:
    async with named.client() as client:
        alone = await found(client, query="Zzyzx")
        narrowed = await found(client, query="Jan van der Berg", status="inactive", group="Engineering")
        only_filter = await found(client, filter='title eq "No Such Title"')
        groups = facts(await client.call_tool("list_groups", {"query": "no such"}))
        somebody = await found(client, query="zz@")
        short = await found(client, query="zz")
        await sync(client)
        fresh = await found(client, query="Zzyzx")
    assert "PingOne compares accents" in alone["hint"]
    assert "sync_directory" in alone["hint"]
    assert "beginning" in alone["hint"]
    assert "Try without" not in alone["hint"]
    assert "Try without `status` or `group`." in narrowed["hint"]
    assert only_filter["hint"] == "Try without `filter`."
    assert "list_groups without `query`" in groups["hint"]
    assert "No name, username or email begins like this, whatever the accents." in fresh["hint"]
    assert somebody["result_count"] == 0
    assert "sync_directory" not in short["hint"], "other accents are looked for from three letters on"


async def test_an_address_and_a_list_of_everybody_carry_no_hint(named: World) -> None:
    async with named.client() as client:
        someone = list(named.sandbox.users())[20]
        for arguments in ({"query": someone["email"]}, {"limit": 5}, {"status": "active"}):
            told = await found(client, **arguments)
            assert told["result"]
            assert "hint" not in told, arguments


async def test_a_long_search_within_many_populations_stays_within_6_kb_and_says_what_was_left_out(named: World) -> None:
    state = named.sandbox.state()
    here = {person["population"]["id"] for person in named.sandbox.users()}
    elsewhere = tuple(f"0000{number:04d}-0000-4000-8000-000000000000" for number in range(120))
    long = "Ana María Fernanda de la Cruz y Santos von und zu Liechtenstein van den Broecke"
    async with named.client(populations=(*here, *elsewhere)) as client:
        told = await found(client, query=long)
    assert told["result"] == []
    assert ["too many words" in gap for gap in told["gaps"]] == [False, True]
    assert "and 110 more, which no environment served has" in told["gaps"][0]
    assert state.id in named.api_requests()[-1]


async def test_groups_are_found_with_or_without_accents(named: World) -> None:
    async with Doors(named.sandbox) as doors:
        assert await doors.send("POST", "/groups", {"name": "Équipe Réseau"}) == 201
    async with named.client() as client:
        for query in ("equipe reseau", "ÉQUIPE", "reséau"):
            told = facts(await client.call_tool("list_groups", {"query": query}))
            assert [row["name"] for row in told["result"]] == ["Équipe Réseau"], query
