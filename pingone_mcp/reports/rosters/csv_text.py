"""A roster as CSV: RFC 4180, separated by comma, semicolon or tab, with a heading line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pingone_mcp.directory.matching.attributes import squeezed
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.export import undefused
from pingone_mcp.reports.rosters.roster import (
    IDENTITIES,
    MAX_CELL,
    MAX_COLUMNS,
    Roster,
    RosterRow,
    entries_of,
    field_of,
    mistaken,
    nameless,
    refused,
    roster_with,
)

_DELIMITERS = ",;\t"
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


def read_csv(text: str) -> Roster:
    """Read a roster. Raises Refused, with the lines of all that is wrong in one message."""
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
    mistakes: list[str] = []
    entries = entries_of(_rows(records, names, mistakes))
    if mistakes:
        raise mistaken(mistakes)
    return roster_with(entries)


def _names(heading: _Record) -> Sequence[str]:
    """Return the headings of the columns. Raises Refused for some that cannot be, and where nobody is named by any."""
    names = [harmless(undefused(cell)).strip() for cell in heading.cells]
    while names and not names[-1]:
        names.pop()
    if mistakes := _heading_mistakes(names, heading.line):
        raise mistaken(mistakes)
    if not any(field_of(name) in IDENTITIES for name in names):
        raise nameless(f"Line {heading.line}, the heading line, has no column for")
    return names


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
