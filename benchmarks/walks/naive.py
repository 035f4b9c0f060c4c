"""The yardstick for walks: one page after the other, as the other servers for identity providers read a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from benchmarks.places.place import Place


async def pages_in_turn(place: Place, page_size: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the users of each page as PingOne tells them: fetch a token, then follow `next` from page to page."""
    async with httpx.AsyncClient() as client:
        grant = await client.post(
            f"{place.base_url}/{place.environment_id}/as/token",
            data={"grant_type": "client_credentials"},
            auth=(place.client_id, place.client_secret),
        )
        grant.raise_for_status()
        headers = {"Authorization": f"Bearer {grant.json()['access_token']}"}
        url: str | None = f"{place.users_url}?limit={page_size}"
        while url:
            response = await client.get(url, headers=headers)
            response.raise_for_status()
            body = response.json()
            yield body["_embedded"]["users"]
            url = body["_links"].get("next", {}).get("href")
