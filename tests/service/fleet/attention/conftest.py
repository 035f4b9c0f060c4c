from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.fleet.attention.attending import Attended, attended


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Attended]:
    """Give an estate whose `acme` was synced once."""
    async with attended(tmp_path) as opened:
        await opened.sync()
        yield opened
