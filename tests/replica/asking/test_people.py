"""What reviews read of a user is what a whole user says, and groups that many share are those of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pingone_mcp.directory.models import Reviewed, StatusSource, User
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import as_unicode, row_of
from pingone_mcp.replica.asking.people import everybody, everybody_with_groups
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import memberships_of
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import USER
from pingone_mcp.replica.store.store import Damaged
from tests.directory.test_user_row import users
from tests.replica.asking.test_accesses import GROUPS, NOW, POPULATIONS, copied

LOOKED_AT = [name for name, value in vars(Reviewed).items() if isinstance(value, property)]
USUAL = User(id="1", username="ann", status="active", status_source=StatusSource())


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a copy in which there is nobody yet."""
    return copied(tmp_path_factory.mktemp("copy"), roles=False)


@contextmanager
def holding(path: Path, people: Sequence[User], *, removed: bool = False) -> Iterator[Snapshot]:
    """Give a copy that holds some users until the end of the block."""
    with closing(sqlite3.connect(path)) as database:
        (place,) = database.execute("SELECT id FROM environments_").fetchone()
        for user in people:
            row = as_unicode(row_of(user, place))
            values = {**row._asdict(), "removed_at": timestamp(NOW) if removed else None}
            values |= {"status_reasons": "removed"} if removed else {}
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT INTO users_ ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))  # noqa: S608 - names of columns
        yield Snapshot(database, Scope(), NOW)
        database.rollback()


@settings(deadline=None)
@given(users(), st.booleans(), st.sampled_from(POPULATIONS))
def test_a_review_looks_at_what_a_whole_user_says(nobody: Path, user: User, removed: bool, population: str) -> None:
    with holding(nobody, [user], removed=removed) as copy:
        copy.database.execute("UPDATE users_ SET population_id = ? WHERE population_id IS NOT NULL", (population,))
        (row,) = copy.database.execute(f"SELECT {USER} FROM users_ u")  # noqa: S608 - names of columns
        whole = user_of(UserRow._make(row), populations=copy.places.population_names, removed=removed)
        (seen,) = everybody(copy, removed=True)
    assert {name: getattr(seen, name) for name in LOOKED_AT} == {name: getattr(whole, name) for name in LOOKED_AT}


def test_of_a_usual_user_no_more_is_read_than_is_looked_at(nobody: Path) -> None:
    with holding(nobody, [USUAL]) as copy:
        (seen,) = everybody(copy)
    assert len(LOOKED_AT) == 19
    assert not isinstance(seen, User)


@pytest.mark.parametrize(
    ("column", "value", "looked_at"),
    [
        ("status_reasons", 5, "status_reasons"),
        *(("custom_attributes", text, "custom_attributes") for text in ("{", "5", "[]")),
        ("all_attributes", "5", "custom_attributes"),
    ],
)
def test_damage_of_what_is_looked_at_is_refused(nobody: Path, column: str, value: object, looked_at: str) -> None:
    with holding(nobody, [USUAL]) as copy:
        copy.database.execute(f"UPDATE users_ SET {column} = ?", (value,))  # noqa: S608 - a name of ours
        (seen,) = everybody(copy)
        with pytest.raises(Damaged):
            getattr(seen, looked_at)


@pytest.mark.parametrize("more", ['{"emails": 5}', '{"exact": {"x": 1}}', '{"exact":', '{"workspaces": 5}'])
def test_damage_of_who_is_read_whole_is_refused(nobody: Path, more: str) -> None:
    with holding(nobody, [USUAL]) as copy:
        copy.database.execute("UPDATE users_ SET more = ?", (more,))
        with pytest.raises(Damaged):
            list(everybody(copy))


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([*GROUPS[:4], "of no group"]), st.sampled_from(["direct", "indirect", None]), max_size=4
        ),
        max_size=6,
    )
)
def test_everybody_has_the_groups_that_memberships_say_and_shares_them(
    nobody: Path, held: list[dict[str, str | None]]
) -> None:
    people = [
        User(id=f"user {place}", username="ann", status="active", status_source=StatusSource())
        for place in range(len(held))
    ]
    with holding(nobody, people) as copy:
        copy.database.executemany(
            "INSERT INTO memberships_ (user_id, group_id, type) VALUES (?, ?, ?)",
            [(user.id, *one) for user, groups in zip(people, held, strict=True) for one in groups.items()],
        )
        seen = {user.id: groups for user, groups in everybody_with_groups(copy)}
        expected = memberships_of(copy, [user.id for user in people])
    assert {user: list(groups.memberships) for user, groups in seen.items()} == {
        user.id: expected[user.id] for user in people
    }
    combinations = {frozenset(groups.items()) for groups in held}
    assert len({id(groups) for groups in seen.values()}) == len(combinations)
