"""What one page of users costs an assistant: our rows, the same users whole, and PingOne's own page of them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.directory.rows import choose_fields, list_row, plain
from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World

ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Characters of compact JSON for the same hundred users."""

    rows: int
    whole: int
    native: int


async def measure() -> Sizes:
    with tempfile.TemporaryDirectory() as cache:
        world = World(sandbox=Sandbox(size=ROWS, now=NOW), cache=Path(cache))
        async with world.directory() as directory:
            page = await directory.users(UserQuestion(), page_size=ROWS)
        fields = choose_fields(None, several_organizations=False)
        native = await world.native(f"/environments/{world.sandbox.environment_id}/users?limit={ROWS}")
        return Sizes(
            rows=_characters([list_row(user, fields) for user in page.items]),
            whole=_characters([plain(user) for user in page.items]),
            native=_characters(native),
        )


def _characters(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
