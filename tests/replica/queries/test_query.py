"""A query answers what the views hold, and whatever else is asked of it is refused with a sentence."""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pingone_mcp.errors import NoReplica, Problem, Refused
from pingone_mcp.replica.queries.allowed import FUNCTIONS, MOST_SQL
from pingone_mcp.replica.queries.description import EXAMPLES, describe_views
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.replica.queries.query import Answer, Query, run_query
from pingone_mcp.replica.store.schema import VIEWS
from pingone_mcp.replica.store.store import Store, transaction
from tests.depth import tries

# ruff: noqa: S608 - statements put together are what these tests are about
HIDDEN = "HIDDEN"  # only in base tables, and in columns that no view shows
DATA = ("quokka", "wombat", "numbat")  # only in rows
COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
LONG = "printf('%030000d', 1)"

_USERS = (
    # id, username, name, title, department, status, reasons, enabled, 2fa, manager, population, login, cost, removed
    ("u1", "ann", "Ann Lee", "Engineer", "Sales", "active", "", 1, 1, None, "p1", "2026-01-05", 10, None),
    ("u2", "bob", "Bob Ray", "Clerk", "Sales", "active", "", 1, 0, "u1", "p1", "2025-06-01", 20, None),
    ("u3", "cai", "Cai Ito", "Engineer", "IT", "active", "", 1, None, "u1", "p2", None, 10, None),
    ("u4", "dee", "Dée Fox", "Manager", "IT", "inactive", "disabled", 0, 1, "u1", "p2", "2025-12-31", 30, None),
    ("u5", "eve", "Eve Ann", "Clerk", None, "inactive", "disabled,locked", 0, 1, "u4", "p1", "2024-02-29", 20, None),
    ("u6", "fay", "Fay Quokka", "Clerk", "IT", "deleted", "removed", 1, 1, "u4", "p1", None, 20, "2026-02-01"),
)


def _fill(store: Store) -> None:
    with store.writer() as connection, transaction(connection):
        put = connection.executemany
        put("INSERT INTO environments_ VALUES (?,?,?,?)", [("e1", "Main", "PRODUCTION", "EU")])
        put("INSERT INTO populations_ VALUES (?,?,?,?)", [("p1", "e1", "Staff", 1), ("p2", "e1", "Guests", 0)])
        put(
            "INSERT INTO users_ (id, environment_id, username, name, email, title, department, status, status_reasons,"
            " enabled, is_2fa_enabled, manager_id, population_id, last_login_at, created_at, custom_attributes,"
            " removed_at, more, remote_data) VALUES (?,'e1',?,?,?,?,?,?,?,?,?,?,?,?,'2024-01-01T00:00:00.000Z',?,?,?,?)",
            [
                (
                    *(identity, username, name, f"{username}@wombat.test", title, department, status, reasons, enabled),
                    *(second, manager, population, login and f"{login}T10:00:00.000Z"),
                    json.dumps({"costCenter": cost, "tags": ["a", "b"]}),
                    *(removed and f"{removed}T00:00:00.000Z", HIDDEN + "x" * 100_000, HIDDEN),
                )
                for identity, username, name, title, department, status, reasons, enabled, second, manager, population,
                login, cost, removed in _USERS
            ],
        )  # fmt: skip
        put(
            "INSERT INTO people (rowid, id, username, name, email, title, department)"
            " SELECT number, id, username, name, email, title, department FROM users_ WHERE removed_at IS ?",
            [(None,)],
        )
        put(
            "INSERT INTO groups_ (id, environment_id, name, description, group_type, population_id) VALUES (?,'e1',?,?,?,?)",
            [("g1", "Admins", "Run it", "custom", None), ("g2", "Readers", None, "dynamic", "p1")],
        )
        put(
            "INSERT INTO memberships_ VALUES (?,?,?)",
            [("u1", "g1", "direct"), ("u4", "g1", "direct"), ("u1", "g2", "indirect"), ("u2", "g2", "direct")],
        )
        put("INSERT INTO role_assignments_ VALUES (?,?,?,?,?,?)", [("u1", "r1", "Admin", "environment", "e1", "Main")])
        put(
            "INSERT INTO changes_ (at, seen_at, kind, user_id, username, before, after, evidence) VALUES (?,?,?,?,?,?,?,?)",
            [
                (f"2026-01-0{day}T00:00:00.000Z", HIDDEN, kind, user, name, before, after, "walk")
                for day, kind, user, name, before, after in (
                    (1, "user.created", "u3", "cai", None, None),
                    (2, "user.updated", "u2", "bob", '{"title":"Temp"}', '{"title":"Clerk"}'),
                    (3, "user.deactivated", "u4", "dee", None, None),
                )
            ],
        )
        put("INSERT INTO facts_ VALUES (?,?)", [("secret", HIDDEN)])
        put("INSERT INTO sync_runs_ (mode, reason) VALUES (?,?)", [("full", HIDDEN)])


def _files(folder: Path) -> dict[str, str]:
    """Return the name and the digest of every file that holds something, but for the readers' marks."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db-shm"}
    return {name: hashlib.sha256(held).hexdigest() for name, held in contents.items() if held}


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy, and the processes that are asked about it from outside their event loop."""

    store: Store
    queries: Queries
    portal: BlockingPortal

    def ask(self, sql: str, *, limit: int = 100, characters: int = 20_000, seconds: float = 20.0) -> Answer:
        asking = partial(self.queries.answer, self.store.path, sql, limit=limit, characters=characters, seconds=seconds)
        answer, _ = self.portal.call(asking)
        return answer


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    store = Store(tmp_path_factory.mktemp("copy") / "replica" / "copy.db")
    _fill(store)
    with start_blocking_portal() as portal:
        queries = portal.call(Queries)
        yield Copy(store=store, queries=queries, portal=portal)
        portal.call(queries.aclose)


