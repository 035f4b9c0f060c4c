"""A roster as CSV: RFC 4180, separated by comma, semicolon or tab, with a heading line."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.export import undefused
from pingone_mcp.reports.rosters.applications import FOOTERS
from pingone_mcp.reports.rosters.columns import Layout
from pingone_mcp.reports.rosters.roster import (
    MAX_CELL,
    MAX_COLUMNS,
    Reading,
    Roster,
    RosterRow,
    mistaken,
    nameless,
    refused,
)

_DELIMITERS = ",;\t"
_LONGEST_FOOTER = 20  # records
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|[\r\n])|[^\r\n]++\Z")


# A first line that spreadsheets write and heed.
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?(?=[\r\n]|\Z)', re.IGNORECASE)


class _Record(NamedTuple):
    """The cells of a record, and the line that it begins on."""

    line: int
    cells: list[str]

    @property
    def is_blank(self) -> bool:
        return not any(map(str.strip, self.cells))

    @property
    def is_short(self) -> bool:
        """Say that nothing stands behind the first cell."""
        return not any(map(str.strip, self.cells[1:]))


def read_csv(text: str, mapped: Mapping[str, str] | None = None) -> Roster:
    """Read a roster; `mapped` says of fields which column they are.

    Raises Refused, with the lines of all that is wrong in one message.
    """
    said = _SEPARATOR_LINE.match(text)
    records = _records(text, said[1] if said else _delimiter(text))
    if said:
        next(records)
    heading = next((record for record in records if not record.is_blank), None)
    if heading is None:
        raise refused(
            "The roster is empty: there is no heading line.",
            "The first line names the columns, e.g. email,username,status,roles.",
        )
    names = _names(heading)
    layout = Layout(names, mapped)
    if not layout.names_somebody(names):
        raise nameless(f"Line {heading.line}, the heading line, has no column for")
    layout.columns(tuple(names))  # so that it is known which there are where all cells are empty
    mistakes: list[str] = []
    footer = _Footer()
    roster = Reading(layout).roster(_rows(footer.cut(records), names, mistakes))
    if mistakes:
        raise mistaken(mistakes)
    return dataclasses.replace(roster, notes=(*roster.notes, *footer.notes))


def _names(heading: _Record) -> Sequence[str]:
    """Return the headings of the columns. Raises Refused for some that cannot be."""
    names = [harmless(undefused(cell)).strip() for cell in heading.cells]
    while names and not names[-1]:
        names.pop()
    if mistakes := _heading_mistakes(names, heading.line):
        raise mistaken(mistakes)
    return names


class _Footer:
    """Leaves out what a report ends with: lines with a single cell, one of which is known by its words."""

    def __init__(self) -> None:
        self.notes: tuple[str, ...] = ()

    def cut(self, records: Iterable[_Record]) -> Iterator[_Record]:
        held: list[_Record] = []
        for record in records:
            if not record.is_short:
                yield from held
                held.clear()
                yield record
                continue
            held.append(record)
            if len(held) > _LONGEST_FOOTER:
                yield held.pop(0)
        yield from self._kept(held)

    def _kept(self, held: Sequence[_Record]) -> Sequence[_Record]:
        """Return what comes before the footer, which begins behind an empty line, or with what it is known by."""
        known = (
            (place, whose)
            for place, record in enumerate(held)
            for whose, pattern in FOOTERS
            if record.cells and pattern.fullmatch(record.cells[0].strip())
        )
        place, whose = next(known, (len(held), ""))
        if place == len(held):
            return held
        blank = max((before for before in range(place) if held[before].is_blank), default=None)
        first = place if blank is None else blank + 1
        lines = sum(not record.is_blank for record in held[first:])
        self.notes = (
            f"The footer of a {whose} report was left out: {lines:,} lines, the first is line {held[first].line:,}.",
        )
        return held[:first]


def _rows(records: Iterable[_Record], names: Sequence[str], mistakes: list[str]) -> Iterator[RosterRow]:
    """Yield the records under their headings; what is wrong with others is added to the mistakes."""
    for record in records:
        line, cells = record
        if record.is_blank:
            continue
        if any(cell.strip() for cell in cells[len(names) :]):
            mistakes.append(
                f"line {line}: {len(cells)} cells, but {len(names)} headings; put a cell that holds the separator in quotes"
            )
        elif max(map(len, cells)) > MAX_CELL:
            mistakes.append(f"line {line}: a cell is longer than {MAX_CELL} characters; is a quote missing?")
        else:
            yield RosterRow(line, dict(zip(names, map(undefused, cells), strict=False)))


def _records(text: str, delimiter: str) -> Iterator[_Record]:
    """Yield the records. Raises Refused for quotes that do not fit."""
    reader = csv.reader((line.group() for line in _LINE.finditer(text)), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise mistaken(
                [
                    (
                        f"line {line}: the quotes do not fit, or a cell is far too long; a cell in quotes ends with a quote "
                        "before the separator, and a quote inside it is written twice"
                    )
                ]
            ) from error
        yield _Record(line, cells)


def _delimiter(text: str) -> str:
    """Return what separates the headings: the candidate that stands most often outside quotes in the first record."""
    counts = dict.fromkeys(_DELIMITERS, 0)
    quoted = False
    for character in text[: MAX_COLUMNS * 1_000]:
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character in "\r\n":
            if any(counts.values()):
                break
        elif character in counts:
            counts[character] += 1
    return max(counts, key=lambda delimiter: counts[delimiter])


def _heading_mistakes(names: Sequence[str], line: int) -> list[str]:
    if len(names) > MAX_COLUMNS:
        return [f"line {line}: more than {MAX_COLUMNS} columns; export fewer"]
    first: dict[str, int] = {}
    mistakes: list[str] = []
    for column, name in enumerate(names, 1):
        if not name:
            mistakes.append(f"line {line}: column {column} has no heading; name it or leave it out")
        elif squeezed(name) in first:
            mistakes.append(
                f"line {line}: columns {first[squeezed(name)]} and {column} have the same heading; rename one"
            )
        else:
            first[squeezed(name)] = column
    return mistakes
