"""Users that are taken over: managers and words are those that everything taken over anew would have."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.directory.models import Email, Manager, Organization, StatusSource, User
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.replica.findings import Findings, GoneUser
from pingone_mcp.replica.merging.memberships import Bounds
from pingone_mcp.replica.merging.merge import merge
from pingone_mcp.replica.store import schema, shape

HERE = "e"
NOW = "2026-01-01T00:00:00.000Z"
IDS = ("a", "b", "c")
NAMES = st.sampled_from((None, "Ann", "ann", "bob"))
REFERENCES = st.sampled_from((None, "A", " ann", "BOB "))


@dataclass(frozen=True)
class Person:
    username: str | None
    email: str | None
    manager: str | None

    def user(self, identity: str) -> User:
        return User(
            id=identity,
            username=self.username,
            emails=(Email(email=self.email, type="work", is_primary=True),) if self.email is not None else (),
            manager=Manager(reference=self.manager) if self.manager is not None else None,
            status="active",
            status_source=StatusSource(),
        )


PEOPLE = st.builds(Person, username=NAMES, email=NAMES, manager=REFERENCES)
# Of a sync: who was read, and who is gone.
STEPS = st.tuples(st.dictionaries(st.sampled_from(IDS), PEOPLE, min_size=1), st.sets(st.sampled_from(IDS), max_size=1))


def take_over(database: sqlite3.Connection, read: Mapping[str, Person], gone: set[str], *, quiet: bool) -> None:
    rows = [row_of(person.user(identity), HERE) for identity, person in read.items()]
    database.execute("DELETE FROM staged.users_")
    marks = ", ".join("?" * len(schema.USER_COLUMNS))
    database.executemany(f"INSERT INTO staged.users_ VALUES ({marks})", rows)  # noqa: S608 - nothing but marks
    findings = Findings(
        environment=Organization(id=HERE, name="E", type=None, region=None),
        with_groups=False,
        gone={identity: GoneUser(at=NOW, evidence="event") for identity in gone},
        quiet=quiet,
    )
    merge(database, findings, Bounds(share=1.0), NOW)


def opened() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None)
    shape.make(database)
    database.execute("ATTACH ':memory:' AS staged")
    columns = ", ".join("id TEXT PRIMARY KEY" if name == "id" else name for name in schema.USER_COLUMNS)
    database.execute(f"CREATE TABLE staged.users_ ({columns})")
    return database


def meant(there: Mapping[str, Person], reference: str | None) -> str | None:
    """Return who is meant: by an id, else by a username, else by an address that one user has."""
    called = (reference or "").strip().lower()
    if reference is None or called in there:
        return called if reference is not None else None
    for names in ({one: who.username for one, who in there.items()}, {one: who.email for one, who in there.items()}):
        found = [one for one, name in names.items() if name is not None and name.lower() == called]
        if len(found) == 1:
            return found[0]
    return None


RENAMED: list[tuple[dict[str, Person], set[str]]] = [
    ({"a": Person("ann", None, None), "b": Person("x", None, "ann")}, set()),
    ({"a": Person("b", None, None)}, set()),
]


@example(RENAMED)
@given(st.lists(STEPS, min_size=2, max_size=6))
def test_managers_and_words_are_right_after_every_sync(steps: Sequence[tuple[dict[str, Person], set[str]]]) -> None:
    there: dict[str, Person] = {}
    with closing(opened()) as database:
        for number, (read, gone) in enumerate(steps):
            gone_now = gone - read.keys()
            take_over(database, read, gone_now, quiet=number == 0)
            there = {one: who for one, who in (there | read).items() if one not in gone_now}
            managers = dict(database.execute("SELECT id, manager_id FROM users"))
            assert managers == {one: meant(there, who.manager) for one, who in there.items()}
            words = "SELECT p.id, p.username, p.email FROM people p WHERE people MATCH ?"
            for word in ("ann", "bob"):
                found = database.execute(words, (f'"{word}"',)).fetchall()
                assert sorted(found) == sorted(
                    (one, who.username, who.email)
                    for one, who in there.items()
                    if word in ((who.username or "").lower(), (who.email or "").lower())
                )
            assert sorted(database.execute("SELECT id FROM people")) == sorted((one,) for one in there)
            database.execute("INSERT INTO people (people, rank) VALUES ('integrity-check', 1)")
