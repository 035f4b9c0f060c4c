"""The yardstick for walks: one page after the other, as the other servers for identity providers read a directory."""

from __future__ import annotations

from typing import Any

import httpx


async def all_users(
    base_url: str, environment_id: str, client_id: str, client_secret: str, page_size: int = 200
) -> list[dict[str, Any]]:
    """Return all users as PingOne tells them: fetch a token, then follow `next` from page to page."""
    users: list[dict[str, Any]] = []
    async with httpx.AsyncClient() as client:
        grant = await client.post(
            f"{base_url}/{environment_id}/as/token",
            data={"grant_type": "client_credentials"},
            auth=(client_id, client_secret),
        )
        grant.raise_for_status()
        headers = {"Authorization": f"Bearer {grant.json()['access_token']}"}
        url: str | None = f"{base_url}/v1/environments/{environment_id}/users?limit={page_size}"
        while url:
            response = await client.get(url, headers=headers)
            response.raise_for_status()
            body = response.json()
            users.extend(body["_embedded"]["users"])
            url = body["_links"].get("next", {}).get("href")
    return users
