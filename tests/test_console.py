"""What people see of a job that takes long."""

from __future__ import annotations

import re

import pytest

from pingone_mcp.console import Progress


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
