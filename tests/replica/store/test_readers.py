"""Connections that read are kept open between uses, and never one whose file is another by now."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pingone_mcp.replica.store.readers import Readers, looks_of
from pingone_mcp.replica.store.store import Store


@pytest.fixture
def readers() -> Iterator[Readers]:
    with closing(Readers(most=2)) as made:
        yield made


@pytest.fixture
async def store(tmp_path: Path, readers: Readers) -> Store:
    made = Store(tmp_path / "cache" / "copies" / "a.db", readers)
    await _put(made, "a")
    return made


async def _put(store: Store, value: str) -> None:
    await store.write(
        lambda connection: connection.execute("REPLACE INTO facts_ VALUES ('test', ?)", (value,)).rowcount
    )


def _value(connection: sqlite3.Connection) -> str:
    (value,) = connection.execute("SELECT value FROM facts_ WHERE name = 'test'").fetchone()
    return str(value)


async def test_the_next_use_gets_the_same_connection(store: Store) -> None:
    assert await store.read(id) == await store.read(id)


async def test_two_at_once_have_one_each(store: Store) -> None:
    with store.reader() as one, store.reader() as another:
        assert one is not another


async def test_what_was_written_since_is_seen(store: Store) -> None:
    assert await store.read(_value) == "a"
    with store.writer() as connection:
        assert await store.read(_value) == "a"
        connection.execute("REPLACE INTO facts_ VALUES ('test', 'b')")
        assert await store.read(_value) == "b"
    assert await store.read(_value) == "b"


async def test_a_file_that_was_replaced_is_opened_anew(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other" / "copies" / "a.db")
    await _put(other, "other")
    assert await store.read(_value) == "a"
    shutil.copy(other.path, tmp_path / "new.db")
    (tmp_path / "new.db").replace(store.path)
    assert await store.read(_value) == "other"


async def test_a_log_that_was_replaced_is_opened_anew(store: Store) -> None:
    held: list[sqlite3.Connection] = []
    await store.read(held.append)
    log = Path(f"{store.path}-wal")
    shutil.copy(log, f"{log}.new")
    Path(f"{log}.new").replace(log)
    await store.read(held.append)
    assert [_is_closed(connection) for connection in held] == [True, False]


async def test_one_that_something_failed_in_is_not_kept(store: Store) -> None:
    held: list[sqlite3.Connection] = []

    def failing(connection: sqlite3.Connection) -> None:
        held.append(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.read(failing)
    assert _is_closed(held[0])


async def test_one_whose_transaction_is_open_is_not_kept(store: Store) -> None:
    held: list[sqlite3.Connection] = []

    def begins(connection: sqlite3.Connection) -> None:
        held.append(connection)
        connection.execute("BEGIN")

    await store.read(begins)
    assert _is_closed(held[0])


async def test_who_was_used_longest_ago_is_closed_first(tmp_path: Path, readers: Readers) -> None:
    stores = [Store(tmp_path / f"{number}" / "copies" / "a.db", readers) for number in range(3)]
    held: list[sqlite3.Connection] = []
    for one in stores:
        await _put(one, "a")
        await one.read(held.append)
    assert [_is_closed(connection) for connection in held] == [True, False, False]


async def test_a_writer_leaves_no_log_behind(store: Store) -> None:
    """Kept readers would be the last to close it, and who only reads cannot take the log into the file."""
    with store.writer() as connection:
        await store.read(_value)
        connection.execute("REPLACE INTO facts_ VALUES ('test', 'b')")
    assert not Path(f"{store.path}-wal").exists()
    assert not Path(f"{store.path}-shm").exists()


async def test_closing_ends_those_of_one_file_or_all(tmp_path: Path, readers: Readers) -> None:
    held: list[sqlite3.Connection] = []
    stores = [Store(tmp_path / f"{number}" / "copies" / "a.db", readers) for number in range(2)]
    for one in stores:
        await _put(one, "a")
        await one.read(held.append)
    readers.close(stores[0].path)
    assert [_is_closed(connection) for connection in held] == [True, False]
    readers.close()
    assert _is_closed(held[1])


def test_the_looks_of_a_file_are_another_after_it_was_touched(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    file.write_bytes(b"one")
    before = looks_of(file)
    file.write_bytes(b"three")
    assert looks_of(file) != before


def _is_closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False
