"""What every test may ask for."""

from __future__ import annotations

import gc
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from pingone_mcp.sandbox.app import Sandbox
from tests.depth import SOAK
from tests.unmade import SHARED
from tests.world import NOW, World

# No deadlines: a slow machine is not a failure. At home hypothesis keeps what failed and tries it first the next time.
# CI keeps nothing, so its seed is drawn and told here.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=False, database=None, print_blob=True)
# Only `make browser` runs what needs one.
collect_ignore = [] if os.environ.get("PINGONE_TEST_CHROMIUM") else ["browser"]
# The folders of tests lie in memory where there is room for them: a disk is waited for thousands of times.
MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder there that is nobody else's
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
IN_CI = bool(os.environ.get("CI"))
settings.load_profile("ci" if IN_CI else "here")


@pytest.hookimpl(tryfirst=True)  # hypothesis reads the option in this same hook; xdist hands it to its workers
def pytest_configure(config: pytest.Config) -> None:
    if IN_CI and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().getrandbits(32))


@pytest.hookimpl(optionalhook=True)  # also where xdist is left out
def pytest_xdist_auto_num_workers() -> int | None:
    """Return more workers than cores: at any time a fourth of them waits for a process, a disk or a time limit."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores + max(1, cores // 4)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-k test_name`, load the files that hold this name only: all of them take ten times as long."""
    wanted = re.fullmatch(r"(test_\w+)(\[.*)?", config.option.keyword.strip())
    if wanted is None or collection_path.suffix != ".py":
        return None
    text = f"{collection_path} {collection_path.read_text(encoding='utf-8')}"
    return None if wanted[1].lower() in text.lower() else True


def pytest_report_header(config: pytest.Config) -> list[str]:
    seed = config.option.hypothesis_seed
    return [] if seed is None else [f"hypothesis seed {seed}: the same examples again with SEED={seed}"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Name the folder of reference material that may lie beside the project; it is no part of it."""
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` (recordings, schemas of others) does not lie beside this checkout")
    return SHARED


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A sample company of 500 users behind a fake PingOne, and a connection to it."""
    return World(sandbox=Sandbox(size=500, now=NOW), cache=tmp_path / "cache")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes long to `make soak`, and to that nothing that it would only repeat (tests/depth.py)."""
    if not SOAK and (config.option.keyword or any("::" in one for one in config.args)):
        return  # whoever names a test wants it
    cases, wanted, left = Counter[str](), list[pytest.Item](), list[pytest.Item]()
    for test in items:
        function = test.nodeid.partition("[")[0]
        sample = test.get_closest_marker("sampled")
        is_long = test.get_closest_marker("long") or (sample is not None and cases[function] % sample.args[0])
        is_here = is_long or test.get_closest_marker("soaked") if SOAK else not is_long
        (wanted if is_here else left).append(test)
        cases[function] += 1
    config.hook.pytest_deselected(items=left)
    items[:] = wanted


def pytest_collection_finish() -> None:
    """Spare every later search for garbage the whole of what was imported and collected, which stays to the end."""
    gc.collect()
    gc.freeze()
