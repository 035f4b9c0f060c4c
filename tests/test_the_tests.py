"""The tests themselves: one that hangs fails and shows where, and what chance has found can be found again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.depth import long
from tests.process.programs import PATIENCE

ROOT = Path(__file__).resolve().parents[1]

HANGS = """
import threading

def test_waits_for_what_never_comes():
    threading.Event().wait()
"""

DRAWS = """
from hypothesis import given, strategies

@given(strategies.binary(min_size=8, max_size=8))
def test_is_unlucky(drawn):
    with open(__file__ + ".drawn", "ab") as log:
        log.write(drawn)
"""


# Tests that ask through more than one floor, and what they have in common.
THROUGH_ALL = {
    "benchmarks": "what measures all the others",
    "browser": "the pages as people see them",
    "conformance": "the protocol's own scenarios",
    "contract": "every provider, and its copy",
    "dist": "what people install",
    "evals": "what a model is to find out",
    "faults": "what breaks on the way, and what people hear of it",
    "process": "a program that is started, and how it ends",
    "server": "what a client hears, whichever module answers",
    "shipping": "what is made of the code for those who get it",
    "surface": "snapshots of what clients see",
}


def test_tests_lie_where_what_they_test_lies() -> None:
    modules = sorted((ROOT / "pingone_mcp").rglob("*.py"))
    where = [(path.stem, path.parent.relative_to(ROOT / "pingone_mcp").as_posix()) for path in modules]
    folders = {folder for _, folder in where}
    elsewhere: list[str] = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = test.parent.relative_to(ROOT / "tests").as_posix()
        floor = folder.partition("/")[0]
        if floor in THROUGH_ALL:
            continue
        own = {place for stem, place in where if test.stem == f"test_{stem}" and place.partition("/")[0] == floor}
        if folder not in folders or (len(own) == 1 and folder not in own):
            elsewhere.append(f"{folder}/{test.name}")
    assert elsewhere == []


def pytest_on(file: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file as the project's own tests are run."""
    options = ("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider")
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS", "PINGONE_SOAK")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments, str(file)],
        cwd=ROOT,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_every_test_has_a_time_limit(request: pytest.FixtureRequest) -> None:
    config = request.config
    assert config.pluginmanager.hasplugin("timeout")
    assert 60 <= float(config.getini("faulthandler_timeout")) < float(config.getini("timeout")) <= 600
    assert config.getini("timeout_method") == "thread"


@pytest.mark.parametrize("workers", [pytest.param("0", marks=long), "1"])
def test_a_test_that_hangs_fails_and_shows_where(tmp_path: Path, workers: str) -> None:
    file = tmp_path / "test_hangs.py"
    file.write_text(HANGS)
    end = pytest_on(file, "-n", workers, "--override-ini=faulthandler_timeout=1", PYTEST_TIMEOUT="3")
    assert end.returncode == 1, end
    assert f'File "{file}", line 5 in test_waits_for_what_never_comes' in end.stderr


@long
def test_ci_draws_a_seed_that_it_tells_and_that_draws_the_same_again(tmp_path: Path) -> None:
    def drawn(*arguments: str, **variables: str) -> tuple[str, bytes]:
        file = tmp_path / "test_draws.py"
        file.write_text(DRAWS)
        log = tmp_path / "test_draws.py.drawn"
        log.unlink(missing_ok=True)
        end = pytest_on(file, "-n", "0", *arguments, **variables)
        assert end.returncode == 0, end
        seed = re.search(r"^hypothesis seed (\d+): .* SEED=\1$", end.stdout, re.MULTILINE)
        assert seed, end.stdout
        return seed[1], log.read_bytes()

    first, other = drawn(CI="true"), drawn(CI="true")
    assert first[0] != other[0]
    assert first[1] != other[1]
    assert drawn(f"--hypothesis-seed={first[0]}") == first


def test_make_hands_the_seed_on() -> None:
    for target in ("test", "soak"):
        shown = subprocess.run(
            ["make", "--dry-run", target, "SEED=77"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        assert "--hypothesis-seed=77" in shown.stdout


@long
def test_a_test_that_is_asked_for_by_name_loads_the_files_that_hold_its_name_only(tmp_path: Path) -> None:
    (tmp_path / "test_asked.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('x', [1, 2])\ndef test_one(x): pass\n"
    )
    (tmp_path / "test_else.py").write_text("raise RuntimeError('loaded')\n\ndef test_two(): pass\n")
    for name, passed in (("test_ON", 2), ("test_one[2]", 1)):
        end = pytest_on(tmp_path, "-n", "0", "-k", name)
        assert (end.returncode, f"{passed} passed" in end.stdout) == (0, True), end
    for several in ("test_two", "test_one or test_three", "one"):
        assert "RuntimeError: loaded" in pytest_on(tmp_path, "-n", "0", "-k", several).stdout
