"""What somebody has is shown with the ways that really lead there: from a group of one's own, through those between."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.scope import Scope
from pingone_mcp.replica.asking.accesses import Accesses
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.reviewing.entitlements import Entitlements
from tests.replica.asking.test_accesses import GROUPS, NOW, copied

TOP, MIDDLE, OWN, FILTERED = GROUPS[:4]
ANN, BO = (str(UUID(int=9 << 64 | one)) for one in range(2))


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy in which OWN is in MIDDLE, and MIDDLE and FILTERED are in TOP; Ann is in OWN, Bo fits a filter."""
    path = copied(tmp_path_factory.mktemp("copy"), roles=True)
    with closing(sqlite3.connect(path)) as database:
        (place,) = database.execute("SELECT id FROM environments_").fetchone()
        database.executemany(
            "INSERT INTO users_ (id, environment_id, username, status, status_reasons, manager, manager_id) "
            "VALUES (?, ?, ?, 'active', '', ?, ?)",
            [(ANN, place, "ann", "BO", BO), (BO, place, "bo", "nobody", None)],
        )
        database.execute("UPDATE groups_ SET user_filter = 'all' WHERE id = ?", (FILTERED,))
        database.executemany("INSERT INTO nestings_ VALUES (?, ?)", [(OWN, MIDDLE), (MIDDLE, TOP), (FILTERED, TOP)])
        database.executemany(
            "INSERT INTO memberships_ (user_id, group_id, type) VALUES (?, ?, ?)",
            [
                (ANN, OWN, "direct"),
                (ANN, MIDDLE, "indirect"),
                (ANN, TOP, "indirect"),
                (BO, FILTERED, "indirect"),
                (BO, TOP, "indirect"),
            ],
        )
        database.executemany(
            "INSERT INTO role_assignments_ VALUES (?, 'r', 'Admin', 'POPULATION', ?, ?)",
            [(BO, "p1", "People"), (BO, "p2", None)],
        )
        database.commit()
    return path


def reviewed(path: Path, question: AccessQuestion) -> tuple[list[JsonObject], dict[str, int]]:
    with closing(sqlite3.connect(path)) as database:
        entitlements = Entitlements(Accesses(Snapshot(database, Scope()), question, NOW))
        return list(entitlements.rows()), dict(entitlements.counted().totals)


def test_the_ways_begin_with_a_group_of_ones_own_or_one_whose_filter_fits(nested: Path) -> None:
    rows, totals = reviewed(nested, AccessQuestion())
    assert {(row["username"], row["entitlement_id"]): (row["how"], row["through_ids"]) for row in rows} == {
        ("ann", OWN): ("direct", []),
        ("ann", MIDDLE): ("indirect", [OWN]),
        ("ann", TOP): ("indirect", [f"{OWN} > {MIDDLE}"]),
        ("bo", FILTERED): ("by filter", []),
        ("bo", TOP): ("indirect", [FILTERED]),
        ("bo", "r"): ("direct", []),
    }
    assert len(rows) == totals["entitlements"] == 7, "a role has a row for each scope"
    assert [(row["scope"], row["scope_id"]) for row in rows if row["kind"] == "role"] == [
        (None, "p2"),
        ("People", "p1"),
    ]


def test_a_manager_who_is_found_is_named_and_one_who_is_not_is_as_it_was_written(nested: Path) -> None:
    rows, _ = reviewed(nested, AccessQuestion())
    assert {(row["username"], row["manager"], row["manager_id"]) for row in rows} == {
        ("ann", "bo", BO),
        ("bo", "nobody", None),
    }


@pytest.mark.parametrize(
    ("question", "number"),
    [(AccessQuestion(group=TOP), 2), (AccessQuestion(role="Admin"), 2), (AccessQuestion(group=TOP, role="Admin"), 3)],
)
def test_a_question_is_answered_with_what_it_asks_for_alone(
    nested: Path, question: AccessQuestion, number: int
) -> None:
    rows, totals = reviewed(nested, question)
    assert len(rows) == totals["entitlements"] == number
    assert {row["entitlement_id"] for row in rows} <= {TOP, "r"}
    assert totals["people_in_directory"] == 2 == totals["people_with_access"] + totals["people_without_access"]


@pytest.mark.parametrize(("most", "characters"), [(1, 10**6), (2, 10**6), (3, 10**6), (50, 1), (50, 10**6)])
def test_pages_of_rows_are_all_rows_in_their_order(nested: Path, most: int, characters: int) -> None:
    rows, _ = reviewed(nested, AccessQuestion())
    found: list[JsonObject] = []
    at = None
    with closing(sqlite3.connect(nested)) as database:
        entitlements = Entitlements(Accesses(Snapshot(database, Scope()), AccessQuestion(), NOW))
        while True:
            page = entitlements.page(at, most=most, characters=characters)
            assert 1 <= len(page.rows) <= (most if characters > 1 else 1)
            found += page.rows
            if (at := page.next) is None:
                break
    assert found == rows


def test_people_without_a_username_or_with_the_same_in_other_cases_are_on_some_page(
    nested: Path, tmp_path: Path
) -> None:
    path = tmp_path / "odd.sqlite"
    with closing(sqlite3.connect(nested)) as whole, closing(sqlite3.connect(path)) as odd:
        whole.backup(odd)
        odd.execute("UPDATE users_ SET username = CASE id WHEN ? THEN NULL ELSE 'ÄNN' END", (ANN,))
        (place,) = odd.execute("SELECT id FROM environments_").fetchone()
        for number, name in enumerate(("same", "SAME", "Same", None)):
            identity = str(UUID(int=10 << 64 | number))
            odd.execute(
                "INSERT INTO users_ (id, environment_id, username, status, status_reasons) VALUES (?, ?, ?, 'active', '')",
                (identity, place, name),
            )
            odd.execute("INSERT INTO memberships_ (user_id, group_id, type) VALUES (?, ?, 'direct')", (identity, TOP))
        odd.commit()
        entitlements = Entitlements(Accesses(Snapshot(odd, Scope()), AccessQuestion(), NOW))
        seen: list[JsonObject] = []
        at = None
        while True:
            page = entitlements.page(at, most=1, characters=10**6)
            seen += page.rows
            if (at := page.next) is None:
                break
        assert seen == list(entitlements.rows())
        assert len({row["user_id"] for row in seen}) == 6
