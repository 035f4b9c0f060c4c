"""Folders and files that are for this user only: made so, kept so, and refused where somebody else has a hand in them.

What a person names (a cache folder, which may be /tmp; a file to write) is used as it is. What we make in it is ours:
a folder of mode 0700 that belongs to this user and is no link, and in it files of mode 0600 with one name each. Such a
folder cannot be prepared, changed or looked into by anybody else, so what opens a file in it by its path (SQLite) opens
ours. Nothing of somebody else's is changed, and no link is followed.

On Windows the access list of the profile does all that. This runs before anything else is loaded (`first_answers`), so
it imports nothing that takes long.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pingone_mcp.advice import setting

ANOTHER_CACHE = f"Remove that, or name another folder with {setting('cache_dir')}."
"""What to do about what is not private in the cache folder."""
# Bytes. A thread that reads or writes a little very often gives the interpreter away and takes it back each time,
# before another one is awake; so nobody else has a turn for as long as it goes on.
_BUFFER = 1024 * 1024
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


class NotPrivate(PermissionError):
    """Somebody else could have a hand in a folder or file of ours; `strerror` says in which, and how."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EPERM, what)


class PrivateFolder(NamedTuple):
    """A folder of ours: `below` (one or more names, with / between them) in `root`, which a person has named.

    All methods raise NotPrivate, or another OSError where the disk does not let us.
    """

    root: Path
    below: str

    @property
    def path(self) -> Path:
        return self.root / self.below

    def make(self) -> None:
        """Make the folder where it is missing, and take from others what they may do there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self._folders():
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            _claim_folder(folder)

    def check(self) -> None:
        """Do the same with a folder that is there already. Raises FileNotFoundError."""
        for folder in self._folders():
            _claim_folder(folder)

    def claim_files(self) -> None:
        """See that each file in the folder is ours too: for files that will be opened by their paths."""
        if sys.platform == "win32":
            return
        for path in self.path.iterdir():
            with suppress(FileNotFoundError):  # another process closed its database just now
                found = path.lstat()
                _refuse_others(path, found)
                if not stat.S_ISDIR(found.st_mode):
                    refuse_odd_file(path, found)
                    _close_to_others(path, found, path.chmod)

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading that `write` has written. Raises FileNotFoundError."""
        self.check()
        return open_private(self.path / name)

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Write a file, whole or not at all."""
        self.make()
        write_whole(self.path / name, content)

    def _folders(self) -> Iterator[Path]:
        """Yield the folders that are ours, the outermost first."""
        folder = self.root
        for name in Path(self.below).parts:
            folder /= name
            yield folder


def open_private(path: Path) -> BinaryIO:
    """Open a file for reading that is of this user alone. Raises OSError, and NotPrivate for any other, or a link."""
    # Without waiting, so that a pipe in the file's place is an error and nobody hangs.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        opened = os.fdopen(os.open(path, flags), "rb", _BUFFER)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotPrivate(f"{path} is a link") from None
        raise
    try:
        _refuse_open_file(path, os.fstat(opened.fileno()))
    except BaseException:
        opened.close()
        raise
    return opened


def this_user() -> str:
    """Name the user who runs this program: as the system does, before the environment; by number where none has it."""
    try:
        import pwd  # noqa: PLC0415 - only where there is such a thing
    except ImportError:
        import getpass  # noqa: PLC0415 - what else there is

        return getpass.getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in containers
        return f"uid {os.getuid()}"


def read_named(path: Path, most: int) -> bytes:
    """Return the whole of a file that a person has named. Raises OSError, also for what is no file or larger."""
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
    return content


def is_open_to_others(path: Path) -> bool:
    """Say whether others may read or change a file, by its mode."""
    return sys.platform != "win32" and bool(path.stat().st_mode & _OTHERS)


def write_whole(path: Path, content: Iterable[bytes]) -> None:
    """Write a file that nobody else may read, whole or not at all; a link in its place makes way. Raises OSError."""
    with whole_file(path) as file:
        file.writelines(content)


@contextmanager
def whole_file(path: Path, *, name: Callable[[], Path] | None = None) -> Iterator[BinaryIO]:
    """Give a file to write that nobody else may read, which takes its place at `path` when the block ends well.

    `name` is asked then for another place. Raises OSError.
    """
    fresh = path.with_name(f".{path.name}.{os.urandom(3).hex()}")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(fresh, flags, 0o600), "w+b", _BUFFER) as file:
            yield file
        fresh.replace(path if name is None else name())
    finally:
        fresh.unlink(missing_ok=True)


def is_no_file(path: Path) -> bool:
    """Say whether a path that a person has named is, or leads to, something else: a device, a pipe, a folder.

    Whoever names it wants it to be written to, and not to be replaced; in folders of ours a file takes its place.
    """
    return path.exists() and not path.is_file()


def make_file(path: Path) -> None:
    """Make an empty file in a folder of ours, unless there is one, for what opens it by its path. Raises OSError.

    SQLite gives its -wal and -shm files the mode of the database (sqlite3 os_unix.c, findCreateFileMode), so that none
    of them is readable by others for a moment.
    """
    folder = PrivateFolder(path.parent.parent, path.parent.name)
    folder.make()
    folder.claim_files()
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def refuse_odd_file(path: Path | str, found: os.stat_result) -> None:
    """Raise NotPrivate for what is no file of this user, or has a second name somewhere; `path` says what it is."""
    _refuse_others(path, found)
    if stat.S_ISLNK(found.st_mode):
        raise NotPrivate(f"{path} is a link")
    if not stat.S_ISREG(found.st_mode):
        raise NotPrivate(f"{path} is no file")
    if sys.platform != "win32" and found.st_nlink > 1:
        raise NotPrivate(f"{path} has a second name")


def _refuse_open_file(path: Path, found: os.stat_result) -> None:
    refuse_odd_file(path, found)
    if sys.platform != "win32" and found.st_mode & _OTHERS:
        raise NotPrivate(f"{path} is open to others")


def _claim_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and folder.is_symlink():
            raise NotPrivate(f"{folder} is a link") from None
        raise
    try:
        found = os.fstat(descriptor)
        _refuse_others(folder, found)
        _close_to_others(folder, found, lambda mode: os.fchmod(descriptor, mode))
    finally:
        os.close(descriptor)


def _refuse_others(path: Path | str, found: os.stat_result) -> None:
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        raise NotPrivate(f"{path} belongs to somebody else")


def _close_to_others(path: Path, found: os.stat_result, change: Callable[[int], None]) -> None:
    """Take from others what they may do; on a read-only disk it is enough that they may not write."""
    if not found.st_mode & _OTHERS:
        return
    try:
        change(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except OSError:
        if found.st_mode & _OTHERS_WRITE:
            raise NotPrivate(f"{path} is open to others") from None
