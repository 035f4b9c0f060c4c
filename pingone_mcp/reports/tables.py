"""Whole tables as files: flat rows in, CSV, JSON Lines or a workbook out, some rows at a time.

The columns are those of the views of the local copy, so that a file, a query and `sqlite3` show the same. Values are
flat, as the copy keeps them: texts, numbers, NULL; flags are 0 and 1, times RFC 3339 in UTC, lists joined by commas,
objects JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from pingone_mcp.directory.text.harmless import clean
from pingone_mcp.reports.export import defused

Subject = Literal["users", "groups", "memberships", "changes"]
TableFormat = Literal["csv", "jsonl", "xlsx"]
Kind = Literal["text", "words", "time", "flag", "number", "json"]
Value = str | int | float | None
FlatRow = Sequence[Value]
Batch = Sequence[FlatRow]

SUBJECTS: tuple[Subject, ...] = get_args(Subject)
FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its name, and how its values are to be read."""

    name: str
    kind: Kind = "text"


def _columns(kinds: Mapping[str, Kind], names: str) -> tuple[Column, ...]:
    return tuple(
        Column(name, kinds.get(name) or ("time" if name.endswith("_at") else "text")) for name in names.split()
    )


_KINDS: Mapping[str, Kind] = {
    "enabled": "flag",
    "is_email_verified": "flag",
    "is_2fa_enabled": "flag",
    "custom_attributes": "json",
    "before": "json",
    "after": "json",
    "status_reasons": "words",
    "member_count": "number",
    "at": "time",
}
COLUMNS: Mapping[Subject, tuple[Column, ...]] = MappingProxyType(
    {
        "users": _columns(
            _KINDS,
            "id username name first_name last_name email phone mobile_phone title department manager manager_id type status "
            "status_reasons enabled account_status lifecycle_status is_email_verified is_2fa_enabled locale timezone "
            "preferred_language city country external_id last_login_at locked_at created_at updated_at population_id "
            "population environment_id environment custom_attributes",
        ),
        "groups": _columns(
            _KINDS,
            "id name description group_type user_filter member_count population_id population environment_id environment "
            "created_at updated_at external_id",
        ),
        "memberships": _columns(_KINDS, "user_id username group_id group_name type"),
        "changes": _columns(
            {**_KINDS, "id": "number"},
            "id at kind user_id username email group_id group_name before after evidence actor environment_id",
        ),
    }
)
"""The columns of each table, in their order."""
ALSO: Mapping[Subject, tuple[Column, ...]] = MappingProxyType(
    {"users": _columns(_KINDS, "street region postal_code avatar_url"), "groups": (), "memberships": (), "changes": ()}
)
"""Columns that come when they are asked for."""


def csv_chunks(columns: Sequence[Column], batches: Iterable[Batch]) -> Iterator[bytes]:
    """Yield CSV with a heading line (RFC 4180, UTF-8); texts stand in quotes and are harmless in a spreadsheet.

    Nothing comes before the first rows are there: what cannot be read at all leaves no heading behind.
    """
    begin = heading(columns)
    writers = [_CELLS[column.kind] for column in columns]
    for batch in batches:
        lines = (",".join([write(value) for write, value in zip(writers, row, strict=True)]) for row in batch)
        yield begin + "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
        begin = b""
    yield begin


def heading(columns: Sequence[Column]) -> bytes:
    """Return the first line of a CSV file."""
    return f"{','.join(column.name for column in columns)}\r\n".encode()


def csv_line(columns: Sequence[Column], row: FlatRow) -> str:
    """Return one row of a CSV file, without its end."""
    return ",".join([_CELLS[column.kind](value) for column, value in zip(columns, row, strict=True)])


def _quoted(value: Value) -> str:
    if value is None:
        return '""'
    text = defused(value if isinstance(value, str) else str(value))
    return '"' + text.replace('"', '""') + '"'


def _plain(value: Value) -> str:
    return "" if value is None else str(value)


_FLAGS = {1: "true", 0: "false", None: ""}
_CELLS: Mapping[Kind, Callable[[Any], str]] = {
    "text": _quoted,
    "words": _quoted,
    "json": _quoted,
    "time": _plain,
    "number": _plain,
    "flag": _FLAGS.__getitem__,
}


def jsonl_chunks(columns: Sequence[Column], batches: Iterable[Batch]) -> Iterator[bytes]:
    """Yield JSON Lines, one object per row with every column, null where there is nothing."""
    readers = [(column.name, _MEMBERS[column.kind]) for column in columns]
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    for batch in batches:
        objects = ({name: read(value) for (name, read), value in zip(readers, row, strict=True)} for row in batch)
        yield "".join(f"{encode(clean(one))}\n" for one in objects).encode("utf-8", "replace")


def _same(value: Value) -> Value:
    return value


def _listed(value: str | None) -> list[str]:
    return value.split(",") if value else []


def _parsed(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


_MEMBERS: Mapping[Kind, Callable[[Any], Any]] = {
    "text": _same,
    "time": _same,
    "number": _same,
    "words": _listed,
    "json": _parsed,
    "flag": _flag,
}
