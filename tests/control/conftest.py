"""Every test of control data runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from pingone_mcp.clock import Clock
from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.control.database import Database, open_postgres, open_sqlite
from pingone_mcp.control.key_ring import KeyFile
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sealing import Seals, open_seals
from tests.databases import fresh_schema, make_tables, postgres_server


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


class Hands:
    """A clock that a test sets; instants of SQLite and PostgreSQL have microseconds."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.clock = Clock(wall=self._seconds, monotonic=self._seconds)

    def _seconds(self) -> float:
        return self.time.timestamp()

    def go(self, **by: float) -> datetime:
        self.time += timedelta(**by)
        return self.time


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def control(database_url: SecretStr | None, tmp_path: Path, hands: Hands) -> AsyncIterator[ControlData]:
    place = ControlPlace(folder=tmp_path / "state", database_url=database_url)
    make_tables(place)
    async with open_control(place, hands.clock) as opened:
        yield opened


@pytest.fixture
async def linked(control: ControlData) -> LinkedConnection:
    """Give a connection of the tenant acme, whose client secret is `s3cr3t`."""
    return await control.connections.add(
        name="one", tenant="acme", settings={"region": "EU"}, credentials={"client_secret": SecretStr("s3cr3t")}
    )
