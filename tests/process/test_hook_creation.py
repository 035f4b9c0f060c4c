"""`connections hook --create`: shown whole, agreed to at a terminal or by --yes, and said what became of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.hostile import hidden_in
from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import Ended, serving
from tests.process.terminal import CTRL_C, in_terminal

PUBLIC = {"PINGONE_PUBLIC_URL": "https://directory.example.com"}
WRITES = {**PUBLIC, "PINGONE_ALLOW_WRITES": "1"}
ALL = {**WRITES, "PINGONE_ALLOW_PRODUCTION_WRITES": "1"}
CREATE = ("connections", "hook", "acme", "--create")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Somebody at a shell, whose PingOne takes subscriptions to any address."""
    with serving(Sandbox(size=60, options=Options(subscriptions_to_elsewhere=True)), tmp_path) as served:
        yield Shell(served=served)


def natives(shell: Shell) -> list[dict[str, Any]]:
    """Return the subscriptions of the main environment."""
    sandbox = shell.served.sandbox
    return [feed.subscription.native for feed in sandbox.world.feeds.of(sandbox.environment_id).values()]


@pytest.mark.skipif(os.name != "posix", reason="terminals")
@pytest.mark.parametrize(
    ("typed", "status", "count"), [(b"acme\n", 0, 1), (b"yes\n", 1, 0), (b"\n", 1, 0), (CTRL_C, 130, 0)]
)
def test_a_person_types_the_name_once_all_is_shown(shell: Shell, typed: bytes, status: int, count: int) -> None:
    identity = shell.link("acme")
    end = in_terminal(
        *CREATE, env={**shell.env, **WRITES}, answers=[("Type the name of the connection", typed)], is_owned=True
    )
    assert (end.status, len(natives(shell))) == (status, count)
    before = end.out.partition("Type the name")[0]
    sandbox = shell.served.sandbox
    for part in (f"https://directory.example.com/hooks/pingone/{identity}", "Authorization", "Workforce", "SANDBOX"):
        assert part in before
    assert sandbox.environment_id in before
    assert "phk_" not in end.out, "the secret is shown by `hook` alone"
    assert "Traceback" not in end.out
    assert ("Nothing was made or changed in PingOne." in end.out) is (status == 1)


@pytest.mark.parametrize("stdin", ["", "acme\n", "yes\n"])
def test_without_a_terminal_nothing_is_made_unless_it_is_agreed_to_beforehand(shell: Shell, stdin: str) -> None:
    shell.link("acme")
    end = inside(*CREATE, env={**shell.env, **WRITES}, stdin=stdin)
    assert (end.status, natives(shell)) == (1, [])
    assert "at a terminal, or with --yes" in end.err
    assert "Nothing was made or changed in PingOne." in end.err


def test_scripts_agree_beforehand_and_get_json(shell: Shell) -> None:
    identity = shell.link("acme")

    def create() -> Ended:
        return shell.run(*CREATE, "--yes", "--json", **WRITES)

    made = create()
    [environment] = made.json()["environments"]
    assert made.json()["url"] == f"https://directory.example.com/hooks/pingone/{identity}"
    assert environment == {
        "id": shell.served.sandbox.environment_id,
        "name": "Workforce",
        "result": "made",
        "code": None,
        "text": None,
    }
    assert (made.status, create().json()["environments"][0]["result"]) == (0, "there already")
    assert shell.run("connections", "hook", "acme", "--rotate").status == 0
    assert create().json()["environments"][0]["result"] == "changed"
    [native] = natives(shell)
    form = shell.run("connections", "hook", "acme", "--json", **PUBLIC).json()
    assert native["httpEndpoint"] == {"url": form["url"], "headers": form["headers"]}
    assert native["filterOptions"]["includedActionTypes"] == form["action_types"]
    assert (shell.state / "writes.jsonl").read_text().count('"event":"answered"') == 2


