"""What one page of users costs an assistant: our rows, the same users whole, and PingOne's own page of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import anyio

from benchmarks.table.figures import Figure, at_most
from benchmarks.table.group import Extent, Measured
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.directory.rows import choose_fields, list_row, plain
from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World

ROWS = 100


def measured(_extent: Extent) -> Measured:
    rows, whole, native = anyio.run(_sizes)
    return Measured(
        figures=[
            Figure(
                what=f"{ROWS} default rows",
                against=against,
                ours=rows,
                yardstick=yardstick,
                unit="characters",
                promised=at_most(promised),
            )
            for against, yardstick, promised in (
                ("the same users whole", whole, 0.60),
                ("PingOne's own page of them", native, 0.15),
            )
        ]
    )


async def _sizes() -> tuple[int, int, int]:
    """Return the characters of compact JSON for the same hundred users: our rows, whole users, PingOne's page."""
    with tempfile.TemporaryDirectory() as cache:
        world = World(sandbox=Sandbox(size=ROWS, now=NOW), cache=Path(cache))
        async with world.directory() as directory:
            page = await directory.users(UserQuestion(), page_size=ROWS)
        fields = choose_fields(None, several_organizations=False)
        native = await world.native(f"/environments/{world.sandbox.environment_id}/users?limit={ROWS}")
        return (
            _characters([list_row(user, fields) for user in page.items]),
            _characters([plain(user) for user in page.items]),
            _characters(native),
        )


def _characters(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
