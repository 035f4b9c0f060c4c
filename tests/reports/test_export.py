"""Exports open in any spreadsheet without running anything, and prove that they are whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.gaps import UnreadableEnvironment
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.export import (
    Export,
    Format,
    Manifest,
    cell,
    csv_chunks,
    defused,
    jsonl_chunks,
    undefused,
    verify,
)

NOW = datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=UTC)
SIGNS = set("=+-@\u2212")


def test_every_look_alike_of_a_sign_is_defused() -> None:
    """A look-alike is a sign once it is normalised, as spreadsheets and importers may do it."""
    every = map(chr, range(sys.maxunicode + 1))
    look_alikes = [sign for sign in every if unicodedata.normalize("NFKC", sign)[0] in SIGNS]
    assert len(look_alikes) > 15
    assert [sign for sign in look_alikes if defused(f"{sign}1+1") != f"'{sign}1+1"] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"),
        ("\r=1", "' =1"),
        ("\n=1", "' =1"),
        ("  =1", "'  =1"),
        ('"=1', "'\"=1"),
        ("'=1", "''=1"),
        ("\u201c\u00a0=1", "'\u201c\u00a0=1"),
        ("\u200b=1", "'=1"),
        ("\ufeff\u202e=1", "'=1"),
        ("a;=1", "a;'=1"),
        ('a", =1', "a\",' =1"),
        ('a,"+1', "a,'\"+1"),
        ("a|@b", "a|'@b"),
        ("Anne-Marie", "Anne-Marie"),
        ("ann@example.com", "ann@example.com"),
        ("a=b", "a=b"),
        ("R,D", "R,D"),
        ("2026-03-01", "2026-03-01"),
        ('O\'Neil "Bo"', 'O\'Neil "Bo"'),
        ("", ""),
    ],
)
def test_a_text_that_could_begin_a_formula_gets_an_apostrophe(text: str, shown: str) -> None:
    assert defused(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (1.5, "1.5"),
        (float("-inf"), ""),
        (NOW, "2026-03-01T09:30:00.123Z"),
        (NOW.astimezone(timezone(timedelta(hours=2))), "2026-03-01T09:30:00.123Z"),
        (["a", "=b"], "a;' =b"),
        ((1, None, "c"), "1; ; c"),
        ({"a": 1, "=b": 2}, '{"a": 1,\' "=b": 2}'),
    ],
)
def test_numbers_and_times_stay_usable(value: Any, shown: str) -> None:
    assert cell(value) == shown


TEXT = st.text(
    st.sampled_from(
        [
            "=",
            "+",
            "-",
            "@",
            "＝",
            "﹣",
            "\t",
            "\r",
            "\n",
            " ",
            "\u00a0",
            '"',
            "'",
            "“",
            ",",
            ";",
            "|",
            "a",
            "é",
            "\u200b",
            "\ud800",
            "1",
        ]
    ),
    max_size=10,
) | st.text(max_size=10)
ROWS = st.lists(st.fixed_dictionaries({"one": TEXT, "two": TEXT}), max_size=6)


@given(ROWS)
def test_a_csv_reads_back_as_the_same_cells_and_none_of_them_is_dangerous(rows: list[dict[str, str]]) -> None:
    written = "".join(csv_chunks(["one", "two"], rows))
    head, *cells = csv.reader(io.StringIO(written, newline=""), strict=True)
    assert head == ["one", "two"]
    assert cells == [[defused(row["one"]), defused(row["two"])] for row in rows]
    for row, (one, _) in zip(rows, cells, strict=True):
        # Without the apostrophes that were put in front of signs it is the text again.
        assert re.sub(r"'", "", one) == re.sub(r"'", "", harmless(row["one"]))
    for text in (text for row in cells for text in row):
        for piece in re.split(r"[,;|]", text):  # another locale splits cells elsewhere
            bare = piece.lstrip().lstrip('"').lstrip()
            assert not bare or unicodedata.normalize("NFKC", bare)[0] not in SIGNS
            assert not piece or piece[0] not in "\t\r"


@given(ROWS)
def test_json_lines_read_back_as_the_same_rows(rows: list[dict[str, str]]) -> None:
    lines = "".join(jsonl_chunks(["one", "two", "three"], rows)).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"one": harmless(row["one"]), "two": harmless(row["two"]), "three": None} for row in rows
    ]


def test_a_csv_has_a_heading_line_and_ends_its_lines_as_the_rfc_says() -> None:
    rows = [{"a": 'x"y', "=b": "p\nq"}]
    assert list(csv_chunks(["a", "=b"], rows)) == ['a,\'=b\r\n"x""y",p q\r\n']
    assert list(csv_chunks(["a"], [])) == ["a\r\n"]
    assert list(jsonl_chunks(["a"], [])) == []


def test_a_long_export_comes_in_chunks_while_its_rows_are_made() -> None:
    made = 0

    def rows() -> Any:
        nonlocal made
        for number in range(1_000):
            made += 1
            yield {"a": number}

    chunks = csv_chunks(["a"], rows())
    next(chunks)
    assert made == 200
    assert len(list(chunks)) == 4
    rows_of_two_lengths = [{"a": "x" * (9 - number // 200)} for number in range(401)]
    written = "".join(csv_chunks(["a"], rows_of_two_lengths))
    assert written.split() == ["a", *(row["a"] for row in rows_of_two_lengths)]


def exported(format_: Format, rows: list[dict[str, Any]], **more: Any) -> tuple[bytes, Manifest]:
    export = Export(format_, ["a", "b"])
    content = "".join(export.chunks(rows)).encode()
    about: dict[str, Any] = {
        "program": "pingone-mcp 1.0",
        "created_at": NOW,
        "source": "local copy",
        "data_as_of": NOW - timedelta(minutes=5),
        "filters": {"group": "Fin\u200bance", "role": None},
        "counts": {"people": len(rows)},
    }
    return content, export.manifest(**{**about, **more})


def test_a_manifest_says_what_the_file_is() -> None:
    content, manifest = exported("csv", [{"a": "é", "b": 1}, {"a": None, "b": 2}])
    assert manifest.to_json() == {
        "version": 1,
        "program": "pingone-mcp 1.0",
        "created_at": "2026-03-01T09:30:00.123Z",
        "format": "csv",
        "columns": ["a", "b"],
        "rows": 2,
        "bytes": 15,
        "sha256": hashlib.sha256("a,b\r\né,1\r\n,2\r\n".encode()).hexdigest(),
        "source": "local copy",
        "data_as_of": "2026-03-01T09:25:00.123Z",
        "filters": {"group": "Finance"},
        "counts": {"people": 2},
        "complete": True,
        "gaps": [],
        "data_age_seconds": 300,
    }
    assert verify(manifest, content)


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
@given(rows=st.lists(st.fixed_dictionaries({"a": TEXT, "b": st.integers()}), max_size=4), damage=st.integers(0, 10_000))
def test_a_manifest_knows_its_file_and_no_other(format_: Format, rows: list[dict[str, Any]], damage: int) -> None:
    content, manifest = exported(format_, rows, gaps=(UnreadableEnvironment(place="one"),))
    read = Manifest.from_json(json.loads(json.dumps(manifest.to_json())))
    assert read == manifest
    assert (read.rows, read.bytes, read.complete) == (len(rows), len(content), False)
    assert read.gaps == ("not permitted (403): environment one",)
    assert verify(read, content)
    assert not verify(read, content + b"\n")
    if content:
        place = damage % len(content)
        assert not verify(read, content[:place] + content[place + 1 :])
        assert not verify(read, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def test_a_file_that_is_not_written_to_its_end_has_no_manifest() -> None:
    export = Export("csv", ["a"])
    next(export.chunks([{"a": 1}]))
    with pytest.raises(AssertionError, match="to its end"):
        export.manifest(program="p", created_at=NOW, source="live", data_as_of=NOW, filters={}, counts={})


@pytest.mark.parametrize("told", [None, [], "x", {}, {"version": 2}, {"sha256": 3}])
def test_what_is_no_manifest_is_refused(told: Any) -> None:
    with pytest.raises(Refused, match="no manifest"):
        Manifest.from_json(told)
    if isinstance(told, dict):
        with pytest.raises(Refused, match="no manifest"):
            Manifest.from_json(exported("csv", [])[1].to_json() | (told or {"rows": "many"}))


@given(st.text(st.sampled_from("'=+-@,;| \"a\u200b\uff1d"), max_size=12))
def test_a_defused_text_is_read_back_as_it_was(text: str) -> None:
    assert undefused(defused(text)) == harmless(text)
