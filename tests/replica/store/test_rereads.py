"""What was read again is noted by environment, with when, until a sync begins that reads it after that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from pingone_mcp.replica.source import Pair
from pingone_mcp.replica.store import shape
from pingone_mcp.replica.store.rereads import (
    Reread,
    Rereads,
    counts_since_reread,
    forget_counts,
    forget_rereads,
    note_reread,
    rereads_of,
)
from pingone_mcp.replica.store.store import Damaged

EARLY, LATE = "2026-06-15T12:00:00.000Z", "2026-06-15T12:00:01.000Z"
ROWS = {"users": 7, "groups": 2, "memberships": 5}


@pytest.fixture
def copy() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        shape.make(database)
        yield database


def test_what_was_read_again_is_known_by_what_it_is(copy: sqlite3.Connection) -> None:
    things = [
        Reread("user", user="ann"),
        Reread("roles", user="ben"),
        Reread("membership", user="ann", group="staff"),
        Reread("group", group="staff"),
        Reread("members", group="divers"),
    ]
    note_reread(copy, "here", things, at=LATE, rows=ROWS)
    note_reread(copy, "there", [Reread("user", user="cleo")], at=EARLY, rows=ROWS)
    assert rereads_of(copy, "here") == Rereads(
        since=LATE,
        users={"ann"},
        roles={"ben"},
        memberships={Pair("ann", "staff")},
        groups={"staff"},
        members={"divers"},
    )
    assert rereads_of(copy, "there") == Rereads(since=EARLY, users={"cleo"})
    assert rereads_of(copy, "nowhere") == Rereads()


def test_of_two_rereads_of_the_same_the_later_counts(copy: sqlite3.Connection) -> None:
    for at in (EARLY, LATE):
        note_reread(copy, "here", [Reread("user", user="ann")], at=at, rows=ROWS)
    assert rereads_of(copy, "here") == Rereads(since=LATE, users={"ann"})


def test_a_sync_that_begins_forgets_those_of_its_environment(copy: sqlite3.Connection) -> None:
    for place in ("here", "there"):
        note_reread(copy, place, [Reread("user", user="ann")], at=EARLY, rows=ROWS)
    forget_rereads(copy, "here")
    assert rereads_of(copy, "here") == Rereads()
    assert rereads_of(copy, "there").users == {"ann"}


def test_rows_are_those_of_the_last_reread_until_a_sync_counts(copy: sqlite3.Connection) -> None:
    assert counts_since_reread(copy) is None
    for users in (7, 8):
        note_reread(copy, "here", [], at=EARLY, rows=ROWS | {"users": users})
    counted = counts_since_reread(copy)
    assert counted is not None
    assert (counted.rows.users, counted.rows.groups, counted.rows.memberships) == (8, 2, 5)
    forget_counts(copy)
    assert counts_since_reread(copy) is None


@pytest.mark.parametrize("at", ["noon", 5, "2026-06-15"])
def test_a_time_that_no_reread_has_written_is_damage(copy: sqlite3.Connection, at: object) -> None:
    copy.execute("INSERT INTO reread_ VALUES ('here', 'user', 'ann', '', ?)", (at,))
    with pytest.raises(Damaged):
        rereads_of(copy, "here")


@pytest.mark.parametrize("counts", ["{", "{}", None, 5, '{"rows": {"users": 1}}'])
def test_counts_that_no_reread_has_written_are_damage(copy: sqlite3.Connection, counts: object) -> None:
    copy.execute("INSERT INTO last_reread_ (counts) VALUES (?)", (counts,))
    with pytest.raises(Damaged):
        counts_since_reread(copy)
