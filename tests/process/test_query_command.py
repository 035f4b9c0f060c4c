"""`pingone-mcp query`: SQL over the copy as a table, as CSV or JSON, once or at a prompt; and `call` for people."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import signal
import time

import anyio
import pytest

from pingone_mcp.commands.shell.prompt import Prompt
from tests.process.inside import inside
from tests.process.programs import PATIENCE, Served, Variables, bare, begun, run
from tests.process.terminal import in_terminal

_WIDE = "SELECT username, title, department, last_login_at, status FROM users ORDER BY username"


@pytest.fixture
def synced(served: Served) -> Variables:
    env = served.variables()
    assert inside("sync", env=env).status == 0
    return env


def test_rows_come_as_table_csv_and_json(synced: Variables) -> None:
    sql = "SELECT status, count(*) AS users FROM users GROUP BY 1 ORDER BY 1"
    table, rows, objects = (inside("query", sql, "--format", one, env=synced) for one in ("table", "csv", "json"))
    found = json.loads(objects.out)
    assert sum(row["users"] for row in found) == 60
    assert list(csv.DictReader(io.StringIO(rows.out))) == [{k: str(v) for k, v in row.items()} for row in found]
    assert table.out.splitlines()[0].split() == ["status", "users"]
    assert f"{len(found)} rows, from a local copy" in table.err


def test_more_rows_than_are_printed_are_said_and_end_with_1(synced: Variables) -> None:
    end = inside("query", "SELECT id FROM users", "--limit", "5", "--format", "csv", env=synced)
    assert (end.status, len(end.out.splitlines())) == (1, 6)
    assert "pingone-mcp export" in end.err
    assert inside("query", "SELECT id FROM users", env=synced).status == 0


def test_sql_may_come_from_a_pipe_and_what_is_refused_is_wrong_use(synced: Variables) -> None:
    assert run("query", env=synced, stdin="SELECT 7 AS seven;\n").out == "seven\n7\n"
    for sql, said in (("DELETE FROM users", "SELECT"), ("SELECT usernme FROM users", "username"), (" ", "SQL")):
        end = inside("query", sql, env=synced)
        assert (end.status, said in end.sentence()) == (2, True)


def test_views_need_no_configuration(served: Served) -> None:
    env = bare(served.home)
    assert "memberships" in inside("query", "--views", env=env).out
    assert "users.id" in inside("query", "--views", "memberships", env=env).out
    assert inside("query", "--views", "nope", env=env).status == 2


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_fits_its_terminal(synced: Variables, columns: int) -> None:
    end = in_terminal("query", _WIDE, env={**synced, "NO_COLOR": "1"}, columns=columns)
    lines = [line.rstrip("\r") for line in end.out.replace("\x1b[1m", "").replace("\x1b[0m", "").split("\n")]
    table = lines[: next(place for place, line in enumerate(lines) if "60 rows" in line)]
    assert len(table) == 61
    assert max(map(len, table)) <= columns
    assert ("…" in table[1]) == (columns < 120)
    assert table[0].split()[0] == "username"


class _Typing:
    """A prompt at the other end of a terminal."""

    def __init__(self, env: Variables) -> None:
        self._ours, theirs = pty.openpty()
        self.process = begun(
            "query",
            env={**env, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, text: str) -> str:
        """Return what is seen up to a text, which must come."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if self._is_heard(1):
                self.seen += os.read(self._ours, 65_536).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def press(self) -> None:
        """Press Ctrl-C, and again where nothing comes of it: Python's readline misses it between two letters."""
        end = time.monotonic() + PATIENCE
        self.process.send_signal(signal.SIGINT)
        while not self._is_heard(1):
            assert time.monotonic() < end, self.seen
            self.process.send_signal(signal.SIGINT)

    def _is_heard(self, seconds: float) -> bool:
        return bool(select.select([self._ours], [], [], seconds)[0])

    def close(self) -> None:
        self.process.kill()
        os.close(self._ours)


def test_a_prompt_answers_survives_ctrl_c_and_ends_with_ctrl_d(synced: Variables) -> None:
    prompt = _Typing(synced)
    try:
        prompt.until("pingone> ")
        prompt.type("select count(*)\n")
        prompt.until("...> ")
        prompt.type("from users;\n")
        assert "60" in prompt.until("pingone> ")
        prompt.type("select nonsense")
        prompt.until("nonsense")
        prompt.press()
        prompt.until("pingone> ")
        prompt.type("select usernme from users;\n")
        assert "username" in prompt.until("[SQL_INVALID]")
        prompt.until("pingone> ")
        prompt.type(".views\n")
        assert "memberships" in prompt.until("pingone> ")
        prompt.type("\x04")
        assert prompt.process.wait(PATIENCE) == 0
    finally:
        prompt.close()


async def test_ctrl_c_breaks_off_the_query_that_runs_and_not_the_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    typed, asked = iter(["SELECT 1", "FROM forever;", "SELECT 2;"]), list[str]()

    def read(_: str) -> str:
        for line in typed:
            return line
        raise EOFError

    async def answer(sql: str) -> None:
        asked.append(sql)
        if "forever" in sql:
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep_forever()

    await Prompt(views={}, answer=answer, describe=lambda *_: None, read=read).run()
    assert asked == ["SELECT 1\nFROM forever;", "SELECT 2;"]
    assert capsys.readouterr().err.count("Broken off.") == 1


def test_what_is_typed_is_written_nowhere(synced: Variables, served: Served) -> None:
    prompt = _Typing(synced)
    try:
        prompt.until("pingone> ")
        prompt.type("select 'secret-words';\n")
        prompt.until("1 row")
        prompt.type(".quit\n")
        assert prompt.process.wait(PATIENCE) == 0
    finally:
        prompt.close()
    kept = [path for path in served.home.rglob("*") if path.is_file() and b"secret-words" in path.read_bytes()]
    assert kept == []


def test_a_call_gives_as_many_rows_as_were_asked_for() -> None:
    env = {"PINGONE_SANDBOX": "1"}
    assert inside("call", "list_users", "limit=500", env=env).json()["result_count"] == 500
    bounded = inside("call", "list_users", "limit=500", env=env | {"PINGONE_ANSWER_CHARACTERS": "20000"})
    assert bounded.json()["result_count"] < 200, "a budget that somebody has set holds"


def test_a_call_teaches_its_tools(served: Served) -> None:
    env = bare(served.home)
    listed = inside("call", "--list", env=env)
    assert (listed.status, "query_directory" in listed.out) == (0, True)
    told = inside("call", "list_users", "--help", env=env).out
    for words in (
        "limit ",
        "whole number, 1 to 1,000; 50 by default",
        "active | inactive | invited | any",
        "list: a,b",
    ):
        assert words in told
    assert "required" in inside("call", "get_user", "-h", env=env).out
    assert inside("call", "get_usr", "--help", env=env).status == 2
    assert "--list" in inside("call", env=env).sentence()
