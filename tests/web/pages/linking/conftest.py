"""The whole face, and somebody who visits it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.faces import whole_face
from tests.web.pages.linking.visitors import Visitor


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with whole_face(tmp_path) as face:
        yield Visitor(face=face)
