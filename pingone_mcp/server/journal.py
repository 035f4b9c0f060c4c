"""The local record of writes: one line of JSON per event, appended and never changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Refused


class Journal:
    """Append events to a file that only its owner reads (0600 in a folder of 0700)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: JsonObject) -> None:
        """Append one event and see it on disk. Raises Refused when it cannot: a write without a record is not sent."""
        line = json.dumps(event, ensure_ascii=True, separators=(",", ":")) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Refused(
                f"The audit file {self._path} cannot be written ({error.strerror}), so nothing was sent.",
                "Make it writable, or name another one with PINGONE_AUDIT_FILE.",
                code="NO_AUDIT",
            ) from None
