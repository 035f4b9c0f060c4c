"""What is said over HTTP is what stdio says: of failures of PingOne in the middle too, and of no connection by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.web.mcp.serving import SIZE, Served
from tests.world import error_text, facts

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("rate_limited_seconds", {"path": "/users", "times": None}),
    ("token_revoked", {"path": "/users", "times": None}),
    ("unavailable_503", {"path": "/users", "times": None}),
    ("dropped_connection", {"path": "/users", "times": None}),
    ("bad_gateway_html", {"path": "/users", "times": None}),
    ("forbidden", {"path": "/users", "times": None}),
]
_OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")  # a correlation id, and ids of the company


async def answer_of(client: Client) -> tuple[bool, str]:
    result = await client.call_tool("list_users", {"limit": 5})
    return bool(result.is_error), _OWN.sub("", error_text(result))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize(("fault", "when"), FAULTS, ids=[fault for fault, _ in FAULTS])
async def test_a_failure_of_pingone_is_told_in_the_same_words(
    tmp_path: Path, mode: str, fault: Any, when: dict[str, Any]
) -> None:
    served = Served(tmp_path)
    here, there = served.worlds["acme"], served.worlds["globex"]
    for world in (here, there):
        world.sandbox.faults.add(fault, **when)
        world.sandbox.sleep = world.time.passes
    async with served.listening(), served.client("acme", mode=mode) as over_http:
        said = await answer_of(over_http)
    async with there.client(mode=mode) as over_stdio:
        assert said == await answer_of(over_stdio)
    assert said[0], "it has failed"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_nothing_but_the_description_names_the_connection(tmp_path: Path, mode: str) -> None:
    served = Served(tmp_path)
    seen: dict[str, str] = {}
    async with served.listening():
        for name in ("acme", "globex"):
            async with served.client(name, mode=mode) as client:
                offered = [
                    await client.list_tools(),
                    await client.list_resources(),
                    await client.list_resource_templates(),
                    await client.list_prompts(),
                    await client.get_prompt("find_people", {"who": "ann"}),
                    await client.read_resource("pingone://filters"),
                ]
                seen[name] = json.dumps([one.model_dump(mode="json") for one in offered]) + str(client.instructions)
                rows = facts(await client.call_tool("list_users", {"limit": SIZE}))
                assert name not in json.dumps(rows["result"][0]).lower().replace(f"{name}.com", "")
    assert seen["acme"] == seen["globex"]
    assert "acme" not in seen["acme"].replace("acme.", "")
