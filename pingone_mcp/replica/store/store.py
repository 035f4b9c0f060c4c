"""The file of the local copy: opened, made private, migrated; one writer at a time, and readers that never wait.

SQLite's write-ahead log lets readers see the state before a transaction until it has ended, however long it takes. All
work happens in worker threads, writes in one at a time.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TypeVar
from urllib.parse import quote

import anyio
from anyio.from_thread import check_cancelled

from pingone_mcp.advice import setting
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.private_files import ANOTHER_CACHE, NotPrivate, PrivateFolder, make_file
from pingone_mcp.replica.store import schema, shape
from pingone_mcp.replica.store.letters import teach
from pingone_mcp.replica.store.readers import Readers, looks_of
from pingone_mcp.sqlite_files import SIDE_FILES, is_damage, primary_code, remove_database
from pingone_mcp.tasks import in_thread

FOLDER = "replica"
# How long a writer waits for another one's transaction, and a reader for a log that is being recovered.
_WAIT_SECONDS = 10.0
_CACHE_KIBIBYTES = 2 * 1024  # of a writer; it bounds what is sorted in memory for an index, too
STEPS = 10_000
"""After so many steps of SQLite's machine, of which a row takes tens, a reader looks whether somebody still waits."""
_logger = logging.getLogger(__name__)
_T = TypeVar("_T")


class ReplicaProblem(Problem):
    """The local copy cannot be read or written: no room, no right, busy, damaged."""


def copy_path(cache: Path, key: str) -> Path:
    """Return where a local copy lies in a cache folder; `key` names what is served of which directory."""
    return cache / FOLDER / f"{key}.db"


class Damaged(ReplicaProblem):
    """The local copy holds what no sync has written: its pages, its schema, or what the syncs have noted."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The local copy is damaged: {why}.",
            "Run `pingone-mcp sync --full` (or call sync_directory): it is set aside, and the copy is made anew.",
            code="REPLICA_DAMAGED",
        )
        self.why = why


class Store:
    """The local copy in one file. Nothing is touched before the first read or write.

    `readers` keeps what it was read with; its owner closes them. Raises a Problem for what SQLite and the disk refuse,
    and NoReplica where there is nothing to read.
    """

    def __init__(self, path: Path, readers: Readers | None = None) -> None:
        self.path = path
        self._readers = readers or Readers(most=0)
        self.folder = PrivateFolder(path.parent.parent, path.parent.name)
        self._turn = anyio.CapacityLimiter(1)
        self._known_shape: tuple[int, ...] = ()

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes of a read-only connection, in a worker thread.

        A caller who is cancelled, or whose task is, ends what SQLite does there within some thousand of its steps.
        """
        left = Event()
        try:
            return await in_thread(self._read, work, left, pool="copy")
        finally:
            left.set()

    async def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes in one transaction, in a worker thread; nothing of it stays when it raises."""
        return await in_thread(self._write, work, pool=self._turn)

    async def written(self) -> Hashable:
        """Return what is another value once anybody has written to the copy; to find out costs next to nothing."""
        return await in_thread(self._written, pool="disk")

    def _written(self) -> tuple[tuple[int, int], ...]:
        return tuple(_size_and_time(Path(f"{self.path}{end}")) for end in ("", "-wal"))

    def _read(self, work: Callable[[sqlite3.Connection], _T], left: Event) -> _T:
        def is_unwanted() -> bool:
            check_cancelled()  # to raise ends the statement, too
            return left.is_set()

        with self.reader() as connection:
            connection.set_progress_handler(is_unwanted, STEPS)
            try:
                return work(connection)
            except sqlite3.OperationalError as error:
                if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
                    check_cancelled()
                raise

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self.writer() as connection, transaction(connection):
            return work(connection)

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Give a read-only connection for one use in one thread; it sees one state within a transaction.

        Raises NoReplica where there is no copy yet, and ReplicaProblem for one that cannot be read.
        """
        with as_problems():
            if not self.path.is_file():
                raise no_replica()
            self._check_files()
            with self._readable() as connection:
                connection.execute("PRAGMA query_only = ON")
                version = _version(connection)
                if version > schema.VERSION:
                    raise _newer()
                if version < schema.VERSION:  # a sync is just making it, or will bring it to this version
                    raise no_replica()
                self._check_shape_once(connection)
                yield connection

    def _check_shape_once(self, connection: sqlite3.Connection) -> None:
        """See that the schema is ours, unless this file has been seen with it: SQLite counts its changes."""
        (changes,) = connection.execute("PRAGMA schema_version").fetchone()
        file = self.path.stat()
        seen = (file.st_dev, file.st_ino, changes)
        if seen != self._known_shape:
            _check_shape(connection)
            self._known_shape = seen

    @contextmanager
    def _readable(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to the file and its log; where SQLite may not write beside it, to the file without a log.

        Raises a Problem where there is a log that cannot be read so, and where somebody else wrote meanwhile.
        """
        before = looks_of(self.path)
        connection = self._readers.take(self.path, before) or _connect(self.path, mode="ro")
        with ExitStack() as until_kept:
            until_kept.enter_context(closing(connection))
            if _opens(connection):
                looks = looks_of(self.path)
                yield connection
                if looks[:2] == before[:2] and not connection.in_transaction:
                    until_kept.pop_all()
                    connection.set_progress_handler(None, 0)
                    self._readers.put(self.path, looks, connection)
                return
        # SQLite, "Read-Only Databases" in "Write-Ahead Logging": nothing is locked now, so nothing may change.
        on_disk = self._on_disk()
        if on_disk[-1]:
            raise _log_unreadable()
        with closing(_connect(self.path, mode="ro", more="&immutable=1")) as connection:
            try:
                yield connection
            finally:
                if self._on_disk() != on_disk:
                    raise _busy()

    def _on_disk(self) -> tuple[int, ...]:
        """Return what changes when somebody writes; the size of the log comes last."""
        file, log = self.path.stat(), Path(f"{self.path}-wal")
        return file.st_ino, file.st_size, file.st_mtime_ns, log.stat().st_size if log.exists() else 0

    @contextmanager
    def writer(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that may write, in one thread, the file made and migrated where it must be.

        Raises Damaged with the file set aside and an empty one in its place: the caller begins anew.
        """
        try:
            with as_problems(), closing(self._opened()) as connection:
                try:
                    yield connection
                finally:  # who writes and closes last takes the log into the file; who only reads cannot
                    self._readers.close(self.path)
        except Damaged as damage:
            self._make_anew(damage.why)
            raise

    def check(self) -> None:
        """Read every page of the file; for before a sync that fills it anew. Raises Damaged, as a writer does."""
        with self.writer() as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise Damaged("its pages contradict each other")

    def _check_files(self) -> None:
        """See that what will be opened by its path is ours."""
        self.folder.check()
        self.folder.claim_files()

    def _opened(self) -> sqlite3.Connection:
        make_file(self.path)
        connection = _connect(self.path, mode="rw")
        try:
            connection.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")  # of a new file
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection)
            _check_shape(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_anew(self, why: str) -> None:
        """Set the file aside, and note in a new one why that was done."""
        _logger.warning("The local copy is damaged (%s); it is set aside, to be made anew: %s", why, self.path.name)
        with as_problems():
            self._readers.close(self.path)
            remove_database(Path(f"{self.path}.damaged"))
            for suffix in SIDE_FILES:
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").replace(f"{self.path}.damaged{suffix}")
            with closing(self._opened()) as connection:
                connection.execute("INSERT INTO facts_ VALUES ('damaged', ?)", (json.dumps(why),))


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


def _connect(path: Path, *, mode: str, more: str = "") -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}{more}",
        uri=True,
        isolation_level=None,
        timeout=_WAIT_SECONDS,
        check_same_thread=False,  # a worker thread may hand it to the next one, never two at a time
    )
    teach(connection)
    return connection


