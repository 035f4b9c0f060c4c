"""A whole table as a file, out of the local copy or live: every row of it, or it is said what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pingone_mcp.directory.changes import ChangeQuestion
from pingone_mcp.directory.gaps import EarlierChanges, Gap, NotCopied, ShortGroups, UnseenRemovals
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.conditions import NotHeld
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.exporting.lines import csv_of
from pingone_mcp.replica.exporting.tables import CopiedTable, copied_table
from pingone_mcp.replica.state import State
from pingone_mcp.reports.tables import ALSO, COLUMNS, Batch, Column, Subject, TableFormat, csv_chunks, jsonl_chunks
from pingone_mcp.reports.workbook import workbook_module, write_workbook
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.tables.live import COPY_ALONE, LiveTable
from pingone_mcp.tasks import in_thread

Fill = Callable[[BinaryIO], bool]
"""Writes a table into a file; says whether it is whole."""
Report = Callable[[int, int | None], None]
"""Called with the rows that were written, and how many there are about in all; in a worker thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """Which table, as what: `fields` (empty: the usual ones) are names of columns, `filter` is SCIM about users.

    `changes` says which changes.
    """

    subject: Subject
    format: TableFormat
    fields: Sequence[str] = ()
    filter: str | None = None
    changes: ChangeQuestion = field(default_factory=ChangeQuestion)

    def columns(self, *, live: bool) -> tuple[Column, ...]:
        known = {column.name: column for column in (*COLUMNS[self.subject], *ALSO[self.subject])}
        if not self.fields:
            return tuple(column for column in COLUMNS[self.subject] if not live or column.name not in COPY_ALONE)
        if live and COPY_ALONE & set(self.fields):
            raise Refused(
                f"{', '.join(sorted(COPY_ALONE))} is known in the local copy alone.",
                "Leave out that field, or --live.",
                code="UNKNOWN_FIELD",
            )
        return tuple(known[name] for name in dict.fromkeys(self.fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTable:
    """How many rows were written, what is missing of them, what else is to be known, and of which state of the copy.

    `state` is None where the table was read live.
    """

    rows: int
    gaps: tuple[Gap, ...]
    notes: tuple[Gap, ...]
    state: State | None


async def export_table(
    backend: Backend, wanted: TableRequest, put: Callable[[Fill], None], *, live: bool, report: Report
) -> ExportedTable:
    """Write a table with `put`, which is given what fills a file, in a worker thread.

    Raises Refused and FilterRefused for what is asked, NoReplica and MissingExtra, Problem where it cannot be read, and
    what `put` raises.
    """
    columns = wanted.columns(live=live)
    if wanted.format == "xlsx":
        workbook_module()  # before anything is read
    if live:
        return await in_thread(_live, backend, wanted, columns, put, report, pool="copy")

    def copied(copy: Snapshot) -> ExportedTable:
        table = _table(backend, copy, wanted, columns)
        gaps, notes = _lacking(copy, wanted)
        rows = _copied(table, wanted.format, put, report, whole=not gaps)
        return ExportedTable(rows=rows, gaps=gaps, notes=notes, state=None)

    found, state = await backend.replica.read(copied)
    return ExportedTable(rows=found.rows, gaps=found.gaps, notes=found.notes, state=state)


def _live(
    backend: Backend, wanted: TableRequest, columns: Sequence[Column], put: Callable[[Fill], None], report: Report
) -> ExportedTable:
    table = LiveTable(backend.directory, wanted.subject, columns, wanted.filter)
    counted = _Counted(report)

    def fill(file: BinaryIO) -> bool:
        batches = counted.of(table.batches(), lambda: table.about)
        _write(file, wanted.subject, wanted.format, columns, batches)
        return not table.gaps

    put(fill)
    return ExportedTable(rows=counted.rows, gaps=table.gaps, notes=(), state=None)


def _copied(
    table: CopiedTable, format_: TableFormat, put: Callable[[Fill], None], report: Report, *, whole: bool
) -> int:
    """Write a table of the copy; return how many rows it has."""
    counted, about = _Counted(report), table.count()

    def fill(file: BinaryIO) -> bool:
        if table.subject == "users" and format_ == "csv":
            for rows, chunk in csv_of(table):
                file.write(chunk)
                counted.add(rows, about)
        else:
            batches = counted.of(table.batches(), lambda: about)
            _write(file, table.subject, format_, table.columns, batches)
        return whole

    put(fill)
    return counted.rows


def _table(backend: Backend, copy: Snapshot, wanted: TableRequest, columns: Sequence[Column]) -> CopiedTable:
    filterable = backend.directory.profile.filterable
    try:
        return copied_table(
            copy, wanted.subject, columns, filterable=filterable, filter_=wanted.filter, changes=wanted.changes
        )
    except NotHeld:
        if wanted.filter is None:
            raise
        raise Refused(
            "The local copy does not hold what this filter asks for.",
            "Add --live to ask PingOne.",
            code="NOT_IN_REPLICA",
        ) from None


def _lacking(copy: Snapshot, wanted: TableRequest) -> tuple[tuple[Gap, ...], tuple[Gap, ...]]:
    """Return what is missing of a table, and what else is to be known: who is gone may still be in it."""
    found = copy.gaps(None)
    if wanted.subject == "users":
        found = tuple(gap for gap in found if not _is_about_groups(gap))
    since, known = wanted.changes.since, copy.since.watched
    if wanted.subject == "changes" and since is not None and since < known:
        found += (EarlierChanges(known_since=timestamp(known), audited_since=timestamp(copy.since.audited_since)),)
    notes = tuple(gap for gap in found if isinstance(gap, UnseenRemovals))
    return tuple(gap for gap in found if gap not in notes), notes


def _is_about_groups(gap: Gap) -> bool:
    return isinstance(gap, ShortGroups) or (isinstance(gap, NotCopied) and gap.what != "populations")


def _write(
    file: BinaryIO, subject: Subject, format_: TableFormat, columns: Sequence[Column], batches: Iterator[Batch]
) -> None:
    match format_:
        case "csv":
            file.writelines(csv_chunks(columns, batches))
        case "jsonl":
            file.writelines(jsonl_chunks(columns, batches))
        case "xlsx":
            write_workbook(file, subject, columns, batches)


@dataclass(slots=True)
class _Counted:
    """How many rows have gone by."""

    report: Report
    rows: int = 0

    def of(self, batches: Iterator[Batch], about: Callable[[], int | None]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            self.add(len(batch), about())

    def add(self, rows: int, about: int | None) -> None:
        self.rows += rows
        self.report(self.rows, about)
