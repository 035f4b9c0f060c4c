"""The file of the local copy: opened, made private, migrated; one writer at a time, and readers that never wait.

SQLite's write-ahead log lets readers see the state before a transaction until it has ended, whoever writes and however
long. All work happens in worker threads, writes in one at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import anyio

from pingone_mcp.errors import Problem, Refused
from pingone_mcp.pingone.sqlite_files import SIDE_FILES, is_damage, primary_code
from pingone_mcp.private_files import ANOTHER_CACHE, NotPrivate, PrivateFolder, make_file
from pingone_mcp.replica import schema
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:  # which a process that runs queries does without
    from pingone_mcp.settings import Connection

FOLDER = "replica"
# How long a writer waits for another one's transaction, and a reader for a log that is being recovered.
_WAIT_SECONDS = 10.0
_logger = logging.getLogger(__name__)
_T = TypeVar("_T")


class NoReplica(Refused):
    """There is no local copy yet, or none that can be read."""


class ReplicaProblem(Problem):
    """The local copy cannot be read or written: no room, no right, busy, damaged."""


def replica_path(connection: Connection) -> Path:
    """Return where the local copy of what a connection serves lies."""
    served = sorted(connection.environments) if connection.environments is not None else None
    parts = [
        connection.region,
        connection.api_base,
        connection.environment_id,
        connection.client_id,
        served,
        sorted(connection.populations),
    ]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return connection.cache_dir / FOLDER / f"{key}.db"


class Store:
    """The local copy in one file. Nothing is touched before the first read or write.

    Raises a Problem for what SQLite and the disk refuse, and NoReplica where there is nothing to read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = PrivateFolder(path.parent.parent, path.parent.name)
        self._turn = anyio.CapacityLimiter(1)

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes of a read-only connection, in a worker thread."""
        return await in_thread(self._read, work, pool="copy")

    async def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes in one transaction, in a worker thread; nothing of it stays when it raises."""
        return await in_thread(self._write, work, pool=self._turn)

    def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self.reader() as connection:
            return work(connection)

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self.writer() as connection, transaction(connection):
            return work(connection)

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Give a read-only connection for one use in one thread; it sees one state within a transaction."""
        with told():
            if not self.path.is_file():
                raise no_replica()
            self._check_files()
            with closing(_connect(self.path, mode="ro")) as connection:
                connection.execute("PRAGMA query_only = ON")
                version = _version(connection)
                if version > schema.VERSION:
                    raise _newer()
                if version < schema.VERSION:  # a sync is just making it, or will bring it to this version
                    raise no_replica()
                yield connection

    @contextmanager
    def writer(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that may write, in one thread, the file made and migrated where it must be."""
        with told():
            connection = self._open()
            try:
                yield connection
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    connection.close()
                    self._set_aside()
                raise
            finally:
                connection.close()

    def check(self) -> None:
        """Read every page of the file, and set it aside if it is damaged; for before a sync that fills it anew."""
        with told():
            if not self.path.is_file():
                return
            self._check_files()
            try:
                with closing(_connect(self.path, mode="rw")) as connection:
                    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                verdict = "damaged"
            if verdict != "ok":
                self._set_aside()

    def _check_files(self) -> None:
        """See that what will be opened by its path is ours."""
        self.folder.check()
        self.folder.claim_files()

    def _open(self) -> sqlite3.Connection:
        make_file(self.path)
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._set_aside()
            make_file(self.path)
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = _connect(self.path, mode="rw")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        _logger.warning("The local copy is damaged; it is set aside and will be made anew: %s", self.path.name)
        for suffix in SIDE_FILES:
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{self.path}.damaged{suffix}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do everything or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=_WAIT_SECONDS,
        check_same_thread=False,  # a worker thread may hand it to the next one, never two at a time
    )


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrate(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty file, or bring those of an older version to this one, in one transaction."""
    if _version(connection) == schema.VERSION:
        return
    with transaction(connection):
        version = _version(connection)  # another process may have been faster
        if version > schema.VERSION:
            raise _newer()
        if version == 0:
            _run(connection, schema.TABLES)
        for older in range(max(version, 1), schema.VERSION):
            _run(connection, schema.MIGRATIONS[older])
        if version < schema.VERSION:
            _remake_views(connection)
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")


def _remake_views(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall():
        connection.execute(f'DROP VIEW "{name}"')
    _run(connection, schema.VIEW_STATEMENTS)


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run statements inside the transaction that is open (`executescript` would end it)."""
    for statement in script.split(";"):
        connection.execute(statement)


@contextmanager
def told() -> Iterator[None]:
    """Raise a Problem for what SQLite or the disk refuses."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        problem = _problem(error)
        if problem is None:  # a mistake of ours: a traceback says more than a sentence
            raise
        raise problem from error
    except NotPrivate as error:
        raise ReplicaProblem(
            f"The local copy is not touched: {error.strerror}.",
            ANOTHER_CACHE,
            code="REPLICA_NOT_PRIVATE",
        ) from error
    except OSError as error:
        raise _not_writable() from error


def _problem(error: sqlite3.DatabaseError) -> ReplicaProblem | None:
    code = primary_code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ReplicaProblem(
            "The local copy is in use by another process.", "Wait a moment, then try again.", code="REPLICA_BUSY"
        )
    if code == sqlite3.SQLITE_FULL:
        return ReplicaProblem(
            "The disk is full, so the local copy was not changed.",
            "Make room on the disk of PINGONE_CACHE_DIR.",
            code="REPLICA_DISK_FULL",
        )
    if is_damage(error):
        return ReplicaProblem(
            "The local copy is damaged.",
            "Run a full sync: what is damaged is set aside and the copy is made anew.",
            code="REPLICA_DAMAGED",
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return _not_writable()
    return None


def _not_writable() -> ReplicaProblem:
    return ReplicaProblem(
        "The local copy cannot be opened, read or written.",
        "See that PINGONE_CACHE_DIR may be read and written to, and that its disk has room.",
        code="REPLICA_NOT_WRITABLE",
    )


def no_replica() -> NoReplica:
    return NoReplica(
        "There is no local copy of this directory yet.",
        "Call sync_directory (or run `pingone-mcp sync`) and ask again when it has ended.",
        code="NO_REPLICA",
    )


def _newer() -> ReplicaProblem:
    return ReplicaProblem(
        "The local copy was made by a newer version of pingone-mcp.",
        "Upgrade pingone-mcp, or remove the folder `replica` in PINGONE_CACHE_DIR and sync again.",
        code="REPLICA_NEWER",
    )
