"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World

# No deadlines: a slow machine is not a failure. CI tries the same examples each time; at home they differ.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

SHARED = Path(__file__).resolve().parents[2] / "shared"


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
