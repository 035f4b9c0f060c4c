"""Comparisons with the local copy: who is looked up is who a look at everybody finds, and nobody else is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.store.store import Store
from pingone_mcp.reports.matching import MATCH_ON
from pingone_mcp.reports.rosters.roster import Roster, RosterEntry
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.service.reviews.drift import DriftQuestion, compared
from tests.replica.happenings import Doors
from tests.world import NOW, World, replica_path

# Spellings that are one identity, and which SQLite alone would take for others.
ODD = {
    "username": [
        "Zoë.Ångström",
        "ＡＮＮ",
        "two  spaces",
        " outer space",
        "hid\u200bden",
        "nul\0l",
        "STRASSE",
        "straße",
        "000042",
    ],
    "email": [
        "odd@BÜCHER.example",
        "even@xn--bcher-kva.example",
        "a b@example.com",
        "dot@example.com.",
        "ＷＩＤＥ@example.com",
    ],
    "externalId": ["000121", "100000", "00000000000000000000000x", "Ａ1", "0", "00", "000000000000000000000007"],
}
SPELT = [
    *ODD["username"],
    *ODD["email"],
    *ODD["externalId"],
    "ann",
    "outer space",
    "even@bücher.example",
    "wide@example.com",
    "x@y.z",
    "two spaces",
    "hidden",
    "odd@bücher.example",
    "ab@example.com",
    "dot@example.com",
    "null",
    "42",
    "121",
    "1.00E+05",
    "7",
    "user000001",
    "nobody@example.com",
]
SAID = st.sampled_from(SPELT)
ENTRIES = st.lists(
    st.builds(
        RosterEntry,
        line=st.integers(2, 9),
        email=st.none() | SAID,
        username=st.none() | SAID,
        external_id=st.none() | SAID,
        active=st.sampled_from([None, True, False]),
    ),
    max_size=6,
)
KINDS = st.lists(st.sampled_from(MATCH_ON), min_size=1, max_size=3, unique=True)


async def test_who_is_looked_up_is_who_a_look_at_everybody_finds(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path)
    state = world.sandbox.state()
    for first, (name, values) in enumerate(ODD.items()):
        for position, value in enumerate(values, 20 * first):  # nobody is odd in two ways, of which one would be enough
            state.put_user(position, {**state.user(position), name: value})
    state.put_user(50, {key: value for key, value in state.user(50).items() if key != "email"} | {"username": "x@y.z"})
    async with world.directory() as directory, Doors(world.sandbox) as doors:
        replica = Replica(store=Store(replica_path(directory.served.connection)), source=directory.feed)
        await replica.sync("full", report=lambda *_: None)
        await doors.send("DELETE", f"/users/{state.user(1)['id']}")
        await doors.send("DELETE", f"/users/{state.user(45)['id']}")
        world.time.passed += 600
        world.sandbox.clock.advance(600)
        await replica.sync("full", report=lambda *_: None)

        def compare(copy: Snapshot) -> None:
            kept = {row[0] for row in copy.database.execute("SELECT username FROM users_")}
            wanted = {name.replace("\0", "") for name in ODD["username"]}
            assert wanted - kept == set(), "the copy keeps them as they are, but for a character that ends texts"

            for kind in MATCH_ON:
                for text in SPELT:
                    identity: dict[str, Any] = {kind: text}
                    roster = Roster(entries=(RosterEntry(line=2, **identity),))
                    assert compared(copy, roster, NOW) == compared(copy, roster, NOW, looked_up=-1), (kind, text)

            (staff,) = copy.database.execute(
                "SELECT group_id FROM memberships_ GROUP BY group_id ORDER BY count(*) DESC LIMIT 1"
            ).fetchone()

            @settings(deadline=None, suppress_health_check=list(HealthCheck))
            @given(ENTRIES, KINDS, st.integers(0, 4))
            def same(entries: list[RosterEntry], match_on: list[IdentityKind], keep: int) -> None:
                roster = Roster(entries=tuple(entries))
                for group in (None, staff):
                    question = DriftQuestion(match_on=match_on, keep=keep, expected_group=group)
                    found = compared(copy, roster, NOW, question)
                    assert found == compared(copy, roster, NOW, question, looked_up=-1)

            same()

        await replica.read(compare)


async def test_one_account_is_looked_up_by_indexes_and_no_other_user_is_read(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=200, now=NOW), cache=tmp_path)
    user = next(iter(world.sandbox.users()))
    async with world.directory() as directory:
        replica = Replica(store=Store(replica_path(directory.served.connection)), source=directory.feed)
        await replica.sync("full", report=lambda *_: None)
        plans: list[str] = []
        entry = RosterEntry(line=1, email=user["email"], username=user["username"], external_id="nobody")

        def compare(copy: Snapshot) -> None:
            statements: list[str] = []
            copy.database.set_trace_callback(statements.append)
            drift = compared(copy, Roster(entries=(entry,)), NOW, DriftQuestion(keep=3))
            copy.database.set_trace_callback(None)
            for statement in statements:
                plans.extend(row[3] for row in copy.database.execute(f"EXPLAIN QUERY PLAN {statement}"))
            assert (drift.counts["matched"], drift.counts["users"], len(drift.of("unexpected"))) == (1, 200, 3)

        await replica.read(compare)
    assert {"users_by_email_", "users_by_username_", "users_by_external_id_"} <= {
        word for plan in plans if plan.startswith("SEARCH u USING") for word in plan.split()
    }
    assert [plan for plan in plans if plan.startswith("SCAN u") and "COVERING INDEX" not in plan] == []


@pytest.mark.parametrize("populations", [False, True])
async def test_who_is_not_served_is_not_compared_with(tmp_path: Path, populations: bool) -> None:
    """The copy may still hold who was moved away: only who is served is looked at."""
    world = World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path)
    place = world.sandbox.state().contractors()
    async with world.directory() as directory:
        replica = Replica(store=Store(replica_path(directory.served.connection)), source=directory.feed)
        await replica.sync("full", report=lambda *_: None)
        store = replica.store
    async with world.directory(populations=(place,) if populations else ()) as directory:
        replica = Replica(store=store, source=directory.feed)
        roster = Roster(entries=tuple(RosterEntry(line=1, username=user["username"]) for user in world.sandbox.users()))
        for looked_up in (-1, 1_000):
            drift, _ = await replica.read(
                lambda copy, most=looked_up: compared(copy, roster, NOW, looked_up=most)  # type: ignore[misc] # mypy infers no lambda with a default
            )
            inside = sum(user["population"]["id"] == place for user in world.sandbox.users())
            assert drift.counts["users"] == (inside if populations else 60)
            assert bool(drift.gaps) == populations
