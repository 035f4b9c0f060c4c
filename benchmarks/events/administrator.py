"""An administrator of the sandbox: subscribes to its events, and disables people."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

import httpx

from benchmarks.places.bare import bearer
from benchmarks.places.place import Place


class Administrator:
    """Works over PingOne's API with one connection that stays open."""

    def __init__(self, http: httpx.AsyncClient, place: Place) -> None:
        self._http, self._place = http, place

    async def subscribe(self, url: str, action_types: tuple[str, ...], headers: Mapping[str, str]) -> None:
        """Have events of these types sent to a URL."""
        body = {
            "name": url,
            "enabled": True,
            "format": "ACTIVITY",
            "verifyTlsCertificates": False,
            "httpEndpoint": {"url": url, "headers": dict(headers)},
            "filterOptions": {"includedActionTypes": list(action_types)},
        }
        base = self._place.users_url.removesuffix("/users")
        (await self._http.post(f"{base}/subscriptions", json=body)).raise_for_status()

    async def who_may_sign_in(self) -> AsyncIterator[str]:
        """Yield one user after the other who is enabled."""
        for identity in self._place.user_ids:
            user = (await self._http.get(f"{self._place.users_url}/{identity}")).raise_for_status().json()
            if user["enabled"] and user["account"]["status"] == "OK":
                yield identity

    async def disable(self, user: str) -> float:
        """Disable a user; return when (`time.perf_counter`) that was sent."""
        sent = time.perf_counter()
        await self._put(user)
        return sent

    async def _put(self, user: str) -> None:
        url = f"{self._place.users_url}/{user}/enabled"
        (await self._http.put(url, json={"enabled": False})).raise_for_status()


def administering(place: Place) -> httpx.AsyncClient:
    """Return a client with the rights of the worker application."""
    return httpx.AsyncClient(trust_env=False, headers=bearer(place), timeout=60)
