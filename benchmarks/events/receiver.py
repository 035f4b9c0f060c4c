"""A program that events are sent to: it notes when each came, and counts none whose signature is not right."""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import uvicorn
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PATIENCE = 60.0


class Receiver:
    """What came: hooks of the provider at `/hook`, and signed events at `/event`, by whom they are about."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secret = ""
        self.others = 0
        """Events about something else than a user who was disabled."""
        self._hooks = defaultdict[str, anyio.Event](anyio.Event)
        self._events = defaultdict[str, anyio.Event](anyio.Event)
        self._at: dict[tuple[str, str], float] = {}

    async def hook(self, user: str) -> float:
        """Return when (`time.perf_counter`) the provider's own event about a user came here."""
        return await self._came("hook", user, self._hooks[user])

    async def event(self, user: str) -> float:
        """Return when the signed event came that says that a user is disabled."""
        return await self._came("event", user, self._events[user])

    async def _came(self, kind: str, user: str, came: anyio.Event) -> float:
        with anyio.fail_after(_PATIENCE):
            await came.wait()
        return self._at[kind, user]

    async def take_hook(self, request: Request) -> Response:
        at = time.perf_counter()
        for event in msgspec.json.decode(await request.body()):
            self._note("hook", event["resources"][0]["id"], self._hooks, at)
        return Response()

    async def take_event(self, request: Request) -> Response:
        body = await request.body()
        payload = Webhook(self.secret).verify(body, dict(request.headers))["payload"]
        if payload.get("change") == "user.deactivated":
            self._note("event", payload["records"][0]["id"], self._events, time.perf_counter())
        else:
            self.others += 1
        return Response()

    def _note(self, kind: str, user: str, events: dict[str, anyio.Event], at: float) -> None:
        self._at.setdefault((kind, user), at)
        events[user].set()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Receive on loopback for as long as the block lasts."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    receiver = Receiver(f"http://127.0.0.1:{listening.getsockname()[1]}")
    routes = [
        Route("/hook", receiver.take_hook, methods=["POST"]),
        Route("/event", receiver.take_event, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), access_log=False, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listening])
        try:
            yield receiver
        finally:
            server.should_exit = True
