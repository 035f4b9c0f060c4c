"""Deliveries touch control data, so they are tested on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control.conftest import control, database_url, hands, linked, postgres
from tests.fleets import Estate, estate

__all__ = ["control", "database_url", "hands", "linked", "postgres"]


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Estate]:
    async with estate(tmp_path) as opened:
        yield opened
