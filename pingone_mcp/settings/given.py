"""What somebody has set, as it would be set elsewhere: in the configuration of a client that starts the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pingone_mcp.errors import Unconfigured
from pingone_mcp.settings import Settings
from pingone_mcp.settings.linked import LINKED_SETTINGS


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


def linkable_settings(env_file: Path) -> Mapping[str, str]:
    """Return what a file says of a connection that is to be linked, by name; the environment adds nothing to it.

    Raises Unconfigured for a file that cannot be read, and for one that says nothing of a connection.
    """
    given = Settings.given(env_file, in_environment=False)
    values = {name: value for name, value in given.values.items() if name in LINKED_SETTINGS}
    if not values:
        raise Unconfigured(
            f"The file {env_file} says nothing of a connection.", "`pingone-mcp guide settings` prints one to fill in."
        )
    return values
