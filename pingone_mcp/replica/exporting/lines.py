"""Users of the local copy as lines of CSV, which SQLite writes: a tenth of the work of values one by one.

What a person must be protected from is found in whole lines, and lines with something of it are written value by value
as `reports.tables` does. Both ways give the same file, but for a NUL in a text: what stands behind it is not SQLite's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.replica.exporting.tables import ROWS, CopiedTable
from pingone_mcp.reports.tables import Column, csv_line, heading

# Numbers of telephones begin with a plus, which a spreadsheet takes for a formula: they are looked at by themselves.
_NUMBERS = ("phone", "mobile_phone")
_DIGITS = re.compile(rb'(?:"(?:\+?[0-9(][0-9 ().-]*)?"(?:[,\n]|\Z))+')
# What `export.defused` takes for quotes, spaces and the beginning of a formula beyond ASCII.
_LIKE_SIGNS = re.compile(
    "[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\xb4\xab\xbb\u2018-\u201f\u2039\u203a\uff02\uff07"
    "\u2212\u207a-\u207c\u208a-\u208c\u2a75\u2a76\ufb29\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
)
# In ASCII the same: what ends a cell becomes a comma, what begins a formula =, spaces and quotes go, what nobody sees
# becomes NUL, the rest is a.
_SIGNS = bytes(
    ord("," if chr(byte) in ",;|" else "=" if chr(byte) in "=+-@" else "\0" if byte < 32 or byte == 127 else "a")
    for byte in range(256)
)
_PASSED_OVER = b" \"'`"
_BY_KIND = {"flag": "%s", "time": "%s", "number": "%s"}


def csv_of(table: CopiedTable) -> Iterator[tuple[int, bytes]]:
    """Yield a table of users as CSV, some rows at a time, with the number of rows."""
    yield 0, heading(table.columns)
    pieces = [list(piece) for _, piece in groupby(range(len(table.columns)), lambda at: _is_number(table.columns[at]))]
    spelt = table.expressions()
    chosen = [_piece(table, spelt, piece) for piece in pieces]
    apart = [_is_number(table.columns[piece[0]]) for piece in pieces]
    cursor = table.select(", ".join(["u.number", *chosen]))
    while rows := cursor.fetchmany(ROWS):
        numbers, *written = zip(*rows, strict=True)
        checked = [_numbers(cells) if apart[place] else _texts(cells) for place, cells in enumerate(written)]
        together = zip(*checked, strict=True)
        if any(None in cells for cells in checked):
            lines = [
                _slowly(table, numbers[at]) if None in cells else b",".join(cells) for at, cells in enumerate(together)
            ]
        else:
            lines = list(map(b",".join, together))
        yield len(rows), b"\r\n".join(lines) + b"\r\n"


def _is_number(column: Column) -> bool:
    return column.name in _NUMBERS


def _piece(table: CopiedTable, spelt: list[str], piece: list[int]) -> str:
    """Return what SQLite writes of some columns: cells with commas between them, in UTF-8."""
    columns = [table.columns[at] for at in piece]
    pattern = ",".join(_BY_KIND.get(column.kind, '"%w"') for column in columns)
    values = ", ".join(_value(columns[n], spelt[at]) for n, at in enumerate(piece))
    return f"CAST(printf('{pattern}', {values}) AS BLOB)"


def _value(column: Column, sql: str) -> str:
    if column.kind == "flag":
        return f"CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    return sql if column.kind in _BY_KIND else f"ifnull({sql}, '')"


def _numbers(pieces: Sequence[bytes]) -> Sequence[bytes | None]:
    """Return cells of telephone numbers as they may stand in a file; None for what is no number."""
    together = b"\n".join(pieces)
    if _DIGITS.fullmatch(together):
        return together.replace(b'"+', b"\"'+").split(b"\n")
    return [piece.replace(b'"+', b"\"'+") if _DIGITS.fullmatch(piece) else None for piece in pieces]


def _texts(pieces: Sequence[bytes]) -> Sequence[bytes | None]:
    """Return cells as they may stand in a file; None where one of them must be looked at."""
    if _looks_harmless(b",".join(pieces)):
        return [piece if piece.isascii() or _is_seen(piece) else None for piece in pieces]
    return [piece if _looks_harmless(piece) and _is_seen(piece) else None for piece in pieces]


def _looks_harmless(cells: bytes) -> bool:
    """Say whether nothing begins like a formula, or is hidden, as far as that can be written in ASCII."""
    signs = cells.translate(_SIGNS, _PASSED_OVER)
    return not signs.startswith(b"=") and b",=" not in signs and b"\0" not in signs


def _is_seen(piece: bytes) -> bool:
    """Say that nothing is hidden in a text, nor looks like a sign that it is not."""
    text = piece.decode()
    return harmless(text) is text and _LIKE_SIGNS.search(text) is None


def _slowly(table: CopiedTable, number: int) -> bytes:
    """Return the line of one user, written value by value."""
    return csv_line(table.columns, table.user(number)).encode()
