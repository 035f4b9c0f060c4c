"""A PingOne that writes down what it is asked and answers what it is told: a transport, with tokens of the sandbox."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.world import World


class Recorder(httpx.AsyncBaseTransport):
    """Keep every API request; answer each with the same status, headers and body."""

    def __init__(self, world: World, body: Any = b"", *, status: int = 200, kind: str = "application/json") -> None:
        self._tokens = world.sandbox.transport()
        self.requests: list[httpx.Request] = []
        self.status = status
        self.kind = kind
        self.body = body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/as/token"):
            return await self._tokens.handle_async_request(request)
        await request.aread()
        self.requests.append(request)
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"content-type": self.kind, "correlation-id": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"}
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(content), request=request)
