"""Files of reviews that somebody downloads: each made once for a state of the copy, and kept with its manifest."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pingone_mcp.errors import NotFound
from pingone_mcp.private_files import PrivateFolder
from pingone_mcp.reports.export import FileFormat, Manifest
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.service.files.exports import explained
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.tasks import in_thread

KEPT = 12
"""Files of one connection, each with its manifest; older ones make way."""
WAITED_SECONDS = 20.0
"""How long somebody waits for a file before a page says how far it is."""
MANIFEST = ".manifest.json"
_FOLDER = "reviews"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*-\d{8}-\d{6}-[0-9a-f]{6}\.(csv|xlsx|html)")
_KNOWN = 500  # of all connections

WriteFile = Callable[[FileFormat, Callable[[Iterable[bytes]], None], JobProgress], Awaitable[Manifest]]
"""Writes a file in a format: it is given what takes the content, in a worker thread, and returns the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWanted:
    """A file that somebody wants: what its name begins with (a to z, digits, dashes), of what, and what writes it."""

    stem: str
    question: Hashable
    write: WriteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A file that was made: by its name it is opened, and so is its manifest."""

    name: str
    manifest: Manifest


class OpenFile(NamedTuple):
    """A file that is read from now on, and how many bytes it has."""

    file: BinaryIO
    bytes: int


@dataclass(frozen=True, slots=True)
class _Known:
    edition: str
    path: Path
    made: MadeFile


class ReviewFiles:
    """The files of the connections of a process, by what they are of."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()

    async def make(
        self, served: ServedConnection, wanted: FileWanted, format_: FileFormat, edition: str, *, asker: str
    ) -> MadeFile | JobProgress:
        """Return a file of this edition of the copy, made where it is not there; or how far it is.

        Who was said how far it is gets that file, also where the copy is another one by now (`Looks.of`). Raises what
        writes it raises, and NotWritten.
        """
        backend = await served.backend()
        key = (served.id, wanted.question, format_)
        known = await in_thread(self._find, key, edition, pool="disk")
        if known is not None:
            served.looks.shown(("file", *key), asker)
            return known.made
        folder = _folder(backend)

        async def work(progress: JobProgress) -> MadeFile:
            name = f"{wanted.stem}-{backend.replica.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}.{format_}"
            manifest = await wanted.write(format_, lambda content: _write(folder, name, content), progress)
            made = MadeFile(name=name, manifest=manifest)
            await in_thread(_describe, folder, made, pool="disk")
            self._known[key] = _Known(edition, folder.path / name, made)
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
            return made

        found = await served.looks.of(("file", *key), edition, work, asker=asker, seconds=WAITED_SECONDS, keep=False)
        return found if isinstance(found, JobProgress) else found.outcome

    async def made(
        self, served: ServedConnection, question: Hashable, formats: Iterable[FileFormat], edition: str
    ) -> list[MadeFile]:
        """Return the files that were made of something in this edition of the copy, and are still there."""
        keys = [(served.id, question, format_) for format_ in formats]
        found = await in_thread(lambda: [self._find(key, edition) for key in keys], pool="disk")
        return [known.made for known in found if known is not None]

    def _find(self, key: Hashable, edition: str) -> _Known | None:
        known = self._known.get(key)
        if known is None or known.edition != edition or not known.path.is_file():
            return None
        return known


async def open_file(backend: Backend, name: str) -> OpenFile:
    """Return a file, or the manifest of one, that was made for this connection. Raises NotFound."""
    return await in_thread(_opened, _folder(backend), name, pool="disk")


def _folder(backend: Backend) -> PrivateFolder:
    exports = backend.exports.folder
    return PrivateFolder(exports.root, f"{exports.below}/{_FOLDER}")


def _opened(folder: PrivateFolder, name: str) -> OpenFile:
    gone = NotFound(
        "There is no such file any more.", f"The last {KEPT} are kept; make it again on its page.", code="NOT_FOUND"
    )
    if not _NAME.fullmatch(name.removesuffix(MANIFEST)):
        raise gone
    try:
        file = folder.open(name)
    except OSError:
        raise gone from None
    return OpenFile(file, os.fstat(file.fileno()).st_size)


def _write(folder: PrivateFolder, name: str, content: Iterable[bytes]) -> None:
    with explained("file"):
        folder.write(name, content)
        _make_room(folder)


def _describe(folder: PrivateFolder, made: MadeFile) -> None:
    """Put the manifest beside a file, as the command `review` does."""
    text = json.dumps(made.manifest.to_json(), ensure_ascii=False, indent=1)
    _write(folder, f"{made.name}{MANIFEST}", [f"{text}\n".encode()])


def _make_room(folder: PrivateFolder) -> None:
    found: list[tuple[int, Path]] = []
    for path in folder.path.iterdir():
        if _NAME.fullmatch(path.name):
            with suppress(OSError):  # another one that makes room took it away just now
                found.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(found)[:-KEPT]:
        for old in (path, path.with_name(f"{path.name}{MANIFEST}")):
            with suppress(OSError):
                old.unlink()
