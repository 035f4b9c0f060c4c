"""What a sync has read so far is kept, or the sync learns that it is not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pingone_mcp.clock import Clock
from pingone_mcp.directory.models import StatusSource, User
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.replica.store import schema
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


async def test_what_is_put_is_kept_as_numbers_texts_and_nothing(tmp_path: Path) -> None:
    """A flag is 0 or 1, and what the provider does not say is NULL: by that rows are compared and asked for."""
    user = User(id="ann", status="active", status_source=StatusSource(enabled=True), is_2fa_enabled=False)
    put = row_of(user, "here")
    staging = Staging(tmp_path / "copy.staged", Clock())
    await staging.open("a test")
    await staging.put_users([put])
    query = f"SELECT {', '.join(schema.USER_COLUMNS)} FROM users_"  # noqa: S608 - our names
    kept = UserRow._make(await staging.do(lambda database: database.execute(query).fetchone()))
    await staging.close()
    assert kept == put
    assert list(map(type, kept)) == [int if isinstance(value, bool) else type(value) for value in put]
    assert (kept.enabled, kept.is_2fa_enabled, kept.is_email_verified) == (1, 0, None)


async def test_who_was_put_down_is_known_by_environment(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "copy.staged", Clock())
    await staging.open("a test")
    users = [User(id=name, status="active", status_source=StatusSource(enabled=True)) for name in ("ann", "ben")]
    await staging.put_users([row_of(user, place) for user, place in zip(users, ("here", "there"), strict=True)])
    assert await staging.staged("here", ["ann", "ben", "cleo"]) == {"ann"}
    assert await staging.staged("here", []) == set()
    await staging.close()
