"""Every test of control data runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pingone_mcp.control.database import Database, open_postgres, open_sqlite
from pingone_mcp.control.key_ring import KeyFile
from pingone_mcp.control.sealing import Seals, open_seals
from tests.databases import fresh_schema, postgres_server


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[str]:
    with postgres_server(testrun_uid) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[SecretStr | None]:
    """Give the address of a fresh database; None stands for a file in the state folder."""
    if request.param == "sqlite":
        yield None
    else:
        with fresh_schema(request.getfixturevalue("postgres")) as url:
            yield url


@pytest.fixture
async def database(database_url: SecretStr | None, tmp_path: Path) -> AsyncIterator[Database]:
    opening = open_sqlite(tmp_path / "state" / "control.db") if database_url is None else open_postgres(database_url)
    async with opening as opened:
        yield opened


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700, exist_ok=True)
    return KeyFile(folder / "keys")


@pytest.fixture
async def seals(database: Database, key_file: KeyFile) -> Seals:
    return await open_seals(database, key_file)
