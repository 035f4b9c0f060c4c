"""`pingone-mcp schedules`: what is added at the shell is done by `serve`, and what is new arrives at a receiver."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import PATIENCE, bare
from tests.process.test_events import Inbox, key_of, receiving
from tests.process.test_serve_command import Serving, serving

NEVER_BY_ITSELF = "0 0 29 2 *"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Give a shell whose variables describe the sample company, and a folder of rosters."""
    (tmp_path / "rosters").mkdir()
    return bare(
        tmp_path,
        PINGONE_STATE_DIR=str(tmp_path / "state"),
        PINGONE_SANDBOX="1",
        PINGONE_ROSTERS=str(tmp_path / "rosters"),
    )


def write(folder: Path, users: list[dict[str, Any]], *strangers: str) -> None:
    rows = [{"email": one["emails"][0]["email"], "username": one["username"]} for one in users]
    rows += [{"email": f"{name}@example.org", "username": name} for name in strangers]
    (folder / "rosters" / "crm.json").write_text(json.dumps(rows))


def seen(env: dict[str, str], schedule: str, outcome: str) -> dict[str, Any]:
    """Return a schedule once its last run has come to something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        [found] = [
            one for one in json.loads(inside("schedules", "list", "--json", env=env).out) if one["id"] == schedule
        ]
        if found["outcome"] == outcome:
            return dict(found)
        assert found["outcome"] != "failed", found
    raise AssertionError(f"it never came to {outcome}")


def synced(client: httpx.Client) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if client.get("/sync-job-run", params={"status": "completed"}).json()["result"]:
            return
        time.sleep(0.1)
    raise AssertionError("nothing was synced")


def opened(served: Serving, env: dict[str, str]) -> httpx.Client:
    made = inside("keys", "create", "all", *scopes(), "--json", env=env).json()
    return httpx.Client(base_url=served.url, timeout=PATIENCE, headers={"Authorization": f"Bearer {made['key']}"})


def scopes() -> list[str]:
    return [word for scope in ("directory.read", "directory.sync", "events.manage") for word in ("--scope", scope)]


def news(inbox: Inbox, secret: str) -> dict[str, Any]:
    """Return the payload of the next event about drift, whose signature is right."""
    headers, body = inbox.next("drift:new")
    event: dict[str, Any] = Webhook(secret).verify(body, headers)
    return dict(event["payload"])


def test_what_is_new_in_a_roster_arrives_at_a_receiver_and_a_killed_process_loses_nothing(
    env: dict[str, str], tmp_path: Path
) -> None:
    with receiving() as inbox:
        with serving(env) as served, opened(served, env) as client:
            synced(client)
            webhook = client.post("/webhook", json={"target_url": inbox.url, "event_types": ["drift:*"]}).json()
            users = client.get("/unified/user-directory/users", params={"limit": 20}).json()["result"]
            write(tmp_path, users)
            words = ("drift", "--roster", "crm", "--cron", NEVER_BY_ITSELF, "--zone", "Europe/Berlin")
            made = inside("schedules", "add", *words, "--json", env=env).json()
            assert (made["kind"], made["arguments"], made["outcome"]) == ("drift", {"roster": "crm"}, None)
            assert re.fullmatch(r"20\d\d-02-28T23:00:00.000Z", made["next_at"])
            assert "within seconds" in inside("schedules", "run", made["id"], env=env).out
            seen(env, made["id"], "baseline")
            write(tmp_path, users, "stranger")
            assert inside("schedules", "run", made["id"], "--json", env=env).json()["is_served"] is True
            found = seen(env, made["id"], "new")
            payload = news(inbox, webhook["secret"])
            assert (payload["schedule_id"], payload["integrated_account_id"]) == (made["id"], "default")
            assert [row["account"]["username"] for row in payload["new"]["missing"]] == ["stranger"]
            assert payload["changes"]["new"] == 1
            assert found["next_at"] == made["next_at"], "when it is due by itself stays"
            metrics = client.get("/metrics").text
            assert 'pingone_mcp_schedules{outcome="new"} 1.0' in metrics
            served.process.send_signal(signal.SIGKILL)
            served.process.wait(PATIENCE)
        write(tmp_path, users, "stranger", "another")
        assert "No process serves" in inside("schedules", "run", made["id"], env=env).out
        with serving(env):
            payload = news(inbox, webhook["secret"])
            assert [row["account"]["username"] for row in payload["new"]["missing"]] == ["another"]
        assert inbox.letters.empty(), "nothing else is new"


def test_a_full_sync_and_a_failure_are_shown(env: dict[str, str]) -> None:
    key_of(env)
    with serving(env) as served, opened(served, env) as client:
        synced(client)
        full = inside("schedules", "add", "full_sync", "--cron", NEVER_BY_ITSELF, "--json", env=env).json()
        inside("schedules", "run", full["id"], env=env)
        seen(env, full["id"], "asked")
        causes = [one["cause"] for one in client.get("/sync-job-run").json()["result"]]
        assert "full_sync" in causes
        lost = inside(
            "schedules", "add", "drift", "--cron", NEVER_BY_ITSELF, "--roster", "none", "--json", env=env
        ).json()
        inside("schedules", "run", lost["id"], env=env)
        deadline = time.monotonic() + PATIENCE
        while client.get(f"/schedule/{lost['id']}").json()["outcome"] is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert client.get("/readyz").json()["notes"] == {"schedules": "1 failed the last time: GET /schedule says why."}
        shown = inside("schedules", "list", env=env).out
        assert "failed: There is no roster of this name." in re.sub(r"\s+", " ", shown)


def test_schedules_are_added_listed_and_removed_by_connection(shell: Shell) -> None:
    assert shell.run("schedules", "list").out.startswith("Nothing is done by the hour.")
    acme, globex = shell.link("acme"), shell.link("globex")
    cron = ("--cron", "0 7 * * mon-fri")
    made = shell.run("schedules", "add", "full_sync", *cron, "--connection", "acme")
    assert re.fullmatch(r"[0-9a-f-]{36}: next at \S+Z, by `pingone-mcp serve`.\n", made.out)
    more = ("--roster", "crm", "--match-on", "email, username", "--compare", "", "--tell-first", "--json")
    theirs = shell.run("schedules", "add", "drift", *cron, *more, "--connection", globex).json()
    assert theirs["arguments"] == {
        "roster": "crm",
        "match_on": ["email", "username"],
        "compare": [],
        "tell_first": True,
    }
    listed = json.loads(shell.run("schedules", "list", "--json").out)
    assert [one["integrated_account_id"] for one in listed] == [acme, globex]
    assert json.loads(shell.run("schedules", "list", "--json", "--connection", "globex").out) == [theirs]
    heading, *rows = shell.run("schedules", "list", "--connection", "acme").out.splitlines()
    assert heading.split() == ["id", "connection", "what", "when", "next", "last"]
    assert listed[0]["id"] in rows[0]
    wrong = shell.run("schedules", "remove", theirs["id"], "--connection", "acme")
    assert (wrong.status, "There is no such schedule" in wrong.err) == (2, True)
    assert shell.run("schedules", "remove", theirs["id"], "--connection", "globex").out == "Removed.\n"
    assert json.loads(shell.run("schedules", "list", "--json").out) == listed[:1]
    assert "No process serves" in shell.run("schedules", "run", listed[0]["id"]).out


WRONG: tuple[tuple[tuple[str, ...], str], ...] = (
    (("add", "full_sync"), "--cron"),
    (("add", "full_sync", "--cron", "0 7 * *"), "4 fields"),
    (("add", "full_sync", "--cron", "0 0 30 2 *"), "never due"),
    (("add", "full_sync", "--cron", "0 7 * * *", "--zone", "Europe/Berln"), "Did you mean Europe/Berlin"),
    (("add", "drfit", "--cron", "0 7 * * *"), "Did you mean drift"),
    (("add", "drift", "--cron", "0 7 * * *"), "`roster`: Field required."),
    (("add", "full_sync", "--cron", "0 7 * * *", "--roster", "crm"), "`roster`: there is no such argument."),
    (("run", "none"), "There is no such schedule."),
)


def test_wrong_use_is_said_and_nothing_is_kept(shell: Shell) -> None:
    shell.link("acme")
    for words, said in WRONG:
        ended = shell.run("schedules", *words, "--connection", "acme")
        assert (ended.status, said in ended.err) == (2, True), ended
    assert json.loads(shell.run("schedules", "list", "--json").out) == []


def test_without_a_connection_it_is_about_that_of_the_variables(shell: Shell) -> None:
    none = shell.run("schedules", "add", "full_sync", "--cron", "0 7 * * *")
    assert (none.status, "There is no connection" in none.err) == (2, True)
    variables = {name: value for name, value in shell.served.variables().items() if name.startswith("PINGONE_")}
    made = shell.run("schedules", "add", "full_sync", "--cron", "0 7 * * *", "--json", **variables).json()
    assert made["integrated_account_id"] == "default"
    assert shell.run("schedules", "list", "--json").out == "[]\n", "the variables describe none here"


def test_how_often_a_connection_is_synced_is_changed_by_a_file_that_says_only_that(shell: Shell) -> None:
    shell.link("acme", PINGONE_SYNC_MINUTES="5")
    file = shell.served.home / "other.env"
    file.write_text("PINGONE_SYNC_MINUTES=30\n")
    file.chmod(0o600)
    shell.run("connect", "--reconnect", "acme", "--env-file", str(file), "--json").json()
    assert shell.run("connections", "show", "acme", "--json").json()["settings"]["sync_minutes"] == 30
