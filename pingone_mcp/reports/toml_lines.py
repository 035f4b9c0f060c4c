"""On which line a TOML document says what; the standard parser tells lines of its own errors only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

KeyPath = tuple[str | int, ...]

# One piece each; strings first, so that nothing inside one is taken for structure. https://toml.io/en/v1.0.0#string
# A string without an end is one piece up to where it should have ended: looking for it from each quote takes hours.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""(?:"{0,2})|\\?\Z)'
    r"|'''.*?(?:'''(?:'{0,2})|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*"
    r"|[A-Za-z0-9_-]+"
    r"|[ \t\r]+"
    r"|.",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(slots=True)
class _Reading:
    lines: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])
    counts: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])

    def place(self, parts: list[str], below: KeyPath) -> KeyPath:
        """Return the full path of a dotted key below another one; every array of tables stands for its last one."""
        path = below
        for part in parts:
            path = (*path, part)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path


def lines_of(text: str) -> Mapping[KeyPath, int]:
    """Return the line, from 1, of every table and key that begins a line of a valid TOML document.

    The third `[[rule]]` is at ("rule", 2), its key `role` at ("rule", 2, "role"). What stands inside a value, inline
    tables included, has no line of its own: see `line_of`.
    """
    reading = _Reading()
    table: KeyPath = ()
    for line, brackets, parts in _statements(text):
        if brackets == 2:
            parent = reading.place(parts[:-1], ())
            array = (*parent, parts[-1])
            reading.counts[array] = reading.counts.get(array, 0) + 1
            reading.lines.setdefault(array, line)
            table = (*array, reading.counts[array] - 1)
            reading.lines[table] = line
        elif brackets == 1:
            table = reading.place(parts, ())
            reading.lines[table] = line
        else:
            for depth in range(1, len(parts) + 1):
                reading.lines.setdefault(reading.place(parts[:depth], table), line)
    return reading.lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return the line of the nearest thing around a path that has one; 1 where nothing has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def line_of_long_key(text: str, most: int) -> int | None:
    """Return the line of the first key that has more than `most` parts; None where none has.

    The text need not be valid. The standard parser takes time by the square of the parts of a key.
    """
    parts, dotted = 0, False
    for line, piece in _pieces(text):
        if piece == ".":
            dotted = True
        elif piece[0] in "\"'" or _WORD.fullmatch(piece):
            parts, dotted = parts + 1 if dotted else 1, False
            if parts > most:
                return line
        elif not piece.isspace() or piece == "\n":
            parts, dotted = 0, False
    return None


def _statements(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each header and key with its line: 2 brackets for an array of tables, 1 for a table, 0 for a key."""
    pieces = _pieces(text)
    for line, first in pieces:
        if first.isspace() or first.startswith("#"):
            continue
        piece, brackets = first, 0
        parts: list[str] = []
        while piece not in ("=", "]", "\n"):
            if piece == "[":
                brackets += 1
            elif not piece.isspace() and piece != ".":
                parts.append(_unquoted(piece))
            _, piece = next(pieces, (0, "\n"))
        yield line, brackets, parts
        depth = 0
        while piece and (piece != "\n" or depth > 0):
            depth += (piece in ("[", "{")) - (piece in ("]", "}") and depth > 0)
            _, piece = next(pieces, (0, ""))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    line = 1
    for match in _PIECE.finditer(text):
        yield line, match.group()
        line += match.group().count("\n")


def _unquoted(key: str) -> str:
    if key.startswith(("'", '"')):
        return str(tomllib.loads(f"key = {key}")["key"])
    return key
