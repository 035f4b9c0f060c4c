"""The file of the local copy: private, never in the way of readers, and honest about what is wrong with it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event

import anyio
import pytest
from anyio import from_thread, to_thread

from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.store import STEPS, Damaged, ReplicaProblem, Store

PUT = "INSERT INTO environments_ VALUES (?, 'x', NULL, NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "replica" / "copy.db"


def ids(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT id FROM environments ORDER BY id")]


async def test_there_is_nothing_to_read_before_the_first_write(path: Path) -> None:
    with pytest.raises(NoReplica) as caught:
        await Store(path).read(ids)
    assert caught.value.code == "NO_REPLICA"
    assert not path.exists()


async def test_what_is_written_is_read(path: Path) -> None:
    await Store(path).write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    assert await Store(path).read(ids) == ["a"]


async def test_nothing_of_a_write_that_fails_stays(path: Path) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute(PUT, ("a",))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Store(path).write(work)
    assert await Store(path).read(ids) == []


async def test_a_reader_sees_the_old_state_until_a_write_has_ended(path: Path) -> None:
    store = Store(path)
    await store.write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    with store.writer() as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(PUT, ("b",))
        assert await store.read(ids) == ["a"]
        connection.execute("COMMIT")
    assert await store.read(ids) == ["a", "b"]


async def test_a_reader_cannot_write(path: Path) -> None:
    await Store(path).write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    with pytest.raises((Problem, sqlite3.OperationalError)):
        await Store(path).read(lambda connection: connection.execute(PUT, ("b",)).rowcount)
    assert await Store(path).read(ids) == ["a"]


class Endless:
    """Reading that has no end of its own: how many rows there were, and whether it has ended all the same."""

    def __init__(self, after: Callable[[], object]) -> None:
        self.ended = Event()
        self.rows = 0
        self._after = after

    def __call__(self, connection: sqlite3.Connection) -> None:
        connection.create_function("counted", 0, self._counted)
        try:
            connection.execute(
                "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more) SELECT sum(counted()) FROM more"
            ).fetchone()
        finally:
            self.ended.set()

    def _counted(self) -> int:
        self.rows += 1
        if self.rows == 1:
            from_thread.run_sync(self._after)
        return self.rows


async def test_a_reader_who_is_cancelled_ends_what_is_read(path: Path) -> None:
    store = Store(path)
    await store.write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    with anyio.CancelScope() as scope:
        reading = Endless(scope.cancel)
        await store.read(reading)
    assert scope.cancelled_caught
    assert reading.ended.is_set()
    assert reading.rows > 0
    assert await store.read(ids) == ["a"]


async def test_a_reader_behind_a_shield_is_not_ended(path: Path) -> None:
    store = Store(path)
    await store.write(lambda connection: connection.execute(PUT, ("a",)).rowcount)

    def work(connection: sqlite3.Connection) -> list[str]:
        from_thread.run_sync(scope.cancel)
        rows = "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more LIMIT ?) SELECT max(n) FROM more"
        connection.execute(rows, (STEPS,)).fetchone()
        return ids(connection)

    found: list[str] = []
    with anyio.CancelScope() as scope, anyio.CancelScope(shield=True):
        found = await store.read(work)
    assert found == ["a"]


async def test_an_interrupt_ends_what_is_read(path: Path) -> None:
    """As Ctrl-C does, which cancels the task itself: nobody waits for the thread then."""
    store = Store(path)
    await store.write(lambda connection: connection.execute(PUT, ("a",)).rowcount)

    def interrupt() -> None:
        task.cancel()

    reading = Endless(interrupt)
    task = asyncio.create_task(store.read(reading))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await to_thread.run_sync(reading.ended.wait, 60)
    assert reading.rows > 0


@pytest.mark.skipif(sys.platform == "win32", reason="access lists instead of modes")
async def test_the_files_are_for_nobody_else(path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o755)
    store = Store(path)
    with store.writer() as connection:
        connection.execute(PUT, ("a",))
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert len(list(path.parent.iterdir())) == 3
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"", b"not a database" * 100])
async def test_a_damaged_file_is_set_aside_and_made_anew(
    path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    with pytest.raises(Damaged) if damage else nullcontext():  # so that nobody goes on with an empty copy unawares
        await Store(path).write(lambda connection: None)
    await Store(path).write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    assert await Store(path).read(ids) == ["a"]
    aside = path.with_name("copy.db.damaged")
    assert (aside.read_bytes() == damage) if damage else not aside.exists()
    assert ("set aside" in caplog.text) == bool(damage)


async def test_a_page_that_is_damaged_is_found_by_a_check(path: Path) -> None:
    store = Store(path)
    await store.write(lambda connection: [connection.execute(PUT, (f"{n}" * 50,)).rowcount for n in range(500)])
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(Damaged):
        store.check()
    assert await store.read(ids) == []
    await store.write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    assert await store.read(ids) == ["a"]


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    store = Store(path)
    await store.write(lambda connection: connection.execute(PUT, ("a",)).rowcount)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    for act in (store.read(ids), store.write(ids)):
        with pytest.raises(ReplicaProblem, match="newer version") as caught:
            await act
        assert "Upgrade" in caught.value.next_step
    assert not path.with_name("copy.db.damaged").exists()


async def test_a_full_disk_is_told_in_a_sentence(path: Path) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.executemany(PUT, [(f"{n}" * 100,) for n in range(1000)])

    with pytest.raises(ReplicaProblem) as caught:
        await Store(path).write(work)
    assert caught.value.code == "REPLICA_DISK_FULL"
    assert await Store(path).read(ids) == []


async def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReplicaProblem) as caught:
        await Store(tmp_path / "file" / "replica" / "copy.db").write(ids)
    assert caught.value.code == "REPLICA_NOT_WRITABLE"


async def test_the_meanings_name_the_columns_there_are(path: Path) -> None:
    def columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
        return {
            name: [found[0] for found in connection.execute(f"SELECT * FROM {name}").description]  # noqa: S608 - our names
            for name in schema.VIEWS
        }

    store = Store(path)
    await store.write(lambda connection: None)
    there = await store.read(columns)
    assert {name: sorted(view.columns) for name, view in schema.VIEWS.items()} == {
        name: sorted(found) for name, found in there.items()
    }
