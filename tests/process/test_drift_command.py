"""`pingone-mcp drift`: an exit status that can be relied on, and nothing of a roster or a directory is obeyed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from pingone_mcp.directory.rows import timestamp
from tests.process.inside import inside
from tests.process.programs import Ended, Served, run, started
from tests.process.terminal import in_terminal
from tests.replica.happenings import Happening, happen

HOSTILE = "\x1b]0;owned\x07\x1b[31m[bold]evil[/] :bomb: \u202egnp.exe\x9b2J"


def everybody(served: Served) -> str:
    """Return a roster with which nothing is wrong."""
    lines: list[str] = []
    for user in served.sandbox.users():
        well = user["enabled"] and user["account"]["status"] == "OK" and user["lifecycle"]["status"] == "ACCOUNT_OK"
        lines.append(f"{user['username']},{'active' if well else 'disabled'}")
    return "\n".join(["username,status", *lines, ""])


def roster(served: Served, text: str, name: str = "app.csv") -> str:
    path = served.home / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def rename(served: Served, username: str) -> None:
    """Give a user a name that the API would not take."""
    state = served.sandbox.state()
    user = next(user for user in served.sandbox.users() if user["enabled"])
    position = state.position(user["id"])
    assert position is not None
    state.put_user(position, {**state.user(position), "username": username, "email": "e@example.com"})


def test_no_drift_is_0_and_drift_is_1_with_what_is_new_since_the_last_check(served: Served) -> None:
    env = served.variables(PINGONE_ROSTERS=str(served.home))
    roster(served, everybody(served))
    clean = inside("drift", "app", "--kinds", "missing,status_mismatches,unexpected,ambiguous", env=env)
    assert clean.status == 0
    assert clean.out.startswith("No drift: app, compared with the local copy of ")
    assert "no earlier check" in clean.out
    assert clean.err == "", "the copy was made on the way, quietly"

    roster(served, everybody(served) + "gone@example.com,active\n")
    asked = len(served.sandbox.requests)
    found = inside("drift", "app", env=env)
    assert found.status == 1
    assert "missing (1): accounts without a user in the directory\n  line 62  gone@example.com\n" in found.out
    assert ": 1 new, 0 resolved.\n  new  missing  line 62  gone@example.com\n" in found.out
    assert len(served.sandbox.requests) == asked, "a fresh copy answers alone"

    again = inside("drift", "app", "--json", env=env)
    told = json.loads(again.out)
    assert (again.status, told["counts"]["missing"], told["since_last"]["counts"]["new"]) == (1, 1, 0)
    assert inside("drift", "app", "--kinds", "ambiguous", env=env).status == 0


def test_a_file_and_a_registered_roster_of_one_name_are_not_mixed(served: Served) -> None:
    env = served.variables(PINGONE_ROSTERS=str(served.home / "rosters"))
    (served.home / "rosters").mkdir()
    roster(served, everybody(served), "rosters/app.csv")
    path = roster(served, "email\ngone@example.com\n")
    assert inside("drift", path, env=env).status == 1
    registered = inside("drift", "app", env=env)
    assert (registered.status, "no earlier check" in registered.out) == (0, True)


def test_checks_of_two_directories_are_not_compared(served: Served) -> None:
    path = roster(served, everybody(served))
    inside("drift", path, env=served.variables())
    population = next(iter(served.sandbox.users()))["population"]["id"]
    other = inside("drift", path, env=served.variables(PINGONE_POPULATIONS=population))
    assert "no earlier check" in other.out


def grow_old(served: Served) -> None:
    """Let two hours pass for the local copy."""
    (copy,) = (served.cache / "replica").glob("*.db")
    ago = timestamp(datetime.now(UTC) - timedelta(hours=2))
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute("UPDATE sync_runs_ SET started_at = ?", (ago,))


def test_an_old_copy_is_brought_up_to_date_first(served: Served) -> None:
    path, env = roster(served, everybody(served)), served.variables()
    assert inside("drift", path, env=env).status == 0
    anyio.run(happen, served.sandbox, [Happening("delete", 5, 0, 0)])
    grow_old(served)
    assert inside("drift", path, env=env | {"PINGONE_REPLICA_MINUTES": "180"}).status == 0
    assert inside("drift", path, env=env).status == 1


def test_a_reader_that_goes_away_has_not_heard_that_there_is_no_drift(served: Served) -> None:
    path = roster(served, everybody(served))
    inside("sync", env=served.variables())
    with started("drift", path, env=served.variables()) as checking:
        checking.leave()
        end = checking.rest()
    assert (end.status, end.err) == (3, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour\nred\n", "email, username or external id"),
        ('email\n"a@example.com\n', "line 2"),
        ("email\na@example.com,b,c\n", "line 2"),
    ],
)
def test_a_roster_that_cannot_be_read_is_wrong_use_and_nothing_is_asked(served: Served, text: str, said: str) -> None:
    end = inside("drift", roster(served, text), env=served.variables())
    assert end.status == 2
    assert said in end.sentence()
    assert not served.sandbox.requests


def hostile(served: Served) -> str:
    rename(served, f"{HOSTILE}@example.com")
    rows = [
        f'"{HOSTILE}",active,boss',
        "\"=cmd|' /C calc'!A0\",active,=1+1",
        '"[link=file:///etc/passwd]x[/link]",active,x',
        '"[/]",active,x',
    ]
    return roster(served, "\n".join(["username,status,roles", *rows, ""]))


def harmless(end: Ended) -> str:
    assert end.status == 1
    for character in "\x07\u202e\x9b":
        assert character not in end.out
    assert "\x1b]" not in end.out
    assert "Traceback" not in end.out
    return end.out


def test_hostile_names_are_shown_and_not_obeyed(served: Served) -> None:
    shown = harmless(inside("drift", hostile(served), env=served.variables()))
    assert "\x1b" not in shown
    for text in ("[31m[bold]evil[/] :bomb: gnp.exe", "=cmd|' /C calc'!A0", "[link=file:///etc/passwd]x[/link]", "[/]"):
        assert text in shown


def test_hostile_names_are_not_obeyed_by_a_terminal_either(served: Served) -> None:
    shown = harmless(in_terminal("drift", hostile(served), env=served.variables(), columns=200))
    assert "\x1b[31m[bold]evil" not in shown
    assert "[31m[bold]evil[/] :bomb: gnp.exe" in shown
    assert "\x1b[1" in shown, "colours of ours"


def test_the_status_is_that_of_the_process(served: Served, tmp_path: Path) -> None:
    path = roster(served, "email\ngone@example.com\n")
    end = run("drift", path, env=served.variables(), cwd=tmp_path)
    assert (end.status, end.err) == (1, "")
    (remembered,) = (path for path in (served.cache / "drift").rglob("*") if path.is_file())
    assert remembered.stat().st_mode & 0o077 == 0


def test_changes_of_hostile_names_are_one_harmless_line_each(served: Served) -> None:
    inside("sync", env=served.variables())
    rename(served, f"{HOSTILE}\n@example.com")
    inside("sync", "--full", env=served.variables())
    end = inside("changes", env=served.variables())
    assert len(end.out.splitlines()) == 1
    assert "[31m[bold]evil[/] :bomb: gnp.exe" in end.out
    assert not set("\x1b\x07\u202e\x9b") & set(end.out)


def test_no_drift_in_what_could_be_read_is_not_no_drift(served: Served) -> None:
    path = roster(served, everybody(served))
    unknown = "00000000-0000-4000-8000-000000000001"
    env = served.variables(PINGONE_ENVIRONMENTS=f"{served.sandbox.environment_id},{unknown}")
    end = inside("drift", path, env=env)
    assert end.status == 3
    assert unknown in end.out + end.err
