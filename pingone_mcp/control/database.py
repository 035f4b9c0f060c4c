"""The database of control data: opened, brought to today's form, and given out one transaction at a time.

A use case is one transaction: it is done in full or not at all, whenever the process ends. A transaction inside another
of the same task joins it, so that a larger use case is made of smaller ones.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from filelock import FileLock, Timeout
from pydantic import SecretStr
from sqlalchemy import URL, Connection, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pingone_mcp.advice import setting
from pingone_mcp.control.tables import EDITION
from pingone_mcp.errors import Problem, Unconfigured
from pingone_mcp.extras import load_extra
from pingone_mcp.private_files import NotPrivate, make_file
from pingone_mcp.sqlite_files import is_damage
from pingone_mcp.tasks import in_thread

_logger = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).with_name("migrations")
_POOL = 5
_BUSY_SECONDS = 10.0
_LOCK_SECONDS = 60
_WRITES = "pingone_mcp_writes"
_LOCK = 0x70696E67_6F6E65  # of PostgreSQL's advisory locks, one for this program
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


class ControlUnavailable(Problem):
    """Control data could not be read or written just now: a full disk, a database that does not answer."""

    def __init__(self) -> None:
        super().__init__(
            "The control data cannot be read or written just now.",
            "Try again in a moment; the log of the process says what is wrong.",
            code="CONTROL_UNAVAILABLE",
        )


class _Transaction(NamedTuple):
    connection: AsyncConnection
    writes: bool
    kept: list[Callable[[], None]]


class Database:
    """An open database of control data. Made by `open_database`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        event.listen(engine.sync_engine, "before_cursor_execute", _storable, retval=True)
        self._places = anyio.CapacityLimiter(_POOL)
        # SQLite has one writer: who stands in line here need not ask it again and again.
        self._writers = anyio.CapacityLimiter(1 if engine.dialect.name == "sqlite" else _POOL)
        self._open: dict[int, _Transaction] = {}
        self._scrubs = False

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction that is kept when the block ends well, and leaves nothing otherwise.

        Inside, wait for nothing but the database: others stand in line, and the caller is not cancelled before the end.
        Raises ControlUnavailable.
        """
        if (outer := self._open.get(_task())) is not None:
            if not outer.writes:
                raise RuntimeError("a transaction that reads was begun in this task: begin one that writes instead")
            async with outer.connection.begin_nested():
                yield outer.connection
            return
        async with self._writers:
            async with self._transaction(writes=True) as connection:
                yield connection
            if self._scrubs:
                self._scrubs = False
                await self._truncate_log()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give one view of the data for several questions; what is open in this task already, if anything is."""
        if (outer := self._open.get(_task())) is not None:
            yield outer.connection
            return
        async with self._transaction(writes=False) as connection:
            yield connection

    def once_kept(self, act: Callable[[], None]) -> None:
        """Call `act` when the transaction of this task, which writes, has been kept; never where it is not."""
        self._open[_task()].kept.append(act)

    def scrub(self) -> None:
        """Let nothing that this transaction removes outlive in SQLite's log, once the transaction is kept."""
        self._scrubs = self.is_sqlite

    async def _truncate_log(self) -> None:
        """Write the log into the file and empty it, unless somebody reads for so long that it must wait."""
        async with self._places:
            with anyio.CancelScope(shield=True), suppress(ControlUnavailable), _explained():
                async with self._engine.connect() as connection:
                    opened: Any = (await connection.get_raw_connection()).driver_connection
                    async with opened.execute("PRAGMA wal_checkpoint(TRUNCATE)"):
                        pass

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        task = _task()
        async with self._places:
            with anyio.CancelScope(shield=True), _explained():
                async with self._engine.connect() as plain:
                    connection = await plain.execution_options(**{_WRITES: writes})
                    kept: list[Callable[[], None]] = []
                    async with connection.begin():
                        self._open[task] = _Transaction(connection, writes, kept)
                        try:
                            yield connection
                        finally:
                            del self._open[task]
                    for act in kept:
                        act()


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[Database]:
    """Open the file of control data, made where it is missing, and bring it to today's form.

    Two processes that do so at once wait for each other. Raises Unconfigured.
    """
    try:
        make_file(path)
    except NotPrivate as error:
        raise Unconfigured(
            f"The control data are not safe: {error.strerror}.",
            f"Remove that, or name another folder with {setting('state_dir')}.",
            code="NOT_PRIVATE",
        ) from None
    except OSError as error:
        raise Unconfigured(
            f"The control data in {path} cannot be opened: {error.strerror}.",
            f"Name a folder that can be written to with {setting('state_dir')}.",
        ) from None
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        hide_parameters=True,
        pool_size=_POOL,
        max_overflow=0,
        # Python begins no transaction by itself; _begin does.
        connect_args={"isolation_level": None, "timeout": _BUSY_SECONDS},
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    # Two that turn a new file to a log of changes at once do not wait for each other: SQLite refuses the second.
    async with _opened(engine, f"in {path}", _one_at_a_time(path.with_name("control.lock"))) as database:
        yield database


