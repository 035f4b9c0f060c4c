"""`pingone-mcp demo` tells the main job to a newcomer, and leaves nothing behind."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.process.programs import PATIENCE, Ended, bare, run, started
from tests.process.terminal import in_terminal

QUESTIONS = 9


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
    for tool in ("list_users", "get_user", "find_deactivated", "sync_directory", "query_directory", "proxy_request"):
        assert f"→ {tool} " in told.out
    assert "A sample company with 200 users" in told.out
    assert "50 rows of 200" in told.out
    costs = re.findall(r"(\w+) requests? to PingOne.*; \w+ in about ([\d,]+) tokens of text", told.out)
    assert len(costs) == QUESTIONS
    # The first question costs one page and the names of the populations; the token is not counted as either.
    assert costs[0][0] == "2"
    assert told.out.count("and one for the access token") == 1
    assert costs[-1][0] == "no", "a mistake is found before PingOne is asked"


def test_it_counts_the_definitions_as_a_model_reads_them(told: Ended) -> None:
    (cost,) = re.findall(r"13 tools, about ([\d,]+) tokens of definitions", told.out)
    assert int(cost.replace(",", "")) <= 4_000, "as README says"


def test_the_mistake_is_announced_as_one_and_nothing_looks_like_a_failure_of_the_demo(told: Ended) -> None:
    assert "A mistake on purpose" in told.out
    assert re.search(r"\b(Error|error|failed|Traceback|refused:)", told.out) is None


def test_it_says_what_comes_next(told: Ended) -> None:
    assert "--env-file my.env check" in told.out.splitlines()[-2]


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
    assert max(map(len, lines)) <= 80


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
