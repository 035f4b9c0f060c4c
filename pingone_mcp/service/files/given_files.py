"""Files that the person who runs this server has named: read whole, up to a bound, and never waited for."""

from __future__ import annotations

import errno
from pathlib import Path

from pingone_mcp.errors import Refused
from pingone_mcp.private_files import read_named


def read_whole(path: Path, most: int, *, what: str) -> bytes:
    """Return the bytes of a file; blocks. Raises OSError, and Refused for one of more than `most` bytes."""
    try:
        return read_named(path, most)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
    raise Refused(f"{what} is larger than {most // 1024 // 1024} MiB.", "Keep what is needed of it.", code="TOO_LARGE")
