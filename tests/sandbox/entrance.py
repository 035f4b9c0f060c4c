"""How tests come in: a sandbox stands still at NOW, a client holds a token and begins at the main environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from pingone_mcp.sandbox.app import Sandbox

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


async def token(client: httpx.AsyncClient, sandbox: Sandbox) -> str:
    answer = await client.post(
        client.base_url.copy_with(path=f"/{sandbox.environment_id}/as/token"),
        data={"grant_type": "client_credentials"},
        auth=(sandbox.client_id, sandbox.client_secret),
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@asynccontextmanager
async def enter(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client with a token, whose paths begin at the main environment; `/` leads out of it."""
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://api.example.net") as client:
        client.headers["authorization"] = f"Bearer {await token(client, sandbox)}"
        client.base_url = httpx.URL(f"https://api.example.net/v1/environments/{sandbox.environment_id}")
        yield client


async def walk(client: httpx.AsyncClient, address: str, noun: str = "users") -> list[dict[str, Any]]:
    """Follow `next` to the end and give all rows."""
    rows: list[dict[str, Any]] = []
    followed: set[str] = set()
    following: str | None = address
    while following:
        assert following not in followed
        followed.add(following)
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        rows += body["_embedded"][noun]
        following = body["_links"].get("next", {}).get("href")
    return rows
