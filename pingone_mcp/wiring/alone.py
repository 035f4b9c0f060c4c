"""The one process that serves out of a state folder: no second one begins, and others see that it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pingone_mcp.advice import setting
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Unconfigured
from pingone_mcp.private_files import PrivateFolder, this_user, write_whole

_FOLDER = "serving"
_LOCK = "lock"
_LOOK_SECONDS = 0.5  # who only looks holds it for less
_BUSY = "Another process serves out of the state folder {folder}: {holder}."


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process serve out of a state folder for as long as the block lasts. Raises Unconfigured."""
    place = PrivateFolder(folder, _FOLDER)
    try:
        place.make()
        lock = FileLock(place.path / _LOCK, mode=0o600)
        lock.acquire(timeout=_LOOK_SECONDS)
    except Timeout:
        raise Unconfigured(
            _BUSY.format(folder=folder, holder=_holder(place.path)),
            f"Stop that one, or name another folder with {setting('state_dir')}.",
            code="STATE_IN_USE",
        ) from None
    except OSError as error:
        raise Unconfigured(
            f"The state folder {folder} cannot be used: {error.strerror}.",
            f"Name one that can be written to with {setting('state_dir')}.",
        ) from None
    try:
        write_whole(place.path / "holder", [f"process {os.getpid()} of {this_user()}\n".encode()])
        yield
    finally:
        lock.release()


def is_served(folder: Path) -> bool:
    """Say whether a process serves out of a state folder; one on another machine is not seen."""
    path = PrivateFolder(folder, _FOLDER).path / _LOCK
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0, mode=0o600, is_singleton=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _holder(place: Path) -> str:
    """Say who serves out of a folder, as it has noted there; it may be about to."""
    try:
        noted = (place / "holder").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        noted = ""
    return harmless(noted) or "it does not say which"
