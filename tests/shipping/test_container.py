"""The container: what is copied is there, nothing runs as root, and the secrets of a checkout stay out of it."""

from __future__ import annotations

import json
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from pingone_mcp.cli import VERBS
from tests.dist.image import instructions

ROOT = Path(__file__).resolve().parents[2]
FOUND = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
LAST = FOUND[max(number for number, one in enumerate(FOUND) if one.name == "FROM") :]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def values(name: str) -> list[str]:
    return [one.value for one in FOUND if one.name == name]


def test_there_are_two_stages_of_a_python_that_is_promised() -> None:
    assert [value.split()[0] for value in values("FROM")] == ["python:3.13-slim"] * 2
    classifiers = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"Programming Language :: Python :: 3.13"' in classifiers


def test_the_program_runs_as_nobody_in_particular() -> None:
    (user,) = (one.value for one in LAST if one.name == "USER")
    assert all(part.isdigit() and int(part) > 999 for part in user.split(":"))
    after = LAST[[one.name for one in LAST].index("USER") :]
    assert {one.name for one in after} <= {"USER", "WORKDIR", "VOLUME", "HEALTHCHECK", "ENTRYPOINT"}


def test_all_that_is_written_goes_to_the_one_volume() -> None:
    (volume,) = json.loads(values("VOLUME")[0])
    variables = dict(word.split("=", 1) for word in shlex.split(values("ENV")[0]))
    assert (variables["HOME"], variables["TMPDIR"]) == (volume, volume)
    (made,) = (one.value for one in LAST if one.name == "RUN")
    assert made.endswith(f"--mode=0700 {volume}"), "what is kept is for its owner alone"


def test_what_is_installed_was_checked_against_the_lock_file() -> None:
    installs = [value for value in values("RUN") if "pip " in value and "uninstall" not in value]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "PIP_NO_INDEX=1 PIP_FIND_LINKS=/packages " in installs[1]


def test_its_commands_are_commands_of_the_program() -> None:
    assert json.loads(values("ENTRYPOINT")[0]) == ["pingone-mcp"]
    (health,) = values("HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2]) == ["pingone-mcp", "check"]
    commands = [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    assert commands
    assert {command[0] for command in commands} <= set(VERBS)


def test_compose_gives_no_service_more_than_it_needs() -> None:
    for service in COMPOSE["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["volumes"] == ["data:/data"]
        assert not {"privileged", "user", "environment"} & set(service)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), "a proxy stands before it"
    assert list(COMPOSE["volumes"]) == ["data"]


def test_no_secret_and_no_history_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "what is not named stays out"
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in)
    assert not [name for name in let_in for secret in (".git", "*.env", ".env*", "dist") if fnmatch(name, secret)]
    for copied in ("requirements-dev.txt", "pyproject.toml", "README.md", "LICENSE", "pingone_mcp", "prompts", "docs"):
        assert copied in let_in, f"the wheel is made of {copied}"
