"""`pingone-mcp export`: whole tables as files, from the copy or live, and never less than is said."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.process.inside import inside
from tests.process.programs import PATIENCE, PROGRAM, Served, Variables, run


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def synced(served: Served) -> Variables:
    env = served.variables()
    assert inside("sync", env=env).status == 0
    return env


def copy_of(served: Served) -> Path:
    [copy] = (served.cache / "replica").glob("*.db")
    return copy


def test_everybody_is_in_the_file_with_the_columns_of_the_view(served: Served, synced: Variables) -> None:
    out = served.home / "users.csv"
    end = run("export", "users", "--out", str(out), env=synced)
    assert (end.status, end.out) == (0, "")
    assert "60 people in" in end.err
    with closing(sqlite3.connect(copy_of(served))) as database:
        cursor = database.execute("SELECT * FROM users")
        names = [name[0] for name in cursor.description]
        ids = {row[0] for row in cursor}
    rows = table(out.read_text(encoding="utf-8"))
    assert list(rows[0]) == names
    assert {row["id"] for row in rows} == ids
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("what", ["users", "groups", "memberships"])
def test_the_copy_and_pingone_itself_give_the_same_rows(synced: Variables, what: str) -> None:
    copied, live = (inside("export", what, *more, env=synced) for more in ((), ("--live",)))
    assert (copied.status, live.status) == (0, 0), copied.err + live.err
    assert "from PingOne." in live.err

    def comparable(text: str) -> list[tuple[str, ...]]:
        return sorted(tuple(v for k, v in row.items() if k != "manager_id") for row in table(text))

    assert comparable(copied.out) == comparable(live.out)


def test_without_a_copy_everybody_is_read_live(served: Served) -> None:
    end = inside("export", "users", "--fields", "username,status", env=served.variables())
    assert (end.status, len(table(end.out))) == (0, 60)
    assert list(table(end.out)[0]) == ["username", "status"]
    none = inside("export", "changes", env=served.variables())
    assert (none.status, none.out) == (1, "")
    assert "pingone-mcp sync" in none.err


def test_json_lines_have_types(synced: Variables) -> None:
    rows = [json.loads(line) for line in inside("export", "users", "--format", "jsonl", env=synced).out.splitlines()]
    kinds = {name: {type(row[name]) for row in rows} - {type(None)} for name in rows[0]}
    assert (len(rows), kinds["enabled"], kinds["status_reasons"], kinds["custom_attributes"]) == (
        60,
        {bool},
        {list},
        {dict},
    )


def test_a_filter_chooses_in_the_copy_as_pingone_does(synced: Variables) -> None:
    words = ("export", "users", "--fields", "id", "--filter", "enabled eq false")
    copied, live = inside(*words, env=synced), inside(*words, "--live", env=synced)
    assert sorted(copied.out.splitlines()) == sorted(live.out.splitlines())
    assert 1 < len(copied.out.splitlines()) < 60


def test_what_a_spreadsheet_would_run_is_defused(served: Served, synced: Variables) -> None:
    strange = [
        "=cmd|' /C calc'!A0",
        "a;=1+1",
        " @SUM(1)",
        "'=1",
        "two\nlines",
        "zero\u200bwidth",
        "\uff1d1",
        'say "x", y',
    ]
    with closing(sqlite3.connect(copy_of(served))) as database, database:
        for number, name in enumerate(strange, 1):
            database.execute("UPDATE users_ SET title = ?, phone = '=1' WHERE number = ?", (name, number))
    lines = inside("export", "users", "--format", "jsonl", env=synced).out.splitlines()
    wanted: list[dict[str, Any]] = [json.loads(line) for line in lines]
    rows = {row["id"]: row for row in table(inside("export", "users", env=synced).out)}
    titles = [rows[one["id"]]["title"] for one in wanted[: len(strange)]]
    assert titles == [
        "'=cmd|' /C calc'!A0",
        "a;'=1+1",
        "' @SUM(1)",
        "''=1",
        "two lines",
        "zerowidth",
        "'\uff1d1",
        'say "x", y',
    ]
    assert {rows[one["id"]]["phone"] for one in wanted[: len(strange)]} == {"'=1"}


def test_what_is_not_whole_takes_no_whole_files_place(served: Served, synced: Variables) -> None:
    out = served.home / "members.csv"
    assert inside("export", "memberships", "--out", str(out), env=synced).status == 0
    whole = out.read_bytes()
    with closing(sqlite3.connect(copy_of(served))) as database, database:
        group = database.execute("SELECT id FROM groups_").fetchone()[0]
        database.execute("INSERT INTO short_groups_ VALUES (?, 9, 1, 9, 'x', 1, 1)", (group,))
    end = inside("export", "memberships", "--out", str(out), env=synced)
    assert (end.status, out.read_bytes()) == (1, whole)
    assert "Not everything could be read" in end.err
    assert "Missing: " in end.err
    assert (served.home / "members.csv.incomplete").exists()
    assert inside("export", "users", env=synced).status == 0, "of people nothing is missing"


def test_a_pipe_is_written_to_and_what_is_no_file_is_never_replaced(served: Served, synced: Variables) -> None:
    pipe = served.home / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        end = run("export", "users", "--out", str(pipe), env=synced)
        read, _ = reader.communicate(timeout=PATIENCE)
    assert (end.status, len(table(read.decode()))) == (0, 60)
    assert pipe.is_fifo()
    refused = run("review", "--out", str(pipe), "--format", "csv", "--force", env=synced)
    assert (refused.status, pipe.is_fifo()) == (2, True)
    assert "--out names no file" in refused.sentence()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no disk that is full here")
@pytest.mark.parametrize(
    "words",
    [
        ("export", "users"),
        ("query", "SELECT * FROM users"),
        ("query", "SELECT 1", "--format", "csv"),
        ("changes", "--json"),
        ("changes",),
        ("call", "list_users", "limit=1"),
    ],
)
def test_a_full_disk_is_a_sentence(synced: Variables, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*PROGRAM, *words], env=synced, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("export", "users"), ("query", "SELECT 1"), ("changes",)])
def test_output_that_is_closed_goes_nowhere(synced: Variables, words: tuple[str, ...]) -> None:
    line = ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM, *words]
    done = subprocess.run(line, env=synced, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reading_that_fails_leaves_the_file_as_it_was(served: Served) -> None:
    out = served.home / "users.csv"
    out.write_text("old")
    served.sandbox.faults.add("dropped_connection", times=None)
    end = inside("export", "users", "--out", str(out), env=served.variables())
    assert (end.status, out.read_text()) == (1, "old")
    assert [path.name for path in served.home.glob("*users.csv*")] == ["users.csv"]


def test_a_workbook_holds_everybody_and_no_formula(served: Served, synced: Variables) -> None:
    pytest.importorskip("xlsxwriter")
    with closing(sqlite3.connect(copy_of(served))) as database, database:
        database.execute("UPDATE users_ SET title = '=1+1' WHERE number = 1")
    out = served.home / "users.xlsx"
    assert inside("export", "users", "--out", str(out), env=synced).status == 0
    with zipfile.ZipFile(out) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == 61
    assert "=1+1" in sheet
    assert "<f>" not in sheet


def test_a_reader_that_goes_is_no_failure(synced: Variables) -> None:
    script = 'set -o pipefail; "$0" -m pingone_mcp export users | head -1 >/dev/null'
    end = run(env=synced, program=("bash", "-c", script, sys.executable))
    assert (end.status, "Traceback" in end.err, "REPLICA" in end.err) == (0, False, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "user"), "users"),
        (("export", "users", "--fields", "usrname"), "username"),
        (("export", "groups", "--filter", "a eq 1"), "query"),
        (("export", "users", "--since", "7d"), "changes"),
        (("export", "users", "--format", "xlsx"), "--out"),
        (("export", "users", "--out", "."), "folder"),
        (("export", "users", "--out", "no/such/users.csv"), "folder"),
        (("export", "changes", "--live"), "--live"),
        (("export", "users", "--filter", "enabled = false"), "eq"),
    ],
)
def test_wrong_use_is_a_sentence(served: Served, arguments: tuple[str, ...], said: str) -> None:
    end = inside(*arguments, env=served.variables(), cwd=served.home)
    assert (end.status, said in end.sentence()) == (2, True), end


def test_a_text_with_a_character_that_ends_texts_is_whole(served: Served) -> None:
    state = served.sandbox.state()
    state.put_user(0, {**state.user(0), "title": "before\0after", "updatedAt": "2026-06-15T11:00:00.000Z"})
    env = served.variables()
    for words in ((), ("--live",)):
        assert inside("sync", env=env).status == 0
        end = inside("export", "users", "--fields", "title", *words, env=env)
        assert "beforeafter" in {row["title"] for row in table(end.out)}
