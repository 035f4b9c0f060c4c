"""Somebody who subscribed: keeps what comes, and answers as it was given to."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from pingone_mcp.tasks import background
from tests.sandbox.entrance import NOW, enter

TARGET = "http://127.0.0.1:9000/hooks"
SECRET = "Bearer made-up"
ACTIONS = (
    "USER.CREATED USER.UPDATED USER.DELETED USER.LOCKED USER.UNLOCKED MEMBER_OF_GROUP.CREATED MEMBER_OF_GROUP.DELETED"
).split()


@dataclass
class Received:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)
        return found

    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows()]


@dataclass
class Receiver:
    """An ASGI application. `answers` are the next statuses (then 200); without an answer (None) it never ends."""

    answers: list[int | None] = field(default_factory=list[int | None])
    requests: list[Received] = field(default_factory=list[Received])
    came: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append(Received(scope["path"], headers, body))
        self.came.set()
        self.came = anyio.Event()
        status = self.answers.pop(0) if self.answers else 200
        if status is None:
            await anyio.sleep_forever()
        headers_out = [(b"location", b"https://elsewhere.example.net/")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": headers_out})
        await send({"type": "http.response.body", "body": b""})

    def ids(self) -> list[list[str]]:
        """Give the ids of the events of each request."""
        return [request.ids() for request in self.requests]


def body_of(**changes: Any) -> dict[str, Any]:
    """Return a subscription as it is documented, with changes."""
    return {
        "name": "ours",
        "enabled": True,
        "format": "ACTIVITY",
        "verifyTlsCertificates": True,
        "filterOptions": {"includedActionTypes": ACTIONS},
        "httpEndpoint": {"url": TARGET, "headers": {"Authorization": SECRET}},
        **changes,
    }


@dataclass
class Subscribed:
    """A sandbox, a client of its API, and who receives what it sends, which is only what `deliver` sends."""

    sandbox: Sandbox
    client: httpx.AsyncClient
    receiver: Receiver

    async def subscribe(self, **changes: Any) -> str:
        answer = await self.client.post("/subscriptions", json=body_of(**changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def change(self, subscription_id: str, **changes: Any) -> None:
        answer = await self.client.put(f"/subscriptions/{subscription_id}", json=body_of(**changes))
        assert answer.status_code == 200, answer.text

    def happen(self, count: int = 1) -> list[str]:
        """Let things happen to the first user; return the ids of the events."""
        before, administration = len(self.sandbox.state().events), self.sandbox.administration()
        for number in range(count):
            administration.update_user(0, title=f"Title {number} of {before}")
        return [event.id for event in self.sandbox.state().events[before:]]

    async def deliver(self, seconds: float = 0.0) -> list[int | None]:
        """Let time pass, send what is due, and return what was answered."""
        self.sandbox.clock.advance(seconds)
        return [delivery.status for delivery in await self.sandbox.sender.deliver()]


@asynccontextmanager
async def subscribed(options: Options | None = None) -> AsyncIterator[Subscribed]:
    """Open a sandbox that stands still at NOW, and sends to a receiver in this process; its tokens last for weeks."""
    receiver, options = Receiver(), replace(options or Options(), token_lifetime=30 * 86_400)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver)) as outgoing:
        sandbox = Sandbox(size=60, now=NOW, options=options, webhook_client=outgoing)
        async with enter(sandbox) as client:
            yield Subscribed(sandbox, client, receiver)


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """Serve a receiver on a socket; gives its address."""
    server = uvicorn.Server(uvicorn.Config(receiver, log_level="critical", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with background() as tasks:
            tasks.start_soon(server.serve, [listener])
            while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, not an event
                await anyio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/hooks"


async def until(receiver: Receiver, count: int) -> None:
    """Wait until so many requests have come."""
    with anyio.fail_after(30):
        while len(receiver.requests) < count:
            await receiver.came.wait()
