"""What a sync has read so far, in a database beside the local copy; one transaction takes it over in the end.

It is written in few, large transactions: what was put stays once it is kept (`keep`), and only then the notes of a walk
speak of it. So a sync that is killed leaves what they speak of, and the next one goes on from there.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import anyio

from pingone_mcp.clock import Clock
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import as_unicode
from pingone_mcp.private_files import make_file
from pingone_mcp.replica.source import Pair
from pingone_mcp.replica.store import schema, shape
from pingone_mcp.replica.store.rows import Row, storable
from pingone_mcp.replica.store.store import as_problems, transaction
from pingone_mcp.sqlite_files import is_damage, remove_database
from pingone_mcp.tasks import in_thread

_BEGAN, _WALKED = " began", " walked"  # behind an environment: names of facts
_USERS = ", ".join(schema.USER_COLUMNS)
_PUT_USER = f"INSERT OR REPLACE INTO users_ ({_USERS}) VALUES ({', '.join('?' * len(schema.USER_COLUMNS))})"  # noqa: S608 - our names
# Before `sqlite3` binds what is no int, float or str, it looks for a way to adapt it: for None and bool, half of a
# user, in vain and in three places, which takes a quarter of all the time of a row (CPython, _sqlite/microprotocols.c).
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bool, int)
# `members` holds what was read of whole groups, `verified` of single users in them (type NULL: not a member).
_TABLES = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE users_ ({", ".join("id TEXT PRIMARY KEY" if name == "id" else name for name in schema.USER_COLUMNS)});
CREATE TABLE members (group_id TEXT, user_id TEXT, type TEXT, PRIMARY KEY (group_id, user_id)) WITHOUT ROWID;
CREATE TABLE verified (group_id TEXT, user_id TEXT, type TEXT, PRIMARY KEY (group_id, user_id)) WITHOUT ROWID;
"""
_PUTS, _SECONDS = 20, 1.0
"""After so many pages of users, or so long, it is time to keep them."""
_WAITING_ROWS = 800  # are written at once: meanwhile the next ones are read
_CACHE_KIBIBYTES = 8 * 1024
_T = TypeVar("_T")


class StagedReading(NamedTuple):
    """When the reading of an environment's users began, and whether a walk over them has come to its end."""

    at: datetime
    has_walked: bool