def test_a_header_that_is_not_shown_is_not_called_right(shell: Shell) -> None:
    shell.link("acme")
    assert shell.run(*CREATE, "--yes", **WRITES).status == 0
    assert shell.run("connections", "hook", "acme", "--rotate").status == 0
    object.__setattr__(shell.served.sandbox.options, "subscription_headers_shown", False)
    end = shell.run(*CREATE, "--yes", **WRITES)
    assert end.status == 0
    assert "does not show whether its header is the right one" in end.out
    [environment] = shell.run(*CREATE, "--yes", "--json", **WRITES).json()["environments"]
    assert environment["result"] == "there already"
    assert "does not show whether its header is the right one" in environment["text"]


def test_each_environment_is_said_by_itself(shell: Shell) -> None:
    shell.link("acme", PINGONE_ENVIRONMENTS="all")
    first = shell.run(*CREATE, "--yes", **WRITES)
    assert first.status == 1
    assert '"Workforce"' in first.out
    assert "made." in first.out
    assert '"Customers"' in first.err.splitlines()[-1]
    assert "PINGONE_ALLOW_PRODUCTION_WRITES" in first.err.splitlines()[-1]
    then = shell.run(*CREATE, "--yes", **ALL)
    assert then.status == 0
    assert sorted(line.rpartition(": ")[2] for line in then.out.splitlines()) == ["made.", "there already."]


@pytest.mark.parametrize(
    ("variables", "words", "said"),
    [
        (PUBLIC, CREATE, "PINGONE_ALLOW_WRITES=1"),
        ({"PINGONE_ALLOW_WRITES": "1"}, CREATE, "PINGONE_PUBLIC_URL"),
        ({**WRITES, "PINGONE_PUBLIC_URL": "http://127.0.0.1:8080"}, CREATE, "public https addresses"),
        (WRITES, ("connections", "hook", "acme", "--yes"), "--yes is for --create"),
        (WRITES, (*CREATE, "--rotate"), "not allowed with"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_makes_nothing(
    shell: Shell, variables: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    shell.link("acme")
    end = shell.run(*words, **variables)
    assert end.status == 2
    assert said in end.sentence()
    assert natives(shell) == []


def test_a_check_compares_and_shows_hostile_names_as_data(shell: Shell) -> None:
    shell.link("acme")
    assert shell.run(*CREATE, "--yes", **WRITES).status == 0

    def steps(*words: str) -> list[dict[str, Any]]:
        found = shell.run(*words, "--json", **PUBLIC).json()
        assert found["ok"] is True
        return [one for one in found["findings"] if one["step"].startswith("hook")]

    [good] = steps("connections", "check", "acme")
    assert (good["ok"], good["needed"]) == (True, False)
    assert steps("check", "--connection", "acme") == [good]
    [feed] = shell.served.sandbox.world.feeds.of(shell.served.sandbox.environment_id).values()
    feed.subscription.native.update(name="\u202eours\x1b[31m", enabled=False)
    [bad] = steps("connections", "check", "acme")
    assert (bad["ok"], bad["needed"]) == (False, False)
    assert "it is switched off" in bad["text"]
    text = shell.run("connections", "check", "acme", **PUBLIC)
    assert text.status == 0
    assert "missing  hook of" in text.out
    assert not hidden_in(text.out.replace("\n", " "))
    assert "\x1b" not in text.out


def test_the_connection_of_the_variables_has_a_hook_only_where_it_is_served(shell: Shell) -> None:
    own = {name: value for name, value in shell.served.variables().items() if name.startswith("PINGONE_")}
    silent = shell.run("check", "--json", **own).json()["findings"]
    assert not [one for one in silent if "hook" in one["step"]]
    assert not shell.state.exists(), "nothing is made to look at"
    [step] = [one for one in shell.run("check", "--json", **own, **PUBLIC).json()["findings"] if "hook" in one["step"]]
    assert (step["ok"], step["needed"]) == (False, False)
    assert "No webhook of PingOne leads here." in step["text"]
    made = shell.run("connections", "hook", "default", "--create", "--yes", **own, **WRITES)
    assert made.status == 0, made
    [native] = natives(shell)
    assert native["httpEndpoint"]["url"] == "https://directory.example.com/hooks/pingone/default"
    [step] = [one for one in shell.run("check", "--json", **own, **PUBLIC).json()["findings"] if "hook" in one["step"]]
    assert step["ok"]
