"""Access tokens on disk: encrypted, private to this user, shared by all processes of this machine.

A cache that cannot be used (read-only, full, damaged, somebody else's) is a cache that holds nothing: it costs a
token request and never a failure. Who can mint a token holds the client secret, so the key that seals the tokens is
derived from it and needs no home of its own. Connections may share a database: each has a row of its own, whose name
is sealed with the token, so that no row can stand in for another.

diskcache unpickles what it finds in its database (CVE-2025-69872, not fixed in 5.6.3; `JSONDisk` does it as well),
hence `_strict_disk`. The imports inside functions keep the start of the server fast: none of them is needed before
the first request, and then they happen in a worker thread.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from pydantic import SecretStr

from pingone_mcp.advice import spelled
from pingone_mcp.private_files import ANOTHER_CACHE, NotPrivate, make_file
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from filelock import BaseFileLock

DATABASE = "cache.db"  # diskcache's name for it
POLL_SECONDS = 0.05
# Shorter than an answer may take, so that a process that stands still with the lock fails nobody. A token too many does
# no harm.
PATIENCE = 3.0
_NONCE_BYTES = 12  # NIST SP 800-38D §8.2.2
_logger = logging.getLogger(__name__)
# By the real path of the folder. Closing any descriptor of a file drops every POSIX lock that this process holds on it,
# SQLite's too (sqlite.org/howtocorrupt.html §2.2): so at one database the threads of a process take turns, whichever
# connections they work for, and databases in different folders have nothing to do with each other.
_TURNS: dict[str, threading.Lock] = {}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the wall-clock second from which on it is no longer used."""

    value: str = field(repr=False)
    renew_at: float


class TokenCache:
    """The cached token of one connection: one row in a database that other connections use too.

    `row` names it, and its lock file; the token is sealed with a key that is derived from `secret`.
    """

    # `disk_seconds` is far beyond what a healthy disk needs, imports included; diskcache would wait 60 s for a lock.
    def __init__(self, folder: Path, row: str, secret: SecretStr, *, disk_seconds: float = 10.0) -> None:
        self.folder = folder.absolute()
        self._key = row
        self._secret = secret
        self._disk_seconds = disk_seconds
        self._off = False
        self._in_vain = False

    async def read(self, now: float) -> Token | None:
        """Return the token if there is one that may still be used at `now` (wall-clock seconds)."""
        token = await self._on_disk(self._read)
        return token if token is not None and now < token.renew_at else None

    async def write(self, token: Token, now: float) -> None:
        """Keep `token` until its time is up."""
        await self._on_disk(lambda: self._write(token, token.renew_at - now))

    async def delete(self) -> None:
        """Forget the token."""
        await self._on_disk(self._delete)

    @asynccontextmanager
    async def alone(
        self, *, sleep: Callable[[float], Awaitable[None]], patience: float = PATIENCE
    ) -> AsyncIterator[None]:
        """Let one process at a time through, by a lock that the operating system drops when its holder dies.

        Goes on without the lock after `patience` seconds, at once where the last wait was in vain and the lock has not
        been free since, and where there can be none (a read-only folder).
        """
        turn = _Turn(self.folder / f"{self._key}.lock")
        left = 0.0 if self._in_vain else patience
        try:
            while (taken := bool(await self._on_disk(turn.is_taken_by_another))) and left > 0:
                await sleep(POLL_SECONDS)
                left -= POLL_SECONDS
            self._in_vain = taken
            yield
        finally:
            turn.over()
            with anyio.move_on_after(self._disk_seconds, shield=True):
                await in_thread(turn.end, pool="disk", abandon=True)

    async def _on_disk(self, work: Callable[[], _T]) -> _T | None:
        """Run `work` in a worker thread; None if the disk cannot be used."""
        if self._off:
            return None
        with anyio.move_on_after(self._disk_seconds):
            return await in_thread(self._try, work, pool="disk", abandon=True)
        self._turn_off("it takes too long")
        return None

    def _try(self, work: Callable[[], _T]) -> _T | None:
        with _turn_at(self.folder):
            try:
                make_file(self.folder / DATABASE)
                try:
                    return work()
                except Exception as error:
                    if not _is_damage(error):
                        raise
                    _remove_database(self.folder)
                    return work()
            # Settings and rows of a damaged or edited database make diskcache raise nearly anything (TypeError,
            # KeyError, sqlite3.Error …), and whatever it is, a token can still be fetched.
            except Exception as error:  # noqa: BLE001
                reason = error.strerror if isinstance(error, OSError) else None
                advice = f". {spelled(ANOTHER_CACHE)}" if isinstance(error, NotPrivate) else ""
                self._turn_off(f"{reason or type(error).__name__}{advice}")
                return None

    def _turn_off(self, reason: str) -> None:
        if not self._off:
            self._off = True
            _logger.warning("Tokens are kept in memory only; the cache in %s cannot be used: %s", self.folder, reason)

    def _read(self) -> Token | None:
        with _database(self.folder) as database:
            sealed = database.get(self._key)
        return None if sealed is None else self._unseal(sealed)

    def _write(self, token: Token, lifetime: float) -> None:
        sealed = self._seal(token)
        with _database(self.folder) as database:
            # `expire` only lets diskcache sweep old rows; what counts is `renew_at`, inside the seal.
            database.set(self._key, sealed, expire=lifetime)

    def _delete(self) -> None:
        with _database(self.folder) as database:
            database.delete(self._key)

    def _seal(self, token: Token) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        clear = json.dumps({"access_token": token.value, "renew_at": token.renew_at}).encode()
        return nonce + self._cipher().encrypt(nonce, clear, self._key.encode())

    def _unseal(self, sealed: bytes) -> Token | None:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - start-up time, see above

        try:
            clear = self._cipher().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._key.encode())
            entry: object = json.loads(clear)
        except (InvalidTag, ValueError):
            return None
        match entry:
            case {"access_token": str(value), "renew_at": int() | float() as renew_at}:
                return Token(value, renew_at)
            case _:
                return None

    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - start-up time, see above
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

        secret = self._secret.get_secret_value().encode()
        return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"pingone-mcp token cache 1").derive(secret))