class Staging:
    """A database of what was read, for one thread at a time. Open it with `open`, close with `close`.

    Whoever reads the file itself sees what is kept.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._turn = anyio.CapacityLimiter(1)
        self._database: sqlite3.Connection | None = None
        self._failure: BaseException | None = None
        self._waiting: list[Row] = []
        self._puts, self._kept_at = 0, clock.monotonic()

    async def open(self, purpose: str) -> None:
        """Open what an earlier sync of the same purpose has left, else start anew."""
        await in_thread(self._open, purpose, pool=self._turn)

    async def do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes in a worker thread, in the transaction that the next `keep` ends."""
        return await in_thread(self._do, work, pool=self._turn)

    async def keep(self) -> None:
        """Keep what was put until now, so that a kill does not reach it."""
        self._puts, self._kept_at = 0, self._clock.monotonic()
        if self._failure is not None or self._waiting or self._opened.in_transaction:
            await in_thread(self._keep, pool=self._turn)

    @property
    def is_due(self) -> bool:
        """Say whether so much has been put since the last `keep`, or so long ago, that it is time for the next."""
        return self._puts >= _PUTS or self._clock.monotonic() - self._kept_at >= _SECONDS

    async def close(self) -> None:
        """Close the file and leave it where it is, with what is kept."""
        await in_thread(self._close, pool=self._turn)

    def _open(self, purpose: str) -> None:
        with as_problems():
            try:
                self._database = self._connected()
                if shape.schema_of(self._database) == _wanted() and self._purpose(self._database) == purpose:
                    return
            except (sqlite3.DatabaseError, ValueError) as error:
                if isinstance(error, sqlite3.DatabaseError) and not is_damage(error):
                    raise
            self._close()
            remove_database(self.path)
            self._database = database = self._connected()
            with transaction(database):
                shape.run(database, _TABLES)
                self._note(database, "purpose", value=purpose)

    def _connected(self) -> sqlite3.Connection:
        make_file(self.path)
        database = sqlite3.connect(self.path, isolation_level=None, timeout=0.0, check_same_thread=False)
        try:
            database.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
            database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            database.close()
            raise
        return database

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Work in the transaction. One that failed has lost what others had put: they fail too, and keep nothing."""
        if self._failure is not None:
            raise self._failure
        database = self._opened
        try:
            with as_problems():
                if not database.in_transaction:
                    database.execute("BEGIN IMMEDIATE")
                self._put_waiting(database)
                return work(database)
        except BaseException as failure:
            self._failure = failure
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise

    def _keep(self) -> None:
        self._do(lambda database: database.execute("COMMIT"))

    def _put_waiting(self, database: sqlite3.Connection) -> None:
        rows = self._waiting[:]
        del self._waiting[: len(rows)]  # others may have come behind them: they are put meanwhile
        try:
            database.executemany(_PUT_USER, rows)
        except UnicodeEncodeError:  # rare, so that the others need not be looked through
            database.executemany(_PUT_USER, (as_unicode(UserRow(*row)) for row in rows))

    def _close(self) -> None:
        database, self._database = self._database, None
        self._waiting = []
        if database is not None:
            database.close()

    # What is noted of the reading of users

    async def begun(self, environment: str) -> StagedReading | None:
        """Return when the users of an environment began to be read; None where nobody has begun."""

        def work(database: sqlite3.Connection) -> StagedReading | None:
            at = self._fact(database, f"{environment}{_BEGAN}")
            if at is None:
                return None
            return StagedReading(datetime.fromisoformat(at), bool(self._fact(database, f"{environment}{_WALKED}")))

        return await self.do(work)

    async def begin(self, environment: str, at: datetime) -> None:
        """Forget the users of an environment, who are read anew since a time."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM users_ WHERE environment_id = ?", (environment,))
            self._note(database, f"{environment}{_WALKED}", value=False)
            self._note(database, f"{environment}{_BEGAN}", value=timestamp(at))

        await self.do(work)
        await self.keep()

    async def note_walked(self, environment: str) -> None:
        """Note that a walk has come to its end, so that only who changes since is still to be read."""
        await self.do(lambda database: self._note(database, f"{environment}{_WALKED}", value=True))
        await self.keep()

    @staticmethod
    def _purpose(database: sqlite3.Connection) -> Any:
        """Return what was staged for. Raises ValueError where a fact is none that was noted here."""
        rows = database.execute("SELECT name, value FROM facts WHERE value IS NOT NULL")
        facts = {name: json.loads(value) for name, value in rows}
        for name, value in facts.items():
            if name.endswith(_BEGAN):
                datetime.fromisoformat(str(value))
        return facts.get("purpose")

    @staticmethod
    def _fact(database: sqlite3.Connection, name: str) -> Any:
        row = database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    @staticmethod
    def _note(database: sqlite3.Connection, name: str, *, value: str | bool) -> None:
        database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    # Users and members

    async def put_users(self, users: Sequence[UserRow]) -> None:
        """Put down users as they were read last."""
        self._waiting.extend(map(tuple, users))  # of a named tuple SQLite's module takes each value by a call
        self._puts += 1
        if len(self._waiting) >= _WAITING_ROWS:
            await self.do(lambda _: None)

    async def forget_users(self, environment: str) -> None:
        await self.do(lambda database: database.execute("DELETE FROM users_ WHERE environment_id = ?", (environment,)))

    async def drop_users(self, ids: Iterable[str]) -> None:
        """Take out users who turned out to be gone."""
        rows = [(identity,) for identity in ids]
        await self.do(lambda database: database.executemany("DELETE FROM users_ WHERE id = ?", rows))

    async def count_users(self, environment: str) -> int:
        query = "SELECT count(*) FROM users_ WHERE environment_id = ?"
        count: int = await self.do(lambda database: database.execute(query, (environment,)).fetchone()[0])
        return count

    async def staged(self, environment: str, ids: Iterable[str]) -> set[str]:
        """Return who of these users of an environment has been put down."""
        query, wanted = "SELECT 1 FROM users_ WHERE id = ? AND environment_id = ?", set(ids)

        def work(database: sqlite3.Connection) -> set[str]:
            return {user for user in wanted if database.execute(query, (user, environment)).fetchone() is not None}

        return await self.do(work) if wanted else set()

    async def user_ids(self, environment: str) -> set[str]:
        query = "SELECT id FROM users_ WHERE environment_id = ?"
        return await self.do(lambda database: {row[0] for row in database.execute(query, (environment,))})

    async def forget_members(self, group: str | None = None) -> None:
        """Forget the members of a group, or all that is known of memberships."""

        def work(database: sqlite3.Connection) -> None:
            if group is not None:
                database.execute("DELETE FROM members WHERE group_id = ?", (group,))
            else:
                database.execute("DELETE FROM members")
                database.execute("DELETE FROM verified")

        await self.do(work)

    async def put_members(self, group: str, kind: str, users: Iterable[str]) -> int:
        """Keep members of a group, and return how many of them were not there; who comes as direct first stays it."""
        rows = [(group, user, kind) for user in users]

        def work(database: sqlite3.Connection) -> int:
            before = database.total_changes
            _many(database, "INSERT OR IGNORE INTO members VALUES (?, ?, ?)", rows)
            return database.total_changes - before

        return await self.do(work)

    async def count_members(self, group: str) -> int:
        query = "SELECT count(*) FROM members WHERE group_id = ?"
        count: int = await self.do(lambda database: database.execute(query, (group,)).fetchone()[0])
        return count

    async def verified(self) -> list[Pair]:
        """Return the pairs that were verified."""
        query = "SELECT user_id, group_id FROM verified"
        return await self.do(lambda database: [Pair(*row) for row in database.execute(query)])

    async def put_verified(self, rows: Iterable[tuple[str, str, str | None]]) -> None:
        """Keep what was verified: (group, user, type or None)."""
        kept = list(rows)
        await self.do(lambda database: _many(database, "INSERT OR REPLACE INTO verified VALUES (?, ?, ?)", kept))


@functools.cache
def _wanted() -> shape.Schema:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        shape.run(empty, _TABLES)
        return shape.schema_of(empty)


def _many(database: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    try:
        database.executemany(statement, rows)
    except UnicodeEncodeError:  # rare, so that the others need not be looked through
        database.executemany(statement, [storable(row) for row in rows])


def leftovers(folder: Path, stem: str) -> list[Path]:
    """Return the files that syncs of a local copy have left beside it."""
    return [path for path in folder.glob(f"{stem}.*") if path.suffix in (".staged", ".ledger")]
