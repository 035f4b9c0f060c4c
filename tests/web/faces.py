"""The whole HTTP face over an estate without companies, as `serve` opens it, and a client of it with a key."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import anyio
import httpx

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.pingone.feed.events import is_foreign
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.callers import Permission
from pingone_mcp.service.events.hooks.taking import HookTaking
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.settings.serving import Serving
from pingone_mcp.tasks import background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.wiring.serving import ServedFleet, open_face
from tests.fleets import SIZE, Estate, estate
from tests.web.premises import Heard, Sent, hear

HOST = "directory.test"
EVERYTHING: frozenset[Permission] = frozenset(get_args(Permission))


@dataclass(kw_only=True)
class WholeFace:
    """The face, the company `acme` that is linked to it, and what asks with a key of everything.

    `stop` ends streams.
    """

    estate: Estate
    app: Any
    taking: HookTaking
    acme: LinkedConnection
    key: str
    stop: Callable[[], None]

    async def ask(
        self, method: str, target: str, *headers: tuple[str, str], body: bytes = b"", key: str | None = None
    ) -> Heard:
        """Send a request whose path goes over the wire as it stands here; an empty key is none."""
        self.estate.time.passed += 11  # no limit counts what was before
        token = self.key if key is None else key
        bearer = (("Authorization", f"Bearer {token}"),) if token else ()
        return await hear(self.app, Sent(method, target, (("Host", HOST), *bearer, *headers), body))

    async def new_key(self, *permissions: Permission, connections: list[str] | None = None) -> str:
        made = await self.estate.control.api_keys.create(
            name="more", permissions=frozenset(permissions), connections=connections
        )
        return made.text.get_secret_value()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=f"http://{HOST}",
            headers={"Authorization": f"Bearer {self.key}"},
        )


@asynccontextmanager
async def whole_face(
    folder: Path,
    settings: Serving | None = None,
    *,
    base: str = f"http://{HOST}",
    size: int = SIZE,
    options: Options | None = None,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> AsyncIterator[WholeFace]:
    """Open the face as it is reached at a base URL; `acme` is a sandbox of so many users that may be written to.

    Who looks at something again and again sleeps by the real time, or as `sleep` does.
    """
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(estate(folder, size=size, options=options))
        tasks = await stack.enter_async_context(background())
        clock = dataclasses.replace(opened.time.clock(), sleep=sleep)
        taking = HookTaking(opened.control, is_foreign)
        served = ServedFleet(
            opened.fleet,
            FleetSyncs(opened.control, opened.fleet, tasks, clock),
            opened.administration.linking,
            opened.rosters,
            taking=taking,
        )
        address = PublicAddress(base)
        opening = open_face(opened.control, served, settings or Serving(), address, log=lambda _: None, clock=clock)
        face = await stack.enter_async_context(opening)
        acme = await opened.link("acme", tenant="customer", allow_writes=True)
        made = await opened.control.api_keys.create(name="everything", permissions=EVERYTHING, connections=None)
        key = made.text.get_secret_value()
        yield WholeFace(estate=opened, app=face.app, stop=face.stop, taking=taking, acme=acme, key=key)
