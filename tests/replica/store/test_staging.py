"""What a sync has read so far is kept, or the sync learns that it is not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pingone_mcp.clock import Clock
from pingone_mcp.replica.store.staging import Staging


async def test_what_was_lost_with_a_transaction_is_not_taken_for_kept(tmp_path: Path) -> None:
    """Users and members are put side by side: where one of them fails, the others must not note what is gone."""
    staging = Staging(tmp_path / "copy.staged", Clock())
    await staging.open("a test")
    await staging.put_members("group", "direct", ["user"])

    def fail(database: sqlite3.Connection) -> None:
        database.execute("SELECT * FROM no_such_table")

    with pytest.raises(sqlite3.OperationalError):
        await staging.do(fail)
    with pytest.raises(sqlite3.OperationalError):
        await staging.put_members("group", "direct", ["another"])
    with pytest.raises(sqlite3.OperationalError):
        await staging.keep()
    await staging.close()
