"""The command line: it teaches, keeps data on stdout and sentences on stderr, and its exit status can be relied on."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pingone_mcp import __version__
from pingone_mcp.cli import VERBS
from tests.process.inside import inside
from tests.process.programs import PROGRAM, ROOT, Ended, Served, bare, run
from tests.process.test_secrets import closed_port


@pytest.fixture
def sandbox(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing but the embedded sandbox, whose company needs no network."""
    return bare(tmp_path, PINGONE_SANDBOX="1", PINGONE_CACHE_DIR=str(tmp_path / "cache"))


# --- Help


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["demo", "check", "call", "sandbox", "stdin and stdout", "--env-file", "PINGONE_", "guide settings"]),
        (("demo",), ["--size", "leaves the machine", "left behind"]),
        (("check",), ["--json", "exit status", "check --env-file my.env"]),
        (("call",), ["TOOL", "key=value", "JSON", "exit status", "call list_users query=uma limit=5", "--env-file"]),
        (("sandbox",), ["--port", "--size", "127.0.0.1", "sandbox --port 0"]),
    ],
)
def test_help_teaches(tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    end = inside(*arguments, "--help", env=bare(tmp_path))
    assert (end.status, end.err) == (0, "")
    assert [word for word in words if word not in end.out] == []
    assert max(map(len, end.out.splitlines())) <= 112, "no line runs far over the edge"


def test_version(tmp_path: Path) -> None:
    assert run("--version", env=bare(tmp_path)) == Ended(status=0, out=f"pingone-mcp {__version__}\n", err="")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frobnicate",), "demo"),
        (("chek",), "Did you mean check?"),
        (("guide", "settigns"), "Did you mean settings?"),
        (("guide", "roster"), "Did you mean rosters?"),
        (("client-config", "cursr"), "Did you mean cursor?"),
        (("completion", "zhs"), "Did you mean zsh?"),
        (("export", "membrships"), "Did you mean memberships?"),
        (("check", "--jsn"), "Did you mean --json?"),
        (("--jsn", "check"), "Did you mean --json?"),
        (("sync", "--evry", "3m"), "Did you mean --every?"),
        (("sync", "--every", "often"), "30s, 15m, 2h"),
        (("review",), "--out"),
        (("review", "--format", "cvs", "--out", "x"), "Did you mean csv?"),
        (("review", "--verify", "x.csv"), "x.csv.manifest.json cannot be read"),
        (("review", "--verify", "x.csv", "--force"), "--verify stands alone"),
        (("call",), "TOOL"),
        (("call", "--list", "list_users"), "call list_users --help"),
        (("sandbox", "--port", "99999"), "0 to 65,535"),
        (("sandbox", "--port", "http"), "0 to 65,535"),
        (("sandbox", "--size", "0"), "1 to 1,000,000"),
        (("demo", "--size", "-3"), "100 to 1,000,000"),
        (("check", "--env-file"), "--env-file"),
        (("call", "list_users", "--limit", "5"), "--limit"),
        (("call", "list_users", "ann"), "key=value"),
        (("call", "list_users", "=ann"), "key=value"),
        (("call", "list_users", "limit=1", "limit=2"), "twice"),
        (("call", "list_users", "--env-file", "nowhere.env"), "nowhere.env"),
        (("call", "list_users"), "PINGONE_CLIENT_SECRET"),
    ],
)
def test_wrong_use_is_explained_and_exits_with_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    end = inside(*arguments, env=bare(tmp_path), cwd=tmp_path)
    assert end.status == 2
    assert said in end.sentence()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("call", "list_user"), "Did you mean list_users"),
        (("changes", "--kinds", "user.create"), "Did you mean user.created?"),
        (("changes", "--since", "yesterday"), "--since"),
        (("drift", "x.csv", "--kinds", "mising"), "Did you mean missing?"),
        (("drift", "x.csv", "--match-on", "mail"), "Did you mean email?"),
        (("drift", "x.csv"), "neither a file nor a registered roster"),
        (("roles",), "PINGONE_ROLES_FILE"),
        (("roles", "--kinds", "idel"), "Did you mean idle?"),
        (("roles", "uma", "--diff", "x.csv"), "USER stands alone"),
        (("review", "--out", "nowhere/x.csv"), "a folder that is not there"),
        (("review", "--out", "x.txt"), "--format"),
    ],
)
def test_wrong_use_of_what_is_configured_exits_with_2_before_anything_is_asked(
    sandbox: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    end = inside(*arguments, env=sandbox)
    assert end.status == 2
    assert said in end.sentence()
    assert not list((tmp_path / "cache").glob("*.sqlite*"))


def test_a_roster_that_is_mistyped_is_told_its_nearest(sandbox: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").write_text("email\numa@example.com\n")
    end = inside("drift", "legder", env=sandbox | {"PINGONE_ROSTERS": str(tmp_path)})
    assert end.status == 2
    assert "Did you mean ledger?" in end.sentence()


def test_a_tool_that_does_not_exist_is_wrong_use_and_the_others_are_named(sandbox: dict[str, str]) -> None:
    end = inside("call", "list_usres", env=sandbox)
    assert end.status == 2
    assert "Did you mean list_users" in end.sentence()
    assert "list_users, get_user" in end.sentence()


def test_a_wrong_configuration_is_one_message_that_names_every_variable_but_no_value(tmp_path: Path) -> None:
    env = bare(tmp_path, PINGONE_ENVIRONMENT_ID="x-x", PINGONE_CLIENT_SECRET="my-secret", PINGONE_REGION="MARS")
    end = inside("call", "list_users", env=env)
    assert end.status == 2
    for name in ("PINGONE_ENVIRONMENT_ID", "PINGONE_CLIENT_ID", "PINGONE_REGION"):
        assert name in end.sentence()
    assert "my-secret" not in end.err


def test_a_command_is_one_module_and_one_line() -> None:
    declared = {name: importlib.import_module(module).VERB.name for name, (module, _) in VERBS.items()}
    assert declared == {name: name for name in VERBS}
    folder = ROOT / "pingone_mcp" / "commands"
    modules = {path.stem.replace("_", "-") for path in folder.rglob("*.py") if "VERB = " in path.read_text()}
    assert modules | {"demo"} == set(VERBS)


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (["changes", "--help"], {"pingone_mcp.commands.changes"}),
        (["--nope", "check"], {"pingone_mcp.commands.check"}),
        (["--help"], set[str]()),
        (["--version"], set[str]()),
        (["nope"], set[str]()),
    ],
)
def test_only_the_command_that_is_asked_for_is_loaded(tmp_path: Path, words: list[str], commands: set[str]) -> None:
    code = f"import sys; from pingone_mcp.cli import main\ntry: main({words})\nfinally: print(*sys.modules)"
    loaded = set(run(env=bare(tmp_path), program=(sys.executable, "-c", code)).out.split())
    assert loaded & {module for module, _ in VERBS.values()} == commands
    assert {"pingone_mcp.wiring", "mcp", "httpx", "aiohttp"}.isdisjoint(loaded)