def _opens(connection: sqlite3.Connection) -> bool:
    """Say whether a file can be read together with its log, which SQLite must be able to share with writers."""
    try:
        _version(connection)
    except sqlite3.OperationalError as error:
        if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        return False
    return True


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        file = path.stat()
    except OSError:  # not there, for one
        return (0, 0)
    return (file.st_size, file.st_mtime_ns)


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
        try:
            _bring_up(connection, version)
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_ERROR:
                raise
            raise Damaged(f"it is not what version {version} makes") from error


def _bring_up(connection: sqlite3.Connection, version: int) -> None:
    if version == schema.VERSION:
        return
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall():
        connection.execute(f'DROP VIEW "{name}"')
    if version == 0:
        shape.make(connection)
    else:
        for older in range(max(version, 1), schema.VERSION):
            shape.run(connection, schema.MIGRATIONS[older])
        shape.run(connection, schema.VIEW_STATEMENTS)
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")


def _check_shape(connection: sqlite3.Connection) -> None:
    different = shape.difference(connection)
    if different is not None:
        raise Damaged(different)


@contextmanager
def as_problems() -> Iterator[None]:
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
    except json.JSONDecodeError as error:
        raise Damaged("what should be JSON in it is none") from error
    except OSError as error:
        raise _not_writable(error.strerror) from error


def _problem(error: sqlite3.DatabaseError) -> ReplicaProblem | None:
    code = primary_code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _busy()
    if code == sqlite3.SQLITE_FULL:
        return ReplicaProblem(
            "The disk is full, so the local copy was not changed.",
            f"Make room on the disk of {setting('cache_dir')}.",
            code="REPLICA_DISK_FULL",
        )
    if is_damage(error):
        return Damaged("it is no database, or not a whole one")
    if code == sqlite3.SQLITE_CONSTRAINT:  # rows that fit when a sync wrote them
        return Damaged("its tables contradict each other")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return _not_writable(str(error))
    return None


def _not_writable(why: str | None) -> ReplicaProblem:
    return ReplicaProblem(
        f"The local copy cannot be opened, read or written{f' ({why})' if why else ''}.",
        f"See that {setting('cache_dir')} may be read and written to, and that its disk has room. A copy that may only be "
        "read still answers; only a sync has to write.",
        code="REPLICA_NOT_WRITABLE",
    )


def _log_unreadable() -> ReplicaProblem:
    return ReplicaProblem(
        "The local copy cannot be read: what was written last is still in its log (-wal), which takes a folder that may "
        "be written to.",
        f"Let {setting('cache_dir')} be written to, or name a copy of that folder that may.",
        code="REPLICA_LOG_UNREADABLE",
    )


def _busy() -> ReplicaProblem:
    return ReplicaProblem(
        "The local copy is in use by another process.", "Wait a moment, then try again.", code="REPLICA_BUSY"
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
        f"Upgrade pingone-mcp, or remove the folder `replica` in {setting('cache_dir')} and sync again.",
        code="REPLICA_NEWER",
    )
