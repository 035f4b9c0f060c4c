"""Shells complete what may be typed, and the man page says what --help says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pingone_mcp.cli import VERBS
from tests.process.inside import inside
from tests.process.programs import ROOT


def script(shell: str, folder: Path) -> Path:
    end = inside("completion", shell, env={})
    assert (end.status, end.err) == (0, "")
    path = folder / f"completion.{shell}"
    path.write_text(end.out, encoding="utf-8")
    return path


def asked(*command: str) -> list[str]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed here")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split("\n")


def in_bash(folder: Path, *words: str) -> set[str]:
    typed = " ".join(f"'{word}'" for word in ("pingone-mcp", *words))
    code = f"""source {script("bash", folder)}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _pingone_mcp
        printf '%s\\n' "${{COMPREPLY[@]}}\""""
    return set(asked("bash", "-c", code)) - {""}


def in_fish(folder: Path, *words: str) -> set[str]:
    code = f"source {script('fish', folder)}; complete -C 'pingone-mcp {' '.join(words)}'"
    return {line.partition("\t")[0] for line in asked("fish", "--no-config", "-c", code)} - {""}


def in_zsh(folder: Path, *words: str) -> set[str]:
    """Ask the function of zsh itself, with what would offer words printing them."""
    typed = " ".join(f"'{word}'" for word in ("pingone-mcp", *words))
    code = f"""compdef() {{ : }}; source {script("zsh", folder)}
        compadd() {{ shift; print -l -- "$@" }}; _files() {{ print FILES }}; _message() {{ : }}
        _describe() {{ print -l -- "${{(@)found%%:*}}" }}
        words=({typed}); CURRENT={len(words) + 1}; _pingone_mcp"""
    return {word for word in asked("zsh", "-f", "-c", code) if word.startswith(words[-1])} - {""}


SHELLS = (in_bash, in_fish, in_zsh)


@pytest.mark.parametrize("complete", SHELLS)
def test_commands_tools_options_and_their_choices_are_completed(
    complete: Callable[..., set[str]], tmp_path: Path
) -> None:
    assert complete(tmp_path, "") >= set(VERBS)
    assert complete(tmp_path, "dri") == {"drift"}
    assert complete(tmp_path, "call", "list_u") == {"list_users"}
    assert complete(tmp_path, "--env-file", "x.env", "export", "gr") == {"groups"}
    assert complete(tmp_path, "export", "--format", "x") == {"xlsx"}
    assert {"--since", "--kinds"} <= complete(tmp_path, "changes", "--")
    assert complete(tmp_path, "connections", "re") == {"resume", "rename", "remove"}
    assert complete(tmp_path, "keys", "cr") == {"create"}
    assert {"--scope", "--tenant", "--connection", "--expires"} <= complete(tmp_path, "keys", "create", "x", "--")


def test_files_are_completed_where_a_file_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "roster-of-june").touch()
    assert in_bash(tmp_path, "export", "--out", f"{tmp_path}/ros") == {f"{tmp_path}/roster-of-june"}
    assert in_fish(tmp_path, "export", "--out", f"{tmp_path}/ros") == {f"{tmp_path}/roster-of-june"}


def test_the_man_page_of_the_repository_is_the_one_that_is_printed() -> None:
    assert (ROOT / "docs" / "pingone-mcp.1").read_text(encoding="utf-8") == inside("manual", env={}).out


def test_the_man_page_is_one(tmp_path: Path) -> None:
    page = inside("manual", env={}).out
    assert [name for name in VERBS if f".SS {name.replace('-', chr(92) + '-')}\n" not in page] == []
    if shutil.which("man") is None:
        pytest.skip("man is not installed here")
    path = tmp_path / "pingone-mcp.1"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(["man", "--warnings", "-l", str(path)], capture_output=True, text=True, check=True)
    assert "export users --out users.csv" in done.stdout
    assert done.stderr == ""
