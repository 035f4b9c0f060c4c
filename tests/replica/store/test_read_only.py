"""A copy where nothing may be written: it answers all the same, and a sync says why it cannot write."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pingone_mcp.replica.store.store import ReplicaProblem
from pingone_mcp.sandbox.app import Sandbox
from tests.replica.truth import Copy, truth
from tests.world import NOW, World, error_text, facts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="access lists instead of modes")

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may enter, unlike that of pytest."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    for path in (made, *made.rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(made)


@pytest.fixture
async def kept(folder: Path) -> Copy:
    kept = Copy(World(sandbox=Sandbox(20, now=NOW, customers=3), cache=folder / "cache"))
    await kept.sync()
    async with kept.world.client() as client:  # loads what is loaded late: nobody may read where Python lies
        await client.call_tool("find_deactivated", {})
        await client.call_tool("describe_directory", {})
        await client.call_tool("sync_directory", {"mode": "incremental"})
    return kept


@contextmanager
def read_only(kept: Copy, *, files: int = 0o400, folders: int = 0o500) -> Iterator[None]:
    """Take away the right to write, from root too: as somebody else to whom all of it belongs."""
    cache, is_root = kept.world.cache, os.geteuid() == 0
    for path in (*cache.rglob("*"), cache):
        if is_root:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(folders if path.is_dir() else files)
    if is_root:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
            os.setegid(0)
            for path in (*cache.rglob("*"), cache):
                os.chown(path, 0, 0)


@pytest.mark.parametrize(("files", "folders"), [(0o400, 0o500), (0o600, 0o500), (0o400, 0o700)])
async def test_a_copy_that_may_only_be_read_is_read(kept: Copy, files: int, folders: int) -> None:
    kept.world.time.passed += 40
    async with kept.world.client() as client:  # begins to serve as somebody who may read the checkout
        with read_only(kept, files=files, folders=folders):
            assert await kept.state() == truth(kept.sandbox)
            found = facts(await client.call_tool("find_deactivated", {}))
            assert (found["source"]["kind"], found["source"]["age_seconds"]) == ("replica", 40)
            assert facts(await client.call_tool("describe_directory", {}))["replica"]["users"] == 20
    assert not list(kept.path.parent.glob("*.damaged")), "that it cannot be written to is no damage"


@pytest.mark.parametrize("mode", ["auto", "full"])
async def test_a_sync_says_why_it_cannot_write(kept: Copy, mode: str) -> None:
    async with kept.world.client() as client:
        with read_only(kept):
            said = error_text(await client.call_tool("sync_directory", {"mode": mode}))
            assert "cannot be opened, read or written (Permission denied)" in said
            assert "PINGONE_CACHE_DIR" in said
            with pytest.raises(ReplicaProblem) as caught:
                await kept.store.write(lambda connection: connection.execute("DELETE FROM facts_").rowcount)
            assert caught.value.code == "REPLICA_NOT_WRITABLE"
    assert await kept.state() == truth(kept.sandbox)


async def test_a_log_that_is_left_is_read_where_sqlite_can_or_said_to_be_there(kept: Copy) -> None:
    """A process that was killed leaves its log behind, and with it what was written last."""
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as writer:
        writer.execute("UPDATE environments_ SET name = 'in the log'")
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{kept.path}{suffix}", f"{kept.path}.killed{suffix}")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{kept.path}.killed{suffix}").replace(f"{kept.path}{suffix}")
    name = "SELECT name FROM environments"
    with read_only(kept):
        assert await kept.rows(name) == [("in the log",)]
    Path(f"{kept.path}-shm").unlink()
    with read_only(kept):
        with pytest.raises(ReplicaProblem, match="in its log") as caught:
            await kept.rows(name)
        assert caught.value.code == "REPLICA_LOG_UNREADABLE"


async def test_what_somebody_else_writes_meanwhile_is_not_answered_from(kept: Copy) -> None:
    def work(connection: sqlite3.Connection) -> int:
        kept.path.touch()  # as a checkpoint does, of somebody who may write
        return 1

    with read_only(kept, files=0o600), pytest.raises(ReplicaProblem) as caught:
        await kept.store.read(work)
    assert caught.value.code == "REPLICA_BUSY"
