"""Where the rosters of a connection lie that were pushed or pulled: files in its folder, each whole or not there.

`<name>.csv` or `<name>.json`. Where a sudden end has left both, the former is the roster: each was a whole list of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import anyio

from pingone_mcp.advice import setting
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.private_files import NotPrivate, PrivateFolder, open_private, refuse_odd_file, write_whole
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from pingone_mcp.reports.rosters.files import RosterKind

LONGEST_NAME = 64
FOLDER = "rosters"
"""What the folder is called, in that of the connection."""
RULES = "roles.toml"
"""What the rules for roles are called that were put for the connection, in the same folder as this one."""
_NAME = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
_KINDS: Mapping[str, RosterKind] = MappingProxyType({".csv": "csv", ".json": "json"})  # the first one counts
_LOCK = ".lock"
_LOCK_SECONDS = 10


class FilesFailed(Problem):
    """A file in the folder of a connection could not be written, read or removed."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"The files of the connection cannot be used: {error.strerror}.",
            f"The person who runs this server sees that {setting('state_dir')} may be written to, and has room.",
            code="FILES_FAILED",
        )


class StoredList(NamedTuple):
    """A file of a list: its kind, its bytes, and its time in nanoseconds: another list has another one of these."""

    kind: RosterKind
    size: int
    time: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """The lists of one connection. Methods block; those that change something are for whoever has its turn."""

    folder: PrivateFolder

    def names(self) -> tuple[str, ...]:
        """Return the names of the lists that there are."""
        return tuple(sorted({path.stem for path in self._found() if path.suffix in _KINDS and is_name(path.stem)}))

    def look(self, name: str) -> StoredList | None:
        """Say which list lies there, without reading it."""
        for ending, kind in _KINDS.items():
            with suppress(OSError):
                found = self._path(name, ending).lstat()
                refuse_odd_file(name, found)
                return StoredList(kind, found.st_size, found.st_mtime_ns)
        return None

    def read(self, name: str) -> tuple[RosterKind, bytes] | None:
        """Return a list; None where there is none. Raises FilesFailed for one that is not of this user alone."""
        try:
            self.folder.check()
            for ending, kind in _KINDS.items():
                with suppress(FileNotFoundError), open_private(self._path(name, ending)) as file:
                    return kind, file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FilesFailed(error) from None
        return None

    def put(self, name: str, kind: RosterKind, content: bytes) -> StoredList:
        """Put a list in the place of that which there was. Raises OSError: then that one is still there."""
        self._sweep()
        written = next(ending for ending, one in _KINDS.items() if one == kind)
        write_whole(self._path(name, written), [content])
        for ending in _KINDS.keys() - {written}:
            self._path(name, ending).unlink(missing_ok=True)
        found = self._path(name, written).lstat()
        return StoredList(kind, found.st_size, found.st_mtime_ns)

    def remove(self, name: str) -> bool:
        """Remove a list; say whether there was one. Raises OSError."""
        was_there = False
        for ending in _KINDS:
            with suppress(FileNotFoundError):
                self._path(name, ending).unlink()
                was_there = True
        return was_there

    def lock(self) -> BaseFileLock:
        """Return the lock of who changes something, taken; the folder is there then. Raises Problem."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - start-up: who only reads takes none

        try:
            self.folder.make()
            lock = FileLock(self.folder.path / _LOCK, timeout=_LOCK_SECONDS, mode=0o600, thread_local=False)
            lock.acquire()
        except Timeout:
            raise Problem(
                "Another process is changing the rosters of this connection.", "Try again.", code="ROSTERS_BUSY"
            ) from None
        except OSError as error:
            raise FilesFailed(error) from None
        return lock

    def _sweep(self) -> None:
        """Remove what a process has begun to write that came to a sudden end."""
        for path in self._found():
            if path.name.startswith(".") and path.name != _LOCK:
                path.unlink(missing_ok=True)

    def _found(self) -> list[Path]:
        try:
            return list(self.folder.path.iterdir())
        except OSError:
            return []

    def _path(self, name: str, ending: str) -> Path:
        return self.folder.path / f"{name}{ending}"


class Shelves:
    """The shelves of all connections of a process. `folder_of` names the folder of a connection."""

    def __init__(self, folder_of: Callable[[str], PrivateFolder]) -> None:
        self.folder_of = folder_of
        self._turns: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    def of(self, connection: str) -> Shelf:
        return shelf_in(self.folder_of(connection))

    @asynccontextmanager
    async def turn(self, connection: str) -> AsyncIterator[Shelf]:
        """Give a shelf to one who changes it, and to no other meanwhile; not cancelled before the end. Raises Problem.

        Who waits does so here first, and holds no thread that the one before needs.
        """
        shelf = self.of(connection)
        async with self._turns[connection]:
            with anyio.CancelScope(shield=True):
                lock = await in_thread(shelf.lock, pool="disk")
                try:
                    yield shelf
                except NotPrivate as error:
                    raise FilesFailed(error) from None
                finally:
                    await in_thread(lock.release, pool="disk")


def shelf_in(folder: PrivateFolder) -> Shelf:
    """Return the shelf in the folder of a connection."""
    return Shelf(PrivateFolder(folder.root, f"{folder.below}/{FOLDER}"))


def is_name(text: str) -> bool:
    """Say whether a text may be the name of a roster."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> None:
    """Raise Refused for what is no name of a roster."""
    if not is_name(text):
        raise Refused(
            f"The name of a roster is 1 to {LONGEST_NAME} letters (a to z), digits, dots, dashes and underscores; the "
            "first is no dot.",
            "Choose another name.",
            code="BAD_ROSTER_NAME",
        )
