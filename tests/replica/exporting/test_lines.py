"""CSV that SQLite writes is, byte for byte, the CSV that is written value by value: whatever the values are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.replica.asking.conditions import Condition
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.exporting.lines import csv_of
from pingone_mcp.replica.exporting.tables import CopiedTable
from pingone_mcp.replica.store import shape
from pingone_mcp.replica.store.schema import VIEWS
from pingone_mcp.reports.tables import COLUMNS, SUBJECTS, csv_chunks

# What means something to a spreadsheet, to CSV, to SQLite's printf or to a terminal; a NUL ends a text for SQLite.
_SIGNS = "=+-@,;|\"'` \t\n\r%w\x1b\x7f\x85\xa0\u200b\u2028\u202e\u2019\u2212\uff0b\uff1da1é漢"
_TEXTS = (
    st.none()
    | st.text(st.sampled_from(_SIGNS), max_size=6)
    | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)
)


class _Database:
    """As much of a snapshot as a table needs."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database


@example(rows=[(None, "+47 22 33", None, None), (None, '"+1', None, None), (None, '"', None, None)])
@example(rows=[("=1", "+1", "é", 1), ("a", "=1", "b", 0), ("a", "1\n2", "b", 0), (None, "", "漢", 0)])
@given(rows=st.lists(st.tuples(_TEXTS, _TEXTS, _TEXTS, st.sampled_from([None, 0, 1])), min_size=1, max_size=5))
def test_both_ways_write_the_same_file(rows: list[tuple[str | None, str | None, str | None, int | None]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        shape.make(database)
        for number, row in enumerate(rows):
            database.execute(
                "INSERT INTO users_ (id, title, phone, department, enabled) VALUES (?, ?, ?, ?, ?)", (str(number), *row)
            )
        copy = cast("Snapshot", _Database(database))
        table = CopiedTable(copy=copy, subject="users", columns=COLUMNS["users"], where=Condition("1"))
        fast = b"".join(chunk for _, chunk in csv_of(table))
        assert fast == b"".join(csv_chunks(table.columns, table.batches()))


def test_the_columns_of_a_table_are_those_of_its_view() -> None:
    for subject in SUBJECTS:
        expected = [name for name in VIEWS[subject].columns if name != "member_count_in_copy"]
        assert [column.name for column in COLUMNS[subject]] == expected