@asynccontextmanager
async def open_postgres(url: SecretStr) -> AsyncIterator[Database]:
    """Open control data in a database of PostgreSQL, and bring them to today's form. Raises Unconfigured."""
    parsed = _postgres_url(url)
    load_extra("psycopg", "postgres")
    engine = create_async_engine(
        parsed,
        hide_parameters=True,
        pool_size=_POOL,
        max_overflow=0,
        pool_pre_ping=True,  # the server may have been restarted
        connect_args={
            "connect_timeout": 10,
            "tcp_user_timeout": 30_000,
            "application_name": "pingone-mcp",
            "prepare_threshold": None,  # PgBouncer gives each transaction another session
        },
    )
    async with _opened(engine, "in PostgreSQL", nullcontext()) as database:
        yield database


@asynccontextmanager
async def _opened(engine: AsyncEngine, where: str, turn: AbstractAsyncContextManager[None]) -> AsyncIterator[Database]:
    try:
        database = Database(engine)
        try:
            async with turn, database.write() as connection:
                if not database.is_sqlite:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                await connection.run_sync(_bring_up_to_date)
        except ControlUnavailable as failure:
            raise _cannot_open(where, failure.__cause__) from None
        yield database
    finally:
        with anyio.CancelScope(shield=True):
            await engine.dispose()


@asynccontextmanager
async def _one_at_a_time(path: Path) -> AsyncIterator[None]:
    lock = FileLock(path, timeout=_LOCK_SECONDS, mode=0o600, thread_local=False)
    try:
        await in_thread(lock.acquire, pool="disk")
    except Timeout:
        raise Unconfigured(
            f"Another process has been opening the control data for {_LOCK_SECONDS} seconds: it holds {path}.",
            "Wait for it, or end it.",
            code="CONTROL_DATA_BUSY",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _bring_up_to_date(connection: Connection) -> None:
    """Apply what is missing, inside the transaction that is open: it also keeps others from doing the same."""
    found = _edition(connection)
    if found == EDITION:
        return
    from alembic.config import Config  # noqa: PLC0415 - start-up: only needed where something is to be applied
    from alembic.operations import Operations  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise Unconfigured(
            "The control data were written by a newer edition of pingone-mcp than this one.",
            "Install that edition or a newer one here, or restore the backup that was made before it was installed.",
            code="NEWER_CONTROL_DATA",
        )
    # The public way to these steps is a script of its own, env.py, which a program that knows its connection needs not.
    steps = scripts._upgrade_revs  # noqa: SLF001
    work = MigrationContext.configure(connection, opts={"fn": lambda current, _: steps(EDITION, current)})
    with Operations.context(work):
        work.run_migrations()
    _logger.info("The control data are now of edition %s (before: %s).", EDITION, found or "none")


def _edition(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _prepare_sqlite(opened: Any, _: object) -> None:
    cursor = opened.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin as a writer what will write: one that reads first, and writes then, can be refused by another one."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _storable(
    _: Connection,
    __: object,
    statement: str,
    parameters: Any,
    ___: object,
    ____: bool,  # noqa: FBT001 - SQLAlchemy's signature
) -> tuple[str, Any]:
    """Put another character in the place of what no text of a database holds: whoever asks for that finds nothing."""
    return statement, _cleaned(parameters)


def _cleaned(value: Any) -> Any:
    match value:
        case str() if "\0" in value or not (value.isascii() or _is_encodable(value)):
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {name: _cleaned(one) for name, one in value.items()}
        case list() | tuple():
            return type(value)(_cleaned(one) for one in value)
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _postgres_url(url: SecretStr) -> URL:
    try:
        parsed = make_url(url.get_secret_value())
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in _POSTGRES:
        raise Unconfigured(
            f"{setting('database_url')} is no address of a PostgreSQL database.",
            "Write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE; without it, SQLite in the state folder is used.",
            wrong=("database_url",),
        )
    return parsed.set(drivername="postgresql+psycopg")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what a driver raises into ControlUnavailable, but for conflicts, which a use case knows what to do with."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        original = getattr(error, "orig", error)
        _logger.error("Control data: %s: %s", type(original).__name__, original)  # noqa: TRY400 - says no parameters
        raise ControlUnavailable from error


def _cannot_open(where: str, cause: BaseException | None) -> Unconfigured:
    original = getattr(cause, "orig", cause)
    if isinstance(original, sqlite3.DatabaseError) and is_damage(original):
        return Unconfigured(
            f"The control data {where} are damaged, or are none.",
            "Put a backup of the file in its place, without the files -wal and -shm beside it.",
            code="DAMAGED_CONTROL_DATA",
        )
    reason = str(original).strip().partition("\n")[0]
    return Unconfigured(
        f"The control data {where} cannot be opened: {reason}.",
        f"Look whether the database answers, and whether {setting('database_url')} is right."
        if where == "in PostgreSQL"
        else "Look whether the disk is full, or another process has been writing for long.",
        code="CONTROL_UNAVAILABLE",
    )


def _task() -> int:
    return anyio.get_current_task().id
