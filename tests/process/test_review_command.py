"""`pingone-mcp review`: a file that is whole, private, never takes another's place, and can be verified."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.pages import assert_safe
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
    end = inside("review", "--out", str(out), env=whole(served))
    assert (end.status, end.err) == (0, "")
    manifest = json.loads(beside(out).read_bytes())
    content = out.read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
    rows = table(out)
    assert len(rows) == manifest["rows"] == manifest["totals"]["rows"] == manifest["totals"]["entitlements"]
    assert len({row["user_id"] for row in rows}) == manifest["counts"]["people"]
    assert f"{manifest['counts']['people']} people and {manifest['rows']:,} entitlements" in end.out
    assert [path.stat().st_mode & 0o777 for path in (out, beside(out))] == [0o600, 0o600]
    assert sorted(out.parent.iterdir()) == [out, beside(out)]


def whole(served: Served, **changes: str) -> dict[str, str]:
    """Return settings with which nothing of a review is unknown."""
    return served.variables(PINGONE_REPLICA_ROLES="1", **changes)


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_a_review_that_is_not_complete_says_why_and_what_helps_and_the_next_sync_does(
    served: Served, out: Path
) -> None:
    end = inside("review", "--out", str(out), env=served.variables())
    assert end.status == 1
    assert "This review is incomplete:" in end.out
    assert {row["privileged"] for row in table(out)} == {"unknown"}
    inside("sync", env=whole(served))  # not a full one
    again = inside("review", "--out", str(out), "--force", env=whole(served))
    assert (again.status, "incomplete" in again.out) == (0, False)
    assert {row["privileged"] for row in table(out)} == {"yes", "no"}
    assert {row["kind"] for row in table(out)} == {"group", "role"}


def test_a_refusal_is_the_reason_and_not_the_setting(served: Served, out: Path) -> None:
    served.sandbox.faults.add("forbidden", path="roleAssignments", times=None)
    end = inside("review", "--out", str(out), env=whole(served))
    gaps = " ".join(json.loads(beside(out).read_bytes())["gaps"])
    assert (end.status, "administrator roles may not be read (403)" in gaps, "PINGONE_REPLICA_ROLES" in gaps) == (
        1,
        True,
        False,
    )


def test_members_that_could_not_be_read_are_not_said_to_be(served: Served, out: Path) -> None:
    served.sandbox.faults.add("forbidden", path="memberOfGroups", times=None)
    end = inside("review", "--out", str(out), env=whole(served))
    (place,) = json.loads(beside(out).read_bytes())["environments"]
    assert (end.status, place["groups"]) == (1, "read, but not all members")


def test_the_manifest_says_where_by_whom_with_what_and_totals_that_reconcile(served: Served, out: Path) -> None:
    inside("review", "--out", str(out), env=whole(served))
    manifest = json.loads(beside(out).read_bytes())
    [place] = manifest["environments"]
    assert place["id"] == served.sandbox.environment_id
    assert {"name", "type", "read_at", "age_seconds", "groups", "roles"} <= place.keys()
    assert manifest["application"] == served.sandbox.client_id
    assert set(manifest["operator"]) == {"user", "host"}
    assert all(manifest["operator"].values())
    assert manifest["program"].startswith("pingone-mcp ")
    assert manifest["query"]["words"] == "everybody with any group or administrator role"
    assert all(manifest[at].endswith("Z") for at in ("created_at", "data_as_of", "everybody_read_at"))
    totals = manifest["totals"]
    assert totals["people_in_directory"] == len(list(served.sandbox.users()))
    assert totals["people_in_directory"] == totals["people_with_access"] + totals["people_without_access"]
    assert totals["entitlements"] == sum(count for name, count in totals.items() if name.startswith("entitlements."))
    assert served.sandbox.client_secret not in beside(out).read_text()


def test_rows_name_ids_managers_and_the_groups_in_between_and_leave_room_to_sign(served: Served, out: Path) -> None:
    inside("review", "--out", str(out), env=whole(served))
    rows = table(out)
    groups = {row["entitlement_id"]: row["entitlement"] for row in rows if row["kind"] == "group"}
    nested = [row for row in rows if row["how"] == "indirect"]
    own = {(row["user_id"], row["entitlement_id"]) for row in rows if row["how"] in ("direct", "by filter")}
    assert nested
    assert "by filter" in {row["how"] for row in rows}
    for row in nested:
        names, ids = (row[column].split("; ") for column in ("through", "through_ids"))
        for chain, of in zip(names, ids, strict=True):
            assert (row["user_id"], of.split(" > ")[0]) in own, "the way begins with a group of one's own"
            assert chain.split(" > ") == [groups[group] for group in of.split(" > ")]
    people = {user["id"]: user for user in served.sandbox.users()}
    managed = [row for row in rows if row["manager_id"]]
    assert managed
    assert all(people[row["manager_id"]]["email"] == row["manager_email"] for row in managed)
    assert all(row["scope_id"] and row["scope_type"] for row in rows if row["kind"] == "role")
    assert {row[column] for row in rows for column in ("reviewer", "decision", "comment")} == {""}


def test_a_population_is_reviewed_whole_with_who_has_nothing(served: Served, out: Path) -> None:
    inside("review", "--population", "Employees", "--out", str(out), env=whole(served))
    manifest, rows = json.loads(beside(out).read_bytes()), table(out)
    totals = manifest["totals"]
    nothing = {row["user_id"] for row in rows if row["kind"] == "none"}
    assert len({row["user_id"] for row in rows}) == totals["people_in_file"]
    assert len(nothing) == totals["people_without_access"]
    assert totals["people_in_directory"] == (
        totals["people_outside_question"] + totals["people_with_access"] + totals["people_without_access"]
    )
    assert [one["name"] for one in manifest["query"]["population"]] == ["Employees"]


def test_every_format_holds_the_same_rows_and_a_page_needs_nothing_else(served: Served, out: Path) -> None:
    numbers = []
    for ending in (".csv", ".jsonl", ".html"):
        end = inside("review", "--out", str(out.with_suffix(ending)), "--json", env=whole(served))
        numbers.append(end.json()["rows"])
        assert inside("review", "--verify", str(out.with_suffix(ending)), env={}).status == 0
    assert len(set(numbers)) == 1
    assert out.read_bytes().startswith(b"\xef\xbb\xbf"), "Excel reads it as UTF-8"
    page = out.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count("<tr>") == numbers[0] + 1
    assert_safe(page)


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
    assert inside("review", "--out", str(out), "--force", env=whole(served)).status == 0
    assert inside("review", "--verify", str(out), env={}).status == 0


def test_the_ending_tells_the_format_and_an_option_wins(served: Served, out: Path) -> None:
    lines = out.with_suffix(".jsonl")
    told = inside("review", "--population", "Employees", "--out", str(lines), "--json", env=whole(served))
    assert told.json()["filters"] == {"population": "Employees"}
    assert len([json.loads(line) for line in lines.read_text().splitlines()]) == told.json()["rows"]
    odd = out.with_suffix(".txt")
    inside("review", "--out", str(odd), "--format", "csv", env=served.variables())
    assert odd.read_text(encoding="utf-8-sig").startswith("user_id,username,")


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
    rows = {row["user_id"]: row for row in table(out)}
    assert rows[user["id"]]["username"].startswith("'=cmd")
    assert "\x1b" not in out.read_text(encoding="utf-8")


def test_roles_that_were_not_read_are_unknown_in_the_file_and_in_its_manifest(served: Served, out: Path) -> None:
    end = inside("review", "--out", str(out), env=served.variables())
    manifest = json.loads(beside(out).read_bytes())
    rows = table(out)
    people = len({row["user_id"] for row in rows})
    assert (manifest["counts"]["flag.privileged"], manifest["counts"]["roles_unknown"]) == (None, people)
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


def test_a_page_has_the_drift_of_rosters_and_role_rules_and_opens_without_a_network(
    served: Served, out: Path, tmp_path: Path
) -> None:
    folder, rules = tmp_path / "rosters", tmp_path / "roles.toml"
    folder.mkdir()
    (folder / "crm.csv").write_text("email,username,status\ngone@example.com,<script>gone</script>,active\n")
    (folder / "odd.csv").write_text("nothing\n1\n")
    rules.write_text(
        '[[rule]]\nrole = "a"\ngroup = "*"\n[[rule]]\nrole = "b"\ngroup = "All Staff"\n[[exclusive]]\nroles = ["a", "b"]\n'
    )
    page = out.with_suffix(".html")
    env = whole(served, PINGONE_ROSTERS=str(folder), PINGONE_ROLES_FILE=str(rules))
    assert inside("review", "--out", str(page), env=env).status == 0
    text = page.read_text(encoding="utf-8")
    assert_safe(text)
    assert not re.findall(
        r"""<[^>]*(?:https?:)?//[a-z][^>]*>|url\(|@import|<(?:script|link|img|iframe|object|base|a)\b""", text
    )
    for part in ("Drift of crm", "accounts without a user in the directory (1)", "gone@example.com", "Drift of odd"):
        assert part in text, part
    assert "This could not be compared:" in text, "one roster that cannot be read costs the others nothing"
    assert "users with roles that exclude each other" in text
    assert text.index("Who has what") < text.index("how to verify this file")
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert inside("review", "--verify", str(page), env={}).status == 0
    narrowed = out.with_name("finance.html")
    inside("review", "--group", "Finance", "--out", str(narrowed), env=env)
    assert "Drift of crm" not in narrowed.read_text(encoding="utf-8")


def test_a_page_without_rosters_and_rules_says_that_nothing_is_known_of_them(served: Served, out: Path) -> None:
    page = out.with_suffix(".html")
    inside("review", "--out", str(page), env=whole(served))
    text = page.read_text(encoding="utf-8")
    assert "There is no roster, so nothing was compared with any application." in text
    assert "whether anybody has conflicting roles is not known" in text
