"""Schedules touch control data, so they are tested on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.control.conftest import database_url, postgres
from tests.fleets import Estate, estate
from tests.service.schedules.hours import given_files

__all__ = ["database_url", "postgres"]


@pytest.fixture
async def serving(tmp_path: Path, database_url: SecretStr | None) -> AsyncIterator[Estate]:
    """Give an estate whose connections have the rosters that lie in `tmp_path / "rosters"`."""
    async with estate(tmp_path, given=given_files(tmp_path), database_url=database_url) as opened:
        yield opened
