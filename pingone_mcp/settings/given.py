"""What somebody has set, as it would be set elsewhere: in the configuration of a client that starts the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pingone_mcp.errors import Unconfigured
from pingone_mcp.settings import ServeSettings, Settings
from pingone_mcp.settings.linked import LINKED_SETTINGS
from pingone_mcp.settings.parts import Credentials, GivenFiles, Sample
from pingone_mcp.settings.serving import Serving


def given_settings() -> Mapping[str, str]:
    """Return what the environment sets, by name. Of a secret there is the name alone; paths are absolute.

    Raises Unconfigured where that is not all it takes.
    """
    settings = Settings.load()
    values = Settings.given().values
    return {
        name: _elsewhere(getattr(settings, name), values[name])
        for name in Settings.model_fields
        if name in settings.model_fields_set
    }


def given_places() -> Mapping[str, str]:
    """Return where the environment says that linked connections are kept, as `given_settings` does."""
    settings = ServeSettings.load()
    values = ServeSettings.given().values
    return {name: _elsewhere(getattr(settings, name), values[name]) for name in _PLACES if name in values}


def environment_settings(env_file: Path | None) -> Settings | None:
    """Return what the environment and a file describe; None where they say nothing of a connection.

    Raises Unconfigured where what they say is not all it takes, or wrong.
    """
    given = Settings.given(env_file).values
    if given.keys().isdisjoint({*Credentials.model_fields, *Sample.model_fields}):
        return None
    return Settings.load(env_file)


def given_files(env_file: Path | None) -> Mapping[str, str]:
    """Return which files somebody has laid out for the process that is started, whatever connection it is about."""
    values = Settings.given(env_file).values
    return {name: values[name] for name in GivenFiles.model_fields if name in values}


def given_switches(env_file: Path | None) -> Mapping[str, str]:
    """Return what somebody has let a single command write, in its environment or in a file."""
    values = Settings.given(env_file).values
    return {name: values[name] for name in ("allow_writes", "allow_production_writes") if name in values}


def state_folder(env_file: Path | None) -> Path:
    """Name the folder in which connections have theirs; no other setting of who serves them is looked at.

    Raises Unconfigured.
    """
    values = {name: value for name, value in ServeSettings.given(env_file).values.items() if name == "state_dir"}
    return Serving.model_validate(values).state_folder()


_PLACES = ("state_dir", "key_file", "database_url")


def _elsewhere(value: object, written: str) -> str:
    """Return a value as it is set elsewhere."""
    match value:
        case SecretStr():
            return ""
        case Path() as path:
            return str(path.expanduser().absolute())
        case _:
            return written


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