def test_the_tools_are_listed_before_any_copy_is_loaded(tmp_path: Path) -> None:
    code = "import sys; from pingone_mcp.server.build import all_tools; all_tools(); print(*sys.modules)"
    loaded = set(run(env=bare(tmp_path), program=(sys.executable, "-c", code)).out.split())
    assert "pingone_mcp.server.apps.browsing" in loaded
    assert {"sqlite3", "pingone_mcp.replica", "pingone_mcp.service.browsing.people"}.isdisjoint(loaded)


def test_what_the_copy_answers_loads_nothing_that_sends_compares_or_syncs(served: Served) -> None:
    env = served.variables()
    assert inside("sync", env=env).status == 0
    words = ["export", "users", "--out", str(served.home / "users.csv")]
    code = f"import sys; from pingone_mcp.cli import main\nmain({words}); print(*sys.modules)"
    loaded = set(run(env=env, program=(sys.executable, "-c", code)).out.split())
    assert {"pingone_mcp.wiring", "httpx"} <= loaded
    unwanted = {
        "aiohttp",
        "click",
        "mcp",
        "pingone_mcp.reports.drift",
        "pingone_mcp.replica.sync",
        "pingone_mcp.sandbox",
    }
    assert unwanted & loaded == set()


# --- Calls


def test_an_answer_is_json_on_stdout_and_nothing_on_stderr(served: Served) -> None:
    end = run("call", "list_users", "limit=3", env=served.variables())
    assert end.json()["result_count"] == 3
    assert end.err == ""


