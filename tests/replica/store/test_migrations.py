"""A copy that an older version has made is brought to this one as it is: users, their history, and what is searched."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.directory.models import Address, Email, Manager, Named, Phone, StatusSource, User
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.errors import NoReplica
from pingone_mcp.replica.store import schema, shape
from pingone_mcp.replica.store.rows import record_of, user_of
from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.app import Sandbox
from tests.replica.happenings import Happening, happen
from tests.replica.test_sync import check_equal
from tests.replica.truth import Copy, sent
from tests.world import NOW, World

# What the schema of version 2 was, as its own code made it: users had a JSON record, with columns for what is queried.
VERSION_2 = Path(__file__).with_name("version_2.sql").read_text()
HERE, STAFF = "environment-1", "population-1"
PLAIN = User(
    id="plain",
    username="ann",
    name="Ann Bell",
    first_name="Ann",
    last_name="Bell",
    emails=(Email(email="ann@example.com", type="work", is_primary=True),),
    phones=(Phone(number="1", type="primary"), Phone(number="2", type="mobile")),
    manager=Manager(reference="bob"),
    status="inactive",
    status_reasons=("disabled", "locked"),
    status_source=StatusSource(enabled=False, account_status="LOCKED", lifecycle_status="ACCOUNT_OK"),
    is_email_verified=True,
    is_2fa_enabled=None,
    organizations=(Named(id=HERE),),
    workspaces=(Named(id=STAFF),),
    address=Address(street="Main Street 1", city="Bern", region="BE", postal_code="3000", country="CH"),
    avatar_url="https://example.com/a.png",
    custom_attributes={"b": 1, "a": {"z": [True, None], "y": 1.5}},
)
USERS = {
    "one with nothing but an id": User(id="bare", status="active", status_source=StatusSource()),
    "one of PingOne": PLAIN,
    "letters beyond ASCII": User(
        id="accents",
        name="Zoë 🦊",
        status="active",
        status_source=StatusSource(),
        address=Address(street="Große Straße", city="Köln 🦊"),
        custom_attributes={"title": "Größe 🦊"},
    ),
    "letters whose bytes are in part those of half a pair": User(
        id="street",
        status="active",
        status_source=StatusSource(),
        address=Address(street="خیابان 🦊\ufffd", city="Yazd"),
    ),
    "fields that could not be read": User(
        id="unreadable", status="active", status_source=StatusSource(), unreadable=("emails", "address")
    ),
    "what columns do not say": User(
        id="others",
        status="ODD",
        status_source=StatusSource(),
        identifiers={"account_id": "7", "sid": "é"},
        emails=(Email(email="b"), Email(email="é", type="home")),
        phones=(Phone(number="1", type="fax"),),
        organizations=(Named(id="other"), Named(id=HERE)),
        workspaces=(Named(id=STAFF), Named(id="population-2")),
    ),
    "the provider's own object": User(
        id="remote", status="active", status_source=StatusSource(), remote_data={"id": "remote", "nested": {"é": [1]}}
    ),
    "attributes too long to be queried": User(
        id="long", status="active", status_source=StatusSource(), custom_attributes={"essay": "é" * 40_000, "a": 1}
    ),
    "half a pair": User(id="half", status="active", status_source=StatusSource(), custom_attributes={"a": "\ud83d"}),
}


def _record(user: User) -> str:
    """Return a user as version 2 wrote it: JSON with keys in order, and letters beyond ASCII escaped."""
    record = record_of(row_of(user, HERE))
    if user.remote_data is not None:
        record["remote_data"] = user.remote_data
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def _row(user: User, removed_at: str | None) -> dict[str, Any]:
    values = row_of(user, HERE)._asdict() | {"manager_id": "m", "removed_at": removed_at, "record": _record(user)}
    values["custom_attributes"] = values["custom_attributes"].encode("utf-8", "replace").decode()
    values["removed_evidence"] = removed_at and "event"
    if removed_at is not None:
        values |= {"status": "deleted", "status_reasons": "removed"}
    later = ("street", "region", "postal_code", "avatar_url", "unreadable", "more", "all_attributes", "remote_data")
    return {name: value for name, value in values.items() if name not in later}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Make a copy of version 2."""
    path.parent.mkdir(parents=True, mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(VERSION_2)
        for row in rows:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            database.execute(f"INSERT INTO users_ ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - our names
        database.execute(
            """INSERT INTO people (rowid, id, username, name, email, title, department)
            SELECT number, id, username, name, email, title, department FROM users_ WHERE removed_at IS NULL"""
        )
        database.execute(
            """INSERT INTO changes_ (at, seen_at, kind, user_id, before, evidence)
            VALUES ('2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 'user.removed', 'x', '{"a":1}', 'event')"""
        )
        database.execute("INSERT INTO facts_ VALUES ('last_full', '\"2026-01-01T00:00:00.000Z\"')")
        database.execute("PRAGMA user_version = 2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "replica" / "copy.db"


def _migrated(path: Path, query: str) -> list[tuple[Any, ...]]:
    with Store(path).writer() as connection:  # which finds anything in the schema that this version would not make
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("name", USERS)
def test_a_user_stays_the_same(path: Path, name: str) -> None:
    _write(path, [_row(USERS[name], None)])
    (row,) = _migrated(path, f"SELECT {schema.USER_WITH_REMOTE_DATA} FROM users_ u")  # noqa: S608 - our names
    assert user_of(row) == USERS[name]


@pytest.mark.parametrize("name", ["one of PingOne", "fields that could not be read"])
def test_columns_are_those_that_a_sync_would_write(path: Path, name: str) -> None:
    _write(path, [_row(USERS[name], None)])
    (row,) = _migrated(path, f"SELECT {schema.USER_WITH_REMOTE_DATA} FROM users_ u")  # noqa: S608 - our names
    assert UserRow._make(row) == row_of(USERS[name], HERE, remote_data=True)


def test_what_a_query_reads_of_attributes_is_short_and_unicode(path: Path) -> None:
    _write(path, [_row(user, None) for user in USERS.values()])
    for identity, attributes in _migrated(path, "SELECT id, custom_attributes FROM users"):
        assert len(attributes.encode()) <= 32_000, identity
        json.loads(attributes)


def test_numbers_history_facts_and_words_are_kept(path: Path) -> None:
    _write(path, [_row(PLAIN, None), _row(USERS["what columns do not say"], "2026-02-01T00:00:00.000Z")])
    with closing(sqlite3.connect(path)) as before:
        kept = {
            name: before.execute(query).fetchall()
            for name, query in {
                "users": "SELECT number, id, manager_id, removed_at, removed_evidence, status FROM users_",
                "changes": "SELECT * FROM changes_",
                "facts": "SELECT * FROM facts_",
                "people": "SELECT rowid, id FROM people WHERE people MATCH 'bell'",
            }.items()
        }
    assert (
        _migrated(path, "SELECT number, id, manager_id, removed_at, removed_evidence, status FROM users_")
        == kept["users"]
    )
    assert _migrated(path, "SELECT * FROM changes_") == kept["changes"]
    assert _migrated(path, "SELECT * FROM facts_") == kept["facts"]
    assert _migrated(path, "SELECT rowid, id FROM people WHERE people MATCH 'bell'") == kept["people"] != []


def test_an_interrupted_migration_leaves_the_old_copy(path: Path) -> None:
    _write(path, [_row(PLAIN, None)])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        before = database.execute("SELECT * FROM users_").fetchall()
        database.execute("BEGIN IMMEDIATE")
        shape.run(database, schema.MIGRATIONS[2])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM users_").fetchall() == before
        assert database.execute("PRAGMA user_version").fetchone() == (2,)


# Version 3 has no place for what is read again beside syncs.
VERSION_3 = Path(__file__).with_name("version_3.sql").read_text()


@pytest.fixture
async def older(tmp_path: Path) -> Copy:
    """A copy whose first sync was that of version 3: its tables, with all that a sync has put into them."""
    kept = Copy(World(sandbox=Sandbox(30, now=NOW, customers=3), cache=tmp_path / "cache"))
    await kept.sync()
    synced = kept.path.with_suffix(".synced")
    kept.path.rename(synced)
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as database:
        database.executescript(VERSION_3)
        database.execute("ATTACH ? AS synced", (str(synced),))
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in (one for one in tables if one.endswith("_") and not one.startswith("sqlite_")):
            database.execute(f"INSERT INTO {name} SELECT * FROM synced.{name}")  # noqa: S608 - our names
        database.execute(schema.MAKE_WORDS_ANEW)
        database.execute("PRAGMA user_version = 3")
    kept.path.chmod(0o600)
    synced.unlink()
    return kept


async def test_a_copy_of_version_3_is_the_same_and_takes_rereads(older: Copy) -> None:
    with pytest.raises(NoReplica):
        await older.state()
    seen = len(older.sandbox.state().events)
    await happen(older.sandbox, [Happening("disable", 3, 0, 0)])
    assert (await older.reread(sent(older.sandbox, seen))).changes == {"user.deactivated": 1}
    await check_equal(older)
    assert await older.rows("SELECT what FROM reread_ WHERE what = 'user'") == [("user",)]
    assert (await older.sync("incremental")).changes == {}


async def test_a_sync_of_a_copy_of_version_3_goes_on_where_it_was(older: Copy) -> None:
    await happen(older.sandbox, [Happening("disable", 3, 0, 0)])
    report = await older.sync()
    assert (report.mode, report.changes) == ("incremental", {"user.deactivated": 1})
    await check_equal(older)


# Version 4 had no words of external ids, and no order by given names.
TO_VERSION_4 = """
DROP TABLE people;
DROP VIEW searched_;
CREATE VIEW searched_ AS SELECT number, id, username, name, email, title, department FROM users_ WHERE removed_at IS NULL;
CREATE VIRTUAL TABLE people USING fts5(
    id UNINDEXED, username, name, email, title, department, content = searched_, content_rowid = number,
    tokenize = "unicode61 remove_diacritics 2");
INSERT INTO people (people) VALUES ('rebuild');
DROP INDEX users_by_last_name_;
CREATE INDEX users_by_last_name_ ON users_ (last_name COLLATE NOCASE);
PRAGMA user_version = 4;
"""


async def test_a_copy_of_version_4_finds_people_by_their_external_ids_after_a_sync(tmp_path: Path) -> None:
    kept = Copy(World(sandbox=Sandbox(30, now=NOW, customers=3), cache=tmp_path / "cache"))
    await kept.sync()
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as database:
        database.executescript(TO_VERSION_4)
    assert (await kept.sync()).mode == "incremental"
    await check_equal(kept)
    [(number, external)] = await kept.rows(
        "SELECT number, external_id FROM users_ WHERE external_id GLOB '[A-Z0-9]*' AND removed_at IS NULL LIMIT 1"
    )
    assert await kept.rows(f"SELECT rowid FROM people WHERE people MATCH '\"{external}\"'") == [(number,)]  # noqa: S608 - an id of the sandbox's
