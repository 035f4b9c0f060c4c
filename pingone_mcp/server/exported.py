"""Exports as answers tell them: the resource, and for models whose hosts read none a cursor through the rows."""

from __future__ import annotations

from pingone_mcp.directory.cursor import Mark
from pingone_mcp.directory.listing import Gathered
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.answering import ListRequest, envelope
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.exports import MOST_LINES

_EXPORT = "export"
_AROUND = 1_200  # counts, names, and the cursor, which carries the question


def export_made(backend: Backend, wanted: ListRequest, name: str) -> JsonObject:
    """Return where an export is read: by its URI, and by calling the tool that made it with `next_cursor`."""
    question = {**wanted.question, _EXPORT: name}
    return {
        "resource": _uri(name),
        "next_cursor": backend.cursors.seal(wanted.tool, question, Mark(position="0")),
    }


def exported(backend: Backend, wanted: ListRequest) -> JsonObject:
    """Return the rows of an export that its cursor leads to, as many as one answer holds. Raises NotFound."""
    name, at = str(wanted.question[_EXPORT]), int(wanted.mark.position or 0)
    rows, following = backend.exports.rows(
        name, at, limit=MOST_LINES, characters=max(1, backend.answer_characters - _AROUND)
    )
    gathered = Gathered(
        rows=rows,
        next=Mark(position=str(following)) if following is not None else None,
        stopped=None if following is None else "limit" if len(rows) == MOST_LINES else "size",
    )
    return envelope(backend, wanted, gathered, lacks=lambda _: False) | {"resource": _uri(name)}


def _uri(name: str) -> str:
    return f"pingone://exports/{name}"
