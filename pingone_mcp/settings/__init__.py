"""Everything a person configures, and the one place that reads the environment.

Values come from environment variables, or from a file named explicitly (`--env-file`). A `.env` in
the current folder is never read: a workspace that somebody opens could send the secret elsewhere.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from pingone_mcp.advice import PREFIX, setting, variable
from pingone_mcp.errors import Unconfigured
from pingone_mcp.first_answers import MOST_ENV_BYTES
from pingone_mcp.private_files import is_open_to_others, read_named
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.settings.serving import Serving
from pingone_mcp.settings.variables import AllGiven, all_given

_logger = logging.getLogger(__name__)


@functools.cache
def _warn(note: str) -> None:
    """Say it once in the life of a process: settings are read again and again."""
    _logger.warning("%s", note)


class _Variables(BaseSettings):
    """Settings out of variables: each is `PINGONE_` and the name of the field in capitals (README.md's tables)."""

    advice: ClassVar[str]
    """What to do where some are missing or wrong."""

    @classmethod
    def load(cls, env_file: Path | None = None, tell: Callable[[str], None] = _warn) -> Self:
        """Read the environment, and `env_file` below it where one is named.

        `tell` hears what was given and comes to nothing: it is logged where nobody else listens. Raises Unconfigured
        with one text that names every missing or wrong variable, where it stands, and an example.
        """
        given = cls.given(env_file)
        values: dict[str, Any] = given.values
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise _explained(cls, error, given, env_file) from None
        for note in given.notes:
            tell(note)
        return settings

    @classmethod
    def given(cls, env_file: Path | None = None, *, in_environment: bool = True) -> AllGiven:
        """Return what the environment (unless it is left out) and the file say, not checked.

        Raises Unconfigured for a file that is none.
        """
        environment = EnvSettingsSource(cls).env_vars if in_environment else {}
        if env_file is None:
            return all_given(environment, {}, None, cls.model_fields, _OTHERS)
        text = _read_env_file(env_file)
        logging.getLogger("dotenv").setLevel(logging.ERROR)  # what it cannot read is said by `_unread`
        file = DotEnvSettingsSource(cls, env_file=env_file).env_vars
        given = all_given(environment, file, env_file, cls.model_fields, _OTHERS)
        return replace(given, notes=(*_unread(text, env_file), *given.notes))


_CONFIG = SettingsConfigDict(
    env_prefix=PREFIX, env_file=None, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
)


class Settings(_Variables, ConnectionSettings):
    """The settings of the one connection that the environment describes."""

    advice = (
        "Set them in the MCP client's configuration, or in a file named with --env-file "
        "(`pingone-mcp guide settings` prints one to fill in). "
        f"To try it without PingOne, set {setting('sandbox', '1')}."
    )
    model_config: ClassVar[SettingsConfigDict] = _CONFIG  # type: ignore[mutable-override] # pydantic's own way


class ServeSettings(_Variables, Serving):
    """The settings of the process that serves many, and of the commands that look after its connections."""

    advice = "Set them in the environment of that process and of these commands, or in a file named with --env-file."
    model_config: ClassVar[SettingsConfigDict] = _CONFIG  # type: ignore[mutable-override] # pydantic's own way


_OTHERS = frozenset({*ConnectionSettings.model_fields, *Serving.model_fields})
"""The names of all settings: one that a command does not need is not unknown."""


def _unread(text: str, path: Path) -> Iterator[str]:
    """Say which lines of a file are none that set a variable, and not what stands in them: it may be the secret."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - most have no file

    for line in parse_stream(io.StringIO(text.removeprefix("\ufeff"))):
        if line.error:
            written = line.original.string  # from the end of the one before on
            blank = written[: len(written) - len(written.lstrip())].count("\n")
            yield f"Line {line.original.line + blank} of the file {path} is not of the form NAME=value. It is left out."


def _read_env_file(path: Path) -> str:
    """Return what stands in a file, and warn where others can read or change it. Raises Unconfigured."""
    given = f"The file {path} given with --env-file"
    try:
        text = read_named(path, MOST_ENV_BYTES).decode()
        if "\0" in text:
            raise Unconfigured(f"{given} is not a text in UTF-8.")
        if is_open_to_others(path):
            _warn(f"Others on this machine can read or change {path}, which holds the client secret: chmod 600 it.")
        return text
    except FileNotFoundError:
        raise Unconfigured(f"{given} does not exist.") from None
    except UnicodeDecodeError:
        raise Unconfigured(f"{given} is not a text in UTF-8.") from None
    except OSError as error:
        raise Unconfigured(f"{given} cannot be read: {error.strerror}.") from None


def _explained(kind: type[_Variables], error: ValidationError, given: AllGiven, env_file: Path | None) -> Unconfigured:
    """Turn pydantic's errors into a list a person can act on. Values are never shown: one may be the secret."""
    wrong = {str(item["loc"][0]): item["msg"] for item in error.errors(include_url=False, include_input=False)}
    lines: list[str] = []
    for name, what in wrong.items():
        info = kind.model_fields[name]
        example = (info.examples or [""])[0]
        place = _place(name, given, env_file)
        lines.append(f"{setting(name)}: {what}{place}. {info.description} Example: {example}")
    noun = "variable is" if len(lines) == 1 else "variables are"
    heading = f"pingone-mcp is not configured: {len(lines)} {noun} missing or wrong."
    notes = [f"Note: {note}" for note in given.notes]
    return Unconfigured(
        "\n  ".join([heading, *lines, *notes]) + "\n",
        kind.advice,
        wrong=tuple(lines),
        notes=given.notes,
    )


def _place(name: str, given: AllGiven, env_file: Path | None) -> str:
    """Say where a wrong value stands, and under which name where that is not ours; or where it was looked for."""
    one = given.counts.get(name)
    if one is not None:
        alias = "" if one.variable == variable(name) else f", as {one.variable}"
        return f" (given {one.place}{alias})"
    return "" if env_file is None else f" (neither in the environment nor in the file {env_file})"
