"""What somebody has set, as it would be set elsewhere: in the configuration of a client that starts the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pingone_mcp.settings import Settings


def given_settings() -> Mapping[str, str]:
    """Return what the environment sets, by name. Of a secret there is the name alone; paths are absolute.

    Raises Unconfigured where that is not all it takes.
    """
    settings = Settings.load()
    values = Settings.given().values

    def text(name: str) -> str:
        match getattr(settings, name):
            case SecretStr():
                return ""
            case Path() as path:
                return str(path.expanduser().absolute())
            case _:
                return values[name]

    return {name: text(name) for name in Settings.model_fields if name in settings.model_fields_set}
