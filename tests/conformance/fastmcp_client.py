"""The client of fastmcp over HTTP, in an environment of its own: URL, key and a write are its arguments."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastmcp import Client  # type: ignore[import-not-found] # it is in no environment of ours
from fastmcp.client.auth import BearerAuth  # type: ignore[import-not-found] # as above


async def main(url: str, key: str, write: str) -> None:
    met: dict[str, Any] = {"asked": 0, "progress": 0}

    async def confirm(*_: object) -> dict[str, bool]:
        met["asked"] += 1
        return {"confirm": True}

    async def count(*_: object) -> None:
        met["progress"] += 1

    async with Client(url, auth=BearerAuth(key), elicitation_handler=confirm, progress_handler=count) as client:
        met["tools"] = len(await client.list_tools())
        met["rows"] = (await client.call_tool("list_users", {"limit": 1})).structured_content["result_count"]
        met["written"] = (await client.call_tool("proxy_request", json.loads(write))).structured_content["status"]
    print(json.dumps(met))  # noqa: T201 - it says what it has met


asyncio.run(main(*sys.argv[1:]))
