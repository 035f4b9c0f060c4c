"""A sandbox at a fixed time, and a client that holds a token for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.sandbox.entrance import NOW, enter


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(size=120, now=NOW)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with enter(sandbox) as opened:
        yield opened
