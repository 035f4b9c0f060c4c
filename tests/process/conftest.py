"""What every process test may ask for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.process.linking import Shell
from tests.process.programs import Served, serving


class Held:
    """A door in the sandbox: a `slow` request says that it has arrived, and stays until the test is over."""

    def __init__(self) -> None:
        self.arrived = threading.Event()

    async def __call__(self, _seconds: float) -> None:
        self.arrived.set()
        await anyio.sleep_forever()


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def served(tmp_path: Path, held: Held) -> Iterator[Served]:
    """A company of 60 users behind a fake PingOne on a real socket, and nothing else in the home folder."""
    with serving(Sandbox(size=60, sleep=held), tmp_path) as served:
        yield served


@pytest.fixture
def shell(served: Served) -> Shell:
    return Shell(served=served)
