"""Files that an answer is too small for: written into a folder of ours, named by us, and read back in pieces."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import BinaryIO

from pingone_mcp.advice import setting
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import NotFound, Problem, Refused
from pingone_mcp.private_files import ANOTHER_CACHE, NotPrivate, PrivateFolder
from pingone_mcp.reports.export import Format

KEPT = 20
MOST_LINES = 1_000
_MOST_ROWS = 10**9
_NAME = re.compile(r"[a-z-]+-\d{8}-\d{6}-[0-9a-f]{6}\.(csv|jsonl)")


class NotWritten(Problem):
    """An export could not be written."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say in a sentence why a file of ours, called `what`, could not be written. Raises NotWritten."""
    try:
        yield
    except NotPrivate as error:
        raise NotWritten(
            f"The {what} is not written: {error.strerror}.", ANOTHER_CACHE, code="EXPORT_NOT_WRITTEN"
        ) from None
    except OSError as error:
        raise NotWritten(
            f"The {what} cannot be written: {error.strerror}.",
            f"See that {setting('cache_dir')} may be written to, and that its disk has room.",
            code="EXPORT_NOT_WRITTEN",
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """The newest exports, in `folder`; older ones make way."""

    folder: PrivateFolder

    def name(self, subject: str, format_: Format, now: datetime) -> str:
        return f"{subject}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}.{format_}"

    def write(self, name: str, chunks: Iterable[str]) -> None:
        """Write a file that nobody else may read. Raises NotWritten."""
        with explained("export"):
            self.folder.write(name, (chunk.encode() for chunk in chunks))
            self._make_room()

    def describe(self, name: str, manifest: JsonObject) -> None:
        """Put the manifest of a file beside it."""
        self.write(f"{name}.manifest.json", [json.dumps(manifest, ensure_ascii=False, indent=1)])

    def read(self, name: str, *, offset: int, limit: int, characters: int) -> str:
        """Return whole lines of an export, at least one where there is one, "" behind its end. Raises NotFound."""
        found: list[str] = []
        with io.TextIOWrapper(self._open(name), encoding="utf-8", newline="") as file:
            for line in islice(file, min(offset, _MOST_ROWS), min(offset, _MOST_ROWS) + limit):
                characters -= len(line)
                if found and characters < 0:
                    break
                found.append(line)
        return "".join(found)

    def rows(self, name: str, at: int, *, limit: int, characters: int) -> tuple[list[JsonObject], int | None]:
        """Return rows of an export from a byte of it on (0: the first row), and where the next one begins.

        Rows are objects without what is absent, whatever the format. At least one where there is one; None: that was
        all. Raises NotFound.
        """
        found: list[JsonObject] = []
        with self._open(name) as file:
            read: Callable[[bytes], JsonObject] = json.loads
            if name.endswith(".csv"):
                columns = _cells(file.readline())

                def read(line: bytes) -> JsonObject:
                    return dict(zip(columns, _cells(line), strict=False))

            file.seek(max(at, file.tell()))
            while line := file.readline():
                row = {column: value for column, value in read(line).items() if value not in ("", None, [])}
                characters -= len(json.dumps(row, ensure_ascii=False, separators=(",", ":"))) + 1
                if found and (characters < 0 or len(found) == limit):
                    return found, file.tell() - len(line)
                found.append(row)
        return found, None

    def _open(self, name: str) -> BinaryIO:
        gone = NotFound(
            "There is no such export any more.", f"The last {KEPT} are kept; make it again.", code="NOT_FOUND"
        )
        if not _NAME.fullmatch(name):
            raise gone
        try:
            return self.folder.open(name)
        except NotPrivate as error:
            raise Refused(f"The export is not read: {error.strerror}.", ANOTHER_CACHE, code="EXPORT_NOT_READ") from None
        except OSError:
            raise gone from None

    def _make_room(self) -> None:
        found = sorted(path for path in self.folder.path.iterdir() if _NAME.fullmatch(path.name))
        for path in found[:-KEPT]:  # their names begin with the time
            for old in (path, path.with_name(f"{path.name}.manifest.json")):
                with suppress(OSError):
                    old.unlink()


def _cells(line: bytes) -> list[str]:
    """Return the cells of a line of CSV; no cell of ours holds a line break."""
    return next(csv.reader([line.decode()]), [])
