# ruff: noqa: S608 - names of our own stand in the statements
"""What SQLite does not mind is damage all the same: it is found at once, never answered from, and healed by a sync."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.store import Damaged, ReplicaProblem
from pingone_mcp.sandbox.app import Sandbox
from tests.depth import sampled
from tests.replica.happenings import Happening, happen
from tests.replica.test_sync import check_equal
from tests.replica.truth import Copy
from tests.world import NOW, World, error_text, facts

TABLES = (
    "environments_ populations_ users_ groups_ nestings_ memberships_ role_assignments_ changes_ sync_runs_ facts_ "
    "short_groups_ reread_ last_reread_ people people_docsize people_data"
).split()
VIEWS = [view for view in schema.VIEWS if view != "people"]
FACTS = "watermarks coverage shape last_sync last_full read read_in_full watched_since".split()

# By what they are: statements that somebody else, or a mistake, has run.
DAMAGES: dict[str, str] = {
    **{f"no table {name}": f"DROP TABLE {name}" for name in TABLES},
    **{f"no view {name}": f"DROP VIEW {name}" for name in VIEWS},
    **{f"no index {name}": f"DROP INDEX {name}" for name in (*schema.USER_INDEXES, "memberships_by_user_")},
    "an altered view": "DROP VIEW users; CREATE VIEW users AS SELECT * FROM removed_users",
    "a view that is a table": "DROP VIEW changes; CREATE TABLE changes (id, at)",
    "an altered index": "DROP INDEX users_listed_; CREATE INDEX users_listed_ ON users_ (id)",
    "another index": "CREATE UNIQUE INDEX surprise ON users_ (username)",
    "another column": "ALTER TABLE users_ ADD COLUMN shoe_size",
    "another name of a column": "ALTER TABLE groups_ RENAME COLUMN description TO about",
    "a trigger that fails": "CREATE TRIGGER no BEFORE INSERT ON changes_ BEGIN SELECT RAISE(ABORT, 'no'); END",
    "a trigger that ignores": "CREATE TRIGGER no BEFORE UPDATE ON users_ BEGIN SELECT RAISE(IGNORE); END",
    "a trigger that deletes": "CREATE TRIGGER no AFTER INSERT ON facts_ BEGIN DELETE FROM memberships_; END",
    "words that are kept otherwise": "UPDATE people_config SET v = 99",
    "nothing of how words are kept": "DELETE FROM people_config",
    "another table": "CREATE TABLE surprise (id)",
    "another view": "CREATE VIEW surprise AS SELECT 1",
    **{f"no JSON in {name}": f"UPDATE facts_ SET value = '{{' WHERE name = '{name}'" for name in FACTS},
    **{f"another shape of {name}": f"UPDATE facts_ SET value = '[[]]' WHERE name = '{name}'" for name in FACTS},
    "a number as a fact": "UPDATE facts_ SET value = 5 WHERE name = 'coverage'",
    "nothing as a fact": "UPDATE facts_ SET value = NULL WHERE name = 'coverage'",
    **{f"no fact {name}": f"DELETE FROM facts_ WHERE name = '{name}'" for name in FACTS[:5]},
    "no facts": "DELETE FROM facts_",
    "held of a wrong shape": "INSERT OR REPLACE INTO facts_ VALUES ('held', '{\"at\": 1}')",
    "a time that is none": "UPDATE facts_ SET value = '\"yesterday\"' WHERE name = 'last_full'",
    "a mark without a time": "UPDATE facts_ SET value = json_remove(value, '$.' || (SELECT '\"' || id || '\".updated' "
    "FROM environments_)) WHERE name = 'watermarks'",
    "no JSON in what was counted": "UPDATE sync_runs_ SET counts = '{'",
    "another shape of what was counted": "UPDATE sync_runs_ SET counts = '{}'",
    "nothing that was counted": "UPDATE sync_runs_ SET counts = NULL",
    "a sync at no time": "UPDATE sync_runs_ SET started_at = 'noon'",
    "an older version": "PRAGMA user_version = 1",
    "a version below nothing": "PRAGMA user_version = -7",
}
# What hides the copy without a contradiction: as long as it lasts there is none.
HIDDEN: dict[str, str] = {"no version": "PRAGMA user_version = 0", "no syncs": "DELETE FROM sync_runs_"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "query_directory": {"sql": "SELECT count(*) FROM users"},
    "list_changes": {},
    "access_review": {},
}


def company(folder: Path) -> Copy:
    return Copy(World(sandbox=Sandbox(30, now=NOW, customers=3), cache=folder / "cache"))


@pytest.fixture(scope="module")
async def synced(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """The copy of a company like any other here: its file is as good as that of a first sync of their own."""
    first = company(tmp_path_factory.mktemp("synced"))
    await first.sync()
    return first


@pytest.fixture
async def kept(tmp_path: Path, synced: Copy) -> Copy:
    """A copy that is a change behind."""
    kept = company(tmp_path)
    shutil.copytree(synced.path.parent, kept.path.parent)
    kept.sandbox.clock.advance(60)
    await happen(kept.sandbox, [Happening("update", 3, 0, 0), Happening("delete", 5, 0, 0)])
    return kept


def tamper(kept: Copy, statements: str) -> None:
    with closing(sqlite3.connect(kept.path)) as database:
        database.executescript(statements)


async def refused(client: Client) -> str:
    """Ask in several ways, and fail unless the copy answers none of them; return what is said."""
    found = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"]}))
    assert found["source"]["kind"] == "live"
    said: set[str] = set()
    for tool, arguments in QUESTIONS.items():
        answer = await client.call_tool(tool, arguments)
        assert answer.is_error
        said.add(error_text(answer))
    [sentence] = said
    told = facts(await client.call_tool("describe_directory", {})).get("replica")
    assert told is None or told == {"problem": sentence}
    return sentence


@pytest.mark.parametrize("damage", DAMAGES)
@sampled(5)
async def test_damage_is_refused_and_healed_by_the_next_sync(kept: Copy, damage: str) -> None:
    tamper(kept, DAMAGES[damage])
    async with kept.world.client() as client:
        said = await refused(client)
    assert ("NO_REPLICA" if "version" in damage else "REPLICA_DAMAGED") in said
    assert "pingone-mcp sync" in said
    report = await kept.sync()
    assert (report.mode, report.complete) == ("full", True)
    assert "damaged" in report.reason
    assert await kept.rows("SELECT count(*) FROM facts_ WHERE name = 'damaged' AND value <> 'null'") == [(0,)]
    await check_equal(kept)
    assert kept.path.with_name(f"{kept.path.name}.damaged").is_file()
    again = await kept.sync()
    assert (again.mode, again.complete, again.reason, again.changes) == ("incremental", True, None, {})


@pytest.mark.parametrize("damage", HIDDEN)
async def test_a_copy_of_which_nothing_is_known_is_none_until_the_next_sync(kept: Copy, damage: str) -> None:
    tamper(kept, HIDDEN[damage])
    async with kept.world.client() as client:
        assert "NO_REPLICA" in await refused(client)
    assert (await kept.sync()).complete
    await check_equal(kept)


async def test_damage_done_while_a_sync_runs_is_not_merged_into(kept: Copy) -> None:
    """What was read is only what has changed: an empty copy in the place of the old one would lack everybody else."""

    def report(stage: str, done: int, about: int | None) -> None:
        if stage == "merge" and not damaged:
            damaged.append(stage)
            tamper(kept, "DROP VIEW users")

    damaged: list[str] = []
    report_ = await kept.sync("incremental", report=report)
    assert (report_.mode, report_.complete) == ("full", True)
    await check_equal(kept)


async def test_a_copy_that_was_removed_while_a_sync_runs_is_not_merged_into(kept: Copy) -> None:
    def report(stage: str, done: int, about: int | None) -> None:
        if stage == "merge":
            for path in kept.path.parent.glob(f"{kept.path.name}*"):
                path.unlink()

    with pytest.raises(ReplicaProblem) as caught:
        await kept.sync("incremental", report=report)
    assert caught.value.code == "REPLICA_CHANGED"
    assert (await kept.sync()).mode == "full"
    await check_equal(kept)


@pytest.mark.parametrize(
    "written",
    [
        *(
            f"more = {text}"
            for text in ("'{'", "'5'", "'null'", "'[]'", "'{\"emails\": 5}'", '\'{"exact": {"x": 1}}\'')
        ),
        *(f"custom_attributes = {text}" for text in ("'{'", "'5'", "'[]'")),
        "all_attributes = '5'",
        "created_at = 'noon'",
        "updated_at = 5",
        "status_reasons = 5",
    ],
)
@sampled(5)
async def test_values_of_a_user_that_no_sync_has_written_are_damage(kept: Copy, written: str) -> None:
    tamper(kept, f"UPDATE users_ SET {written}")
    async with kept.world.backend() as backend:
        with pytest.raises(Damaged):
            await backend.copy.users(UserQuestion(), None)
    assert (await kept.sync("full")).complete
    await check_equal(kept)


@pytest.mark.parametrize(
    "written",
    [
        "created_at = 'noon'",
        "last_login_at = 'noon'",
        "status_reasons = 5",
        *(f"more = '{text}'" for text in ('{"exact":', '{"exact": 5}', '{"exact": {"username": 5}}')),
    ],
)
async def test_an_access_review_refuses_damage_of_what_it_shows(kept: Copy, written: str) -> None:
    tamper(kept, f"UPDATE users_ SET {written}")
    async with kept.world.client() as client:
        assert "REPLICA_DAMAGED" in error_text(await client.call_tool("access_review", {}))


@pytest.mark.parametrize("damage", ["DELETE FROM users_", "DELETE FROM users_ WHERE number > 3"])
async def test_rows_that_contradict_others_are_made_anew_by_a_full_sync(kept: Copy, damage: str) -> None:
    tamper(kept, damage)
    assert (await kept.sync("full")).complete
    await check_equal(kept)


async def test_a_full_sync_puts_right_what_was_written_into_single_columns(kept: Copy) -> None:
    await kept.sync()
    before = await kept.rows("SELECT * FROM users ORDER BY id")
    tamper(kept, "UPDATE users_ SET username = 'mallory', department = NULL, population_id = 'x'")
    assert await kept.rows("SELECT * FROM users ORDER BY id") != before
    await kept.sync("full")
    assert await kept.rows("SELECT * FROM users ORDER BY id") == before
    await check_equal(kept)  # their words too


async def test_a_copy_of_a_newer_version_is_left_alone(kept: Copy) -> None:
    tamper(kept, f"CREATE TABLE news_ (id); PRAGMA user_version = {schema.VERSION + 1}")
    content = kept.path.read_bytes()
    with pytest.raises(ReplicaProblem) as caught:
        await kept.sync("full")
    assert (caught.value.code, "Upgrade" in caught.value.next_step) == ("REPLICA_NEWER", True)
    assert kept.path.read_bytes() == content


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE members",
        "CREATE TRIGGER no AFTER INSERT ON users_ BEGIN DELETE FROM users_; END",
        "UPDATE facts SET value = '{'",
        "UPDATE facts SET value = '\"noon\"' WHERE name LIKE '% began'",
    ],
)
async def test_damage_to_what_a_sync_that_was_cut_short_has_left_is_left_out(kept: Copy, damage: str) -> None:
    kept.sandbox.faults.add("server_error", path="/users.*", nth=2, times=None)
    kept.sandbox.faults.add("server_error", path="/users.*", every=1, times=None)
    assert not (await kept.sync("full", connection={"retry_seconds": 0.0})).complete
    kept.sandbox.faults.clear()
    left = kept.path.with_suffix(".staged")
    with closing(sqlite3.connect(left)) as database:
        database.executescript(damage)
    assert (await kept.sync("full")).complete
    await check_equal(kept)
