"""`server.json`, the entry of MCP's registry, from what the code says of itself.

Its format: https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json. After a change of the settings
or of the version, `make generated` writes it anew; a test says when it is stale.
"""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pingone_mcp import __version__
from pingone_mcp.advice import variable
from pingone_mcp.settings import Settings
from pingone_mcp.settings.template import REQUIRED

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "server.json"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
DESCRIPTION = "A whole PingOne user directory: search, changes, drift, access reviews, and SQL over a local copy."
TITLE = "PingOne directory"


def server_json() -> dict[str, Any]:
    """Return the entry: one package that an MCP client starts on stdio, with every setting as a variable."""
    return {
        "$schema": SCHEMA,
        "name": registered_name(),
        "title": TITLE,
        "description": DESCRIPTION,
        "version": __version__,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": "pingone-mcp",
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [_variable(name) for name in Settings.model_fields],
            }
        ],
    }


def registered_name() -> str:
    """Return the name that README.md claims: the registry looks for it there."""
    found = re.search(r"<!-- mcp-name: (\S+) -->", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def _variable(name: str) -> dict[str, Any]:
    field = Settings.model_fields[name]
    about: dict[str, Any] = {"name": variable(name), "description": field.description}
    if name in REQUIRED:
        about["isRequired"] = True
    if field.annotation is SecretStr:
        about["isSecret"] = True
    if field.annotation is bool:
        about["format"] = "boolean"
    elif field.annotation in (int, float, int | None, float | None):
        about["format"] = "number"
    if choices := typing.get_args(field.annotation):
        about |= {"choices": list(choices)} if all(isinstance(choice, str) for choice in choices) else {}
    if field.examples and name not in REQUIRED:
        about["placeholder"] = str(field.examples[0])
    return about


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
