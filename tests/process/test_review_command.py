"""`pingone-mcp review`: a file that is whole, private, never takes another's place, and can be verified."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.process.inside import inside
from tests.process.programs import Served, in_process, run, serving


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    folder.mkdir()
    return folder / "review.csv"


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.manifest.json")


def test_a_review_is_a_private_file_with_a_manifest_that_proves_it(served: Served, out: Path) -> None:
    end = inside("review", "--out", str(out), env=served.variables())
    assert (end.status, end.err) == (0, "")
    manifest = json.loads(beside(out).read_bytes())
    content = out.read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
    assert len(list(csv.DictReader(content.decode().splitlines()))) == manifest["rows"] == manifest["counts"]["people"]
    assert f"{manifest['rows']} people with access" in end.out
    assert [path.stat().st_mode & 0o777 for path in (out, beside(out))] == [0o600, 0o600]
    assert sorted(out.parent.iterdir()) == [out, beside(out)]


def test_a_changed_file_is_found_out(served: Served, out: Path) -> None:
    inside("review", "--group", "All Staff", "--out", str(out), env=served.variables())
    assert inside("review", "--verify", str(out), env={}).status == 0
    out.write_bytes(out.read_bytes().replace(b"active", b"actIve", 1))
    end = inside("review", "--verify", str(out), env={})
    assert end.status == 1
    assert end.out.startswith("review.csv is not as it was written.")
    told = inside("review", "--verify", str(out), "--json", env={})
    assert (told.status, json.loads(told.out)["same"]) == (1, False)
    beside(out).write_text("{}")
    assert "no manifest" in inside("review", "--verify", str(out), env={}).sentence()
    beside(out).unlink()
    gone = inside("review", "--verify", str(out), env={})
    assert (gone.status, "review.csv.manifest.json cannot be read" in gone.sentence()) == (2, True)


@pytest.mark.parametrize("taken", ["review.csv", "review.csv.manifest.json"])
def test_nothing_is_replaced_without_force(served: Served, out: Path, taken: str) -> None:
    (out.parent / taken).write_text("precious")
    end = inside("review", "--out", str(out), env=served.variables())
    assert end.status == 2
    assert taken in end.sentence()
    assert (out.parent / taken).read_text() == "precious"
    assert not served.sandbox.requests
    assert inside("review", "--out", str(out), "--force", env=served.variables()).status == 0
    assert inside("review", "--verify", str(out), env={}).status == 0


def test_the_ending_tells_the_format_and_an_option_wins(served: Served, out: Path) -> None:
    lines = out.with_suffix(".jsonl")
    told = inside("review", "--population", "Employees", "--out", str(lines), "--json", env=served.variables())
    assert told.json()["filters"] == {"population": "Employees"}
    assert len([json.loads(line) for line in lines.read_text().splitlines()]) == told.json()["rows"]
    odd = out.with_suffix(".txt")
    assert inside("review", "--out", str(odd), "--format", "csv", env=served.variables()).status == 0
    assert odd.read_text().startswith("id,username,")


@pytest.mark.parametrize("option", ["--group", "--role", "--population"])
def test_a_name_that_is_not_there_is_wrong_use_and_leaves_no_file(served: Served, out: Path, option: str) -> None:
    end = inside("review", option, "[bold]Nobody[/]", "--out", str(out), env=served.variables())
    assert end.status == 2
    assert end.sentence()
    assert not list(out.parent.iterdir())


def test_a_folder_that_is_not_there_or_no_folder_is_a_sentence(served: Served, out: Path) -> None:
    out.write_text("a file")
    for place in (out.parent / "none" / "r.csv", out / "r.csv"):
        end = inside("review", "--out", str(place), env=served.variables())
        assert end.status == 2
        assert "a folder that is not there" in end.sentence()
    assert not served.sandbox.requests, "it is said before anything is read"


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, out: Path) -> None:
    limit = 65_536
    program = in_process(f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))")
    with serving(Sandbox(size=400), tmp_path) as served:
        inside("sync", env=served.variables())
        end = run("review", "--out", str(out), env=served.variables(), program=program)
    assert end.status == 1
    assert "cannot be written: File too large" in end.sentence()
    assert not list(out.parent.iterdir())


def test_what_somebody_called_themselves_is_no_formula(served: Served, out: Path) -> None:
    state = served.sandbox.state()
    user = next(user for user in served.sandbox.users() if user["enabled"])
    position = state.position(user["id"])
    assert position is not None
    state.put_user(position, {**state.user(position), "username": "=cmd|' /C calc'!A0\x1b[2J"})
    inside("review", "--out", str(out), env=served.variables())
    rows = {row["id"]: row for row in csv.DictReader(out.read_text(encoding="utf-8").splitlines())}
    assert rows[user["id"]]["username"].startswith("'=cmd")
    assert "\x1b" not in out.read_text(encoding="utf-8")


def test_roles_that_were_not_read_are_unknown_in_the_file_and_in_its_manifest(served: Served, out: Path) -> None:
    end = inside("review", "--out", str(out), env=served.variables())
    manifest = json.loads(beside(out).read_bytes())
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert (manifest["counts"]["flag.privileged"], manifest["counts"]["roles_unknown"]) == (None, len(rows))
    assert manifest["complete"] is False
    assert "flag: privileged  unknown" in re.sub(" {2,}", "  ", end.out)
    assert "PINGONE_REPLICA_ROLES=1" in end.out.replace("\n", " ")
    assert all("roles_unknown" in row["flags"] for row in rows)
    assert inside("review", "--verify", str(out), env={}).status == 0


def test_the_command_and_the_tool_find_the_same(served: Served, out: Path) -> None:
    """Of a group this small both read the roles of its members."""
    inside("review", "--group", "Executives", "--out", str(out), env=served.variables())
    manifest = json.loads(beside(out).read_bytes())
    tool = inside("call", "access_review", "group=Executives", env=served.variables()).json()
    assert (tool["counts"], tool["gaps"]) == (manifest["counts"], manifest["gaps"])
    assert (tool["counts"]["roles_unknown"], tool["gaps"]) == (0, [])
    assert tool["counts"]["people"] > 0
