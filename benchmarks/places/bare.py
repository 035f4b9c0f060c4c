"""A sandbox asked without our client: its token, and one page after the other over one connection."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from benchmarks.places.place import Place

PAGE = 200


class Plain:
    """The standard library's plain client over one connection: the least that a request can take in Python."""

    def __init__(self, place: Place) -> None:
        address = urlsplit(place.base_url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port)
        self._root = f"/v1/environments/{place.environment_id}"
        secret = b64encode(f"{place.client_id}:{place.client_secret}".encode()).decode()
        self._connection.request(
            "POST",
            f"/{place.environment_id}/as/token",
            b"grant_type=client_credentials",
            {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"},
        )
        token = json.loads(self._connection.getresponse().read())["access_token"]
        self.bearer = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=self.bearer)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == http.client.OK, f"{answer.status}: {path}"
        return body

    def pages(self, collection: str, filter_: str | None = None) -> Iterator[bytes]:
        """Yield the pages of `users` or another collection of the environment, each as its bytes."""
        asked = "" if filter_ is None else f"&filter={quote(filter_)}"
        path: str | None = f"{self._root}/{collection}?limit={PAGE}{asked}"
        while path:
            body = self.get(path)
            yield body
            path = following(json.loads(body))

    def close(self) -> None:
        self._connection.close()


def following(page: Mapping[str, Any]) -> str | None:
    """Return path and query of the next page, which its link says."""
    link: str | None = page["_links"].get("next", {}).get("href")
    return None if link is None else link[link.index("/v1/") :]


def bearer(place: Place) -> dict[str, str]:
    """Return the header of a new token."""
    plain = Plain(place)
    plain.close()
    return plain.bearer
