"""Our directory, connected to a sandbox."""

from __future__ import annotations

from pathlib import Path

from benchmarks.places.place import Place
from pingone_mcp.pingone.connection import Connection, connection_of
from pingone_mcp.settings.parts import ConnectionSettings


def settings(place: Place, cache: Path) -> ConnectionSettings:
    """Return the settings of a connection to a place: all that has a default has it."""
    return ConnectionSettings.model_validate(
        {
            "environment_id": place.environment_id,
            "client_id": place.client_id,
            "client_secret": place.client_secret,
            "api_url": f"{place.base_url}/v1",
            "auth_url": place.base_url,
            "cache_dir": cache,
        }
    )


def connection(place: Place, cache: Path) -> Connection:
    """Return the default connection to a place."""
    return connection_of(settings(place, cache))


def connection_without_managers(place: Place, cache: Path) -> Connection:
    """Return one that looks up no manager: each is a search, and what that takes is the time of the server."""
    return connection_of(settings(place, cache).model_copy(update={"attributes": {}}))
