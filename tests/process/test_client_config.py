"""`pingone-mcp client-config`: its snippet starts this very program, with a bare PATH and from any folder."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from pingone_mcp.commands.setting_up.client_config import is_in_a_cache, own_program
from tests.process.inside import inside
from tests.process.programs import ROOT, Served, bare, started

SECRET = "hush-hush-client-secret"


@pytest.fixture
def settings(served: Served) -> Path:
    own = {name: value for name, value in served.variables().items() if name.startswith("PINGONE_")}
    file = served.home / "my.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    file.chmod(0o600)
    return file


def answers(command: list[str], env: dict[str, str]) -> int:
    """Start a server as a client does that gives it nothing else; return how many users it lists."""
    with started(*command[1:], program=command[:1], env={"PATH": "/usr/bin:/bin", **env}) as server:
        server.greet()
        answer = server.answer(server.call("list_users", limit=3))
        return len(answer["result"]["structuredContent"]["result"])


def test_the_snippet_of_a_file_starts_a_server_that_answers(served: Served, settings: Path, tmp_path: Path) -> None:
    end = inside("client-config", "claude-desktop", "--env-file", "my.env", env=bare(served.home), cwd=served.home)
    entry = json.loads(end.out)["mcpServers"]["pingone"]
    assert entry["args"][-2:] == ["--env-file", str(settings)]
    assert "env" not in entry
    assert "claude_desktop_config.json" in end.err
    assert served.sandbox.client_secret not in end.out + end.err
    assert answers([entry["command"], *entry["args"]], {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}) == 3


def test_the_settings_of_the_environment_are_taken_over_but_for_the_secret(served: Served) -> None:
    env = served.variables(PINGONE_CLIENT_SECRET=SECRET, PINGONE_ROSTERS="lists", PINGONE_REGION="eu")
    end = inside("client-config", "cursor", env=env, cwd=served.home)
    entry = json.loads(end.out)["mcpServers"]["pingone"]
    own = {name: value for name, value in env.items() if name.startswith("PINGONE_")}
    own |= {"PINGONE_CLIENT_SECRET": "YOUR_CLIENT_SECRET", "PINGONE_ROSTERS": str(served.home / "lists")}
    assert entry["env"] == own
    assert "The client secret is not shown" in end.err
    assert SECRET not in end.out + end.err


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"PINGONE_REGION_CODE": "EU"}, {"PINGONE_REGION": "EU"}),
        ({"PINGONE_TOP_LEVEL_DOMAIN": "com.au"}, {"PINGONE_REGION": "AU"}),
        ({"PINGONE_REGION": "Europe"}, {"PINGONE_REGION": "Europe"}),
        ({"PINGCLI_PINGONE_REGION_CODE": "ca"}, {"PINGONE_REGION": "ca"}),
        ({"PINGONE_API_SERVICE_HOSTNAME": "api.pingone.eu"}, {"PINGONE_API_URL": "https://api.pingone.eu/v1"}),
        ({"PINGONE_AUTH_SERVICE_HOSTNAME": "auth.pingone.eu"}, {"PINGONE_AUTH_URL": "https://auth.pingone.eu"}),
        ({"PINGONE_AUTH_SERVICE_HOSTNAME": "login.example.com"}, {"PINGONE_CUSTOM_DOMAIN": "login.example.com"}),
    ],
)
def test_what_ping_s_own_tools_are_given_is_printed_under_our_names_and_works(
    served: Served, theirs: dict[str, str], ours: dict[str, str], tmp_path: Path
) -> None:
    renamed = {
        "PINGCLI_PINGONE_ENVIRONMENT_ID": served.sandbox.environment_id,
        "PINGONE_CLIENT_CREDENTIALS_CLIENT_ID": served.sandbox.client_id,
        "PINGONE_CLIENT_CREDENTIALS_CLIENT_SECRET": SECRET,
    }
    end = inside("client-config", "cursor", env=bare(tmp_path, **renamed, **theirs))
    entry = json.loads(end.out)["mcpServers"]["pingone"]
    assert entry["env"] == {
        "PINGONE_ENVIRONMENT_ID": served.sandbox.environment_id,
        "PINGONE_CLIENT_ID": served.sandbox.client_id,
        "PINGONE_CLIENT_SECRET": "YOUR_CLIENT_SECRET",
        **ours,
    }
    assert SECRET not in end.out + end.err
    # The sandbox answers in the place of what is named, and all the rest is taken as it was printed.
    reached = {name: served.variables()[name] for name in ("PINGONE_API_URL", "PINGONE_AUTH_URL")}
    filled = entry["env"] | reached | {"PINGONE_CLIENT_SECRET": served.sandbox.client_secret}
    filled.pop("PINGONE_CUSTOM_DOMAIN", None)
    called = inside("call", "list_users", "limit=3", env={"HOME": str(tmp_path), **filled})
    assert called.json()["result_count"] == 3


def test_without_settings_there_are_ones_to_fill_in_and_it_is_said(tmp_path: Path) -> None:
    end = inside("client-config", "claude-code", env=bare(tmp_path, PINGONE_CLIENT_SECRET=SECRET))
    assert "--env PINGONE_CLIENT_ID=YOUR_CLIENT_ID" in end.out
    assert shlex.split(end.out)[-4:] == ["--", sys.executable, "-m", "pingone_mcp"]
    assert "Replace YOUR_ENVIRONMENT_ID" in end.err
    assert "guide settings" in end.err
    assert SECRET not in end.out + end.err


def test_a_link_is_printed_alone(tmp_path: Path) -> None:
    end = inside("client-config", "vscode", "--link", env=bare(tmp_path, PINGONE_SANDBOX="1"))
    assert end.out.startswith("vscode:mcp/install?")
    assert end.out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("claude-code", "--link"), "no links that install"),
        (("claude-desktop", "--env-file", "nowhere.env"), "nowhere.env"),
        (("zed",), "claude-desktop"),
        ((), "CLIENT"),
    ],
)
def test_wrong_use_is_explained(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    end = inside("client-config", *words, env=bare(tmp_path), cwd=tmp_path)
    assert end.status == 2
    assert said in end.sentence()


def test_the_program_is_named_as_it_was_started(tmp_path: Path) -> None:
    there, python = tmp_path / "versions" / "pingone-mcp", "/usr/bin/python3"
    there.parent.mkdir()
    there.touch()
    link = tmp_path / "pingone-mcp"
    link.symlink_to(there)
    assert own_program(str(link), python) == (str(link),), "a new version leaves the link, and moves what it leads to"
    windows = tmp_path / "Scripts" / "pingone-mcp.exe"
    windows.parent.mkdir()
    windows.touch()
    assert own_program(str(windows.with_suffix("")), python) == (str(windows),)
    for other in ("pytest", "pingone-mcp/__main__.py", "nowhere/pingone-mcp"):
        assert own_program(str(tmp_path / other), python) == (python, "-m", "pingone_mcp")


def test_a_program_that_may_vanish_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = "CACHEDIR.TAG"
    (tmp_path / "archive" / "env").mkdir(parents=True)
    (tmp_path / "archive" / "env" / tag).touch()
    assert not is_in_a_cache(tmp_path / "archive" / "env"), "uv marks each of its environments so"
    (tmp_path / tag).touch()
    assert is_in_a_cache(tmp_path / "archive" / "env")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "archive" / "env"))
    assert "uv tool install" in inside("client-config", "cursor", env={"PINGONE_SANDBOX": "1"}).err
