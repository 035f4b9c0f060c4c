"""`server.json` is what the code says, and of the form that MCP's registry takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from pingone_mcp import __version__
from pingone_mcp.settings import Settings
from shipping.registry import FILE, SCHEMA, server_json

_TEXT = {"type": "string"}
_VARIABLE = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _TEXT,
        "description": _TEXT,
        "placeholder": _TEXT,
        "isRequired": {"type": "boolean"},
        "isSecret": {"type": "boolean"},
        "format": {"enum": ["string", "number", "boolean", "filepath"]},
        "choices": {"type": "array", "items": _TEXT},
    },
    "additionalProperties": False,
}
_PACKAGE = {
    "type": "object",
    "required": ["registryType", "identifier", "transport"],
    "properties": {
        "registryType": {"enum": ["npm", "pypi", "oci", "nuget", "mcpb", "maven"]},
        "identifier": _TEXT,
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "runtimeHint": _TEXT,
        "transport": {"type": "object", "required": ["type"], "properties": {"type": {"const": "stdio"}}},
        "environmentVariables": {"type": "array", "items": _VARIABLE},
    },
    "additionalProperties": False,
}
# What the registry's schema of 2025-12-11 (see SCHEMA) asks of the members that we use; it allows more members.
RULES: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "name", "description", "version"],
    "properties": {
        "$schema": {"const": SCHEMA},
        "name": {"type": "string", "minLength": 3, "maxLength": 200, "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "maxLength": 255},
        "packages": {"type": "array", "items": _PACKAGE},
    },
    "additionalProperties": False,
}


def test_it_is_of_the_form_that_the_registry_takes() -> None:
    Draft7Validator(RULES).validate(json.loads(FILE.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "wrong",
    [{"description": "x" * 101}, {"name": "pingone-mcp"}, {"version": 1}, {"packages": [{"registryType": "pypi"}]}],
    ids=["a long description", "a name without a namespace", "a version that is a number", "a package of nothing"],
)
def test_what_the_registry_would_refuse_is_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft7Validator(RULES).validate(server_json() | wrong)


def test_every_setting_is_a_variable_and_the_secret_is_one() -> None:
    (package,) = server_json()["packages"]
    assert package["version"] == __version__
    variables = {one["name"]: one for one in package["environmentVariables"]}
    assert list(variables) == [f"PINGONE_{name.upper()}" for name in Settings.model_fields]
    assert [name for name, one in variables.items() if one.get("isSecret")] == ["PINGONE_CLIENT_SECRET"]
    assert variables["PINGONE_REGION"]["choices"] == ["NA", "CA", "EU", "AU", "SG", "AP"]