@pytest.fixture
def untouched(copy: Copy) -> Iterator[Copy]:
    """Give the copy, and look afterwards whether a single byte of it or a file beside it has changed."""
    before = _files(copy.store.path.parent)
    yield copy
    assert _files(copy.store.path.parent) == before


def ask(copy: Copy, sql: str, **more: Any) -> Answer:
    return copy.ask(sql, **more)


def refused(copy: Copy, sql: str, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        ask(copy, sql, **more)
    return caught.value


# ------------------------------------------------------------------------------------------------------------ answers

_ANN_LEE = [["u1", "Ann Lee"]]
ANSWERS: tuple[tuple[str, str, list[list[Any]]], ...] = (
    ("users that exist", "SELECT id FROM users ORDER BY id", [["u1"], ["u2"], ["u3"], ["u4"], ["u5"]]),
    ("removed users", "SELECT username, removed_at FROM removed_users", [["fay", "2026-02-01T00:00:00.000Z"]]),
    ("groups", "SELECT name, member_count, population FROM groups", [["Admins", 2, None], ["Readers", 2, "Staff"]]),
    (
        "memberships",
        "SELECT username, group_name, type FROM memberships WHERE group_id = 'g2' ORDER BY 1",
        [["ann", "Readers", "indirect"], ["bob", "Readers", "direct"]],
    ),
    ("populations", "SELECT name, user_count FROM populations ORDER BY 1", [["Guests", 2], ["Staff", 3]]),
    ("environments", "SELECT * FROM environments", [["e1", "Main", "PRODUCTION", "EU"]]),
    ("role assignments", "SELECT username, role, scope FROM role_assignments", [["ann", "Admin", "Main"]]),
    ("changes", "SELECT id, kind FROM changes WHERE at >= '2026-01-02' ORDER BY id LIMIT 1", [[2, "user.updated"]]),
    ("a word", "SELECT id, name FROM people WHERE people MATCH 'lee'", _ANN_LEE),
    (
        "the start of a word, joined and ranked",
        "SELECT u.id FROM people JOIN users u ON u.id = people.id WHERE people MATCH 'an*' ORDER BY rank, u.id",
        [["u1"], ["u5"]],
    ),
    ("words of one column", "SELECT id, name FROM people('name:ann AND title:engineer')", _ANN_LEE),
    ("words without accents", "SELECT name FROM people WHERE people MATCH 'dee NOT lee'", [["Dée Fox"]]),
    ("an address as words", "SELECT id FROM people WHERE people MATCH '\"bob@wombat.test\"'", [["u2"]]),
    ("words marked", "SELECT highlight(people, 2, '<', '>') FROM people WHERE people MATCH 'lee'", [["Ann <Lee>"]]),
    (
        "counted by department and status",
        "SELECT department, status, count(*) FROM users GROUP BY 1, 2 ORDER BY 1, 2",
        [[None, "inactive", 1], ["IT", "active", 1], ["IT", "inactive", 1], ["Sales", "active", 2]],
    ),
    (
        "groups of rows under a condition",
        "SELECT title, count(*) FROM users GROUP BY title HAVING count(*) > 1 ORDER BY title",
        [["Clerk", 2], ["Engineer", 2]],
    ),
    (
        "a window",
        "SELECT username, row_number() OVER (PARTITION BY department ORDER BY username) FROM users WHERE department = 'IT'",
        [["cai", 1], ["dee", 2]],
    ),
    (
        "a common table expression",
        "WITH idle AS (SELECT id FROM users WHERE last_login_at IS NULL) SELECT count(*) FROM idle",
        [[1]],
    ),
    (
        "the chain of managers",
        ("WITH RECURSIVE above(id, level) AS (SELECT 'u5', 0 UNION ALL SELECT u.manager_id, level + 1 FROM above a "
        "JOIN users u ON u.id = a.id WHERE u.manager_id IS NOT NULL) SELECT id, level FROM above"),
        [["u5", 0], ["u4", 1], ["u1", 2]],
    ),
    ("the month of a time", "SELECT strftime('%Y-%m', last_login_at) FROM users WHERE id = 'u5'", [["2024-02"]]),
    (
        "days between times",
        "SELECT CAST(julianday('2026-01-06T10:00:00.000Z') - julianday(last_login_at) AS INTEGER) FROM users WHERE id = 'u1'",
        [[1]],
    ),
    ("before now", "SELECT count(*) FROM users WHERE created_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", [[5]]),
    (
        "a custom attribute",
        "SELECT json_extract(custom_attributes, '$.costCenter') AS c, count(*) FROM users GROUP BY c ORDER BY c",
        [[10, 2], [20, 2], [30, 1]],
    ),
    ("an arrow into JSON", "SELECT custom_attributes ->> '$.tags[1]' FROM users WHERE id = 'u1'", [["b"]]),
    (
        "the items of a JSON array",
        "SELECT t.value, count(*) FROM users, json_each(custom_attributes, '$.tags') t GROUP BY 1",
        [["a", 5], ["b", 5]],
    ),
    ("a value of a change", "SELECT before ->> 'title', after ->> 'title' FROM changes WHERE before NOT NULL", [["Temp", "Clerk"]]),
    ("a pattern", "SELECT username FROM users WHERE name LIKE '%fox' OR email GLOB 'bob@*' ORDER BY 1", [["bob"], ["dee"]]),
    ("names in one text", "SELECT group_concat(username, ';') FROM (SELECT username FROM users ORDER BY 1 LIMIT 2)", [["ann;bob"]]),
    ("nobody has it", "SELECT username FROM users EXCEPT SELECT username FROM memberships ORDER BY 1", [["cai"], ["eve"]]),
    ("a part of the order", "SELECT id FROM users ORDER BY id DESC LIMIT 2 OFFSET 1", [["u4"], ["u3"]]),
    ("null is not false", "SELECT count(*) FROM users WHERE is_2fa_enabled IS NULL", [[1]]),
    ("characters taken off", "SELECT trim('--a-', '-'), ltrim(0012, '0'), rtrim(NULL, 'x'), trim('  b ')", [["a", "12", None, "b"]]),
    ("a semicolon and comments", "/* who */ SELECT 1; -- that is all\n", [[1]]),
    ("several semicolons", "SELECT 1 ;; ", [[1]]),
    ("a special query of FTS", "SELECT id, name FROM people WHERE people MATCH '*reads'", [[None, None]]),
    ("quoted names", 'SELECT "users".[id], `users`."name" FROM "users" WHERE [id] = \'u1\'', _ANN_LEE),
    ("names in capitals", "SELECT U.ID, NAME FROM USERS U JOIN Groups G USING (Name) UNION SELECT ID, Name FROM PEOPLE('lee')", _ANN_LEE),
    ("names of the main database", "SELECT id, main.Users.name FROM main.Users WHERE id = 'u1'", _ANN_LEE),
    ("values", "VALUES (1, 'a'), (2, NULL)", [[1, "a"], [2, None]]),
    ("a name of a base table for one's own", "WITH users_ AS (SELECT 7 AS more) SELECT more FROM users_", [[7]]),
    ("counted rows of one's own", COUNT + "SELECT count(*) FROM (SELECT x FROM c LIMIT 9)", [[9]]),
    ("no numbers", "SELECT 9e999, -9e999, 9e999 - 9e999", [["inf", "-inf", None]]),
    ("a blob is told by its size", "SELECT x'00ff', CAST('ab' AS BLOB)", [["[2 bytes]", "[2 bytes]"]]),
    ("bytes that are no text", "SELECT CAST(x'61ff62' AS TEXT)", [["a\N{REPLACEMENT CHARACTER}b"]]),
)  # fmt: skip


@pytest.mark.parametrize(("sql", "rows"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
def test_a_query_is_answered(untouched: Copy, sql: str, rows: list[list[Any]]) -> None:
    answer = ask(untouched, sql)
    assert (answer.rows, answer.row_count, answer.truncated) == (rows, len(rows), False)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_columns_that_are_documented(untouched: Copy, view: str) -> None:
    assert ask(untouched, f"SELECT * FROM {view}").columns == list(VIEWS[view].columns)


@pytest.mark.parametrize("view", VIEWS)
def test_rows_of_a_view_are_counted_without_naming_a_column(untouched: Copy, view: str) -> None:
    rows = ask(untouched, f"SELECT 1 FROM {view}").row_count
    exists = f"EXISTS (SELECT 1 FROM {view} WHERE 1)"
    assert ask(untouched, f"SELECT count(*), {exists} FROM {view}").rows == [[rows, 1]]


@pytest.mark.parametrize("sql", [sql for _, sql in EXAMPLES], ids=[about for about, _ in EXAMPLES])
def test_every_example_runs(untouched: Copy, sql: str) -> None:
    assert ask(untouched, sql).row_count > 0


def test_the_description_tells_every_view_and_column() -> None:
    told = describe_views()
    assert told["examples"] == dict(EXAMPLES)
    for name, view in VIEWS.items():
        columns = view.columns if name != "removed_users" else ["removed_at"]
        assert all(column in told["views"][name] for column in columns)


def test_the_description_is_short() -> None:
    encoding = pytest.importorskip("bpe_openai", reason="has no wheel on this platform").get_encoding("o200k_base")
    text = json.dumps(describe_views(), ensure_ascii=False, separators=(",", ":"))
    assert len(encoding.encode(text)) <= 900


# ------------------------------------------------------------------------------------------------------------- bounds


def test_more_rows_than_asked_for_are_told(untouched: Copy) -> None:
    answer = ask(untouched, "SELECT id FROM users ORDER BY id", limit=2)
    assert (answer.rows, answer.row_count, answer.truncated) == ([["u1"], ["u2"]], 2, True)


def test_as_many_rows_as_asked_for_are_all(untouched: Copy) -> None:
    assert not ask(untouched, "SELECT id FROM users", limit=5).truncated


def test_an_endless_query_ends_with_its_rows(untouched: Copy) -> None:
    answer = ask(untouched, COUNT + "SELECT x FROM c", limit=3)
    assert (answer.rows, answer.truncated) == ([[1], [2], [3]], True)


@pytest.mark.parametrize("characters", [200, 1_000, 20_000])
def test_an_answer_keeps_its_size(untouched: Copy, characters: int) -> None:
    answer = ask(untouched, COUNT + "SELECT x, 'größer \"\\' FROM c", limit=10**6, characters=characters)
    size = len(json.dumps([answer.columns, answer.rows], ensure_ascii=False, separators=(",", ":")))
    assert answer.truncated
    assert characters - 40 < size <= characters


def test_a_first_row_that_is_too_long_is_cut(untouched: Copy) -> None:
    answer = ask(untouched, f"SELECT 1, {LONG}, 'short'", characters=1_000)
    ((number, long, short),) = answer.rows
    assert (number, short, answer.truncated) == (1, "short", True)
    assert isinstance(long, str)
    assert long.endswith("0…")


def test_time_is_over_when_the_clock_says_so(untouched: Copy) -> None:
    clock = itertools.count(step=1.0)  # a second passes at each look
    endless = COUNT + "SELECT count(*) FROM c"
    query = Query(path=str(untouched.store.path), sql=endless, limit=1, characters=100, seconds=50, waited=20)
    with untouched.store.reader() as connection, pytest.raises(Refused) as caught:
        run_query(connection, query, now=lambda: float(next(clock)))
    assert next(clock) == 31  # it was looked at once at the start, and then until the 30 s that were left had passed
    assert str(caught.value) == (
        "The query did not end within 50 s. Add a WHERE, join on ids, or aggregate; a recursive query needs a bound."
        " [SQL_TOO_SLOW]"
    )


def test_a_query_is_one_call(untouched: Copy) -> None:
    assert ask(untouched, "SELECT count(*) AS n FROM users") == Answer(
        columns=["n"], rows=[[5]], row_count=1, truncated=False
    )


async def test_without_a_copy_a_sync_is_advised(tmp_path: Path) -> None:
    async with aclosing(Queries()) as queries:
        with pytest.raises(NoReplica, match="no local copy of this directory yet"):
            await queries.answer(tmp_path / "none.db", "SELECT 1", seconds=20)


async def test_a_damaged_copy_is_told(tmp_path: Path) -> None:
    made = Store(tmp_path / "replica" / "copy.db")
    _fill(made)
    held = made.path.read_bytes()
    made.path.write_bytes(held[:4096] + b"\xff" * (len(held) - 4096))
    async with aclosing(Queries()) as queries:
        with pytest.raises(Problem, match="damaged"):
            await queries.answer(made.path, "SELECT * FROM users", seconds=20)


# ------------------------------------------------------------------------------------------------------------ attacks

_DOUBLE = ", ".join(f"c{i} AS (SELECT a.id FROM c{i - 1} a, c{i - 1} b)" for i in range(1, 40))
_TENS = "json_each('[1,2,3,4,5,6,7,8,9,0]')"
_DIGIT = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))"
_EXPENSIVE = frozenset({"SQL_TOO_SLOW", "SQL_TOO_LARGE"})

# What is refused while it is compiled: name, statement, a part of the sentence.
REFUSED: tuple[tuple[str, str, str], ...] = (
    # More than one statement, or another one.
    ("stacked statements", "SELECT 1; DELETE FROM users", "more than one statement"),
    ("stacked behind a comment", "SELECT 1 /* */ ; /* */ DROP TABLE users_", "more than one statement"),
    ("nothing", "", "ends too early"),
    ("a comment alone", "-- SELECT 1", "ends too early"),
    ("attach", "ATTACH '/etc/passwd' AS x", "cannot be attached"),
    ("attach in memory", "ATTACH ':memory:' AS x", "cannot be attached"),
    ("detach", "DETACH main", "cannot be attached"),
    ("vacuum", "VACUUM", "not a SELECT"),
    ("vacuum into", "VACUUM INTO 'stolen.db'", "not a SELECT"),
    ("reindex", "REINDEX", "Nothing can be written"),
    ("analyze", "ANALYZE", "Nothing can be written"),
    ("explain", "EXPLAIN SELECT 1", "cannot be read at EXPLAIN"),
    ("explain query plan", "EXPLAIN QUERY PLAN SELECT * FROM users", "cannot be read at EXPLAIN"),
    ("the rest of an explain", "QUERY PLAN SELECT 1", "failed while it ran"),
    ("begin", "BEGIN", "Transactions"),
    ("begin exclusive", "BEGIN EXCLUSIVE", "Transactions"),
    ("commit", "COMMIT", "Transactions"),
    ("rollback", "ROLLBACK", "Transactions"),
    ("savepoint", "SAVEPOINT s", "Transactions"),
    ("release", "RELEASE s", "Transactions"),
    ("pragma", "PRAGMA table_info(users)", "PRAGMA"),
    ("pragma that writes", "PRAGMA query_only = 0", "PRAGMA"),
    ("pragma writable_schema", "PRAGMA writable_schema = ON", "PRAGMA"),
    ("pragma temp_store_directory", "PRAGMA temp_store_directory = '/'", "PRAGMA"),
    ("pragma function", "SELECT * FROM pragma_table_info('users_')", "json_each"),
    ("pragma function list", "SELECT * FROM pragma_function_list", "json_each"),
    ("pragma database list", "SELECT file FROM pragma_database_list", "json_each"),
    # Writing.
    ("insert", "INSERT INTO users (id) VALUES ('x')", "Nothing can be written"),
    ("insert into a base table", "INSERT INTO users_ (id) VALUES ('x')", "no view users_"),
    ("insert returning", "INSERT INTO groups_ DEFAULT VALUES RETURNING id", "no view groups_"),
    ("insert behind a cte", "WITH x AS (SELECT 1) INSERT INTO users SELECT * FROM x", "Nothing can be written"),
    ("update behind a cte", "WITH x AS (SELECT 1) UPDATE users_ SET name = 'x' RETURNING *", "no view users_"),
    ("delete behind a cte", "WITH x AS (SELECT 1) DELETE FROM users_ RETURNING *", "no view users_"),
    ("delete", "DELETE FROM users", "it is a view"),
    ("update", "UPDATE users SET name = 'x'", "it is a view"),
    ("replace", "REPLACE INTO people (id) VALUES ('x')", "Nothing can be written"),
    ("update of the schema", "UPDATE sqlite_master SET sql = ''", "may not be modified"),
    ("a cte that writes", "WITH x AS (DELETE FROM users_ RETURNING *) SELECT * FROM x", "cannot be read at DELETE"),
    ("a table", "CREATE TABLE x (a)", "Nothing can be written"),
    ("a table of rows", "CREATE TABLE x AS SELECT * FROM users", "Nothing can be written"),
    ("a temporary table", "CREATE TEMP TABLE x (a)", "Nothing can be written"),
    ("a temporary view", "CREATE TEMP VIEW users AS SELECT * FROM users_", "Nothing can be written"),
    ("a trigger", "CREATE TEMP TRIGGER t INSTEAD OF DELETE ON users BEGIN SELECT 1; END", "Nothing can be written"),
    ("an index", "CREATE INDEX i ON users_ (more)", "no view"),
    ("a virtual table", "CREATE VIRTUAL TABLE temp.w USING fts5vocab(main, people, 'row')", "Nothing can be written"),
    ("a virtual table of a file", "CREATE VIRTUAL TABLE temp.c USING csv(filename='/etc/passwd')", "Nothing can be"),
    ("drop a view", "DROP VIEW users", "Nothing can be written"),
    ("drop a base table", "DROP TABLE users_", "no view users_"),
    ("drop what is not there", "DROP TABLE IF EXISTS x", "not a SELECT"),
    ("alter", "ALTER TABLE users_ RENAME TO y", "no view users_"),
    ("fts rebuild", "INSERT INTO people (people) VALUES ('rebuild')", "Nothing can be written"),
    ("fts optimize", "INSERT INTO people (people) VALUES ('optimize')", "Nothing can be written"),
    ("fts delete", "INSERT INTO people (people, rowid) VALUES ('delete', 1)", "Nothing can be written"),
    # Base tables.
    ("base table", "SELECT * FROM users_", "Did you mean users?"),
    ("base table, double quotes", 'SELECT * FROM "users_"', "no view users_"),
    ("base table, brackets", "SELECT * FROM [users_]", "no view users_"),
    ("base table, backticks", "SELECT * FROM `users_`", "no view users_"),
    ("base table, single quotes", "SELECT * FROM 'users_'", "no view users_"),
    ("base table, other case", "SELECT * FROM UsErS_", "no view UsErS_"),
    ("base table of main", "SELECT * FROM main.users_", "no view users_"),
    ("base table, comment between", "SELECT * FROM main/**/./**/users_", "no view users_"),
    ("base table of temp", "SELECT * FROM temp.users_", "no view users_"),
    ("base table in a subquery", "SELECT (SELECT more FROM users_ LIMIT 1)", "no view users_"),
    ("base table in a subquery named as a view", "SELECT * FROM (SELECT * FROM users_) AS users", "no view users_"),
    ("base table in a cte named as a view", "WITH users AS (SELECT * FROM users_) SELECT * FROM users", "no view users_"),
    (
        "base table in a cte named as a view, beside the view",
        "WITH users AS (SELECT id, more FROM users_) SELECT users.more FROM users, main.users AS u",
        "no view users_",
    ),
    (
        "base table in a cte named as another view",
        "WITH changes AS MATERIALIZED (SELECT value FROM facts_) SELECT * FROM changes",
        "no view facts_",
    ),
    (
        "base table in a recursive cte",
        "WITH RECURSIVE users(r) AS (SELECT more FROM users_ UNION SELECT r FROM users) SELECT r FROM users",
        "no view users_",
    ),
    ("base table by in", "SELECT 1 WHERE 'secret' IN facts_", "no view facts_"),
    ("base table by exists", "SELECT EXISTS (SELECT 1 FROM facts_ WHERE value LIKE 'H%')", "no view facts_"),
    ("base table by count", "SELECT count(*) FROM sync_runs_", "no view sync_runs_"),
    ("base table by union", "SELECT id FROM users UNION ALL SELECT value FROM facts_", "no view facts_"),
    ("base table in the order", "SELECT 1 FROM users ORDER BY (SELECT value FROM facts_)", "no view facts_"),
    ("base table by index", "SELECT * FROM users INDEXED BY users_by_status_", "no such index"),
    ("hidden column", "SELECT more FROM users", "no column more"),
    ("hidden column with its table", "SELECT u.remote_data FROM users u", "no column u.remote_data"),
    ("look-alike of a name", "SELECT * FROM us\N{CYRILLIC SMALL LETTER IE}rs", "no view us"),
    ("full-width letters", "SELECT * FROM \N{FULLWIDTH LATIN SMALL LETTER U}sers_", "no view"),
    ("a zero-width space", "SELECT * FROM users\N{ZERO WIDTH SPACE}_", "no view users_"),
    # SQLite's own tables.
    ("sqlite_master", "SELECT sql FROM sqlite_master", "sqlite_master cannot be read"),
    ("sqlite_schema", "SELECT count(*) FROM sqlite_schema", "sqlite_schema cannot be read"),
    ("sqlite_temp_master", "SELECT 1 FROM sqlite_temp_master", "sqlite_temp_master cannot be read"),
    ("sqlite_master behind a cte", "WITH x AS (SELECT * FROM main.[SQLITE_MASTER]) SELECT 1 FROM x", "cannot be read"),
    ("sqlite_master by in", "SELECT 1 WHERE (1,2,3,4,5) IN sqlite_master", "cannot be read"),
    ("sqlite_sequence", "SELECT * FROM sqlite_sequence", "no view sqlite_sequence"),
    ("sqlite_stat1", "SELECT * FROM sqlite_stat1", "no view sqlite_stat1"),
    ("sqlite_dbpage", "SELECT data FROM sqlite_dbpage", ""),
    ("dbstat", "SELECT * FROM dbstat", ""),
    ("sqlite_stmt", "SELECT sql FROM sqlite_stmt", ""),
    ("bytecode", "SELECT * FROM bytecode('SELECT 1')", ""),
    ("fts3tokenize", "SELECT * FROM fts3tokenize('simple')", ""),
    ("generate_series", "SELECT * FROM generate_series(1, 1e9)", "no view generate_series"),
    ("fts data", "SELECT block FROM people_data", "people_data cannot be read"),
    ("fts data counted", "SELECT count(*) FROM people_data", "people_data cannot be read"),
    ("fts content", 'SELECT * FROM "people_content"', "people_content cannot be read"),
    ("fts index behind a cte", "WITH people AS (SELECT * FROM people_idx) SELECT * FROM people", "people_idx cannot"),
    ("the rows of the words", "SELECT * FROM searched_", "no view searched_"),
    ("users behind their name", "WITH searched_ AS (SELECT * FROM users_) SELECT * FROM searched_", "no view users_"),
    ("fts content by in", "SELECT 1 WHERE (1,2,3,4,5,6,7) IN people_content", "people_content cannot be read"),
    # Functions.
    ("load_extension", "SELECT load_extension('evil.so')", "load_extension is not available"),
    ("load_extension, quoted", "SELECT \"LOAD_EXTENSION\"('evil.so', 'init')", "load_extension is not available"),
    ("readfile", "SELECT readfile('/etc/passwd')", "no function readfile"),
    ("writefile", "SELECT writefile('x', 'y')", "no function writefile"),
    ("edit", "SELECT edit('x')", "no function edit"),
    ("shell", "SELECT system('id')", "no function system"),
    ("fts3_tokenizer", "SELECT fts3_tokenizer('simple', x'4141414141414141')", "fts3_tokenizer is not available"),
    ("fts5 pointer", "SELECT fts5(1)", "fts5 is not available"),
    ("zeroblob", "SELECT zeroblob(1000000000)", "zeroblob is not available"),
    ("randomblob", "SELECT hex(randomblob(1000000000))", "randomblob is not available"),
    ("sqlite_log", "SELECT sqlite_log(1, 'x')", "sqlite_log is not available"),
    ("compile options", "SELECT sqlite_compileoption_get(1)", "is not available"),
    ("rtreecheck", "SELECT rtreecheck('main', 'users_')", ""),
    ("regexp", "SELECT * FROM users WHERE name REGEXP '(a+)+$'", "no function"),
    ("raise", "SELECT raise(ABORT, 'x')", "RAISE"),
    ("a function in an order", "SELECT 1 FROM users ORDER BY load_extension(name)", "load_extension is not available"),
    # Too much of it.
    ("a megabyte of SQL", "SELECT '" + "x" * 1_000_000 + "'", "bytes long"),
    ("a megabyte of comment", "SELECT 1 /*" + "x" * 1_000_000 + "*/", "bytes long"),
    ("long in bytes", "SELECT '" + "é" * (MOST_SQL // 2) + "'", "bytes long"),
    ("parentheses", "SELECT " + "(" * 3_000 + "1" + ")" * 3_000, "too complicated"),
    ("nested selects", "SELECT 1 WHERE 1 IN " + "(SELECT 1 WHERE 1 IN " * 150 + "(1)" + ")" * 150, "too complicated"),
    ("many alternatives", "SELECT 1 WHERE " + " OR ".join(["1=2"] * 900), "too complicated"),
    ("many unions", " UNION ".join(["SELECT 1"] * 400), "too complicated"),
    ("many columns", "SELECT " + ",".join(["1"] * 1_000), "too complicated"),
    ("many arguments", "SELECT max(" + ",".join(["1"] * 100) + ")", "too complicated"),
    ("doubling ctes", f"WITH c0 AS (SELECT 1 AS id), {_DOUBLE} SELECT * FROM c39", "too complicated"),
    ("doubling ctes over a view", f"WITH c0 AS (SELECT id FROM users), {_DOUBLE} SELECT * FROM c39", "too complicated"),
    ("NUL", "SELECT 1\0; DROP TABLE users_", "NUL"),
    ("a lone surrogate", "SELECT '\ud800'", "not valid Unicode"),
    ("parameters", "SELECT * FROM users WHERE id = ?", "parameters"),
    ("named parameters", "SELECT :a, @b, $c", "parameters"),
    ("many parameters", "SELECT ?999999", ""),
)  # fmt: skip

# What is bounded while it runs.
BOUNDED: tuple[tuple[str, str], ...] = (
    ("endless recursion", COUNT + "SELECT count(*) FROM c"),
    ("endless recursion without rows", COUNT + "SELECT x FROM c WHERE x < 0"),
    ("endless recursion that sorts", COUNT + f"SELECT {LONG} || x FROM c ORDER BY 1"),
    ("endless recursion that keeps apart", COUNT + f"SELECT count(DISTINCT {LONG} || x) FROM c"),
    ("endless window", COUNT + f"SELECT max({LONG}) OVER (ORDER BY x) FROM c"),
    ("endless JSON", COUNT + f"SELECT json_group_array({LONG}) FROM c"),
    ("endless JSON object", COUNT + f"SELECT json_group_object(x, {LONG}) FROM c"),
    ("endless text", COUNT + f"SELECT group_concat({LONG}) FROM c"),
    ("endless materializing", COUNT + f", d AS MATERIALIZED (SELECT {LONG} || x AS y FROM c) SELECT count(*) FROM d a, d b"),
    ("doubling text", "WITH RECURSIVE c(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM c) SELECT max(length(x)) FROM c"),
    ("a cross join", "SELECT count(*) FROM " + ", ".join(f"{_TENS} j{i}" for i in range(12))),
    ("a cross join of views", "SELECT count(*) FROM " + ", ".join(f"users u{i}" for i in range(20))),
    ("a cross join of values", "SELECT sum(a.column1) FROM " + ", ".join(f"{_DIGIT} {x}" for x in "abcdefghijkl")),
    ("too many joins", "SELECT count(*) FROM " + ", ".join(f"users u{i}" for i in range(60))),
    ("replace that grows", f"SELECT replace({LONG}, '0', {LONG})"),
    ("hex that doubles", f"SELECT hex({LONG})"),
    ("quote that grows", f"SELECT quote(replace({LONG}, '0', ''''))"),
    ("concatenation", f"SELECT {LONG} || {LONG}"),
    ("a long time format", f"SELECT strftime(replace({LONG}, '0', '%J'))"),
    ("JSON that grows", f"SELECT json_array({LONG}, {LONG})"),
    ("JSON nested deeply", f"SELECT json(replace({LONG}, '0', '['))"),
    ("items of deep JSON", f"SELECT count(*) FROM json_tree(replace({LONG}, '0', '['))"),
    ("a long pattern", f"SELECT {LONG} LIKE {LONG}"),
    ("a long glob", f"SELECT {LONG} GLOB replace({LONG}, '0', '*0')"),
    ("trim by a long set", f"SELECT trim({LONG}, {LONG})"),
    ("trim of a blob", "SELECT trim(x'00', 'x')"),
    ("words that cannot be read", "SELECT * FROM people WHERE people MATCH 'AND AND \"'"),
    ("words of a column that is not there", "SELECT * FROM people WHERE people MATCH 'more:x'"),
    ("words out of rows", "SELECT * FROM users u, people p WHERE p.people MATCH u.email"),
    ("match apart", "SELECT people MATCH 'ann' FROM people"),
    ("match of a cte", "WITH p AS MATERIALIZED (SELECT * FROM people) SELECT * FROM p WHERE name MATCH 'ann'"),
    ("highlight apart", "SELECT highlight(name, 1, '', '') FROM users"),
    ("a path out of rows", "SELECT json_extract('{}', name) FROM users"),
    ("JSON out of rows", "SELECT json(name) FROM users"),
    ("overflow", "SELECT sum(9223372036854775807) FROM users"),
    ("abs of the smallest", "SELECT abs(-9223372036854775808)"),
)  # fmt: skip


def _is_sentence(problem: Refused) -> bool:
    text = str(problem)
    return len(text) < 2_000 and bool(problem.code) and not any(word in text.lower() for word in DATA)


@pytest.mark.parametrize(("sql", "part"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_an_attack_is_refused_with_a_sentence(untouched: Copy, sql: str, part: str) -> None:
    problem = refused(untouched, sql)
    assert part in str(problem)
    assert HIDDEN not in str(problem)
    assert _is_sentence(problem)


@pytest.mark.parametrize("sql", [case[1] for case in BOUNDED], ids=[case[0] for case in BOUNDED])
def test_an_expensive_or_wrong_query_is_bounded(untouched: Copy, sql: str) -> None:
    problem = refused(untouched, sql, seconds=0.3)
    assert _is_sentence(problem)
    assert problem.code in _EXPENSIVE | {"SQL_INVALID"}


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("printf('%1000000000d', 1)", "SQL_TOO_LARGE"),
        ("printf('%*d', 2000000000, 1)", "SQL_INVALID"),
        ("printf('%.*c', 2000000000, 'x')", "SQL_INVALID"),
        ("printf('%.*c', '2000000000', 'x')", "SQL_INVALID"),
        ("printf('%-+ 0#,!.2000000000c', 'x')", "SQL_TOO_LARGE"),
        ("printf('%%%.2000000000c', 'x')", "SQL_TOO_LARGE"),
        ("printf(CAST('%.2000000000c' AS BLOB), 'x')", "SQL_TOO_LARGE"),
        ("printf(replace('%.20000c0', '0c', '00000c'), 'x')", "SQL_TOO_LARGE"),
        (f"printf(replace(substr({LONG}, 1, 5000), '0', '%.6000c'), 'x')", "SQL_TOO_LARGE"),
        ("format('%.2000000000f', 1)", "SQL_TOO_LARGE"),
    ],
)
def test_a_format_of_any_width_is_refused_at_once(untouched: Copy, sql: str, code: str) -> None:
    """SQLite itself counts to the width, whatever time is over."""
    assert refused(untouched, f"SELECT {sql}").code == code


def test_a_format_of_a_width_that_fits_is_what_sqlite_makes_of_it(untouched: Copy) -> None:
    called = (
        "'%05.1f|%s|%%|%-4d|%+d|%,d|%x|%X|%e|%Q|%c', 3.14159, 'é', 7, 5, 1234567, 255, 255, 0.5, 'it''s', 'ab'",
        "'%s %s %d %s', NULL, x'6162', 'ten', 2.5",
        "'%.3s|%10s|%5%|%', 'abcdef', 'x'",
        "'%d'",
        "12",
        "NULL, 1",
        "x'2564', 9",
        "''",
    )
    statement = f"SELECT {', '.join(f'printf({arguments})' for arguments in called)}"
    with closing(sqlite3.connect(":memory:")) as plain:
        expected = plain.execute(statement).fetchall()
    assert ask(untouched, statement).rows == [list(row) for row in expected]


def test_memory_of_an_attack_is_given_back(untouched: Copy) -> None:
    for _ in range(3):
        assert refused(untouched, dict(BOUNDED)["endless JSON"], seconds=20).code in _EXPENSIVE
    assert ask(untouched, "SELECT count(*) FROM users").rows == [[5]]


def test_what_is_allowed_is_no_more_than_it_was_thought_through() -> None:
    """A function that reads, writes, runs SQL or allocates by a number must not get in with the next edit."""
    assert not FUNCTIONS & {
        *("load_extension", "readfile", "writefile", "edit", "zeroblob", "randomblob", "fts3_tokenizer", "fts5"),
        *("sqlite_log", "rtreecheck", "rtreenode", "matchinfo", "optimize", "offsets", "subtype", "last_insert_rowid"),
    }


# ---------------------------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("SELECT depratment FROM users", ("no column depratment", "Did you mean department", "users has: id, username")),
        ("SELECT m.role FROM memberships m", ("no column m.role", "a column of role_assignments", "memberships has: user_id")),
        ("SELECT x", ("no column x", "Views: users,")),
        ("SELECT * FROM user", ("no view user.", "Did you mean users", "Views: users, removed_users")),
        ("SELECT * FROM temp.users", ("no temp.users", "Write the name of the view alone")),
        ("SELECT * FORM users", ("cannot be read at FORM, character 10 of 19",)),
        ("SELECT 'form', id form form users", ("at form, character 24 of 33",)),
        ("SELECT 'it's' FROM users", ("cannot be read at ' FROM users",)),
        ("SELECT id FROM users WHERE", ("ends too early",)),
        ("SELECT id FROM users, groups", ("More than one of the views has a column id", "alias.column")),
        ("SELECT lenght(name) FROM users", ("no function lenght", "Did you mean length")),
        ("SELECT count(name, id) FROM users", ("wrong number of arguments to function count()",)),
        ("SELECT * FROM users WHERE users MATCH 'ann'", ("no column users", "users has:")),
        ("SELECT id FROM users WHERE 'y' MATCH 'x'", ("MATCH works on `people` alone",)),
    ],
)  # fmt: skip
def test_a_mistake_gets_a_sentence_that_helps(untouched: Copy, sql: str, parts: tuple[str, ...]) -> None:
    told = str(refused(untouched, sql))
    assert [part for part in parts if part not in told] == []


def test_hidden_characters_of_a_statement_do_not_come_back(untouched: Copy) -> None:
    told = str(refused(untouched, 'SELECT "a\u202eb\U000e0041".c FROM users'))
    assert told.isprintable()


# --------------------------------------------------------------------------------------------------------- random SQL

_NAMES = st.sampled_from(
    [
        *VIEWS,
        *("id", "name", "username", "status", "at", "more", "remote_data", "rowid", "rank", "value", "x", "*", "u.id"),
        *("users_", "facts_", "memberships_", "people_data", "people_content", "sqlite_master", "pragma_table_info"),
        *("main.users_", '"users_"', "[facts_]", "temp.users", "json_each", "json_each('[1]')", "people('ann')"),
    ]
)
_LITERALS = st.sampled_from(["1", "-1", "NULL", "'ann*'", "'$.a'", "x'00'", "9e999", "'%'", "''", "'now'", "'{}'"])
_CALLS = st.sampled_from([*sorted(FUNCTIONS - {"->", "->>"}), "load_extension", "zeroblob", "sqlite_version"])


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from("= <> < || + AND OR LIKE GLOB MATCH IS IN -> ->> / % REGEXP".split())
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds(lambda call, args: f"{call}({', '.join(args)})", _CALLS, st.lists(inner, max_size=3)),
        st.builds("(SELECT {} FROM {})".format, inner, _NAMES),
        st.builds("CASE WHEN {} THEN {} END".format, inner, inner),
        st.builds("count(*) OVER (ORDER BY {})".format, inner),
    )


