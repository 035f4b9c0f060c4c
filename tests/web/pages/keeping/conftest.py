from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pingone_mcp.sandbox.options import Options
from tests.web.faces import whole_face
from tests.web.pages.keeping.keepers import Keeper


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    """Give a visitor of a face whose company hides whom a role does not reach: they answer 404."""
    async with whole_face(tmp_path, options=Options(unreachable_user_status=404)) as face:
        yield Keeper(face=face)
