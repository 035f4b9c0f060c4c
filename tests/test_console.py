"""What people see of a job that takes long."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pingone_mcp
from pingone_mcp.console import Progress, console, print_json, say
from tests.hostile import MARKER, POISON, hidden_in
from tests.process.programs import PATIENCE


def test_a_long_stage_says_now_and_then_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter(range(0, 1_000, 10))
    with Progress(lines=True, now=lambda: float(next(times))) as progress:
        for done in range(0, 900, 100):
            progress.report("users", done, 1_000)
        progress.report("groups", 0, None)
    told = capsys.readouterr().err.splitlines()
    assert len(told) in range(4, 8)
    assert told[-2:] == ["users: 800 of about 1,000", "groups: done"]
    assert all(re.fullmatch(r"users: \d00 of about 1,000 so far", line) for line in told[:-2])


def test_a_short_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(lines=True, now=lambda: 0.0) as progress:
        for done in (1, 500, 1_000):
            progress.report("users", done, 1_000)
    assert capsys.readouterr().err == "users: 1,000\n"


def test_a_stage_that_ended_without_a_number_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(lines=True, now=lambda: 0.0) as progress:
        progress.report("memberships", 0, 120)
    assert capsys.readouterr().err == "memberships: done\n"


def test_a_stage_that_begins_anew_is_another_bar_and_no_line_says_that_it_was_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(lines=True, now=lambda: 0.0) as progress:
        progress.report("users", 900, 1_000)
        progress.report("users", 20, 1_000)
        bars = [(task.completed, task.total) for task in progress._bars.tasks]  # noqa: SLF001 - what a terminal shows
        progress.report("users", 1_000, 1_000)
    assert bars == [(900, 1_000), (20, 1_000)]
    assert capsys.readouterr().err == "users: 1,000\n"


# --- One way out

_PACKAGE = Path(pingone_mcp.__file__).parent
_WAYS_OUT = {
    "print",
    "sys.stdout.write",
    "sys.stderr.write",
    "sys.stdout.buffer.write",
    "Console",
    "rich.print",
    "pprint",
}


def calls(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_nothing_is_printed_but_through_the_console() -> None:
    found = {
        str(file.relative_to(_PACKAGE)): sorted(_WAYS_OUT.intersection(calls(file)))
        for file in sorted(_PACKAGE.rglob("*.py"))
        if file.name != "console.py"
    }
    # The worker of queries writes frames into its pipe, which the server reads.
    pipes = {"replica/queries/worker.py": ["sys.stdout.buffer.write"]}
    assert {name: ways for name, ways in found.items() if ways and ways != pipes.get(name)} == {}
    assert _WAYS_OUT.isdisjoint(calls(_PACKAGE / "console.py")), "it writes to the stream, cleaned, in one place"


def test_whatever_is_printed_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(POISON, f"[bold]{POISON}[/]")
    print_json({POISON: [POISON]})
    say(POISON)
    say(POISON, stderr=True)
    out, err = capsys.readouterr()
    assert out.count(MARKER) == 5
    assert err.count(MARKER) == 1
    assert [hidden for line in (out + err).split("\n") for hidden in hidden_in(line)] == []


def test_what_is_logged_is_harmless() -> None:
    """In a process of its own: logging is set up once in a process."""
    code = """
import logging
from pingone_mcp.logs import log_harmlessly
from tests.hostile import POISON
log_harmlessly()
logging.getLogger("x").warning("seen: %s", POISON)
try:
    raise ValueError(POISON)
except ValueError:
    logging.getLogger("x").exception("failed")
raise KeyError(POISON)
"""
    root = _PACKAGE.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, timeout=PATIENCE, check=False, encoding="utf-8"
    )
    assert done.stderr.count(MARKER) >= 3
    assert "This is a bug" in done.stderr
    assert [hidden for line in done.stderr.split("\n") for hidden in hidden_in(line)] == []
