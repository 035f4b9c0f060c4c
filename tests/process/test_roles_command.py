"""`pingone-mcp roles`: rules as docs/roles.md teaches them, applied to a directory, compared with an application."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pingone_mcp.reports.rules_file import parse_rules
from tests.process.inside import inside
from tests.process.programs import ROOT, Served, run

RULES = """
[[rule]]
role = "reader"
group = "All Staff"

[[rule]]
role = "[bold]boss[/]"
group = "All Staff"
expires = 2020-01-31

[[rule]]
role = "approver"
group = "Executives"

[[rule]]
role = "ghost"
group = "No Such Group"

[[exclusive]]
roles = ["reader", "approver"]
note = "four eyes"
"""


@pytest.fixture
def env(served: Served) -> dict[str, str]:
    file = served.home / "roles.toml"
    file.write_text(RULES)
    return served.variables(PINGONE_ROLES_FILE=str(file))


def test_the_example_in_the_documentation_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "roles.md").read_text(encoding="utf-8"), re.DOTALL)
    rules = parse_rules(example)
    assert [rule.role for rule in rules.rules] == ["ledger-reader", "ledger-approver", "ledger-reader"]
    assert rules.exclusive[0].note == "four eyes"


def members(env: dict[str, str], group: str) -> list[str]:
    """Return the active users in a group, by a review of its access."""
    file = Path(env["PINGONE_CACHE_DIR"]) / "members.jsonl"
    assert inside("review", "--group", group, "--out", str(file), "--force", env=env).status == 0
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [row["username"] for row in rows if row["status"] == "active"]


def test_the_rules_are_reviewed_in_the_light_of_the_directory(env: dict[str, str]) -> None:
    end = inside("roles", env=env)
    assert end.status == 1
    assert (
        "\nunknown_groups (1): rules whose group is not in the directory\n  line 15  ghost  group No Such Group\n"
        in end.out
    )
    assert "\nexpired (1): rules that give nothing any more\n  line 6  [bold]boss[/]  group All Staff\n" in end.out
    assert "reader and approver exclude each other (line 19, four eyes)" in end.out
    told = json.loads(inside("roles", "--json", env=env).out)
    assert told["counts"]["offenders"] == len(told["offenders"]) > 0
    assert inside("roles", "--kinds", "ambiguous_groups", env=env).status == 0
    wrong = inside("roles", "--kinds", "mismatches", env=env)
    assert (wrong.status, "unmapped_groups" in wrong.sentence()) == (2, True)


def test_a_user_is_told_with_the_rule_that_gave_each_role_and_what_has_ended(env: dict[str, str]) -> None:
    inside("sync", env=env)
    executives = members(env, "Executives")
    end = inside("roles", executives[0], env=env)
    assert end.status == 1, "roles that exclude each other"
    assert re.search(r"^  reader +rule 1 on line 2 +in group All Staff", end.out, re.MULTILINE)
    assert "No more: [bold]boss[/], by rule 2 on line 6, which ended on 2020-02-01 00:00 UTC." in end.out
    assert "Conflict: reader and approver exclude each other (line 19, four eyes)." in end.out
    others = [name for name in members(env, "All Staff") if name not in executives]
    calm = inside("roles", others[0], "--json", env=env)
    assert (calm.status, calm.json()["roles"]) == (0, ["reader"])
    nobody = inside("roles", "nobody@example.com", env=env)
    assert (nobody.status, nobody.out) == (2, "")


def test_the_roles_of_an_application_are_compared(env: dict[str, str], served: Served, tmp_path: Path) -> None:
    inside("sync", env=env)
    executives = members(env, "Executives")
    plain = [name for name in members(env, "All Staff") if name not in executives]
    lacking, extra, right = plain[:3]
    (tmp_path / "app.csv").write_text(
        f'username,roles\n{lacking},\n{extra},"reader;[bold]boss[/];=1+1"\n{right},READER\ngone,reader\n'
    )
    end = inside("roles", "--diff", "app", env={**env, "PINGONE_ROSTERS": str(tmp_path)})
    assert end.status == 1
    assert f"line 2  {lacking}" in end.out
    assert "lacks reader (given: rule 1 on line 2)" in end.out
    assert "has [bold]boss[/] (ended: rule 2 on line 6); has =1+1\n" in end.out
    assert right not in end.out.partition("without_account")[0]
    assert "unruled_roles (1): roles of the application that no rule gives\n  =1+1\n" in end.out

    (tmp_path / "other.csv").write_text(f"Sign-in,Duty\n{right},reader\n")
    other = {**env, "PINGONE_ROSTERS": str(tmp_path)}
    assert inside("roles", "--diff", "other", env=other).status == 2
    mapped = inside("roles", "--diff", "other", "--map", "username=Sign-in", "--map", "roles=Duty", "--json", env=other)
    assert json.loads(mapped.out)["counts"]["compared"] == 1
    alone = inside("roles", "--map", "roles=Duty", env=other)
    assert (alone.status, "Add --diff ROSTER" in alone.err) == (2, True)


def test_wrong_rules_are_told_with_their_lines_and_nothing_is_asked(env: dict[str, str], served: Served) -> None:
    Path(env["PINGONE_ROLES_FILE"]).write_text('[[rule]]\nrole = "a"\n\n[[rule]]\nrole = "b"\ngrup = "c"\n')
    end = run("roles", env=env)
    assert end.status == 2
    for part in ("line 1: applies to everybody", "line 6: `grup` is not known; did you mean group?"):
        assert part in end.sentence()
    Path(env["PINGONE_ROLES_FILE"]).unlink()
    assert "There is no file where PINGONE_ROLES_FILE says." in run("roles", env=env).sentence()
    assert not served.sandbox.requests


def test_what_is_not_known_is_no_verdict_and_the_tool_says_the_same(served: Served, env: dict[str, str]) -> None:
    user = next(iter(served.sandbox.users()))
    env = env | {"PINGONE_POPULATIONS": user["population"]["id"], "PINGONE_ROSTERS": str(served.home)}
    (served.home / "app.csv").write_text("username,roles\n")
    empty = inside("roles", "--diff", "app", "--kinds", "mismatches", env=env)
    assert (empty.status, empty.out.startswith("Nothing was compared: ")) == (3, True)
    (served.home / "app.csv").write_text(f"username,roles\n{user['username']},reader\n")
    compared = inside("roles", "--diff", "app", "--kinds", "ambiguous", env=env)
    assert compared.status == 3
    assert "only the populations that are served were looked at" in compared.out
    reviewed = json.loads(inside("roles", "--json", env=env).out)
    tool = inside("call", "map_roles", env=env).json()
    assert (tool["counts"], tool["gaps"]) == (reviewed["counts"], reviewed["gaps"])
    assert tool["gaps"] == ["only the populations that are served were looked at"]
    one = json.loads(inside("roles", user["id"], "--json", env=env).out)
    of_tool = inside("call", "map_roles", f"user={user['id']}", env=env).json()
    assert one["roles"] == of_tool["roles"]
