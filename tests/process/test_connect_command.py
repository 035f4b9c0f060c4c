"""`pingone-mcp connect`: a connection is linked once it works, from a file or by a person who answers questions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pingone_mcp.directory.text.harmless import harmless
from tests.process.inside import inside
from tests.process.linking import Shell
from tests.process.programs import Served, run
from tests.process.terminal import CTRL_C, END_OF_INPUT, in_terminal
from tests.process.test_secrets import forms

UNKNOWN = "5d2f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
SECRET = "hush~hush+secret"
REGION, ENVIRONMENT, CLIENT, PASSWORD, NAME = "Region", "Environment id: ", "Client id: ", "Client secret", "Name of"
ANSWERS = (
    (REGION, b"eu\n"),
    (ENVIRONMENT, f"{UNKNOWN}\n".encode()),
    (CLIENT, f"{UNKNOWN}\n".encode()),
    (PASSWORD, f"{SECRET}\n".encode()),
    (NAME, b"acme\n"),
)


def test_from_a_file_it_answers_programs_in_one_document(shell: Shell) -> None:
    end = shell.run("connect", "--name", "acme", "--tenant", "c-17", "--env-file", str(shell.file()), "--json")
    said = end.json()
    assert said == {"id": said["id"], "name": "acme", "tenant": "c-17", "status": "active"}
    assert end.err == ""


def test_it_says_what_it_tried_as_check_does_and_what_is_next(shell: Shell) -> None:
    file = shell.file()
    end = shell.run("connect", "--name", "acme", "--env-file", str(file))
    checked = inside("check", env=shell.served.variables())
    steps, _, rest = end.out.partition("This connection works.\n")
    assert (end.status, end.err) == (0, "")
    assert steps == checked.out.partition("This connection works.\n")[0]
    commands = [line.split() for line in rest.splitlines() if line.startswith("  pingone-mcp")]
    assert len(commands) == 3
    assert commands.pop() == ["pingone-mcp", "serve"]
    for _, *words in commands:
        assert shell.run(*words).status == 0, words


def test_what_a_file_links_is_not_taken_for_what_the_variables_describe(shell: Shell) -> None:
    shell.link("acme")
    listed = json.loads(shell.run("connections", "list", "--json", PINGONE_SANDBOX="1").out)
    assert {one["name"]: one["provider"] for one in listed} == {"acme": "pingone", "default": "sample"}


def test_without_a_name_it_has_one_of_its_environment(shell: Shell) -> None:
    said = shell.run("connect", "--env-file", str(shell.file()), "--json").json()
    assert said["name"] == shell.served.sandbox.environment_id.partition("-")[0]


def test_nothing_is_kept_of_what_does_not_work(shell: Shell) -> None:
    file = str(shell.file(PINGONE_CLIENT_SECRET=SECRET))
    end = shell.run("connect", "--name", "acme", "--env-file", file)
    assert end.status == 1
    assert "failed   token: PingOne does not accept" in end.out
    assert end.err == "Nothing was kept. Mend that, and connect again.\n"
    silent = shell.run("connect", "--name", "acme", "--env-file", file, "--json")
    assert silent.status == 1
    assert "PINGONE_CLIENT_SECRET" in silent.sentence()
    assert SECRET not in end.out + end.err + silent.err
    assert shell.run("connections", "list", "--json").out == "[]\n"


def test_new_values_take_the_place_of_old_ones_and_the_id_stays(shell: Shell) -> None:
    identity = shell.link("acme")
    shell.served.sandbox.application.client_secret = SECRET
    assert shell.run("check", "--connection", "acme").status == 1
    file = str(shell.file(PINGONE_CLIENT_SECRET=SECRET))
    said = shell.run("connect", "--reconnect", "acme", "--env-file", file, "--json").json()
    assert (said["id"], said["status"]) == (identity, "active")
    assert shell.run("check", "--connection", identity).status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nmae", "acme"), "Did you mean --name?"),
        (("--json",), "nobody to ask"),
        ((), "--env-file"),
        (("--env-file", "nowhere.env"), "nowhere.env"),
        (("--env-file", "other.env"), "says nothing of a connection"),
        (("--env-file", "half.env"), "PINGONE_CLIENT_SECRET: missing"),
        (("--env-file", "sample.env", "--name", "acme"), "Another connection has this name"),
        (("--env-file", "sample.env", "--name", "default"), "made by the variables"),
        (("--env-file", "sample.env", "--reconnect", "amce"), "Did you mean acme?"),
    ],
)
def test_wrong_use_is_explained_and_exits_with_2(
    shell: Shell, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shell.served.home)
    for name, text in {"sample": "PINGONE_SANDBOX=1\n", "other": "FOO=1\n", "half": "PINGONE_REGION=EU\n"}.items():
        Path(f"{name}.env").write_text(text)
        Path(f"{name}.env").chmod(0o600)
    if "--name" in words or "--reconnect" in words:
        shell.run("connect", "--name", "acme", "--env-file", "sample.env", "--json").json()
    end = inside("connect", *words, env=shell.env, cwd=shell.served.home)
    assert end.status == 2
    assert said in end.sentence()


def test_two_customers_may_have_connections_of_the_same_name(shell: Shell) -> None:
    first, second = shell.link("acme", "--tenant", "a"), shell.link("acme", "--tenant", "b")
    end = shell.run("connections", "show", "acme")
    assert end.status == 2
    assert first in end.sentence()
    assert f"{second} (b)" in end.sentence()


@pytest.mark.skipif(os.name != "posix", reason="terminals")
class TestInATerminal:
    """Nobody can reach PingOne from here: the answers come to a proxy that there is not."""

    @pytest.fixture
    def env(self, shell: Shell) -> dict[str, str]:
        return shell.env | {"HTTPS_PROXY": "http://127.0.0.1:1"}

    def test_a_person_is_asked_and_the_secret_is_not_seen(self, env: dict[str, str]) -> None:
        end = in_terminal("connect", env=env, answers=ANSWERS, is_owned=True)
        assert end.status == 1
        assert "EU: api.pingone.eu and auth.pingone.eu" in end.out, "the answers were tried"
        assert "Nothing was kept" in end.out
        assert not [form for form in forms(SECRET, UNKNOWN) if form in end.out.encode()]

    def test_an_answer_that_cannot_be_right_is_asked_for_again(self, env: dict[str, str]) -> None:
        region, *others, secret, name = ANSWERS
        wrong = ((REGION, b"MARS\n"), region, (ENVIRONMENT, b"acme\n"), *others, (PASSWORD, b"\n"), secret, name)
        end = in_terminal("connect", env=env, answers=wrong, is_owned=True)
        assert "That cannot be right: must be an id (a UUID)." in end.out
        assert "That cannot be right: missing." in end.out
        assert end.out.count(f"{REGION} (") == 2
        assert "EU: api.pingone.eu" in end.out

    @pytest.mark.parametrize("answered", [0, 1, 3, 4], ids=["region", "environment", "secret", "name"])
    def test_ctrl_c_at_a_question_ends_it_quietly(self, env: dict[str, str], answered: int) -> None:
        answers = (*ANSWERS[:answered], (ANSWERS[answered][0], CTRL_C))
        end = in_terminal("connect", env=env, answers=answers, is_owned=True)
        assert end.status == 130
        assert "Traceback" not in end.out
        assert SECRET not in end.out

    def test_the_end_of_the_input_is_a_sentence(self, env: dict[str, str]) -> None:
        end = in_terminal("connect", env=env, answers=((REGION, END_OF_INPUT),), is_owned=True)
        assert end.status == 2
        assert "The input ended before everything was answered." in end.out

    def test_whom_it_reconnects_is_looked_for_before_anything_is_asked(self, env: dict[str, str]) -> None:
        end = in_terminal("connect", "--reconnect", "acme", env=env, is_owned=True)
        assert end.status == 2
        assert REGION not in end.out


def test_no_secret_is_seen_and_none_lies_in_the_state_folder_in_the_clear(shell: Shell) -> None:
    file = shell.file()
    ends = [shell.run("connect", "--name", "acme", "--env-file", str(file))]
    made = shell.run("keys", "create", "x", "--connection", "acme", "--json")
    for words in (
        ("connections", "list"),
        ("connections", "list", "--json"),
        ("connections", "show", "acme"),
        ("connections", "show", "acme", "--json"),
        ("keys", "list"),
        ("keys", "list", "--json"),
        ("check", "--connection", "acme", "--json"),
        ("sync", "--connection", "acme"),
        ("connections", "remove", "acme", "--yes"),
    ):
        ends.append(shell.run(*words))
        assert ends[-1].status == 0
        assert "Traceback" not in ends[-1].err
    seen = b"\0".join(f"{end.out}{end.err}".encode() for end in ends)
    kept = b"\0".join(path.read_bytes() for path in shell.state.rglob("*") if path.is_file())
    secret, key = shell.served.sandbox.client_secret, made.json()["key"]
    tokens = shell.served.credentials("Bearer")
    wanted = set[bytes]().union(*(forms(one, shell.served.sandbox.client_id) for one in (secret, key, *tokens)))
    assert [form for form in wanted if form in seen + kept] == []


HOSTILE = "Acme \x1b[31m\u202eevil\u200b\r\n| x"


def test_hostile_names_are_harmless_to_look_at(shell: Shell) -> None:
    identity = shell.link(HOSTILE, "--tenant", HOSTILE)
    shell.run("keys", "create", HOSTILE, "--tenant", HOSTILE)
    for words in (
        ("connections", "list"),
        ("connections", "show", identity),
        ("connections", "check", identity),
        ("keys", "list"),
        ("connections", "remove", identity, "--yes"),
    ):
        end = shell.run(*words)
        assert end.status == 0, end
        lines = end.out.splitlines()
        assert [line for line in lines if harmless(line) != line] == []
        assert not any(line.startswith("| x") for line in lines)


def test_a_file_that_others_can_read_is_said(served: Served, shell: Shell) -> None:
    file = shell.file()
    file.chmod(0o644)
    end = run("connect", "--env-file", str(file), "--json", env=shell.env)  # a process says it once
    assert end.json()["status"] == "active"
    assert "chmod 600" in end.err