def test_the_embedded_sandbox_answers_without_network_and_credentials(sandbox: dict[str, str]) -> None:
    blocked = sandbox | {"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    assert run("call", "list_users", "limit=1", env=blocked).json()["total"] == 500


@pytest.mark.parametrize("fields", ["fields=id, username,", 'fields=["id", "username"]'])
def test_a_list_may_be_written_with_commas_or_as_json(served: Served, fields: str) -> None:
    end = inside("call", "list_users", "limit=1", fields, env=served.variables())
    assert list(end.json()["result"][0]) == ["id", "username"]


def test_numbers_switches_and_objects_arrive_as_what_they_are(served: Served) -> None:
    end = inside("call", "list_users", "limit=2", "include_remote_data=true", "fields=id", env=served.variables())
    assert [sorted(row) for row in end.json()["result"]] == [["id", "remote_data"]] * 2
    path = f"path=/environments/{served.sandbox.environment_id}/users"
    end = inside("call", "proxy_request", path, 'query={"limit": 4}', env=served.variables())
    assert end.json()["result_count"] == 4


def test_a_value_may_hold_equals_signs_and_quotes(served: Served) -> None:
    end = inside("call", "list_users", 'filter=username eq "a=b"', env=served.variables())
    assert end.json()["result"] == []


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (("limit=0",), "greater than or equal to 1", 2),
        (("limit=1001",), "less than or equal to 1000", 2),
        (("limit=many", "fields=[id"), "`fields`", 2),
        (("colour=red",), "no argument `colour`", 2),
        (("limitt=1",), "Did you mean limit?", 2),
        (("status=actve",), "Did you mean active?", 2),
        (("filter=title starts",), "INVALID_FILTER", 1),
        (("fields=usrname",), "Did you mean username", 1),
        (("group=Enginering",), '"Engineering" (', 1),
    ],
)
def test_an_error_of_the_tool_is_a_sentence_on_stderr_and_exits_with_1_and_wrong_use_of_it_with_2(
    served: Served, arguments: tuple[str, ...], said: str, status: int
) -> None:
    end = inside("call", "list_users", *arguments, env=served.variables())
    assert end.status == status
    assert said in end.sentence()
    assert len(end.sentence().splitlines()) == 1
    assert not end.err.startswith("Error executing tool")


def test_pingone_out_of_reach_is_a_sentence_and_exits_with_1(served: Served) -> None:
    served.sandbox.faults.add("dropped_connection", times=None)
    end = inside("call", "list_users", env=served.variables())
    assert end.status == 1
    assert "CONNECTION_BROKEN" in end.sentence()
    assert len(end.sentence().splitlines()) == 1


def test_a_closed_port_is_named_before_the_time_of_an_answer_ends(served: Served) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}/v1"
    patient = {"PINGONE_RETRY_SECONDS": "30", "PINGONE_ANSWER_SECONDS": "2"}
    said = inside("call", "list_users", env=served.variables(PINGONE_API_URL=nowhere, **patient)).sentence()
    assert "127.0.0.1 refused the connection" in said
    assert "TOO_SLOW" not in said