class _Turn:
    """A file lock that is taken and given back by worker threads, in whichever order they happen to run.

    A task that is cancelled may end its turn before the thread that is to take the lock has begun.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._ended = False
        self._lock: BaseFileLock | None = None

    def is_taken_by_another(self) -> bool:
        """Take the lock; say whether another holder prevented it. Where no lock is possible, nobody holds it."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - start-up time, see above

        with self._mutex:
            if self._ended:
                return False
            # thread_local=False: another worker thread gives it back.
            lock = FileLock(self._path, timeout=0, mode=0o600, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                return True
            except (OSError, NotImplementedError):
                return False
            self._lock = lock
            return False

    def over(self) -> None:
        """Let a thread that has not begun take nothing any more."""
        self._ended = True

    def end(self) -> None:
        """Give the lock back; one that a thread is just taking on a slow disk is given back behind it."""
        with self._mutex:
            if self._lock is not None:
                with suppress(OSError):
                    self._lock.release(force=True)


def _turn_at(folder: Path) -> threading.Lock:
    """Return the lock under which the threads of this process use the database in a folder."""
    return _TURNS.setdefault(os.path.realpath(folder), threading.Lock())  # one step: two threads never get two locks


@contextmanager
def _database(folder: Path) -> Iterator[Any]:
    """Open the database in `folder` for one use. diskcache has no types, hence Any."""
    if os.path.expandvars(folder) != str(folder):
        raise OSError(errno.EINVAL, "diskcache would expand the variables in its name")
    database = _strict_cache()(
        str(folder),
        timeout=1,
        disk=_strict_disk(),
        # A cut-off database that is mapped into memory ends the process with SIGBUS.
        sqlite_mmap_size=0,
    )
    with closing(database):
        yield database


@cache
def _strict_cache() -> Any:
    import diskcache  # noqa: PLC0415 - start-up time, see above

    class StrictCache(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
        """Close the connection also when opening fails half-way."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            try:
                super().__init__(*args, **settings)
            except BaseException:
                self.close()
                raise

    return StrictCache


@cache
def _strict_disk() -> Any:
    import sqlite3  # noqa: PLC0415 - start-up time, see above

    import diskcache  # noqa: PLC0415

    class StrictDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
        """Rows of a str key and a binary value in the database itself; anything else is refused, never unpickled."""

        def put(self, key: object) -> tuple[str, bool]:
            if type(key) is not str:
                raise TypeError("keys are str")
            return key, True

        def get(self, key: object, raw: object) -> str:
            if not raw or type(key) is not str:
                raise ValueError("refused: the key is not a plain str")
            return key

        def store(self, value: object, read: object, key: object = None) -> tuple[int, int, None, memoryview]:
            if read or type(value) is not bytes:
                raise TypeError(f"the value of {key!r} is not bytes")
            return 0, diskcache.core.MODE_RAW, None, sqlite3.Binary(value)

        def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
            if mode != diskcache.core.MODE_RAW or filename is not None or read or type(value) is not bytes:
                raise ValueError("refused: not a raw binary row")
            return value

        def remove(self, file_path: object) -> None:
            """Remove nothing: no row of ours has a file, so the name in the row is not ours."""

    return StrictDisk


def _is_damage(error: Exception) -> bool:
    """Say whether a new database would help, as it would not on a full, read-only or busy disk."""
    import sqlite3  # noqa: PLC0415 - start-up time, see above

    import diskcache  # noqa: PLC0415

    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # absent when Python itself raises
        return code & 0xFF in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return not isinstance(error, (OSError, diskcache.Timeout))


def _remove_database(folder: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        (folder / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    make_file(folder / DATABASE)
