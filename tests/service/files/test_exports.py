"""Files of exports: private, the newest only, and read by their own names alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from pingone_mcp.errors import NotFound
from pingone_mcp.private_files import PrivateFolder
from pingone_mcp.reports.export import Format, csv_chunks, jsonl_chunks
from pingone_mcp.service.files.exports import KEPT, Exports, NotWritten
from tests.world import NOW


def made(exports: Exports, number: int) -> str:
    name = exports.name("access-review", "csv", NOW + timedelta(seconds=number))
    exports.write(name, ["id\r\n", f"{number}\r\n"])
    exports.describe(name, {"rows": 1})
    return name


def test_only_the_newest_are_kept_each_with_its_manifest(tmp_path: Path) -> None:
    exports = Exports(folder=PrivateFolder(tmp_path, "exports"))
    names = [made(exports, number) for number in range(KEPT + 3)]
    left = {path.name for path in exports.folder.path.iterdir()}
    assert left == {*names[3:], *(f"{name}.manifest.json" for name in names[3:])}


def test_an_export_is_for_its_owner_only(tmp_path: Path) -> None:
    exports = Exports(folder=PrivateFolder(tmp_path, "exports"))
    made(exports, 1)
    assert {path.stat().st_mode & 0o077 for path in (exports.folder.path, *exports.folder.path.iterdir())} == {0}


def test_nothing_but_an_export_is_read(tmp_path: Path) -> None:
    exports = Exports(folder=PrivateFolder(tmp_path, "exports"))
    name = made(exports, 1)
    (tmp_path / "secret.csv").write_text("secret")
    (exports.folder.path / "notes.csv").write_text("secret")
    for other in ("../secret.csv", "notes.csv", f"{name}.manifest.json", str(tmp_path / "secret.csv"), "", "."):
        with pytest.raises(NotFound):
            exports.read(other, offset=0, limit=10, characters=1_000)


@pytest.mark.parametrize(
    ("offset", "limit", "characters", "text"),
    [
        (0, 10, 1_000, "id\r\n1\r\n"),
        (1, 10, 1_000, "1\r\n"),
        (2, 10, 1_000, ""),
        (10**30, 10, 1_000, ""),
        (0, 1, 1_000, "id\r\n"),
        (0, 10, 5, "id\r\n"),
        (0, 10, 1, "id\r\n"),
    ],
)
def test_whole_lines_are_read_from_a_place_on(
    tmp_path: Path, offset: int, limit: int, characters: int, text: str
) -> None:
    exports = Exports(folder=PrivateFolder(tmp_path, "exports"))
    assert exports.read(made(exports, 1), offset=offset, limit=limit, characters=characters) == text


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_rows_are_read_one_after_the_other_whatever_is_in_them(tmp_path: Path, limit: int) -> None:
    exports = Exports(folder=PrivateFolder(tmp_path, "exports"))
    people = [
        {"id": "1", "name": 'Ann "A" Lee, MD', "note": "Zoë Ж"},
        {"id": "2", "name": "=1+1"},
        {"id": "3", "note": "a, b"},
        {"name": "without an id"},
    ]
    for form, chunks in (("csv", csv_chunks), ("jsonl", jsonl_chunks)):
        name = exports.name("access-review", cast(Format, form), NOW)
        exports.write(name, chunks(("id", "name", "note"), people))
        found: list[dict[str, object]] = []
        at: int | None = 0
        while at is not None:
            rows, at = exports.rows(name, at, limit=limit, characters=10_000)
            assert 0 < len(rows) <= limit
            found += rows
        assert [row.get("id") for row in found] == ["1", "2", "3", None]
        assert found[0] == {"id": "1", "name": 'Ann "A" Lee, MD', "note": "Zoë Ж"}
        assert found[2] == {"id": "3", "note": "a, b"}


@pytest.mark.parametrize("content", ["id,name\r\n", ""])
def test_an_export_of_nobody_has_no_rows(tmp_path: Path, content: str) -> None:
    exports = Exports(folder=PrivateFolder(tmp_path, "exports"))
    name = exports.name("access-review", "csv", NOW)
    exports.write(name, [content])
    assert exports.rows(name, 0, limit=10, characters=1_000) == ([], None)


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotWritten, match="PINGONE_CACHE_DIR"):
        made(Exports(folder=PrivateFolder(tmp_path / "file", "exports")), 1)
