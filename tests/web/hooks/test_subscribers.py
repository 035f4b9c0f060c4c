"""An event that the provider sends is heard by MCP clients that subscribed, of its connection only, in both eras."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client

from pingone_mcp.clock import Clock
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.server.subscriptions import CHANGES
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.tasks import background
from pingone_mcp.web.process import Listening, open_socket, url_of
from tests.sandbox.webhooks.receiver import body_of
from tests.service.events.hooks.happened import event, sent
from tests.service.events.test_changes_out import doors, sync
from tests.web.faces import WholeFace, whole_face
from tests.web.mcp.serving import listening
from tests.web.mcp.test_clients import MODES, Subscriber
from tests.world import Checked


@dataclass
class OnAPort:
    """The whole face on a port of this machine, whose hooks are worked on as `serve` does it, by the real time."""

    face: WholeFace
    url: str
    linked: dict[str, LinkedConnection]

    @asynccontextmanager
    async def client(
        self, connection: str, *, mode: str = "auto", hears: MessageHandlerFnT | None = None
    ) -> AsyncIterator[Client]:
        path = f"{self.url}/c/{self.linked[connection].id}/mcp"
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {self.face.key}"}, timeout=60) as http:
            transport = streamable_http_client(path, http_client=http)
            async with Checked(transport, mode=mode, message_handler=hears) as client:
                yield client

    async def subscribe(self, name: str) -> None:
        """Have the company of a connection send its events here."""
        linked = self.linked[name]
        target = {"url": f"{self.url}/hooks/pingone/{linked.id}", "headers": await self._secret(name)}
        async with doors(self.face.estate, name) as admin:
            assert await admin.send("POST", "/subscriptions", body_of(httpEndpoint=target)) == 201

    async def disables(self, name: str) -> str:
        """Disable a user, as an administrator does, and let the company send that; return whom."""
        sandbox = self.face.estate.company(name).sandbox
        user = next(one for one in sandbox.users() if one["enabled"])
        async with doors(self.face.estate, name) as admin:
            assert await admin.send("PUT", f"/users/{user['id']}/enabled", {"enabled": False}) == 200
        async with httpx.AsyncClient(trust_env=False) as line:
            sandbox.sender.client = line
            [delivery] = await sandbox.sender.deliver()
        assert (delivery.status, delivery.accepted) == (200, True)
        return str(user["id"])

    async def delivers(self, name: str, body: bytes) -> None:
        """Send events of a company that it did not write."""
        path = f"{self.url}/hooks/pingone/{self.linked[name].id}"
        async with httpx.AsyncClient(trust_env=False) as line:
            assert (await line.post(path, content=body, headers=await self._secret(name))).status_code == 200

    async def changes(self, name: str, mode: str) -> str:
        async with self.client(name, mode=mode) as client:
            [content] = (await client.read_resource(CHANGES)).contents
        return getattr(content, "text", "")

    async def is_done(self) -> None:
        """Return when nothing that came waits for its work any more."""
        while await self.face.estate.control.inbox.depth():  # noqa: ASYNC110 - nobody else waits for it
            await anyio.sleep(0.01)

    async def _secret(self, name: str) -> dict[str, str]:
        secret = await self.face.estate.control.hook_secrets.get(self.linked[name].id)
        return {"Authorization": f"Bearer {secret.get_secret_value()}"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[OnAPort]:
    where = Listening(host="127.0.0.1", port=0)
    with open_socket(where) as listener:
        url = url_of(where, listener)
        async with whole_face(tmp_path, base=url) as face, background() as tasks:
            estate = face.estate
            linked = {"acme": face.acme, "globex": await estate.link("globex", tenant="another")}
            clock = dataclasses.replace(estate.time.clock(), sleep=anyio.sleep, within=Clock().within)
            out = ChangesOut(estate.control, estate.fleet, clock)
            tasks.start_soon(HookWork(estate.control, estate.fleet, out.changed, tasks, clock).run, face.taking)
            async with listening(face.app, where, listener, face.stop):
                on_a_port = OnAPort(face, url, linked)
                for name, one in linked.items():
                    await sync(estate, one)
                    await on_a_port.subscribe(name)
                yield on_a_port


@pytest.mark.parametrize("mode", MODES)
async def test_who_subscribed_hears_of_an_event_when_it_was_worked_on(served: OnAPort, mode: str) -> None:
    acme, globex = Subscriber(served, "acme", mode), Subscriber(served, "globex", mode)
    async with anyio.create_task_group() as tasks:
        for subscriber in (acme, globex):
            await tasks.start(subscriber.listen)
        user = await served.disables("acme")
        with anyio.fail_after(5):
            await acme.hears(1)
            await served.is_done()
        # These come behind what was sent before, so that who hears wrongly has heard by then.
        assert user not in await served.changes("globex", mode)
        assert user in await served.changes("acme", mode)
        assert (acme.heard, globex.heard) == ([CHANGES], [])
        await served.disables("globex")
        with anyio.fail_after(5):
            await globex.hears(1)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mode", MODES)
async def test_an_event_that_changes_nothing_is_no_news(served: OnAPort, mode: str) -> None:
    acme = Subscriber(served, "acme", mode)
    async with anyio.create_task_group() as tasks:
        await tasks.start(acme.listen)
        sandbox = served.face.estate.company("acme").sandbox
        unchanged = event(sandbox, next(iter(sandbox.users()))["id"])
        await served.delivers("acme", sent(unchanged))
        with anyio.fail_after(5):
            await served.is_done()
        await served.changes("acme", mode)
        assert acme.heard == []
        tasks.cancel_scope.cancel()
