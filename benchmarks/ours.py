"""Our directory, connected to a sandbox."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from benchmarks.place import Place
from pingone_mcp.directory.scope import Scope
from pingone_mcp.settings import Connection


def connection(place: Place, cache: Path) -> Connection:
    """Return the default connection to a place: all that has a default has it."""
    return Connection(
        environment_id=place.environment_id,
        client_id=place.client_id,
        client_secret=SecretStr(place.client_secret),
        api_base=f"{place.base_url}/v1",
        token_url=f"{place.base_url}/{place.environment_id}/as/token",
        cache_dir=cache,
        scope=Scope(environments=(place.environment_id,)),
    )
