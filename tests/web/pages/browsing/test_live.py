"""The stream of news: what it says, to whom, how many there may be, and what ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.types import Message

from pingone_mcp.web.pages.browsing import live
from tests.web.faces import HOST
from tests.web.pages.visiting import Visitor, doors, sign_in, sync, visiting


@dataclass
class Listener:
    """Somebody who listens: what was said so far, and what ends when the stream has."""

    status: int = 0
    said: list[str] = field(default_factory=list[str])
    ended: anyio.Event = field(default_factory=anyio.Event)
    news: anyio.Event = field(default_factory=anyio.Event)
    left: anyio.Event = field(default_factory=anyio.Event)

    async def hears(self, event: str) -> None:
        with anyio.fail_after(30):
            while not any(event in one for one in self.said):
                self.news = anyio.Event()
                await self.news.wait()


@asynccontextmanager
async def listening(visitor: Visitor, cookie: str | None = None) -> AsyncIterator[Listener]:
    """Listen for as long as the block lasts."""
    listener, asked = Listener(), [False]
    visitor.face.estate.time.passed += 11
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "server": ("127.0.0.1", 80),
        "client": ("192.0.2.7", 50_000), "scheme": "http", "method": "GET", "root_path": "",
        "path": f"/c/{visitor.face.acme.id}/live", "raw_path": b"", "query_string": b"", "state": {},
        "headers": [(b"host", HOST.encode()), (b"cookie", (cookie or visitor.cookie).encode())],
    }  # fmt: skip

    async def receive() -> Message:
        if not asked[0]:
            asked[0] = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await listener.left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            listener.status = message["status"]
        else:
            listener.said.append(message.get("body", b"").decode())
            if not message.get("more_body", False):
                listener.ended.set()
        listener.news.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(visitor.face.app, scope, receive, send)
        with anyio.fail_after(30):
            while not listener.said:
                listener.news = anyio.Event()
                await listener.news.wait()
        yield listener
        listener.left.set()


@pytest.fixture
def looks() -> anyio.Event:
    """What lets all who look at streams look now, and not before."""
    return anyio.Event()


@pytest.fixture
async def visitor(tmp_path: Path, looks: anyio.Event) -> AsyncIterator[Visitor]:
    async def sleep(seconds: float) -> None:
        if seconds != live.LOOK_SECONDS:
            await anyio.sleep(seconds)
        elif looks.is_set():
            await anyio.sleep_forever()
        else:
            await looks.wait()

    async with visiting(tmp_path, sleep=sleep) as opened:
        yield opened


async def ends(listener: Listener) -> None:
    with anyio.fail_after(30):
        await listener.ended.wait()


async def test_who_listens_hears_of_a_change_when_a_sync_has_found_it(visitor: Visitor) -> None:
    users = [user["id"] for user in visitor.face.estate.company("acme").sandbox.users()]
    async with listening(visitor) as listener:
        assert listener.status == 200
        async with doors(visitor.face) as admin:
            assert await admin.send("PUT", f"/users/{users[3]}/enabled", {"enabled": False}) == 200
        await sync(visitor.face)
        await listener.hears("event: changed")
    assert not any(users[3] in one for one in listener.said), "it says that there is something, and nothing of what"


async def test_it_ends_when_its_session_is_ended(visitor: Visitor) -> None:
    async with listening(visitor) as listener:
        token = (await visitor.people()).body.decode().partition('name="csrf" value="')[2].partition('"')[0]
        form = ("Content-Type", "application/x-www-form-urlencoded"), ("Origin", f"http://{HOST}")
        left = await visitor.face.ask("POST", "/sign-out", *form, ("Cookie", visitor.cookie), body=f"csrf={token}".encode(), key="")  # fmt: skip
        assert left.status == 303
        await ends(listener)


async def test_it_ends_when_the_process_is_asked_to_stop_and_no_other_begins(visitor: Visitor) -> None:
    async with listening(visitor) as listener:
        visitor.face.stop()
        await ends(listener)
    assert (await visitor.open(f"/c/{visitor.face.acme.id}/live")).status >= 400


async def test_who_asks_for_its_headers_alone_gets_no_stream(visitor: Visitor) -> None:
    heard = await visitor.face.ask("HEAD", f"/c/{visitor.face.acme.id}/live", ("Cookie", visitor.cookie), key="")
    assert (heard.status, heard.body) == (200, b"")


async def test_who_has_left_leaves_nothing_behind(visitor: Visitor) -> None:
    served = await visitor.face.estate.fleet.current(visitor.face.acme)
    async with listening(visitor):
        assert len(served._listeners) == 1  # noqa: SLF001 - nobody else sees them
    assert served._listeners == []  # noqa: SLF001


async def test_one_caller_has_so_many_streams_and_another_one_has_its_own(
    visitor: Visitor,
) -> None:
    async with anyio.create_task_group() as tasks:
        leave = anyio.Event()
        open_ = anyio.Semaphore(0)

        async def one() -> None:
            async with listening(visitor) as listener:
                assert listener.status == 200
                open_.release()
                await leave.wait()

        for _ in range(live.MOST_OF_ONE):
            tasks.start_soon(one)
        with anyio.fail_after(60):
            for _ in range(live.MOST_OF_ONE):
                await open_.acquire()
        assert (await visitor.open(f"/c/{visitor.face.acme.id}/live")).status == 429
        another = await sign_in(visitor.face, await visitor.face.new_key("directory.read"))
        async with listening(another) as listener:
            assert listener.status == 200
        leave.set()


@pytest.mark.parametrize("how", ["revoked", "paused"])
async def test_it_ends_when_a_look_finds_that_it_may_not_go_on(visitor: Visitor, looks: anyio.Event, how: str) -> None:
    key = await visitor.face.new_key("directory.read")
    other = await sign_in(visitor.face, key)
    async with listening(other) as listener:
        if how == "revoked":
            [made] = [one for one in await visitor.face.estate.control.api_keys.listed() if one.id in key]
            await visitor.face.estate.control.api_keys.revoke(made.id)
        else:
            await visitor.face.estate.administration.linking.pause(visitor.face.acme.id)
        looks.set()
        await ends(listener)