EXPRESSIONS = st.recursive(_NAMES | _LITERALS, _expressions, max_leaves=6)
_SELECTS = st.one_of(
    st.builds("SELECT {} FROM {} WHERE {}".format, EXPRESSIONS, _NAMES, EXPRESSIONS),
    st.builds(
        "SELECT {}, {} FROM {} a, {} b GROUP BY {}".format, EXPRESSIONS, EXPRESSIONS, _NAMES, _NAMES, EXPRESSIONS
    ),
    st.builds("SELECT * FROM {} u LEFT JOIN {} m ON {} ORDER BY {}".format, _NAMES, _NAMES, EXPRESSIONS, EXPRESSIONS),
    st.builds("SELECT {}".format, EXPRESSIONS),
)
_WITH = st.builds("WITH RECURSIVE {}({}) AS ({} UNION ALL {}) {}".format, _NAMES, _NAMES, _SELECTS, _SELECTS, _SELECTS)
_CTE = st.builds("WITH {} AS ({}) {}".format, _NAMES, _SELECTS, _SELECTS)
_OTHER = st.builds(
    "{} {} {}".format,
    st.sampled_from(
        ["INSERT INTO", "DELETE FROM", "UPDATE", "DROP TABLE", "PRAGMA", "ATTACH", "CREATE VIEW", "VACUUM"]
    ),
    _NAMES,
    st.one_of(_SELECTS, st.just(""), st.just("SET id = 1")),
)
_SALAD = st.lists(
    st.one_of(
        _NAMES, _LITERALS, st.sampled_from("SELECT FROM WHERE ( ) , ; -- /* */ WITH AS JOIN UNION ALL \" ' [ `".split())
    ),
    max_size=12,
).map(" ".join)


