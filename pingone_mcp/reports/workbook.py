"""A table as a workbook (XLSX), written row by row: nothing of it stays in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.extras import load_extra
from pingone_mcp.reports.tables import Batch, Column

if TYPE_CHECKING:
    from types import ModuleType

_MOST_ROWS = 1_048_575  # beside the heading (Microsoft, "Excel specifications and limits")
_LONGEST_CELL = 32_767
_USUAL_WIDTH = 24


def workbook_module() -> ModuleType:
    """Return what writes workbooks. Raises MissingExtra where it is not installed."""
    return load_extra("xlsxwriter", "xlsx")


def write_workbook(file: BinaryIO, title: str, columns: Sequence[Column], batches: Iterable[Batch]) -> None:
    """Write a workbook of one sheet: a frozen heading with filters, flags and numbers as such, all else as text.

    A text is never a formula or a link, whatever it begins with; what a cell cannot hold is cut. Raises MissingExtra,
    and Refused for more rows than a sheet has.
    """
    book = workbook_module().Workbook(file, {"constant_memory": True, "strings_to_urls": False})
    sheet = book.add_worksheet(title)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(columns) - 1, _USUAL_WIDTH)
    bold = book.add_format({"bold": True})
    for place, column in enumerate(columns):
        sheet.write_string(0, place, column.name, bold)
    at = 0
    for batch in batches:
        for row in batch:
            at += 1
            if at > _MOST_ROWS:
                raise _too_many()
            for place, (column, value) in enumerate(zip(columns, row, strict=True)):
                if value is None:
                    continue
                if column.kind == "flag":
                    sheet.write_boolean(at, place, bool(value))
                elif column.kind == "number":
                    sheet.write_number(at, place, value)
                else:
                    sheet.write_string(at, place, harmless(str(value))[:_LONGEST_CELL])
    sheet.autofilter(0, 0, max(at, 1), len(columns) - 1)
    book.close()


def _too_many() -> Refused:
    return Refused(
        f"A sheet has room for {_MOST_ROWS:,} rows, and there are more.",
        "Choose CSV, or fewer rows with a filter.",
        code="TOO_MANY_ROWS",
    )
