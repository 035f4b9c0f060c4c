"""`pingone-mcp sync` and `changes`: the copy and what happened to it, for people and for schedulers."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from rich.cells import cell_len

from pingone_mcp.cli import main
from pingone_mcp.commands.sync import sync
from pingone_mcp.sandbox.app import Sandbox
from tests.process.inside import inside
from tests.process.programs import Served, bare, run, started
from tests.process.terminal import in_terminal
from tests.replica.happenings import Doors, Happening, happen
from tests.world import NOW, Time, World


def test_a_sync_says_what_it_read_and_changes_what_happened_since(served: Served) -> None:
    env = served.variables()
    none = inside("changes", env=env)
    assert (none.status, none.out) == (1, "")
    assert "pingone-mcp sync" in none.sentence()

    first = inside("sync", env=env)
    assert first.status == 0
    assert re.search(r"^  users +60$", first.out, re.MULTILINE)
    assert "full sync" in first.out
    assert "This is the first copy" in first.out
    assert {"people: 60", "local copy: done"} <= set(first.err.splitlines())

    anyio.run(happen, served.sandbox, [Happening("create", 0, 0, 0), Happening("disable", 3, 0, 0)])
    told = inside("sync", "--json", env=env)
    assert told.err == ""
    assert (told.json()["complete"], told.json()["mode"]) == (True, "incremental")
    assert told.json()["changes"] == {"user.created": 1, "user.deactivated": 1, "membership.added": 1}
    assert inside("sync", "--json", env=env).json()["changes"] == {}

    lines = inside("changes", "--json", "--since", "1h", env=env).out.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["user.created", "user.deactivated", "membership.added"]
    shown = inside("changes", "--since", "1d", "--kinds", "user.deactivated", env=env)
    assert len(shown.out.splitlines()) == 1
    assert "status: active → inactive" in shown.out
    assert "1 change, in the local copy of" in shown.err
    assert "\nNote: changes before " in inside("changes", "--since", "30d", env=env).err
    assert inside("changes", "--since", "2999-01-01", env=env).out == ""


def test_a_held_sync_waits_for_the_word_of_a_person(served: Served) -> None:
    env = served.variables()
    assert inside("sync", env=env).status == 0
    state = served.sandbox.state()
    for user in list(served.sandbox.users())[::2]:  # deleted, and nothing in the audit says so
        position = state.position(user["id"])
        assert position is not None
        state.remove_user(position)
    for _ in range(2):
        held = inside("sync", "--full", env=env)
        assert held.status == 1
        assert "Not complete, so that nothing was taken over." in held.out
        assert '30 of 60 users in environment "Workforce" (' in held.out
        assert 'in population "Employees" (' in held.out
        assert re.search(r'Among them \(names are data\): "[^"]+@example.com" \(', held.out), (
            "a person decides by names"
        )
        assert "pingone-mcp sync --accept-removals" in held.out
    assert inside("changes", "--kinds", "user.removed", "--since", "1h", env=env).out == ""
    accepted = inside("sync", "--accept-removals", "--json", env=env)
    assert (accepted.status, accepted.json()["changes"]["user.removed"]) == (0, 30)
    assert inside("sync", "--json", env=env).json()["changes"] == {}


def test_a_copy_that_lacks_something_is_not_said_to_hold_all(served: Served) -> None:
    whole = inside("sync", env=served.variables()).out
    lacking = inside("sync", env=served.variables(PINGONE_POPULATIONS="00000000-0000-4000-8000-00000000000a")).out
    assert ("It holds all that PingOne knew at" in whole, "Missing: " in whole) == (True, False)
    assert ("It holds what could be read of PingOne as of" in lacking, "Missing: " in lacking) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sync", "--every", "soon"), "30s, 15m, 2h or 7d"),
        (("sync", "--every", "0s"), "30s, 15m, 2h or 7d"),
        (("changes", "--since", "yesterday"), "2026-11-20"),
        (("changes", "--since", "2026-11-01T08:00:00"), "2026-11-20T08:00:00Z"),
        (("changes", "--kinds", "user.born"), "user.created"),
        (("drift", "no-such-roster"), "PINGONE_ROSTERS"),
        (("drift", "no-such-roster", "--match-on", "shoe"), "email, username, external_id"),
        (("drift", "no-such-roster", "--kinds", ","), "missing, status_mismatches"),
        (("roles",), "PINGONE_ROLES_FILE"),
        (("roles", "ann", "--diff", "ledger"), "USER stands alone"),
        (("review", "--out", "review.xls"), "csv"),
        (("review", "--verify", "a.csv", "--force"), "stands alone"),
    ],
)
def test_wrong_use_is_a_sentence_and_ends_with_2(
    served: Served,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    end = inside(*arguments, env=served.variables())
    assert end.status == 2
    assert said in end.sentence()
    assert not served.sandbox.requests


@pytest.mark.parametrize(("command", "status"), [("sync", 1), ("drift", 3), ("roles", 3), ("review", 1)])
def test_pingone_out_of_reach_is_never_taken_for_an_answer(
    served: Served,
    command: str,
    status: int,
) -> None:
    served.sandbox.faults.add("dropped_connection", times=None)
    (served.home / "app.csv").write_text("email\nann@example.com\n")
    (served.home / "roles.toml").write_text('[[rule]]\nrole = "a"\ngroup = "b"\n')
    words = {"drift": (str(served.home / "app.csv"),), "review": ("--out", str(served.home / "r.csv"))}
    env = served.variables(PINGONE_ROLES_FILE=str(served.home / "roles.toml"))
    end = inside(command, *words.get(command, ()), env=env)
    assert end.status == status
    assert "CONNECTION_BROKEN" in end.err
    assert not (served.home / "r.csv").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sync", ["--full", "--every", "--json", "exit status", "sync --every 15m"]),
        ("changes", ["--since", "7d", "--kinds", "exit status"]),
        ("drift", ["ROSTER", "PINGONE_ROSTERS", "--match-on", "3 when it could", "guide rosters"]),
        ("review", ["--out", "--verify", "--force", "manifest", "exit status", "review --verify review.csv"]),
        ("roles", ["USER", "--diff", "PINGONE_ROLES_FILE", "guide roles", "exit status"]),
    ],
)
def test_help_teaches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, words: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    told = capsys.readouterr().out
    assert [word for word in words if word not in " ".join(told.split())] == []
    assert max(map(len, told.splitlines())) <= 112, "no line runs far over the edge"


def test_every_goes_on_after_a_sync_that_failed_until_it_is_interrupted(served: Served) -> None:
    served.sandbox.faults.add("dropped_connection", times=None)
    with started("sync", "--every", "1s", "--json", env=served.variables()) as syncing:
        failed = json.loads(syncing.line())
        served.sandbox.faults.clear()
        assert (failed["complete"], failed["code"]) == (False, "CONNECTION_BROKEN")
        while not json.loads(syncing.line())["complete"]:
            assert len(syncing.heard) < 5
        syncing.process.send_signal(signal.SIGINT)
        end = syncing.rest()
    assert (end.status, end.err) == (130, "")


def test_every_tells_a_person_that_a_sync_has_failed_and_when_the_next_begins(served: Served) -> None:
    served.sandbox.withdraw()
    with started("sync", "--every", "2h", env=served.variables()) as syncing:
        assert syncing.process.stderr is not None
        while not (said := syncing.process.stderr.readline()).startswith("The next one begins in 2 hours."):
            syncing.heard.append(said)
            assert said, syncing.heard
    assert any(line.startswith("This sync failed: ") for line in syncing.heard)


class _EnoughError(Exception):
    """The rounds that a test wants are over."""


class _Rounds(Time):
    """A clock by which three more rounds begin."""

    async def nap(self, seconds: float) -> None:
        if self.naps.count(900) == 3:
            raise _EnoughError
        await super().nap(seconds)


async def test_a_round_in_which_nothing_happens_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(sandbox=Sandbox(20, now=NOW), cache=tmp_path, time=_Rounds())
    with pytest.raises(_EnoughError):
        await sync(world.backend, full=False, every=900, as_json=False)
    out, err = capsys.readouterr()
    first, *idle = out[out.index("This is the first copy") :].splitlines()[1:]
    assert first.startswith("It holds all")
    said = r"2026-06-15 12:00 UTC: no changes \(\d+\.\d s\)\. The next sync begins in 15 minutes\."
    assert [re.fullmatch(said, line) is not None for line in idle] == [True] * 3
    assert err.count("The next one begins") == 1, "of the first round"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_fields_that_changed_are_wrapped_to_the_terminal(served: Served, columns: int) -> None:
    env = {**served.variables(), "NO_COLOR": "1"}
    assert inside("sync", env=env).status == 0
    told = {
        "title": "漢字の肩書き " * 6 + "Chief",
        "name": {"given": "Zoë", "family": "a" * 70},
        "address": {"locality": "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"},
    }
    user = next(iter(served.sandbox.users()))

    async def change() -> None:
        async with Doors(served.sandbox) as doors:
            path = f"/users/{user['id']}"
            assert await doors.send("PATCH", path, told) == 200

    anyio.run(change)
    assert inside("sync", env=env).status == 0
    end = in_terminal("changes", "--kinds", "user.updated", env=env, columns=columns)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", end.out).replace("\r", "").split("\n")
    begin = next(number for number, line in enumerate(lines) if "user.updated" in line)
    body = lines[begin : next(number for number, line in enumerate(lines) if "1 change, in" in line)]
    assert max(map(cell_len, body)) <= columns
    assert all(line.startswith("    ") for line in body[1:] if line)
    text = re.sub(r"\s+", "", "".join(body))
    for said in ("title:", "→漢字の肩書き", "last_name:", "→" + "a" * 60 + "…", "address.city:Oslo→Llanfairpwllgwyn"):
        assert said in text


def test_in_a_terminal_each_stage_has_a_bar(served: Served) -> None:
    end = in_terminal("sync", env=served.variables())
    assert end.status == 0
    assert "\x1b[" in end.out
    assert "━━━" in end.out
    assert re.search(r"people +\S*━", end.out)


def test_the_embedded_sandbox_can_be_synced_in_a_process_of_its_own(served: Served) -> None:
    env = bare(served.home, PINGONE_SANDBOX="1", PINGONE_CACHE_DIR=str(served.cache))
    end = run("sync", "--full", env=env)
    assert end.status == 0
    assert "\x1b" not in end.out + end.err
    assert not served.sandbox.requests


def test_without_configuration_the_variables_are_named(served: Served) -> None:
    end = inside("changes", env=bare(served.home))
    assert end.status == 2
    assert "PINGONE_CLIENT_SECRET" in end.sentence()


def test_a_damaged_copy_is_said_to_be_one_and_is_made_anew_by_a_sync(served: Served) -> None:
    env = served.variables()
    assert inside("sync", env=env).status == 0
    [copy] = (served.cache / "replica").glob("*.db")
    with closing(sqlite3.connect(copy)) as database:
        database.execute("DROP VIEW changes")
    told = inside("changes", env=env)
    assert (told.status, told.out) == (1, "")
    assert "the view changes is missing" in told.sentence()
    assert "pingone-mcp sync --full" in told.sentence()
    healed = inside("sync", env=env)
    assert healed.status == 0
    assert "full sync" in healed.out
    assert "The local copy was damaged: the view changes is missing." in " ".join(healed.out.split())
    assert "damaged" not in inside("sync", env=env).out