def _sensible(view: str) -> st.SearchStrategy[str]:
    """Return selects from one view that mostly can be answered."""
    column = st.sampled_from([*VIEWS[view].columns, "rowid", "users_", "more"][: len(VIEWS[view].columns) + 1])
    value = st.recursive(
        column | _LITERALS,
        lambda inner: st.one_of(
            st.builds(
                "{}({})".format, st.sampled_from("length upper typeof hex quote abs date json_valid".split()), inner
            ),
            st.builds("{}({}, {})".format, st.sampled_from("coalesce nullif instr max printf".split()), inner, inner),
            st.builds("({} {} {})".format, inner, st.sampled_from("= < || + AND OR LIKE IS".split()), inner),
            st.builds("(SELECT count(*) FROM {} WHERE {})".format, st.sampled_from(list(VIEWS)), inner),
        ),
        max_leaves=4,
    )
    total = st.builds(
        "{}({})".format, st.sampled_from("count min max group_concat json_group_array total".split()), value
    )
    plain = st.builds("SELECT {}, {} FROM {} WHERE {} ORDER BY 1".format, value, value, st.just(view), value)
    grouped = st.builds("SELECT {}, {} FROM {} GROUP BY 1".format, value, total, st.just(view))
    ranked = st.builds("SELECT {}, {} OVER (ORDER BY {}) FROM {}".format, value, total, value, st.just(view))
    whole = st.just(f"SELECT * FROM {view}")
    return st.one_of(plain, grouped, ranked, whole)


