"""The whole surface that agents see, as one reviewed snapshot, and what it may cost.

After a change on purpose: `.venv/bin/python -m tests.server.test_surface` writes the snapshot anew; review its diff.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from pingone_mcp.errors import Unconfigured
from pingone_mcp.server.build import INSTRUCTIONS, build_server
from pingone_mcp.server.edge import Backend, OpenBackend
from tests.world import error_text

SNAPSHOT = Path(__file__).resolve().parents[1] / "surface.json"


def refusing(failure: Exception) -> OpenBackend:
    """Return what opens a backend, and fails in doing so."""

    @asynccontextmanager
    async def open_backend() -> AsyncIterator[Backend]:
        raise failure
        yield  # type: ignore[unreachable]  # it makes this a generator

    return open_backend


unconfigured = refusing(Unconfigured("PINGONE_CLIENT_ID is missing."))


async def surface() -> dict[str, Any]:
    async with Client(build_server(unconfigured)) as client:
        listed: dict[str, list[Any]] = {
            "tools": (await client.list_tools()).tools,
            "resources": (await client.list_resources()).resources,
            "templates": (await client.list_resource_templates()).resource_templates,
            "prompts": (await client.list_prompts()).prompts,
        }
    told = {
        kind: [item.model_dump(by_alias=True, exclude_none=True, mode="json") for item in items]
        for kind, items in listed.items()
    }
    return {"instructions": INSTRUCTIONS, **told}


async def test_the_surface_is_the_reviewed_one() -> None:
    assert await surface() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


async def test_names_are_plain_and_tools_say_that_they_only_read() -> None:
    told = await surface()
    for tool in told["tools"]:
        assert re.fullmatch(r"[a-z_]{1,64}", tool["name"])
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["annotations"]["openWorldHint"] is False
        assert tool["inputSchema"]["additionalProperties"] is False
    assert len(told["tools"]) <= 14


async def test_schemas_are_lean() -> None:
    text = json.dumps([tool["inputSchema"] for tool in (await surface())["tools"]])
    assert '"title"' not in text
    assert '"null"' not in text
    assert "$ref" not in text


async def test_definitions_stay_within_their_tokens() -> None:
    encoding = pytest.importorskip("bpe_openai", reason="has no wheel on this platform").get_encoding("o200k_base")
    told = await surface()
    for tool in told["tools"]:
        tool.pop("outputSchema", None)
    assert len(encoding.encode(json.dumps(told["tools"], ensure_ascii=False))) <= 4_000
    assert len(encoding.encode(told["instructions"])) <= 300


async def test_an_unconfigured_server_lists_its_tools_and_says_what_is_missing() -> None:
    async with Client(build_server(unconfigured)) as client:
        assert (await client.list_tools()).tools
        result = await client.call_tool("list_users", {})
    assert result.is_error
    assert error_text(result) == "PINGONE_CLIENT_ID is missing."


async def test_an_unexpected_failure_is_masked() -> None:
    async with Client(build_server(refusing(RuntimeError("the secret is hunter2")))) as client:
        text = error_text(await client.call_tool("list_users", {}))
    assert "hunter2" not in text
    assert text == "Error executing tool list_users"


async def write() -> None:
    SNAPSHOT.write_text(json.dumps(await surface(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    anyio.run(write)
