"""What a check found as a file with a manifest: the drift of a roster, and what is odd about role rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import Any, Literal

from pingone_mcp import __version__
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.export import Export, Manifest, csv_chunks
from pingone_mcp.reports.finding_rows import DRIFT_COLUMNS, RULES_COLUMNS, RULES_KINDS, drift_rows, rules_rows
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.tables import Column, FlatRow
from pingone_mcp.reports.workbook import workbook_module, write_workbook
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.access_file import BOM, PIECE
from pingone_mcp.service.reviews.drift import DriftQuestion, check_drift
from pingone_mcp.service.reviews.roles import review_roles
from pingone_mcp.tasks import in_thread

SheetFormat = Literal["csv", "xlsx"]
Put = Callable[[Iterable[bytes]], None]
"""Writes the content of a file, in a worker thread."""
_MOST_UNEXPECTED = 100_000
_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table to be written, and what its manifest says beside the file itself."""

    title: str
    columns: Sequence[str]
    rows: Iterable[JsonObject]
    created_at: datetime
    data_as_of: datetime
    filters: Mapping[str, Any]
    counts: Mapping[str, int | None]
    gaps: tuple[Gap, ...]
    is_whole: bool


async def write_drift(
    backend: Backend, accounts: Accounts, format_: SheetFormat, put: Put, *, progress: JobProgress | None = None
) -> Manifest:
    """Write what a check of accounts finds with `put`, and return the manifest; nothing is remembered of it.

    Raises as `check_drift` does.
    """
    _check(format_)
    unkept = dataclasses.replace(accounts, memory=None)
    check = await check_drift(backend, unkept, DriftQuestion(keep=_MOST_UNEXPECTED), progress=progress)
    found = check.found
    table = _Table(
        title="Drift",
        columns=DRIFT_COLUMNS,
        rows=drift_rows(found.findings),
        created_at=found.checked_at,
        data_as_of=check.state.synced_at,
        filters={"roster": accounts.name, "match_on": list(found.match_on)},
        counts=found.counts,
        gaps=found.gaps,
        is_whole=found.counts["unexpected"] <= len(found.of("unexpected")) and not found.compared_nobody,
    )
    return await in_thread(_written, table, format_, put, pool="copy")


async def write_rules_review(
    backend: Backend, rules: Rules, format_: SheetFormat, put: Put, *, progress: JobProgress | None = None
) -> Manifest:
    """Write what is odd about rules with `put`, and return the manifest. Raises as `review_roles` does."""
    _check(format_)
    now = backend.replica.now()
    review, state = await review_roles(backend, rules, progress=progress)
    table = _Table(
        title="Role rules",
        columns=RULES_COLUMNS,
        rows=(row for kind in RULES_KINDS for row in rules_rows(review, kind)),
        created_at=now,
        data_as_of=state.synced_at,
        filters={},
        counts=review.counts,
        gaps=review.gaps,
        is_whole=all(len(getattr(review, kind)) == review.counts[kind] for kind in RULES_KINDS),
    )
    return await in_thread(_written, table, format_, put, pool="copy")


def _check(format_: SheetFormat) -> None:
    """Raise MissingExtra before anything is read."""
    if format_ == "xlsx":
        workbook_module()


def _written(table: _Table, format_: SheetFormat, put: Put) -> Manifest:
    file = Export(format_, table.columns)
    rows = file.counted(table.rows)
    put(file.taken(_csv(table, rows) if format_ == "csv" else _workbook(table, rows)))
    return file.manifest(
        program=f"pingone-mcp {__version__}",
        created_at=table.created_at,
        source="local copy",
        data_as_of=table.data_as_of,
        filters=table.filters,
        counts=table.counts,
        gaps=table.gaps,
        complete=table.is_whole,
    )


def _csv(table: _Table, rows: Iterable[JsonObject]) -> Iterator[bytes]:
    yield BOM
    yield from (chunk.encode() for chunk in csv_chunks(table.columns, rows))


def _workbook(table: _Table, rows: Iterator[JsonObject]) -> Iterator[bytes]:
    with TemporaryFile() as file:
        write_workbook(file, table.title, [Column(name) for name in table.columns], _batches(table, rows))
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def _batches(table: _Table, rows: Iterator[JsonObject]) -> Iterator[Sequence[FlatRow]]:
    batch: list[FlatRow] = []
    for row in rows:
        batch.append([_flat(row.get(column)) for column in table.columns])
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def _flat(value: Any) -> str | None:
    if value is None or value == []:
        return None
    return "; ".join(map(str, value)) if isinstance(value, list) else str(plain(value))