_SENSIBLE = st.sampled_from(list(VIEWS)).flatmap(_sensible)
_SHADOWING = st.builds("WITH {} AS ({}) {}".format, st.sampled_from([*VIEWS, "users_", "x"]), _SENSIBLE, _SENSIBLE)
_STACKED = st.builds(
    "{} {} {}".format, _SENSIBLE, st.sampled_from(["UNION ALL", "UNION", "EXCEPT", ";", "--"]), _SENSIBLE
)
STATEMENTS = st.one_of(
    *(_SENSIBLE, _SENSIBLE, _SENSIBLE, _SHADOWING, _STACKED),
    *(_SELECTS, _CTE, _WITH, _OTHER, _SALAD, st.text(max_size=60)),
)


@tries(400, HealthCheck.function_scoped_fixture)
@given(sql=STATEMENTS)
def test_a_random_statement_is_answered_or_refused_and_changes_nothing(untouched: Copy, sql: str) -> None:
    try:
        answer = ask(untouched, sql, seconds=0.3, characters=2_000)
    except Problem as problem:
        told = str(problem)
        assert told
        assert HIDDEN not in told
    else:
        text = json.dumps([answer.columns, answer.rows], allow_nan=False)
        assert HIDDEN not in text
        assert HIDDEN.encode().hex() not in text.lower()
        assert answer.row_count == len(answer.rows)
