"""An access review as a file of ours, for who has no folder to write it to: made once, and gone through by a cursor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.directory.paging.listing import Gathered
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.reports.export import Format, Manifest
from pingone_mcp.service.answering import Listed, ListRequest, listed
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.exports import MOST_LINES
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:  # start-up: sqlite is loaded by the first question
    from pingone_mcp.replica.state import State

_EXPORT = "export"
_AROUND = 1_200  # counts, names, and the cursor, which carries the question; in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessExport:
    """A file that was made: its name, what is in it, and the cursor that goes through its rows."""

    name: str
    manifest: Manifest
    next_cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRows:
    """Rows of a file as one answer holds them, and the name of the file."""

    name: str
    listed: Listed


async def make_access_export(
    backend: Backend,
    question: AccessQuestion,
    format_: Format,
    wanted: ListRequest,
    *,
    seconds: float,
    progress: JobProgress | None = None,
) -> tuple[AccessExport, State]:
    """Write everybody who has access into a new file, and its manifest beside it.

    Raises what `export_access` raises, and NotWritten.
    """
    from pingone_mcp.service.reviews.access import export_access  # noqa: PLC0415 - start-up, as above

    name = backend.exports.name("access-review", format_, backend.replica.now())
    write = partial(backend.exports.write, name)
    manifest, state = await export_access(backend, question, format_, write, seconds=seconds, progress=progress)
    await in_thread(backend.exports.describe, name, manifest.to_json(), pool="disk")
    cursor = backend.cursors.seal(wanted.tool, {**wanted.question, _EXPORT: name}, Mark(position=_at(0)))
    return AccessExport(name=name, manifest=manifest, next_cursor=cursor), state


def exported_rows(backend: Backend, wanted: ListRequest) -> ExportedRows:
    """Return the rows of a file that a cursor leads to, as many as one answer holds. Raises NotFound."""
    name, at = str(wanted.question[_EXPORT]), _byte(wanted.mark.position)
    rows, following = backend.exports.rows(
        name, at, limit=MOST_LINES, characters=max(1, backend.answer_characters - _AROUND)
    )
    gathered = Gathered(
        rows=rows,
        next=Mark(position=_at(following)) if following is not None else None,
        stopped=None if following is None else "limit" if len(rows) == MOST_LINES else "size",
    )
    return ExportedRows(name=name, listed=listed(backend, wanted, gathered, lacks=lambda _: False))


def _at(byte: int) -> Position:
    return Position(after=str(byte))


def _byte(position: Position | None) -> int:
    return int(position.after or 0) if position is not None else 0
