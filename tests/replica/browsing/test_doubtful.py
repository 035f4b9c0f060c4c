"""Who waits for a person's word: users, groups and memberships that the last syncs could not find, by name."""

from __future__ import annotations

import dataclasses
import sqlite3

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.browsing.doubtful import DoubtfulOnes, doubtful_ones
from pingone_mcp.replica.evidence import Vanished
from pingone_mcp.replica.merging.memberships import LOSING
from pingone_mcp.replica.store.noted import HeldRemovals, note, recalled
from pingone_mcp.service.backend import Backend
from tests.replica.browsing.test_people import backend, look
from tests.world import NOW

__all__ = ["backend"]


async def held(
    backend: Backend, *, users: int = 0, groups: int = 0, losing: int = 0, unseen: int = 0, hour: int = 12
) -> None:
    """Note what a sync that is held would: so many users and groups, and so many who lose a membership."""

    def work(database: sqlite3.Connection) -> None:
        memory = recalled(database)
        [place] = memory.coverage
        people = [row[0] for row in database.execute("SELECT id FROM users ORDER BY id LIMIT 40")]
        teams = [row[0] for row in database.execute("SELECT id FROM groups ORDER BY id LIMIT ?", (groups,))]
        mass = Vanished(what=LOSING, environment=place, missing=losing, known=60, examples=tuple(people[:2]))
        removals = HeldRemovals(
            at=timestamp(NOW.replace(hour=hour)),
            vanished=(mass,) if losing else (),
            ids=tuple(sorted([*people[:users], *teams])),
            memberships={place: losing} if losing else {},
        )
        covered = dataclasses.replace(memory.coverage[place], unseen=people[40 - unseen :] if unseen else [])
        note(database, held=removals, coverage={place: covered})

    await backend.replica.store.write(work)


async def found(backend: Backend, most: int = 100) -> DoubtfulOnes:
    return await look(backend, lambda copy: doubtful_ones(copy, most))


async def test_nobody_waits_in_a_copy_that_is_whole(backend: Backend) -> None:
    nobody = await found(backend)
    assert (nobody.are_there, nobody.users, nobody.groups, nobody.named, nobody.losing) == (False, 0, 0, (), ())


async def test_all_are_counted_and_the_first_by_name_are_named(backend: Backend) -> None:
    await held(backend, users=12, groups=2, unseen=3)
    all_of_them, some = await found(backend), await found(backend, 5)
    assert (all_of_them.users, all_of_them.groups, len(all_of_them.named)) == (15, 2, 17)
    assert all_of_them.held_at == NOW
    assert some.named == all_of_them.named[:5]
    assert (some.users, some.groups, some.edition) == (15, 2, all_of_them.edition)
    people = [one for one in all_of_them.named if one.kind == "user"]
    assert [one.name or "" for one in people] == sorted(one.name or "" for one in people)
    assert [one.kind for one in all_of_them.named] == ["user"] * 15 + ["group"] * 2
    assert all(one.place for one in all_of_them.named)


async def test_who_would_lose_a_membership_is_counted_with_examples(backend: Backend) -> None:
    await held(backend, losing=30)
    waits = await found(backend)
    [losing] = waits.losing
    assert (waits.are_there, waits.users, losing.count, len(losing.examples)) == (True, 0, 30, 2)
    assert losing.place == "Workforce"


async def test_an_edition_is_another_one_whenever_somebody_else_waits(backend: Backend) -> None:
    editions: set[str] = set()
    for noted in (
        {},
        {"users": 3},
        {"users": 4},
        {"users": 3, "losing": 30},
        {"users": 3, "losing": 31},
        {"unseen": 1},
    ):
        await held(backend, **noted)
        editions.add((await found(backend)).edition)
    assert len(editions) == 6
    await held(backend, users=3)
    first = (await found(backend)).edition
    await held(backend, users=3, hour=13)
    assert (await found(backend)).edition == first, "a later sync that is held for the same ones changes nothing"
