"""Files that the person who runs this server has named: read whole, up to a bound, and never waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pingone_mcp.errors import Refused


def read_whole(path: Path, most: int, *, what: str) -> bytes:
    """Return the bytes of a file; blocks. Raises OSError, and Refused for one of more than `most` bytes.

    Anything but a file, which may have no end or nobody at the other side, is an OSError too.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        content = file.read(most + 1)
    if len(content) > most:
        raise Refused(
            f"{what} is larger than {most // 1024 // 1024} MiB.", "Keep what is needed of it.", code="TOO_LARGE"
        )
    return content
