"""`pingone-mcp connections`: what was linked is listed, shown, checked, paused, renamed and removed."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.control.inbox import UNREADABLE, IncomingEvent
from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import Ended
from tests.process.terminal import CTRL_C, in_terminal


def listed(shell: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shell.run("connections", "list", "--json").out)
    return found


def test_the_list_is_an_array_for_programs_and_a_table_for_people(shell: Shell) -> None:
    assert shell.run("connections", "list").out.startswith("No connection has been linked.")
    assert listed(shell) == []
    identity = shell.link("acme", "--tenant", "c-17", PINGONE_SYNC_MINUTES="5")
    sandbox = shell.served.sandbox
    (one,) = listed(shell)
    assert one == {
        "id": identity,
        "name": "acme",
        "tenant": "c-17",
        "provider": "pingone",
        "status": "active",
        "reason": None,
        "is_paused": False,
        "settings": {
            "environment_id": sandbox.environment_id,
            "client_id": sandbox.client_id,
            "api_url": f"{shell.served.base_url}/v1",
            "auth_url": shell.served.base_url,
            "retry_seconds": 0.0,
            "sync_minutes": 5.0,
        },
        "created_at": one["created_at"],
        "last_sync_at": None,
        "next_sync_at": None,
    }
    heading, row = shell.run("connections", "list").out.splitlines()
    assert heading.split() == ["name", "id", "tenant", "status", "last", "sync"]
    assert row.split() == ["acme", identity, "c-17", "active"]


def test_one_is_shown_by_its_name_or_its_id(shell: Shell) -> None:
    identity = shell.link("acme")
    by_name, by_id = (shell.run("connections", "show", one, "--json").json() for one in ("acme", identity))
    assert by_name == by_id == {**listed(shell)[0], "hook": None}
    rows = dict(line.strip().split("  ", 1) for line in shell.run("connections", "show", "acme").out.splitlines())
    assert rows["environment id"].strip() == shell.served.sandbox.environment_id
    assert "client secret" not in rows
    assert "made by" not in rows


def test_that_of_the_variables_is_shown_as_such_and_cannot_be_changed(shell: Shell) -> None:
    def asked(*words: str) -> Ended:
        return shell.run("connections", *words, PINGONE_SANDBOX="1")

    assert asked("list", "--json").out.startswith('[{"id": "default", "name": "default", "tenant": null')
    assert "made by   the environment variables" in asked("show", "default").out
    assert asked("check", "default").status == 0
    for words in (("remove", "default"), ("remove", "default", "--yes"), ("rename", "default", "other")):
        end = asked(*words)
        assert end.status == 2
        assert "made by the variables" in end.sentence()
    assert listed(shell) == [], "the variables describe none here"
    assert shell.run("connections", "show", "default").status == 2


def test_a_check_says_what_is_wrong_and_notes_it(shell: Shell) -> None:
    shell.link("acme")
    assert shell.run("connections", "check", "acme", "--json").json()["ok"] is True
    shell.served.sandbox.application.client_secret = "rotated"
    end = shell.run("connections", "check", "acme")
    assert end.status == 1
    assert "failed   token: " in end.out
    shown = shell.run("connections", "show", "acme").out
    assert "status          needs_reauth" in shown
    assert "reason          token: PingOne does not accept" in shown


def test_one_is_paused_resumed_and_renamed(shell: Shell) -> None:
    identity = shell.link("acme")
    assert shell.run("connections", "pause", "acme", "--json").json()["is_paused"] is True
    assert "active, paused" in shell.run("connections", "list").out
    assert shell.run("connections", "resume", "acme", "--json").json()["is_paused"] is False
    renamed = shell.run("connections", "rename", "acme", "globex", "--json").json()
    assert (renamed["id"], renamed["name"]) == (identity, "globex")
    assert shell.run("connections", "show", "acme").status == 2
    shell.link("acme")
    end = shell.run("connections", "rename", "globex", "acme")
    assert end.status == 2
    assert "Another connection has this name." in end.sentence()


def test_what_is_removed_is_gone_and_it_is_said_what_there_was(shell: Shell) -> None:
    identity = shell.link("acme")
    key = shell.run("keys", "create", "x", "--connection", "acme", "--json").json()
    assert shell.run("sync", "--connection", "acme").status == 0
    assert shell.run("connections", "remove", "acme").status == 1, "nobody has said that it is meant"
    said = shell.run("connections", "remove", "acme", "--yes", "--json").json()
    assert said == {"id": identity, "removed": ["its credentials", "its local copy", "its access tokens"]}
    assert listed(shell) == []
    assert not list(shell.state.rglob(f"*{identity}*"))
    (left,) = json.loads(shell.run("keys", "list", "--json").out)
    assert (left["id"], left["connections"]) == (key["id"], [])
    assert shell.link("acme") != identity


@pytest.mark.skipif(os.name != "posix", reason="terminals")
@pytest.mark.parametrize(
    ("typed", "status", "is_left"),
    [(b"acme\n", 0, False), (b"yes\n", 1, True), (CTRL_C, 130, True)],
    ids=["name", "yes", "ctrl-c"],
)
def test_a_person_types_the_name_of_what_is_to_be_removed(
    shell: Shell, typed: bytes, status: int, *, is_left: bool
) -> None:
    shell.link("acme")
    end = in_terminal(
        "connections", "remove", "acme", env=shell.env, answers=[("Type its name:", typed)], is_owned=True
    )
    assert end.status == status
    assert bool(listed(shell)) is is_left
    assert "Traceback" not in end.out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_keeps_to_the_width_of_a_terminal(shell: Shell, columns: int) -> None:
    identity = shell.link("a connection of a customer with a long name", "--tenant", "customer-number-17")
    end = in_terminal("connections", "list", env={**shell.env, "NO_COLOR": "1"}, columns=columns)
    assert end.status == 0
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in end.out.splitlines()) <= columns
    assert identity in end.out, "an id that is cut is of no use"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "ACTION"),
        (("lst",), "Did you mean list?"),
        (("show",), "C"),
        (("show", "acme", "--jsno"), "Did you mean --json?"),
        (("show", "acem"), "Did you mean acme?"),
        (("pause", "nobody"), "connections list"),
    ],
)
def test_wrong_use_is_explained_and_exits_with_2(shell: Shell, words: tuple[str, ...], said: str) -> None:
    shell.link("acme")
    end = inside("connections", *words, env=shell.env)
    assert end.status == 2
    assert said in end.sentence()


@pytest.mark.parametrize(
    "words", [("connections", "list"), ("keys", "list"), ("call", "list_users", "--connection", "acme")], ids=" ".join
)
def test_a_lost_key_file_is_one_sentence(shell: Shell, words: tuple[str, ...]) -> None:
    shell.link("acme")
    (shell.state / "control" / "keys").unlink()
    end = shell.run(*words)
    assert end.status == 2
    assert "[KEY_FILE_LOST]" in end.sentence()
    assert len(end.sentence().splitlines()) == 1


def test_what_to_enter_in_pingone_is_printed_and_stays_the_same(shell: Shell) -> None:
    identity = shell.link("acme")
    public = {"PINGONE_PUBLIC_URL": "https://directory.example.com"}
    first = shell.run("connections", "hook", "acme", "--json", **public)
    form = first.json()
    assert first.err == ""
    assert form.keys() == {"url", "headers", "action_types"}
    assert form["url"] == f"https://directory.example.com/hooks/pingone/{identity}"
    assert form["headers"].keys() == {"Authorization"}
    assert re.fullmatch(r"Bearer phk_[\w-]{43}", form["headers"]["Authorization"])
    assert {"USER.UPDATED", "USER.MOVED", "PASSWORD.CHECK_FAILED", "SUBSCRIPTION.DELETED"} <= set(form["action_types"])
    assert len(form["action_types"]) == len(set(form["action_types"])) == 23
    assert shell.run("connections", "hook", identity, "--json", **public).json() == form
    text = shell.run("connections", "hook", "acme", **public).out
    assert form["headers"]["Authorization"] in text
    assert form["url"] in text
    assert all(one in text for one in [*form["action_types"], "Splunk", "New Relic"])
    assert "holds for a day" not in text


def test_what_came_to_a_hook_is_shown_whichever_process_took_it(shell: Shell) -> None:
    identity, began = shell.link("acme"), datetime.now(UTC)

    def hook() -> dict[str, Any] | None:
        found: dict[str, Any] | None = shell.run("connections", "show", "acme", "--json").json()["hook"]
        return found

    assert hook() is None
    assert "event" not in shell.run("connections", "show", "acme").out
    assert shell.run("connections", "hook", "acme").status == 0
    nothing = {"last_event_at": None, "waiting": 0, "waiting_since": None, "unreadable": 0, "set_aside": 0}
    assert hook() == {**nothing, "refused": None}
    assert "none came yet" in shell.run("connections", "show", "acme").out

    async def come() -> None:
        async with open_control(ControlPlace(folder=shell.state)) as control:
            events = [IncomingEvent(event_id=one, body=b"{}") for one in "abc"]
            odd = IncomingEvent(event_id=f"{UNREADABLE}1", body=b"x", is_readable=False)
            await control.inbox.add(identity, [*events, odd])
            first, *_ = await control.inbox.pending(identity)
            await control.inbox.set_aside([first.number])
            await control.hook_secrets.note_refused(identity, 1_234)

    anyio.run(come)
    found = hook()
    assert found is not None
    assert (found["waiting"], found["unreadable"], found["set_aside"]) == (2, 1, 1)
    assert found["refused"]["count"] == 1_234
    assert began <= datetime.fromisoformat(found["waiting_since"]) <= datetime.fromisoformat(found["last_event_at"])
    text = shell.run("connections", "show", "acme").out
    for said in ("1 in the last 14 days", "1,234 deliveries since", "2, the oldest since", "failed again and again"):
        assert said in " ".join(text.split())


def test_another_hook_secret_is_made_on_request(shell: Shell) -> None:
    shell.link("acme")
    before = shell.run("connections", "hook", "acme", "--json")
    rotated = shell.run("connections", "hook", "acme", "--rotate")
    after = shell.run("connections", "hook", "acme", "--json").json()
    assert before.json()["headers"] != after["headers"]
    assert after["headers"]["Authorization"] in rotated.out
    assert "holds for a day" in rotated.out
    assert "PINGONE_PUBLIC_URL is not set" in before.err
