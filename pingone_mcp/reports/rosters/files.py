"""A roster as a file, of whatever kind and encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pingone_mcp.reports.rosters.csv_text import read_csv
from pingone_mcp.reports.rosters.objects import json_entries, roster_of
from pingone_mcp.reports.rosters.roster import Roster, refused

RosterKind = Literal["csv", "json"]

MAX_BYTES = 64 * 1024 * 1024


def parse_roster(content: str | bytes, kind: RosterKind, mapped: Mapping[str, str] | None = None) -> Roster:
    """Read an export: CSV with a heading line, or JSON (a list of objects, or one object that holds such a list).

    CSV may be separated by comma, semicolon or tab and quoted as in RFC 4180; an apostrophe that keeps a spreadsheet
    from taking a cell for a formula, as our own exports have it, is no part of the cell. JSON may be a SCIM
    ListResponse (RFC 7644 §3.4.2); one page of several is no roster. Bytes are UTF-8 or UTF-16. `mapped` says of fields
    which column they are, as `mapping_of` returns it. Raises Refused, with the lines and what to do.
    """
    if len(content) > MAX_BYTES:
        raise refused(f"The roster is larger than {MAX_BYTES // 1024 // 1024} MiB.", "Export fewer columns.")
    text = _decoded(content) if isinstance(content, bytes) else content
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise refused("The roster is no text: it holds characters of value zero.", "Save it as “CSV UTF-8”.")
    return read_csv(text, mapped) if kind == "csv" else roster_of(json_entries(text), mapped)


def _encoding(content: bytes) -> str:
    """Return the encoding of a text by its mark, or by where the zeros of its first character are (RFC 4627 §3)."""
    first = content[:2]
    if first in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    low, high = (byte == 0 for byte in first) if len(first) == 2 else (False, False)
    return "utf-16-le" if high and not low else "utf-16-be" if low and not high else "utf-8"


def _decoded(content: bytes) -> str:
    encoding = _encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise refused("The roster is UTF-16 that is damaged or cut short.", "Save it as “CSV UTF-8”.") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise refused(
            f"The roster is not UTF-8: line {line} holds a byte that does not belong there.",
            "Save it as “CSV UTF-8”.",
        ) from error
