"""--connection: a command, or the server, is about a connection that was linked, not about that of the variables."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import ROOT, Served, bare, in_process, run, started

ASKS = {
    "call": ("call", "list_users", "limit=1"),
    "sync": ("sync",),
    "export": ("export", "users", "--out", "-"),
    "query": ("query", "SELECT count(*) FROM users"),
    "changes": ("changes",),
    "review": ("review", "--out", "review.csv", "--force"),
    "drift": ("drift", "users.csv"),
    "check": ("check",),
    "client-config": ("client-config", "cursor"),
}


def test_every_command_asks_the_connection_that_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = shell.link("acme")
    monkeypatch.chdir(shell.served.home)
    assert shell.run("sync", "--connection", "acme").status == 0
    assert shell.run("export", "users", "--out", "users.csv", "--connection", identity).status == 0
    (shell.served.home / "rules.toml").write_text('[[rule]]\nrole = "Engineer"\ngroup = "Engineering"\n')
    for words in ASKS.values():
        first, *others = words
        for named in ((first, "--connection", "acme", *others), ("--connection", identity, *words)):
            end = shell.run(*named)
            assert end.status in (0, 1), (named, end)
            assert "not configured" not in end.err
    roles = shell.run("roles", "--connection", "acme", PINGONE_ROLES_FILE="rules.toml")
    assert roles.status in (0, 1), roles
    assert "1 rule, 5 users" in roles.out, "the rules are files of the person who asks"
    copies = [path.relative_to(shell.state).parts[:3] for path in shell.served.home.rglob("replica/*")]
    assert set(copies) == {("connections", identity, "replica")}


@pytest.mark.parametrize("words", ASKS.values(), ids=list(ASKS))
def test_a_connection_that_there_is_not_is_wrong_use(
    shell: Shell, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.link("acme")
    monkeypatch.chdir(shell.served.home)
    (shell.served.home / "users.csv").write_text("email\numa@example.com\n")
    end = shell.run(*words, "--connection", "acmee")
    assert end.status == 2
    assert "Did you mean acme?" in end.sentence()
    assert "connections list" in end.sentence()


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--connection", "acme"),
        ("--connection", "acme", "demo"),
        ("--connection", "acme", "keys", "list"),
        ("keys", "list", "--connection", "acme"),
        ("connect", "--connection=acme"),
        ("connections", "list", "--connection", "acme"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_about_no_single_connection_takes_none(
    shell: Shell, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    end = inside(*words, env=shell.env)
    assert end.status == 2
    assert "unrecognized arguments: --connection" in end.err


def test_a_connection_may_be_called_like_a_command(shell: Shell) -> None:
    shell.link("keys")
    assert shell.run("--connection", "keys", "call", "list_users", "limit=1").json()["total"] == 60
    assert shell.run("keys", "create", "x", "--connection", "keys", "--json").json()["connections"] != []


def test_a_check_notes_what_comes_of_it(shell: Shell) -> None:
    identity = shell.link("acme")
    secret = shell.served.sandbox.application.client_secret
    shell.served.sandbox.application.client_secret = "rotated"
    end = shell.run("check", "--connection", "acme", "--json")
    assert (end.status, json.loads(end.out)["ok"]) == (1, False)
    shown = shell.run("connections", "show", "acme", "--json").json()
    assert (shown["id"], shown["status"]) == (identity, "needs_reauth")
    assert shown["reason"].startswith("token: PingOne does not accept")
    shell.served.sandbox.application.client_secret = secret
    assert shell.run("check", "--connection", identity).out.endswith("This connection works.\n")
    assert shell.run("connections", "show", "acme", "--json").json()["status"] == "active"


def test_that_no_answer_came_says_nothing_about_the_credentials(shell: Shell) -> None:
    shell.link("acme")
    shell.served.sandbox.faults.add("server_error", times=None)
    for words in (("check", "--connection", "acme"), ("connections", "check", "acme")):
        end = shell.run(*words)
        assert end.status == 1
        assert "This connection does not work yet." in end.out
    assert shell.run("connections", "show", "acme", "--json").json()["status"] == "active"


def test_nothing_is_asked_for_one_that_is_paused(shell: Shell) -> None:
    shell.link("acme")
    assert shell.run("connections", "pause", "acme").status == 0
    end = shell.run("call", "list_users", "--connection", "acme")
    assert end.status == 2
    assert "paused" in end.sentence()


def test_the_variables_are_asked_where_that_is_what_is_named(shell: Shell, served: Served) -> None:
    end = shell.run("call", "list_users", "limit=1", "--connection", "default", PINGONE_SANDBOX="1")
    assert end.json()["total"] == 500
    assert not shell.state.exists(), "it takes no control data"


def test_the_server_answers_for_the_connection_that_is_named(shell: Shell) -> None:
    shell.link("acme", PINGONE_ALLOW_WRITES="1")
    with started("--connection", "acme", env=shell.env) as server:
        server.greet()
        listed = server.answer(server.ask("tools/list"))["result"]["tools"]
        (proxy,) = [tool for tool in listed if tool["name"] == "proxy_request"]
        assert proxy["annotations"]["readOnlyHint"] is False, "its settings allow writes"
        answer = server.answer(server.call("list_users", limit=1))["result"]
    assert answer["structuredContent"]["total"] == 60


def test_a_server_of_a_connection_that_there_is_not_says_so_when_it_is_asked(shell: Shell) -> None:
    shell.link("acme")
    with started("--connection", "amce", env=shell.env) as server:
        server.greet()
        answer = server.answer(server.call("list_users", limit=1))["result"]
    assert answer["isError"]
    assert "Did you mean acme?" in answer["content"][0]["text"]


def test_the_snippet_starts_a_server_of_the_connection(shell: Shell) -> None:
    shell.link("acme & sons")
    end = shell.run("client-config", "claude-desktop", "--connection", "acme & sons")
    ((server, entry),) = json.loads(end.out)["mcpServers"].items()
    assert server == "pingone-acme-sons"
    assert entry["args"][-2:] == ["--connection", "acme & sons"]
    assert entry["env"] == {"PINGONE_STATE_DIR": str(shell.state)}
    assert "YOUR_" not in end.out + end.err
    command = [entry["command"], *entry["args"]]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(shell.served.home), "PYTHONPATH": str(ROOT), **entry["env"]}
    with started(*command[1:], program=command[:1], env=env) as client:
        client.greet()
        assert client.answer(client.call("list_users", limit=1))["result"]["structuredContent"]["total"] == 60


def test_the_url_of_a_database_is_in_no_snippet(shell: Shell) -> None:
    identity = shell.link("acme")
    database = "postgresql://pingone:hush@127.0.0.1:1/pingone"
    file = shell.served.home / "places.env"
    file.write_text(f"PINGONE_STATE_DIR={shell.state}\n")
    file.chmod(0o600)
    end = shell.run("client-config", "cursor", "--connection", identity, "--env-file", str(file))
    (entry,) = json.loads(end.out)["mcpServers"].values()
    assert entry["args"][-4:] == ["--env-file", str(file), "--connection", identity]
    refused = shell.run("client-config", "cursor", "--connection", identity, PINGONE_DATABASE_URL=database)
    assert refused.status != 0
    assert "hush" not in refused.out + refused.err


LACKING = in_process("import sys\nfor name in ('sqlalchemy', 'aiosqlite', 'alembic'): sys.modules[name] = None")


@pytest.mark.parametrize(
    "words",
    [("check", "--connection", "acme"), ("call", "list_users", "--connection", "acme"), ("keys", "list"), ("connect",)],
    ids=" ".join,
)
def test_who_lacks_the_extra_hears_which_one(shell: Shell, words: tuple[str, ...]) -> None:
    end = run(*words, env=shell.env, program=LACKING)
    assert end.status == 2
    assert "pingone-mcp[serve]" in end.sentence()


@pytest.mark.parametrize("words", [("call", "list_users", "limit=1"), ("check",), ("sync",)], ids=" ".join)
def test_without_it_nothing_of_control_data_is_loaded(served: Served, words: tuple[str, ...]) -> None:
    code = f"import sys; from pingone_mcp.cli import main\nmain({list(words)}); print(*sys.modules, file=sys.stderr)"
    loaded = set(run(env=served.variables(), program=(sys.executable, "-c", code)).err.split())
    assert "pingone_mcp.wiring" in loaded
    unwanted = {"sqlalchemy", "alembic", "aiosqlite", "pingone_mcp.control", "pingone_mcp.wiring.fleet"}
    assert unwanted & loaded == set()


def test_the_server_without_it_loads_no_control_data(served: Served) -> None:
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    with started(env=bare(served.home, PINGONE_SANDBOX="1"), program=in_process(code)) as server:
        server.greet()
        server.answer(server.call("list_users", limit=1))
        loaded = set(server.rest().err.split())
    assert "pingone_mcp.wiring" in loaded
    assert {"sqlalchemy", "pingone_mcp.control", "pingone_mcp.wiring.fleet", "pingone_mcp.web"} & loaded == set()


def test_a_sync_at_the_shell_notes_what_comes_of_it(shell: Shell) -> None:
    shell.link("acme")
    assert shell.run("sync", "--connection", "acme").status == 0
    after = shell.run("connections", "show", "acme", "--json").json()
    assert after["last_sync_at"] is not None
    sandbox = shell.served.sandbox
    application = sandbox.application
    sandbox.application = dataclasses.replace(application, client_secret="another")
    sandbox.revoke_tokens()
    assert shell.run("sync", "--connection", "acme").status == 1
    refused = shell.run("connections", "show", "acme", "--json").json()
    assert (refused["status"], refused["last_sync_at"]) == ("needs_reauth", after["last_sync_at"])
    assert "client secret" in refused["reason"]
    sandbox.application = application
    assert shell.run("sync", "--connection", "acme").status == 0
    assert shell.run("connections", "show", "acme", "--json").json()["status"] == "active"
