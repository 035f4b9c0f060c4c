"""Somebody is disabled at PingOne: the hook brings it, the copy says so, and an event of ours waits to be sent."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.directory.changes import ChangeQuestion
from pingone_mcp.directory.rows import plain
from pingone_mcp.service.asking.shown_user import shown_user
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.tasks import background
from tests.fleets import Estate
from tests.sandbox.webhooks.receiver import body_of
from tests.service.events.receivers import URL
from tests.service.events.test_changes_out import doors, row_of, sync, written
from tests.web.faces import HOST, whole_face


class OnThisMachine:
    """What the sandbox reaches, which sends to this machine only: the face under its own name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, HOST.encode() if name == b"host" else value) for name, value in scope["headers"]]
        await self._app({**scope, "headers": headers}, receive, send)


async def test_who_is_disabled_is_inactive_in_the_copy_and_an_event_waits(tmp_path: Path) -> None:
    async with whole_face(tmp_path) as face, background() as tasks:
        estate, control = face.estate, face.estate.control
        sandbox, clock = estate.company("acme").sandbox, estate.time.clock()
        await control.webhooks.create(target_url=URL)
        out = ChangesOut(control, estate.fleet, clock)
        work = HookWork(control, estate.fleet, out.changed, tasks, clock)
        tasks.start_soon(work.run, face.taking)
        await sync(estate, face.acme)
        await out.changed(face.acme.id)
        form = await estate.administration.hook(face.acme)
        [(name, value)] = form.headers.items()
        target = {"url": form.url, "headers": {name: value.get_secret_value()}}
        user = next(one for one in sandbox.users() if one["enabled"])
        async with (
            doors(estate) as admin,
            httpx.AsyncClient(transport=httpx.ASGITransport(OnThisMachine(face.app))) as line,
        ):
            sandbox.sender.client = line
            assert await admin.send("POST", "/subscriptions", body_of(httpEndpoint=target)) == 201
            assert await admin.send("PUT", f"/users/{user['id']}/enabled", {"enabled": False}) == 200
            [delivery] = await sandbox.sender.deliver()
        assert (delivery.status, delivery.accepted) == (200, True)
        await _until_written(estate)
        backend = await (await estate.fleet.current(face.acme)).backend()
        assert shown_user(plain(await backend.copy.user(user["id"])))["status"] == "inactive"
        [change] = (await backend.replica.newest_changes(ChangeQuestion(user=user["id"]), 1)).items
        assert (change.kind, change.evidence) == ("user.deactivated", "event")
        assert change.actor
        [event] = await written(estate)
        assert (event.event, event.connection_id) == ("record:updated", face.acme.id)
        row = row_of(event)
        assert (row["id"], row["status"]) == (user["id"], "inactive")
        assert await control.inbox.depth() == {}


async def _until_written(estate: Estate) -> None:
    with anyio.fail_after(30):
        while not await written(estate):  # noqa: ASYNC110 - nobody else waits for it
            await anyio.sleep(0.01)
