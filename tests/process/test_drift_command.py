"""`pingone-mcp drift`: an exit status that can be relied on, and nothing of a roster or a directory is obeyed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from pingone_mcp.directory.rows import timestamp
from tests.process.inside import inside
from tests.process.programs import ROOT, Ended, Served, run, started
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
    path = roster(served, everybody(served) + "gone@example.com,active\n")
    assert inside("drift", path, env=env).status == 1
    registered = inside("drift", "app", env=env)
    assert (registered.status, "no earlier check" in registered.out) == (0, True)


def test_a_registered_roster_is_the_same_by_its_name_and_by_its_path(served: Served) -> None:
    env = served.variables(PINGONE_ROSTERS=str(served.home))
    path = roster(served, everybody(served))
    inside("drift", "app", env=env)
    assert ": 0 new, 0 resolved." in inside("drift", path, env=env).out


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
    known = next(
        user["username"] for user in served.sandbox.users() if user["enabled"] and "\x1b" not in user["username"]
    )
    rows = [
        f"{known},active,",
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
    path = roster(served, everybody(served) + "gone@example.com,active\n")
    end = run("drift", path, env=served.variables(), cwd=tmp_path)
    assert (end.status, end.err) == (1, "")
    (remembered,) = (path for path in (served.cache / "drift").rglob("*") if path.is_file())
    assert remembered.stat().st_mode & 0o077 == 0


def test_changes_of_hostile_names_are_one_harmless_line_each(served: Served) -> None:
    inside("sync", env=served.variables())
    rename(served, f"{HOSTILE}\n@example.com")
    inside("sync", "--full", env=served.variables())
    end = inside("changes", "--kinds", "user.updated", env=served.variables())
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


@pytest.mark.parametrize("kinds", [(), ("--kinds", "missing,status_mismatches")])
@pytest.mark.parametrize("text", ["email,status\n", "email,name\n,Robot\n"])
def test_where_there_was_nobody_to_compare_there_is_no_verdict(
    served: Served, text: str, kinds: tuple[str, ...]
) -> None:
    end = inside("drift", roster(served, text), *kinds, env=served.variables())
    assert end.status == 3
    assert end.out.startswith("Nothing was compared: ")
    assert "nothing was compared: " in end.out
    told = inside("drift", roster(served, text), "--json", *kinds, env=served.variables())
    assert (told.status, json.loads(told.out)["gaps"][0].partition(":")[0]) == (3, "nothing was compared")


def test_the_command_and_the_tool_know_the_same_gaps_and_go_on_from_each_other(served: Served) -> None:
    user = next(iter(served.sandbox.users()))
    env = served.variables(PINGONE_ROSTERS=str(served.home), PINGONE_POPULATIONS=user["population"]["id"])
    roster(served, f"username\n{user['username']}\n")
    kinds = ("--kinds", "missing,status_mismatches")
    command = inside("drift", "app", *kinds, env=env)
    assert command.status == 3
    assert "only the populations that are served were looked at" in command.out
    assert command.out.startswith("No drift in what was read: app")

    tool = inside("call", "check_drift", "roster=app", env=env).json()
    told = json.loads(inside("drift", "app", "--json", *kinds, env=env).out)
    assert tool["gaps"] == told["gaps"] == ["only the populations that are served were looked at"]
    assert tool["counts"] == told["counts"]
    assert tool["since_last"]["counts"]["new"] == told["since_last"]["counts"]["new"] == 0
    assert tool["since_last"]["since"] < told["since_last"]["since"]


CASES = ROOT.parent / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the inputs that failed are not part of the project")
@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("header_only.csv", 3, "nothing was compared"),
        ("scim_list_response.json", 3, "1 account, 60 users"),
        ("scim_page_1_of_250.json", 2, "1 of 250 entries"),
        ("utf16le_without_bom.csv", 3, "1 account, 60 users"),
        ("own_export_read_back.csv", 3, "2 accounts, 60 users"),
        ("ids_damaged_by_a_spreadsheet.csv", 3, "3 with an id that a spreadsheet seems to have changed"),
    ],
)
def test_inputs_that_failed(served: Served, name: str, status: int, said: str) -> None:
    state = served.sandbox.state()
    for position, identity in enumerate(("000121", "100000", "000124")):
        state.put_user(position, {**state.user(position), "externalId": identity})
    end = inside("drift", str(CASES / name), "--kinds", "missing,status_mismatches", env=served.variables())
    assert end.status == status
    assert said in end.out.replace("\n", " ") + end.err
    assert "'=evil" not in end.out


def google(served: Served, number: int = 3) -> str:
    """Return the first users of the sandbox as the Admin console of Google Workspace exports them."""
    heading = "First Name [Required],Last Name [Required],Email Address [Required],Status [READ ONLY],Department"
    users = [user for user in served.sandbox.users() if user["enabled"]][:number]
    return "\n".join([heading, *(f"A,B,{user['email']},Active," for user in users), "C,D,c@d.example,Suspended,", ""])


def test_which_column_was_read_as_what_is_printed(served: Served) -> None:
    path, env = roster(served, google(served)), served.variables()
    end = inside("drift", path, "--kinds", "missing", env=env)
    printed = " ".join(end.out.split())
    assert "Columns of Google Workspace: email from “Email Address [Required]”; given name from " in printed
    assert "status from “Status [READ ONLY]”." in printed
    told = json.loads(inside("drift", path, "--json", env=env).out)
    assert told["columns"]["application"] == "Google Workspace"
    assert told["columns"]["fields"]["email"] == ["Email Address [Required]"]
    tool = inside("call", "check_drift", "roster=app", env=served.variables(PINGONE_ROSTERS=str(served.home))).json()
    assert tool["columns"] == told["columns"]


def test_a_column_is_mapped_by_a_person(served: Served) -> None:
    text = google(served).replace("Email Address [Required]", "Work Mail")
    path, env = roster(served, text), served.variables()
    assert "no column for an email" in inside("drift", path, env=env).sentence()
    mapped = inside("drift", path, "--map", "email=Work Mail", "--map", "status=Status [READ ONLY]", "--json", env=env)
    told = json.loads(mapped.out)
    assert (told["counts"]["matched"], told["counts"]["missing"], told["counts"]["missing_active"]) == (3, 1, 0)
    wrong = inside("drift", path, "--map", "email=Work Mial", env=env)
    assert (wrong.status, "Did you mean “Work Mail”?" in wrong.err) == (2, True)
    unknown = inside("drift", path, "--map", "mial=Work Mail", env=env)
    assert (unknown.status, "Did you mean email?" in unknown.err) == (2, True)


def test_another_column_is_no_news(served: Served) -> None:
    first, second = [user["username"] for user in served.sandbox.users()][:2]
    path = roster(served, f"username,nick\n{first},{second}\nnobody,nobody-else\n")

    def news(*mapped: str) -> Any:
        return json.loads(inside("drift", path, "--json", *mapped, env=served.variables()).out)["since_last"]

    assert news() is None, "the first"
    assert news("--map", "username=nick") is None, "nobody is resolved, nobody new"
    assert news("--map", "username=Nick")["new"]["missing"] == []


def test_a_table_that_a_spreadsheet_saves_as_unicode_text_is_a_roster(served: Served) -> None:
    (served.home / "app.txt").write_text(everybody(served).replace(",", "\t"), encoding="utf-16")
    assert inside("drift", str(served.home / "app.txt"), env=served.variables()).status == 0
    (served.home / "app.xlsx").write_bytes(b"PK")
    end = inside("drift", str(served.home / "app.xlsx"), env=served.variables())
    assert (end.status, "Save a workbook as “CSV UTF-8”." in end.err) == (2, True)
    named = inside("drift", "app", env=served.variables(PINGONE_ROSTERS=str(served.home)))
    assert (named.status, "neither a file nor a registered roster" in named.err) == (2, True), "notes are none"


def test_where_no_account_fits_anybody_the_status_is_3_and_it_says_what_was_compared(served: Served) -> None:
    path, env = roster(served, "email,nick\nx@gone.example,ann\ny@gone.example,bo\n"), served.variables()
    end = inside("drift", path, env=env)
    assert end.status == 3
    printed = " ".join(end.out.split())
    assert printed.startswith("No account fits anybody: app.csv, compared with ")
    assert "2 of them and 60 users were compared, by email (“email”), username, external id." in printed
    assert printed.endswith('name it: --map email="Its Heading".'), "and it stops there"
    again = inside("drift", path, "--json", env=env)
    assert (again.status, json.loads(again.out)["since_last"]) == (3, None)


def test_who_has_no_account_counts_where_a_group_says_who_should_have_one(served: Served) -> None:
    some = "\n".join(everybody(served).split("\n")[:40])
    path, env = roster(served, some), served.variables()
    alone = inside("drift", path, env=env)
    assert alone.status == 0
    assert "active users have no account here. Who should? --expected-group GROUP says." in alone.out
    named = inside("drift", path, "--kinds", "unexpected", env=env)
    assert (named.status, "unexpected (" in named.out) == (1, True)
    everyone = json.loads(inside("drift", path, "--json", env=env).out)["counts"]["unexpected"]
    groups = inside("call", "list_groups", "limit=100", env=env).json()["result"]
    counted: dict[str, int] = {}
    for group in groups:
        end = inside("drift", path, "--expected-group", group["id"], "--json", env=env)
        told = json.loads(end.out)
        counted[group["name"]] = told["counts"]["unexpected"]
        assert told["expected_group"] == {"id": group["id"], "name": group["name"]}
        assert end.status == bool(told["counts"]["unexpected"])
        assert told["since_last"] is None, "checks that expect others are not compared"
    assert 0 < max(counted.values()) <= everyone
    name = max(counted, key=lambda one: counted[one])
    by_name = inside("drift", path, "--expected-group", name, env=env)
    assert f"unexpected ({counted[name]:,}): active members of {name} without an account" in by_name.out
    unknown = inside("drift", path, "--expected-group", f"{name}x", env=env)
    assert (unknown.status, "There is no group of this name." in unknown.err) == (2, True)
    assert "Give its id, or another name, as `expected_group`." in unknown.err, "not as an argument that is not there"