def test_a_reader_that_goes_away_is_no_failure(served: Served) -> None:
    caller = subprocess.Popen(
        [*PROGRAM, "call", "list_users", "limit=1"],
        env=served.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert caller.stdout is not None
    assert caller.stderr is not None
    caller.stdout.close()
    with caller:
        assert caller.stderr.read() == ""
    assert caller.returncode == 0


def test_a_terminal_that_knows_no_umlauts_gets_the_same_json(served: Served) -> None:
    ascii_only = served.variables(PYTHONIOENCODING="ascii")
    plain = run("call", "list_users", "limit=60", env=ascii_only)
    assert plain.out.isascii()
    names = [row.get("name") for row in plain.json()["result"]]
    assert any(name and not name.isascii() for name in names)


# --- Files with variables


def written(path: Path, served: Served) -> Path:
    own = {name: value for name, value in served.variables().items() if name.startswith("PINGONE_")}
    path.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    return path


def test_an_env_file_that_lies_in_the_current_folder_is_not_read(served: Served) -> None:
    written(served.home / ".env", served)
    end = inside("call", "list_users", "limit=1", env=bare(served.home), cwd=served.home)
    assert end.status == 2
    assert not served.sandbox.requests


@pytest.mark.parametrize("place", [0, 2, 4], ids=["before the command", "between its words", "at the end"])
def test_a_named_env_file_is_read_wherever_the_option_stands(served: Served, place: int) -> None:
    words = ["call", "list_users", "limit=1", "fields=id"]
    written(served.home / "my.env", served)
    words[place:place] = ["--env-file", "my.env"] if place else ["--env-file=my.env"]
    assert inside(*words, env=bare(served.home), cwd=served.home).json()["result_count"] == 1


def test_the_environment_wins_over_the_named_file(served: Served) -> None:
    file = written(served.home / "my.env", served)
    end = inside("--env-file", str(file), "call", "list_users", env=bare(served.home, PINGONE_CLIENT_SECRET="wrong"))
    assert end.status == 1
    assert "PINGONE_CLIENT_SECRET" in end.sentence()


def test_an_env_file_that_others_can_read_is_warned_of_once_and_used(served: Served) -> None:
    file = written(served.home / "my.env", served)
    file.chmod(0o644)
    end = run("call", "list_users", "limit=1", "--env-file", str(file), env=bare(served.home))
    assert end.json()["result_count"] == 1
    assert end.err.count("chmod 600") == end.err.count("\n") == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"PINGONE_CLIENT_SECRET=\xe4\n"], ids=["binary", "latin-1"])
def test_an_env_file_that_is_no_text_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "my.env"
    file.write_bytes(content)
    end = inside("check", "--env-file", str(file), env=bare(tmp_path))
    assert end.status == 2
    assert "my.env" in end.sentence()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_env_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "my.env"
    file.touch(mode=0)
    end = inside("check", "--env-file", str(file), env=bare(tmp_path))
    assert end.status == 2
    assert "my.env" in end.sentence()


# --- Examples


def examples(env: dict[str, str]) -> list[list[str]]:
    """Return every call that the README and `call --help` show, as words."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8") + inside("call", "--help", env=env).out
    lines = re.findall(r"^\s*(?:\$ )?(?:PINGONE_SANDBOX=1 )?pingone-mcp (call (?!.*--).*)$", shown, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in dict.fromkeys(lines)]


def test_every_call_that_is_shown_as_an_example_finds_somebody(sandbox: dict[str, str]) -> None:
    shown = examples(sandbox)
    assert len(shown) >= 4
    for words in shown:
        answer = inside(*words, env=sandbox).json()
        assert answer.get("result") or answer.get("id"), words


def test_what_the_readme_shows_of_a_script_works_in_this_order(sandbox: dict[str, str], tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## From a script")[2]
    lines = re.findall(r"^\$ pingone-mcp ((?:sync|changes|review) .*)$", readme, re.MULTILINE)
    env = sandbox | {"PINGONE_REPLICA_ROLES": "1"}  # or else a review is not complete
    done = [inside(*shlex.split(_once(line), comments=True), env=env, cwd=tmp_path) for line in lines]
    assert len(done) >= 5
    assert {(end.status, end.err if end.status else "") for end in done} == {(0, "")}


def _once(line: str) -> str:
    """Return a command that goes on until Ctrl-C as one that ends."""
    return re.sub(r"--every \w+", "", line)


def test_an_argument_without_a_value_is_left_out(served: Served) -> None:
    end = inside("call", "list_users", "query=", "fields=", "limit=", "cursor=", env=served.variables())
    assert end.json()["result_count"] == 50
