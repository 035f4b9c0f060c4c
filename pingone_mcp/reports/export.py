"""Rows as a file for people: CSV or JSON Lines, with a manifest that says what it is and proves that it is whole."""

from __future__ import annotations

import csv
import functools
import hashlib
import hmac
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain, timestamp
from pingone_mcp.directory.text.harmless import clean, harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.audit.cover import Cover, Operator, PlaceRead, ReviewQuery

Format = Literal["csv", "jsonl"]
FileFormat = Literal["csv", "jsonl", "xlsx", "html"]
Source = Literal["live", "local copy"]

_VERSION = 1
_ROWS_PER_CHUNK = 200
# What may begin a formula, with its wide, small, raised and lowered variants (OWASP, "CSV Injection"), at the
# beginning of a cell or behind what some spreadsheet takes for the end of one; spaces and quotes in front do not help.
_BEGINS_FORMULA = (
    "(?=[\\s\"'`\xb4\xab\xbb\u2018-\u201f\u2039\u203a\uff02\uff07]*"
    "[=+\\-@\u2212\u207a-\u207c\u208a-\u208c\u2a75\u2a76\ufb29\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20])"
)
_FORMULA = re.compile(f"(^|[,;|]){_BEGINS_FORMULA}")
_DEFUSED = re.compile(f"(^|[,;|])'{_BEGINS_FORMULA}")


def defused(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe stands before what could begin one."""
    return _FORMULA.sub(r"\1'", harmless(text))


def undefused(text: str) -> str:
    """Return what `defused` was given, without the apostrophes that it put there."""
    return _DEFUSED.sub(r"\1", text) if "'" in text else text


def cell(value: Any) -> str:
    """Return a value as a cell of a table: texts defused, numbers and times as they are, several values joined by ;."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if math.isfinite(value) else ""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, list | tuple):
        return defused("; ".join(harmless(item if isinstance(item, str) else cell(item)) for item in value))
    return defused(value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False, default=str))


def csv_chunks(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield CSV with a heading line (RFC 4180, lines end in CR LF), some rows at a time."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([defused(column) for column in columns])
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(row.get(column)) for column in columns])
        if number % _ROWS_PER_CHUNK == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    if out.tell():
        yield out.getvalue()


def jsonl_chunks(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield JSON Lines, one object per row with every column, null where the row has none."""
    lines: list[str] = []
    for row in rows:
        cells = {column: plain(row.get(column)) for column in columns}
        lines.append(json.dumps(clean(cells), ensure_ascii=False, separators=(",", ":")) + "\n")
        if len(lines) == _ROWS_PER_CHUNK:
            yield "".join(lines)
            lines.clear()
    if lines:
        yield "".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an exported file is: how it came about, what it should hold, and its SHA-256.

    `data_as_of` is when the data was read from the directory; `gaps` name what could not be read, so that a file is
    `complete` only without any. A count is null where it is not known. What stands behind the gaps is the cover of an
    access review: `totals` are those of `Cover`, with the `rows` of the file.
    """

    version: int = _VERSION
    program: str
    created_at: datetime
    format: FileFormat
    columns: tuple[str, ...]
    rows: int
    bytes: int
    sha256: str
    source: Source
    data_as_of: datetime
    filters: JsonObject = field(default_factory=dict[str, Any])
    counts: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    complete: bool = True
    gaps: tuple[str, ...] = ()
    environments: tuple[PlaceRead, ...] = ()
    application: str | None = None
    operator: Operator | None = None
    query: ReviewQuery | None = None
    everybody_read_at: datetime | None = None
    totals: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_json(self) -> JsonObject:
        """Return JSON-ready data, with the age of the data when the file was made."""
        facts: JsonObject = {
            **plain(self),
            "data_age_seconds": int((self.created_at - self.data_as_of).total_seconds()),
            "filters": dict(self.filters),
            "counts": dict(self.counts),
            "gaps": list(self.gaps),
        }
        if self.totals:
            facts["totals"] = dict(self.totals)
        return facts

    @classmethod
    def from_json(cls, facts: Any) -> Manifest:
        """Read what `to_json` wrote. Raises Refused for anything else."""
        try:
            manifest = _adapter().validate_python({k: v for k, v in facts.items() if k != "data_age_seconds"})
        except (ValidationError, AttributeError) as error:
            raise _no_manifest() from error
        if manifest.version != _VERSION:
            raise _no_manifest()
        return manifest


@functools.cache
def _adapter() -> TypeAdapter[Manifest]:
    """Return what reads a manifest; made when one is, which a server does not do."""
    return TypeAdapter(Manifest)


class Export:
    """One file in the making: rows go in, chunks of text come out, and the manifest is known behind the last one."""

    def __init__(self, format_: FileFormat, columns: Sequence[str]) -> None:
        self._format: FileFormat = format_
        self._columns = tuple(columns)
        self._digest = hashlib.sha256()
        self._rows = 0
        self._bytes = 0
        self._ended = False

    def chunks(self, rows: Iterable[JsonObject]) -> Iterator[str]:
        """Yield the file, to be written in UTF-8 with line ends as they are."""
        write = csv_chunks if self._format == "csv" else jsonl_chunks
        for chunk in write(self._columns, self.counted(rows)):
            self._take(chunk.encode())
            yield chunk
        self._ended = True

    def taken(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """Yield a file that somebody else makes of rows that were `counted`."""
        for chunk in content:
            self._take(chunk)
            yield chunk
        self._ended = True

    def counted(self, rows: Iterable[JsonObject]) -> Iterator[JsonObject]:
        """Give the rows, and count them."""
        for row in rows:
            self._rows += 1
            yield row

    def manifest(
        self,
        *,
        program: str,
        created_at: datetime,
        source: Source,
        data_as_of: datetime,
        filters: Mapping[str, Any],
        counts: Mapping[str, int | None],
        gaps: Iterable[Gap] = (),
        complete: bool = True,
        cover: Cover | None = None,
    ) -> Manifest:
        """Return the manifest of the file; `program` is name and version. To be asked when all chunks are out."""
        assert self._ended, "the file has not been written to its end"
        lacking = tuple(harmless(gap.sentence()) for gap in gaps)
        return Manifest(
            program=program,
            created_at=_to_milliseconds(created_at),
            format=self._format,
            columns=self._columns,
            rows=self._rows,
            bytes=self._bytes,
            sha256=self._digest.hexdigest(),
            source=source,
            data_as_of=_to_milliseconds(data_as_of),
            filters=clean({name: value for name, value in filters.items() if value is not None}),
            counts=dict(counts),
            complete=complete and not lacking,
            gaps=lacking,
            environments=cover.environments if cover is not None else (),
            application=cover.application if cover is not None else None,
            operator=cover.operator if cover is not None else None,
            query=cover.query if cover is not None else None,
            everybody_read_at=_to_milliseconds(cover.everybody_read_at) if cover is not None else None,
            totals=dict(cover.totals) | {"rows": self._rows} if cover is not None else {},
        )

    def _take(self, content: bytes) -> None:
        self._digest.update(content)
        self._bytes += len(content)


def verify(manifest: Manifest, content: bytes) -> bool:
    """Say whether these are the bytes that were exported, all of them and nothing else."""
    return hmac.compare_digest(hashlib.sha256(content).hexdigest().encode(), manifest.sha256.lower().encode())


def _to_milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1_000 * 1_000)


def _no_manifest() -> Refused:
    return Refused(
        "This is no manifest of an export that this version can read.",
        "Name the file that was written beside the export.",
        code="BAD_MANIFEST",
    )
