"""Everything a person configures, and the one place that reads the environment.

Values come from environment variables, or from a file named explicitly (`--env-file`). A `.env` in
the current folder is never read: a workspace that somebody opens could send the secret elsewhere.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pingone_mcp.advice import PREFIX, setting
from pingone_mcp.errors import Unconfigured
from pingone_mcp.first_answers import MOST_ENV_BYTES
from pingone_mcp.private_files import is_open_to_others, read_named
from pingone_mcp.settings.parts import ConnectionSettings

_logger = logging.getLogger(__name__)


class Settings(BaseSettings, ConnectionSettings):
    """The settings of the one connection that the environment describes.

    Their variables stand in README.md's table: each is `PINGONE_` and the name of the field in capitals.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(  # type: ignore[mutable-override] # pydantic's own way
        env_prefix=PREFIX, env_file=None, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def load(cls, env_file: Path | None = None) -> Settings:
        """Read the environment, and `env_file` below it where one is named.

        Raises Unconfigured with one text that names every missing or wrong variable with an example.
        """
        if env_file is not None:
            _check_env_file(env_file)
        try:
            return cls(_env_file=env_file)
        except ValidationError as error:
            raise Unconfigured(*_explain(error)) from None


def _check_env_file(path: Path) -> None:
    """See that a file can be read, and warn where others can read or change what stands in it. Raises Unconfigured."""
    given = f"The file {path} given with --env-file"
    try:
        text = read_named(path, MOST_ENV_BYTES).decode()
        if "\0" in text:
            raise Unconfigured(f"{given} is not a text in UTF-8.")
        if is_open_to_others(path):
            _warn_of_others(path)
    except FileNotFoundError:
        raise Unconfigured(f"{given} does not exist.") from None
    except UnicodeDecodeError:
        raise Unconfigured(f"{given} is not a text in UTF-8.") from None
    except OSError as error:
        raise Unconfigured(f"{given} cannot be read: {error.strerror}.") from None


@functools.cache
def _warn_of_others(path: Path) -> None:
    """Say it once in the life of a process: settings are read again and again."""
    _logger.warning("Others on this machine can read or change %s, which holds the client secret: chmod 600 it.", path)


def _explain(error: ValidationError) -> tuple[str, str]:
    """Turn pydantic's errors into a list a person can act on. Values are never shown: one may be the secret."""
    wrong = {str(item["loc"][0]): item["msg"] for item in error.errors(include_url=False, include_input=False)}
    lines: list[str] = []
    for name, what in wrong.items():
        info = Settings.model_fields[name]
        example = (info.examples or [""])[0]
        lines.append(f"  {setting(name)}: {what}. {info.description} Example: {example}")
    noun = "variable is" if len(lines) == 1 else "variables are"
    return (
        "\n".join([f"pingone-mcp is not configured: {len(lines)} {noun} missing or wrong.", *lines, ""]),
        (
            "Set them in the MCP client's configuration, or in a file named with --env-file "
            "(`pingone-mcp guide settings` prints one to fill in). "
            f"To try it without PingOne, set {setting('sandbox', '1')}."
        ),
    )
