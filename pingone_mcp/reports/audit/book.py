"""An access review as a workbook (XLSX): a summary, and a sheet to filter and to sign."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.extras import load_extra
from pingone_mcp.reports.audit.cover import Cover
from pingone_mcp.reports.audit.entitlements import DECISIONS, ENTITLEMENT_COLUMNS, FOR_REVIEWER

_MOST_ROWS = 1_048_575  # beside the heading (Microsoft, "Excel specifications and limits")
_LONGEST_CELL = 32_767  # as above
_WIDTHS = {"name": 26, "email": 30, "entitlement": 34, "through": 40, "scope": 26, "flags": 36, "comment": 40}
_ID_WIDTH, _USUAL_WIDTH = 38, 18


def check_book() -> ModuleType:
    """Return what writes workbooks. Raises MissingExtra where it is not installed."""
    return load_extra("xlsxwriter", "xlsx")


def write_book(file: BinaryIO, folder: Path, cover: Cover, rows: Iterable[JsonObject]) -> None:
    """Write a workbook into a file: texts as texts, never formulas or links, and times as times (UTC).

    Rows wait in a `folder` of the caller, so that memory stays flat. Raises MissingExtra, and Refused for more rows
    than a sheet has.
    """
    options = {"constant_memory": True, "tmpdir": str(folder), "default_date_format": "yyyy-mm-dd hh:mm:ss"}
    with check_book().Workbook(file, options | {"strings_to_urls": False}) as book:
        book.set_properties({"title": "Access review", "author": cover.program, "created": cover.created_at})
        bold, wrapped = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
        _write_summary(book.add_worksheet("Summary"), cover, bold, wrapped)
        _write_rows(book.add_worksheet("Review"), rows, book.add_format({"bold": True, "bottom": 1}))


def _write_summary(sheet: Any, cover: Cover, bold: Any, wrapped: Any) -> None:
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 100, wrapped)
    sheet.set_portrait()
    sheet.fit_to_pages(1, 0)
    lines: list[tuple[str, str | int | None]] = [("Access review", cover.status()), ("", "")]
    lines += cover.facts()
    lines += [("", ""), ("Totals", ""), *cover.totals_in_words(), ("", ""), ("Deserves a look", "people")]
    lines += [(name, "unknown" if count is None else count) for name, count, _ in cover.flags_in_words()]
    lines += [(f"{name}, not known", note) for name, _, note in cover.flags_in_words() if note]
    lines += [("", ""), ("Largest entitlements", "people")]
    lines += [(f"{held.kind} {harmless(held.what.name or held.what.id)}", held.people) for held in cover.largest]
    if cover.gaps:
        lines += [("", ""), ("What is not known", "")]
        lines += [(str(number), gap) for number, gap in enumerate(cover.gaps, 1)]
    headings = {"Access review", "Totals", "Deserves a look", "Largest entitlements", "What is not known"}
    for at, (name, value) in enumerate(lines):
        sheet.write_string(at, 0, name[:_LONGEST_CELL], bold if name in headings else None)
        if isinstance(value, int):
            sheet.write_number(at, 1, value)
        elif value:
            sheet.write_string(at, 1, value[:_LONGEST_CELL])


def _write_rows(sheet: Any, rows: Iterable[JsonObject], bold: Any) -> None:
    sheet.freeze_panes(1, 3)
    sheet.set_landscape()
    sheet.repeat_rows(0)
    for place, column in enumerate(ENTITLEMENT_COLUMNS):
        usual = _ID_WIDTH if column.endswith("_id") else _USUAL_WIDTH
        sheet.set_column(place, place, _WIDTHS.get(column, usual))
        sheet.write_string(0, place, column, bold)
    at = 0
    for at, row in enumerate(rows, 1):
        if at > _MOST_ROWS:
            raise _too_many()
        for place, column in enumerate(ENTITLEMENT_COLUMNS):
            _write_cell(sheet, at, place, row.get(column))
    sheet.autofilter(0, 0, max(at, 1), len(ENTITLEMENT_COLUMNS) - 1)
    decision = ENTITLEMENT_COLUMNS.index(FOR_REVIEWER[1])
    sheet.data_validation(1, decision, max(at, 1), decision, {"validate": "list", "source": list(DECISIONS)})


def _write_cell(sheet: Any, at: int, place: int, value: Any) -> None:
    if value is None or value in ((), [], ""):
        return
    if isinstance(value, datetime):
        sheet.write_datetime(at, place, value.astimezone(UTC).replace(tzinfo=None))
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        sheet.write_number(at, place, value)
    else:
        text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(plain(value))
        sheet.write_string(at, place, harmless(text)[:_LONGEST_CELL])


def _too_many() -> Refused:
    return Refused(
        f"A sheet has room for {_MOST_ROWS:,} rows, and there are more.",
        "Choose CSV, or review one group, role or population at a time.",
        code="TOO_MANY_ROWS",
    )
