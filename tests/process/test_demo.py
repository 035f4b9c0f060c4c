"""`pingone-mcp demo` tells the main job to a newcomer, and leaves nothing behind."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import signal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.server import MCPServer
from rich.console import Console

from pingone_mcp.cli import VERBS
from pingone_mcp.demo.next_steps import typed
from pingone_mcp.demo.sheets import synced
from pingone_mcp.demo.stage import OF_ANSWERS, OF_DEFINITIONS, Stage, tokens
from pingone_mcp.directory.rows import compact
from pingone_mcp.sandbox.app import Sandbox
from tests.process.programs import PATIENCE, PROGRAM, Ended, bare, run, started
from tests.process.terminal import in_terminal

TOOLS = (
    "list_users get_user find_deactivated proxy_request list_users sync_directory query_directory sync_directory "
    "list_changes check_drift access_review access_review map_roles"
).split()
COST = re.compile(
    r"^  → (\w+)(?: .*)? \((\w+) requests? to PingOne.*, answer of about ([\d,]+) tokens\)$", re.MULTILINE
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def told(home: Path) -> Ended:
    temporary = home / "tmp"
    temporary.mkdir()
    return run("demo", "--size", "200", env=bare(home, TMPDIR=str(temporary), PINGONE_CLIENT_SECRET="the user's own"))


def test_it_ends_well_and_leaves_nothing_behind(told: Ended, home: Path) -> None:
    assert (told.status, told.err) == (0, "")
    assert [path for path in home.rglob("*") if path != home / "tmp"] == []


def test_it_tells_what_was_asked_what_came_back_and_what_it_cost(told: Ended) -> None:
    costs = COST.findall(told.out)
    assert [tool for tool, _, _ in costs] == TOOLS
    assert "A sample company with 200 users" in told.out
    assert "100 rows of 200, next_cursor for the rest" in told.out
    # The first question costs one page and the names of the populations; the token is not counted as either.
    assert costs[0][1] == "2"
    assert told.out.count("and one for the access token") == 1
    assert costs[TOOLS.index("list_users", 1)][1] == "no", "a mistake is found before PingOne is asked"
    assert {number for tool, number, _ in costs if tool in ("query_directory", "list_changes", "check_drift")} == {"no"}


def answer(told: Ended, tool: str, number: int = 0) -> list[str]:
    """Return what is shown for a call of a tool, from the line below the call on, with single blanks."""
    calls = [part for part in told.out.split("\n\n") if f"\n  → {tool} " in part]
    return [" ".join(line.split()) for line in calls[number].splitlines()[2:]]


def test_it_shows_what_changed_in_the_company_since_the_copy_was_made(told: Ended) -> None:
    happened = r"Noor Ahmadi joins Finance, .+ moves there from Sales, .+ is switched off, .+ is deleted\."
    assert re.search(happened, " ".join(told.out.split()))
    heading, joined, moved, switched_off, deleted, memberships, actors, _ = answer(told, "list_changes")
    assert heading == "kind user what"
    assert joined == "user.created noor.ahmadi@example.com Financial Analyst, Finance"
    assert re.match(r"user\.updated .*department: Sales → Finance", moved)
    assert re.match(r"user\.deactivated .* active → inactive \(disabled\)", switched_off)
    assert re.match(r"user\.removed c-", deleted)
    assert re.fullmatch(r"And \d membership\.added, \d membership\.removed\.", memberships)
    assert re.fullmatch(r"\d+ changes, \d+ of them by sam\.reyes@example\.com\.", actors)
    (counts,) = [line for line in answer(told, "sync_directory", 1) if line.startswith("changes ")]
    assert {"1 user.created", "1 user.removed"} <= set(counts.removeprefix("changes ").split(", "))


def test_it_shows_who_left_and_has_an_account_still_and_who_has_none_yet(told: Ended) -> None:
    switched_off, deleted = (line.split()[1] for line in answer(told, "list_changes")[3:5])
    assert answer(told, "check_drift")[:3] == [
        f"missing {deleted} has an account, but left the directory",
        f"status_mismatches {switched_off} is active there, but inactive (disabled) here",
        "unexpected noor.ahmadi@example.com is active here, but has no account there",
    ]


def test_it_shows_a_review_and_the_file_with_its_manifest(told: Ended) -> None:
    switched_off = answer(told, "list_changes")[3].split()[1]
    review, file = answer(told, "access_review"), answer(told, "access_review", 1)
    assert review[:2] == ["username status flags", f"{switched_off} inactive inactive_with_access"]
    (people,) = re.findall(r"^(\d+) people with access; inactive_with_access 1", "\n".join(review), re.MULTILINE)
    assert re.fullmatch(r"file pingone://exports/access-review-\S+\.csv", file[0])
    assert file[1:3] == [f"rows {people}", "complete yes"]
    assert re.fullmatch(r"sha256 [0-9a-f]{64}", file[3])


def test_it_shows_roles_that_follow_from_groups(told: Ended) -> None:
    assert answer(told, "map_roles")[:2] == ["role by rule because of group", "ledger-reader 1 Finance (direct)"]


async def test_an_answer_that_is_not_ready_yet_is_asked_for_again() -> None:
    server, states = MCPServer("a server whose sync takes its time"), iter(("running", "running", "done"))

    @server.tool()
    def sync_directory() -> dict[str, Any]:
        return {"state": next(states), "mode": "full", "counts": {"users": 1, "groups": 0, "memberships": 0}}

    out = Console(file=StringIO(), soft_wrap=True, width=160)
    async with Client(server) as client:
        stage = Stage(client=client, sandbox=Sandbox(size=1), out=out)
        facts = await stage.ask("Sync.", "sync_directory", {}, "It is done.", read=synced)
    assert facts["state"] == "done"


async def test_its_tokens_are_about_those_of_a_tokenizer(tmp_path: Path) -> None:
    encoding = pytest.importorskip("bpe_openai", reason="has no wheel on this platform").get_encoding("o200k_base")
    env = bare(tmp_path, PINGONE_SANDBOX="1", PINGONE_CACHE_DIR=str(tmp_path))
    async with Client(StdioServerParameters(command=PROGRAM[0], args=list(PROGRAM[1:]), env=env)) as client:
        tools = (await client.list_tools()).tools
        definitions = compact(
            [one.model_dump(by_alias=True, exclude_none=True, exclude={"output_schema"}) for one in tools]
        )
        result = await client.call_tool("list_users", {"limit": 100})
    rows = "".join(block.text for block in result.content if block.type == "text")
    for text, characters in ((definitions, OF_DEFINITIONS), (rows, OF_ANSWERS)):
        said = int(re.sub(r"\D", "", tokens(text, characters)))
        assert said == pytest.approx(len(encoding.encode(text)), rel=0.05)


def test_it_counts_the_definitions_as_a_model_reads_them(told: Ended) -> None:
    (cost,) = re.findall(r"14 tools, about ([\d,]+) tokens of definitions", told.out)
    assert int(cost.replace(",", "")) <= 4_000, "as README says"


def test_the_mistake_is_announced_as_one_and_nothing_looks_like_a_failure_of_the_demo(told: Ended) -> None:
    assert "A mistake on purpose" in told.out
    assert re.search(r"\b(Error|error|failed|Traceback|refused:)", told.out) is None


def test_it_ends_with_commands_that_there_are(told: Ended) -> None:
    commands = re.findall(r"^  \S+ -m pingone_mcp (.*)$", told.out, re.MULTILINE)
    assert told.out.splitlines()[-1].endswith(commands[-1])
    words = [shlex.split(command.partition(" > ")[0]) for command in commands]
    names = [next(word for word in line if word in VERBS) for line in words]
    assert names == ["guide", "check", "client-config", "export", "query", "review", "dashboard"]
    for name, line in zip(names, words, strict=True):
        verb = importlib.import_module(VERBS[name][0]).VERB
        parser = argparse.ArgumentParser(exit_on_error=False)
        verb.add(parser)
        parser.parse_args(line[line.index(name) + 1 :])


@pytest.mark.skipif(os.name != "posix", reason="how a shell of POSIX is typed to")
def test_what_comes_next_can_be_typed_where_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, other = tmp_path / "a checkout" / ".venv" / "bin" / "pingone-mcp", tmp_path / "pingone-mcp"
    program.parent.mkdir(parents=True)
    for path in (program, other):
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)

    def shown(folder: Path, *path: Path, kept: bool = True) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, (*path, "/usr/bin"))))
        return typed((str(program),), kept=kept)

    checkout, there = tmp_path / "a checkout", program.parent
    assert shown(checkout) == ".venv/bin/pingone-mcp"
    assert shown(tmp_path) == "'a checkout/.venv/bin/pingone-mcp'"
    assert shown(there) == "./pingone-mcp"
    assert shown(Path("/usr")) == f"'{program}'"
    assert shown(Path("/usr"), there) == "pingone-mcp"
    assert shown(Path("/usr"), tmp_path, there) == f"'{program}'", "another one has the name"
    assert shown(checkout, there, kept=False) == ".venv/bin/pingone-mcp", "uvx leaves the PATH as it was"
    monkeypatch.chdir(checkout)
    assert typed((str(there / "python"), "-m", "pingone_mcp")) == ".venv/bin/python -m pingone_mcp"


def test_it_prints_no_colours_no_blank_padding_and_nothing_half_when_piped(told: Ended) -> None:
    assert "\x1b" not in told.out
    assert "…" not in "".join(line for line in told.out.splitlines() if not line.startswith("  →"))
    assert max(map(len, told.out.splitlines())) <= 160


def test_it_is_coloured_on_a_terminal_and_fits_into_80_columns(tmp_path: Path) -> None:
    seen = in_terminal("demo", "--size", "100", env=bare(tmp_path))
    assert seen.status == 0
    text = seen.out
    assert "\x1b[1" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(len(line) for line in lines if "-m pingone_mcp" not in line) <= 80
    assert '-m pingone_mcp --env-file my.env query "SELECT count(*) FROM users"' in "\n".join(lines), "to be copied"


def test_ctrl_c_ends_it_quietly_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with started("demo", "--size", "100", env=bare(tmp_path, TMPDIR=str(temporary))) as demo:
        while "Who is in the directory?" not in demo.line():
            assert demo.heard[-1], "the demo ended too soon"
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(PATIENCE)
        end = demo.rest()
    assert (end.status, end.err) == (130, "")
    assert list(temporary.iterdir()) == []
