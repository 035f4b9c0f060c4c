"""Tool schemas are read by clients of two dialects: VS Code validates as draft-07, the protocol says 2020-12."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from mcp import Client

from pingone_mcp.server.build import build_server
from tests.server.test_surface import unconfigured

# What both dialects have, with the same meaning. Among what they have not: $defs, prefixItems, dependentRequired,
# unevaluatedProperties, and `items` as a list.
_COMMON = set(
    "type properties required additionalProperties items enum const anyOf description default examples format pattern "
    "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems uniqueItems".split()
)


def keywords(schema: Any) -> Iterator[str]:
    """Yield every keyword of a schema, and of those inside it; names of properties are none."""
    if not isinstance(schema, dict):
        return
    yield from schema
    inside = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    for part in (*inside, schema.get("items"), schema.get("additionalProperties")):
        yield from keywords(part)


async def schemas(*, allow_writes: bool) -> dict[str, Any]:
    async with Client(build_server(unconfigured, allow_writes=allow_writes)) as client:
        tools = (await client.list_tools()).tools
    both = {f"{tool.name} takes": tool.input_schema for tool in tools}
    return both | {f"{tool.name} gives": tool.output_schema for tool in tools if tool.output_schema}


@pytest.mark.parametrize("allow_writes", [False, True])
async def test_every_tool_schema_is_valid_and_means_the_same_in_both_dialects(allow_writes: bool) -> None:
    for what, schema in (await schemas(allow_writes=allow_writes)).items():
        Draft7Validator.check_schema(schema)
        Draft202012Validator.check_schema(schema)
        assert set(keywords(schema)) <= _COMMON, what
        assert not isinstance(schema.get("items"), list), what


@pytest.mark.parametrize("allow_writes", [False, True])
async def test_every_tool_takes_and_gives_an_object(allow_writes: bool) -> None:
    # Sessions of 2024 and 2025 know no other results, and no model provider takes other arguments.
    for what, schema in (await schemas(allow_writes=allow_writes)).items():
        assert schema["type"] == "object", what
