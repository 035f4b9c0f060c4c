"""The local record of writes: one line of JSON per event, appended and never changed.

Several connections may write to one file: each line names its own.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from pingone_mcp.advice import setting
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Refused
from pingone_mcp.private_files import refuse_odd_file


class Journal:
    """Append the events of one connection to a file that only its owner reads.

    The file has the mode 0600; a folder that is made for it has 0700.
    """

    def __init__(self, path: Path, *, connection: str) -> None:
        self._path = path
        self._connection = connection

    def write(self, event: JsonObject) -> None:
        """Append one event, with the id of the connection as `connection`, and see it on disk.

        Raises Refused when it cannot: a write without a record is not sent.
        """
        line = json.dumps({**event, "connection": self._connection}, ensure_ascii=True, separators=(",", ":")) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Non-blocking, so that a pipe in the file's place is an error and not a server that hangs.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(self._path, flags, 0o600)
            try:
                refuse_odd_file("it", os.fstat(descriptor))
                _append(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Refused(
                f"The audit file {self._path} cannot be written ({error.strerror or error}), so nothing was sent.",
                f"Make it writable, or name another one with {setting('audit_file')}.",
                code="NO_AUDIT",
            ) from None


def _append(descriptor: int, line: bytes) -> None:
    about = os.fstat(descriptor)
    if hasattr(os, "fchmod") and stat.S_IMODE(about.st_mode) != 0o600:
        os.fchmod(descriptor, 0o600)
    if about.st_size and os.pread(descriptor, 1, about.st_size - 1) != b"\n":
        line = b"\n" + line  # behind a line that was cut short by a full disk
    while line:
        line = line[os.write(descriptor, line) :]
    os.fsync(descriptor)
