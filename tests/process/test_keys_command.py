"""`pingone-mcp keys`: keys of callers are made, listed and revoked, and the key ring is rotated."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.terminal import in_terminal


def listed(shell: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shell.run("keys", "list", "--json").out)
    return found


def test_a_key_is_printed_once_for_programs(shell: Shell) -> None:
    identity = shell.link("acme")
    end = shell.run(
        *("keys", "create", "reporting", "--connection", "acme", "--connection", identity),
        *("--scope", "directory.read", "--scope", "directory.sync", "--expires", "90d", "--json"),
    )
    said = end.json()
    assert re.fullmatch(r"pmk_[0-9a-f]{16}_[0-9a-f]{48}", said["key"])
    assert said["key"].split("_")[1] == said["id"]
    assert said["connections"] == [identity]
    assert said["scopes"] == ["directory.read", "directory.sync"]
    left = datetime.fromisoformat(said["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    assert end.err == ""
    (again,) = listed(shell)
    assert again == {name: value for name, value in said.items() if name != "key"}


def test_for_a_person_the_key_alone_is_on_stdout(shell: Shell) -> None:
    shell.link("acme")
    end = shell.run("keys", "create", "reporting", "--connection", "acme")
    assert re.fullmatch(r"pmk_[0-9a-f]{16}_[0-9a-f]{48}\n", end.out)
    assert "Authorization: Bearer" in end.err
    assert end.out.strip() not in end.err


def test_a_key_reaches_what_is_named_a_customer_or_all(shell: Shell) -> None:
    identity = shell.link("acme", "--tenant", "c-17")
    for name, *words in (("one", "--connection", "acme"), ("customer", "--tenant", "c-17"), ("all",)):
        shell.run("keys", "create", name, *words, "--json").json()
    assert [(key["connections"], key["tenant"]) for key in listed(shell)] == [
        ([identity], None),
        (None, "c-17"),
        (None, None),
    ]
    _, *rows = shell.run("keys", "list").out.splitlines()
    assert [row.split("  ")[2].strip() for row in (re.sub(" {2,}", "  ", row) for row in rows)] == [
        "acme",
        "those of c-17",
        "all",
    ]


def test_a_revoked_key_is_valid_no_more(shell: Shell) -> None:
    made = shell.run("keys", "create", "x", "--json").json()
    assert shell.run("keys", "revoke", made["id"]).out == "The key is valid no more.\n"
    (key,) = listed(shell)
    assert key["revoked_at"] is not None
    assert "revoked" in shell.run("keys", "list").out
    end = shell.run("keys", "revoke", "0123456789abcdef")
    assert end.status == 2
    assert "keys list" in end.sentence()


def test_after_a_rotation_everything_is_open_still(shell: Shell) -> None:
    shell.link("acme")
    ring = shell.state / "control" / "keys"
    before = ring.read_text().split()
    assert "data keys were wrapped anew" in shell.run("keys", "rotate").out
    assert ring.read_text().split()[1:] == before
    assert shell.run("call", "list_users", "limit=1", "--connection", "acme").json()["total"] == 60
    shell.run("keys", "rotate", "--forget-old")
    assert set(ring.read_text().split()).isdisjoint(before)
    assert shell.run("call", "list_users", "limit=1", "--connection", "acme").json()["total"] == 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "ACTION"),
        (("lst",), "Did you mean list?"),
        (("create",), "NAME"),
        (("create", "x", "--scpoe", "directory.read"), "Did you mean --scope?"),
        (("create", "x", "--scope", "directory.raed"), "Did you mean directory.read"),
        (("create", "x", "--connection"), "--connection"),
        (("create", "x", "--connection", "acmee"), "Did you mean acme?"),
        (("create", "x", "--connection", "acme", "--tenant", "c-17"), "--tenant"),
        (("create", "x", "--expires", "soon"), "7d"),
        (("create", "x", "--expires", "0d"), "7d"),
        (("revoke",), "ID"),
    ],
)
def test_wrong_use_is_explained_and_exits_with_2(shell: Shell, words: tuple[str, ...], said: str) -> None:
    shell.link("acme")
    end = inside("keys", *words, env=shell.env)
    assert end.status == 2
    assert said in end.sentence()
    assert listed(shell) == []


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_keeps_to_the_width_of_a_terminal(shell: Shell, columns: int) -> None:
    shell.link("a connection of a customer with a long name")
    made = shell.run(
        *("keys", "create", "whose it is, or what it is for", "--scope", "directory.read", "--scope", "events.manage"),
        *("--connection", "a connection of a customer with a long name", "--expires", "90d", "--json"),
    ).json()
    end = in_terminal("keys", "list", env={**shell.env, "NO_COLOR": "1"}, columns=columns)
    assert end.status == 0
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in end.out.splitlines()) <= columns
    assert made["id"] in end.out, "an id that is cut cannot be revoked"
