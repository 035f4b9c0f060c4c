"""Packages that only some commands need: an extra of pyproject.toml brings them, and who lacks one hears which."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from pingone_mcp.errors import MissingExtra


def load_extra(module: str, extra: str) -> ModuleType:
    """Import a module of a package that an extra brings. Raises MissingExtra where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{module}.".startswith(f"{missing.name}."):
            raise  # it is there, and lacks something itself
        package = missing.name.partition(".")[0]
    raise _missing(package, extra)


def find_extra(package: str, extra: str) -> None:
    """Look whether a package that an extra brings is installed, without importing it. Raises MissingExtra."""
    if importlib.util.find_spec(package) is None:
        raise _missing(package, extra)


def _missing(package: str, extra: str) -> MissingExtra:
    return MissingExtra(
        f"This needs the package {package}, which comes with the extra `{extra}` and is not installed.",
        f"Install pingone-mcp[{extra}] the way pingone-mcp was installed, "
        f"as in: pipx install --force '/path/to/checkout[{extra}]'",
        code="MISSING_EXTRA",
    )
