"""What the syncs have noted: kept as JSON that older and newer versions read, and believed only where it is whole."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from pingone_mcp.replica.evidence import Shortage, Vanished
from pingone_mcp.replica.store import shape
from pingone_mcp.replica.store.noted import (
    EndedRun,
    EnvironmentCoverage,
    HeldRemovals,
    Memory,
    ReadBy,
    Shape,
    last_run,
    note,
    note_run,
    recalled,
)
from pingone_mcp.replica.store.store import Damaged
from pingone_mcp.replica.watermark import Watermark

AT, LATER = "2026-06-01T08:00:00.000Z", "2026-06-02T08:00:00.000Z"
# As the version before notes were typed has written them, member for member.
OLD = {
    "watermarks": {"e": {"updated": AT, "events": AT, "seen": {"event-1": AT}, "ahead": -1.5}},
    "coverage": {
        "e": {
            "memberships": "all",
            "roles": "named in events",
            "events": False,
            "audited_since": AT,
            "users_short": {"counted": 9, "found": 8, "tries": 1},
            "populations_short": {"p": {"counted": 3, "found": 2, "tries": 2}},
            "without_id": 4,
            "unseen": ["u"],
            "homes": {"u": "p"},
        },
        "f": {"users": "unreadable"},
    },
    "shape": json.dumps([1, {"department": "department"}, False], sort_keys=True),
    "last_sync": LATER,
    "last_full": AT,
    "damaged": None,
    "read": {"e": {"run": 7, "at": AT}},
    "read_in_full": {"e": AT},
    "watched_since": {"e": AT},
    "held": {
        "at": AT,
        "vanished": [
            {"what": "users", "environment": "e", "population": None, "missing": 30, "known": 40, "examples": ["u"]}
        ],
        "ids": ["u"],
        "memberships": {"e": 30},
    },
}
KNOWN = Memory(
    watermarks={"e": Watermark(updated=AT, events=AT, seen={"event-1": AT}, ahead=-1.5)},
    coverage={
        "e": EnvironmentCoverage(
            memberships="all",
            roles="named in events",
            events=False,
            audited_since=AT,
            users_short=Shortage(9, 8, 1),
            populations_short={"p": Shortage(3, 2, 2)},
            without_id=4,
            unseen=["u"],
            homes={"u": "p"},
        ),
        "f": EnvironmentCoverage(users="unreadable"),
    },
    shape=Shape(1, {"department": "department"}, remote_data=False),
    last_sync=LATER,
    last_full=AT,
    read={"e": ReadBy(7, AT)},
    read_in_full={"e": AT},
    watched_since={"e": AT},
    held=HeldRemovals(
        at=AT,
        vanished=(Vanished(what="users", environment="e", missing=30, known=40, examples=("u",)),),
        ids=("u",),
        memberships={"e": 30},
    ),
)


@pytest.fixture
def copy() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        shape.make(database)
        yield database


def put(copy: sqlite3.Connection, name: str, value: object) -> None:
    copy.execute("INSERT OR REPLACE INTO facts_ VALUES (?, ?)", (name, json.dumps(value)))


def test_what_an_older_version_has_noted_is_read(copy: sqlite3.Connection) -> None:
    for name, value in OLD.items():
        put(copy, name, value)
    put(copy, "something of a newer version", {"x": 1})
    assert recalled(copy) == KNOWN


def test_what_is_noted_is_read_again_and_by_an_older_version(copy: sqlite3.Connection) -> None:
    note(copy, **{name: getattr(KNOWN, name) for name in OLD})
    assert recalled(copy) == KNOWN
    written = {name: json.loads(value) for name, value in copy.execute("SELECT name, value FROM facts_")}
    assert json.loads(written.pop("shape")) == [1, {"department": "department"}, False]
    assert written == {name: OLD[name] for name in written}


def test_members_that_an_older_version_wants_are_noted_empty_too(copy: sqlite3.Connection) -> None:
    vanished = Vanished(what="users", environment="e", missing=30, known=40)
    note(
        copy,
        watermarks={"e": Watermark(updated=AT, events=AT)},
        held=HeldRemovals(at=AT, vanished=(vanished,), ids=(), memberships={}),
    )
    written = {name: json.loads(value) for name, value in copy.execute("SELECT name, value FROM facts_")}
    assert written["watermarks"]["e"] == {"updated": AT, "events": AT, "seen": {}, "ahead": None}
    (found,) = written["held"]["vanished"]
    assert (found["population"], found["examples"]) == (None, [])
    assert found == {**dataclasses.asdict(vanished), "examples": []}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("watermarks", {"e": {"updated": "noon", "events": AT}}),
        ("coverage", {"e": {"users_short": {"counted": "9", "found": 8, "tries": 1}}}),
        ("shape", "[1, {}]"),
        ("held", {"at": AT}),
        ("last_sync", "yesterday"),
    ],
)
def test_what_no_sync_has_written_is_damage(copy: sqlite3.Connection, name: str, value: object) -> None:
    put(copy, name, value)
    with pytest.raises(Damaged, match=f"noted as {name}"):
        recalled(copy)


def test_a_copy_whose_notes_are_lost_is_damaged_once_a_sync_was_complete(copy: sqlite3.Connection) -> None:
    assert recalled(copy) == Memory()
    counts = {"rows": {"users": 1, "groups": 0, "memberships": 0}, "changes": {}}
    number = note_run(copy, EndedRun("full", AT, LATER, "complete", None, counts))
    run = last_run(copy, "1")
    assert run is not None
    assert (run.id, run.counts and run.counts.rows.users) == (number, 1)
    with pytest.raises(Damaged, match="is missing"):
        recalled(copy)


@pytest.mark.parametrize(
    ("covered", "full"),
    [
        (EnvironmentCoverage(), False),
        (EnvironmentCoverage(users_short=Shortage(9, 8, 1)), True),
        (EnvironmentCoverage(users_short=Shortage(9, 8, 2)), False),
        (EnvironmentCoverage(populations_short={"p": Shortage(9, 8, 1)}), False),
        (EnvironmentCoverage(populations_short={"p": Shortage(9, 8, 2)}), True),
        (EnvironmentCoverage(populations_short={"p": Shortage(9, 8, 3)}), False),
    ],
)
def test_some_who_were_missed_are_a_reason_to_read_everybody_once_more(
    covered: EnvironmentCoverage, full: bool
) -> None:
    assert covered.wants_full_sync is full
