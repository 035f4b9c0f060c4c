"""`pingone-mcp rosters`: lists and rules are kept for a connection, and found by the commands that compare."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import Ended
from tests.process.terminal import in_terminal

RULES = '[[rule]]\nrole = "Engineer"\ngroup = "Engineering"\n'


@pytest.fixture
def folder(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    shell.link("acme")
    monkeypatch.chdir(shell.served.home)
    (shell.served.home / "crm.csv").write_text("email,status\nnobody@example.com,active\n")
    (shell.served.home / "rules.toml").write_text(RULES)
    return shell.served.home


def rosters(shell: Shell, *words: str, **variables: str) -> Ended:
    return shell.run("rosters", *words, "--connection", "acme", **variables)


def test_a_list_that_is_pushed_is_found_by_its_name(shell: Shell, folder: Path) -> None:
    assert rosters(shell, "list").out == "There is no roster. `pingone-mcp rosters push NAME FILE` keeps one.\n"
    said = rosters(shell, "push", "ledger", "crm.csv")
    assert said.out.splitlines()[0] == "Kept 1 account."
    assert "pingone-mcp drift ledger --connection acme" in said.out
    (folder / "crm.csv").unlink()
    shell.run("sync", "--connection", "acme")
    drift = shell.run("drift", "ledger", "--json", "--connection", "acme")
    assert [one["account"]["email"] for one in json.loads(drift.out)["missing"]] == ["nobody@example.com"]
    [one] = json.loads(rosters(shell, "list", "--json").out)
    assert (one["name"], one["source"], one["accounts"], one["reason"]) == ("ledger", "pushed", 1, None)
    heading, row = rosters(shell, "list").out.splitlines()
    assert (heading.split()[:3], row.split()[:3]) == (["name", "source", "accounts"], ["ledger", "pushed", "1"])
    assert rosters(shell, "remove", "ledger", "--json").json() == {"name": "ledger"}
    end = shell.run("drift", "ledger", "--connection", "acme")
    assert end.status == 2
    assert "pingone-mcp rosters push NAME FILE" in end.sentence()


def test_rules_that_are_put_are_applied(shell: Shell, folder: Path) -> None:
    assert rosters(shell, "rules").status == 2
    assert rosters(shell, "rules", "rules.toml").out == "Kept 1 rule.\n"
    assert rosters(shell, "rules").out == RULES
    shell.run("sync", "--connection", "acme")
    assert "1 rule, 5 users" in shell.run("roles", "--connection", "acme").out
    (folder / "rules.toml").write_text(RULES.replace("group", "gruop"))
    wrong = rosters(shell, "rules", "rules.toml")
    assert wrong.status == 2
    assert "line 3: `gruop` is not known" in wrong.err
    assert rosters(shell, "rules", "--json").json()["rules"] == 1
    assert rosters(shell, "rules", "--remove").out == "Removed.\n"
    assert rosters(shell, "rules", "rules.toml", "--remove").status == 2


def test_the_connection_of_the_variables_has_rosters_too(shell: Shell, folder: Path) -> None:
    sample = {"PINGONE_SANDBOX": "1"}
    assert shell.run("rosters", "push", "ledger", "crm.csv", **sample).status == 0
    for words in (("rosters", "list"), ("rosters", "list", "--connection", "default")):
        assert "ledger" in shell.run(*words, **sample).out
    found = shell.run("call", "describe_directory", "topic=rosters", **sample)
    assert found.json()["rosters"] == ["ledger"]
    (folder / "named").mkdir()
    (folder / "named" / "ledger.csv").write_text("email\nann@example.com\n")
    end = shell.run("drift", "ledger", PINGONE_ROSTERS=str(folder / "named"), **sample)
    assert end.status == 2
    assert "two rosters of this name" in end.sentence()
    assert json.loads(rosters(shell, "list", "--json").out) == [], "another connection has none of it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "../x", "crm.csv"), "The name of a roster is"),
        (("push", "crm", "none.csv"), "cannot be read"),
        (("push", "crm", "rules.toml"), "ends with .csv, .tsv, .txt or .json"),
        (("pull", "crm"), "There is no roster of this name."),
        (("remove", "crm"), "There is no roster of this name."),
        (("source", "crm", "--url", "http://10.0.0.1/Users", "--no-token"), "no https URL of a public host"),
        (("source", "crm", "--url", "https://crm.example.com/Users"), "nobody to ask for the token"),
        (
            ("source", "crm", "--url", "https://crm.example.com/Users", "--token-env", "NONE"),
            "no token where it should",
        ),
        (("source", "crm", "--url", "https://crm.example.com/Users", "--token-file", "none"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_wrong_use(shell: Shell, folder: Path, words: tuple[str, ...], said: str) -> None:
    end = rosters(shell, *words)
    assert end.status == 2
    assert said in end.err


def test_a_connection_that_there_is_not_is_wrong_use(shell: Shell, folder: Path) -> None:
    end = shell.run("rosters", "list", "--connection", "acmee")
    assert end.status == 2
    assert "Did you mean acme?" in end.sentence()
    assert inside("rosters", "list", env=shell.env).status == 2, "the variables describe none"


class Application:
    """A SCIM server of one page, and the tokens that came."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.tokens: list[str | None] = []
        self.status = 200

    @contextmanager
    def listening(self) -> Iterator[str]:
        application = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                application.tokens.append(self.headers["Authorization"])
                parts = urlsplit(self.path)
                start = int(parse_qs(parts.query).get("startIndex", ["1"])[0])
                users = [{"id": name, "userName": name} for name in application.names]
                listed = {"totalResults": len(users), "startIndex": start, "Resources": users[start - 1 :]}
                body = json.dumps(listed).encode()
                status = application.status if parts.path.endswith("/Users") else 404
                self.send_response(status)
                self.send_header("Content-Type", "application/scim+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
                pass

        with HTTPServer(("127.0.0.1", 0), Answering) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/scim/Users"
            finally:
                server.shutdown()


def test_a_roster_is_pulled_with_a_token_that_stands_in_no_argument(shell: Shell, folder: Path) -> None:
    application = Application()
    application.names = ["ann", "bo"]
    with application.listening() as url:
        made = rosters(shell, "source", "wiki", "--url", url, "--token-env", "WIKI_TOKEN", "--json", WIKI_TOKEN="t0ken")
        assert (made.json()["source"], made.json()["url"]) == ("scim", url)
        pulled = rosters(shell, "pull", "wiki")
        assert pulled.out.startswith("Kept 2 accounts."), pulled
        assert set(application.tokens) == {"Bearer t0ken"}
        application.status = 401
        failed = rosters(shell, "pull", "wiki")
        assert failed.status == 1
        assert "did not accept the token" in failed.sentence()
        [one] = json.loads(rosters(shell, "list", "--json").out)
        assert one["accounts"] == 2
        assert "did not accept the token" in one["reason"]
        (folder / "token").write_text("another\n")
        application.status, application.tokens = 200, []
        assert rosters(shell, "source", "wiki", "--url", url, "--token-file", "token").status == 0
        assert rosters(shell, "pull", "wiki", "--json").json()["reason"] is None
        assert set(application.tokens) == {"Bearer another"}
    said = [path.read_bytes() for path in shell.state.rglob("*") if path.is_file()]
    assert not any(b"t0ken" in content for content in said), "it is sealed"


def test_a_person_is_asked_for_the_token_which_is_not_seen(shell: Shell, folder: Path) -> None:
    application = Application()
    with application.listening() as url:
        words = ("rosters", "source", "wiki", "--url", url, "--connection", "acme")
        seen = in_terminal(*words, env=shell.env, answers=[("Bearer token", b"t0ken\n")])
        assert seen.status == 0, seen
        assert "t0ken" not in seen.out
        assert rosters(shell, "pull", "wiki").status == 0
    assert set(application.tokens) == {"Bearer t0ken"}
