"""The sender at work by itself: over real sockets, by its loop, wherever the sandbox serves."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from threading import Thread
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

from pingone_mcp.clock import Clock
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter
from tests.sandbox.webhooks.receiver import Receiver, body_of, listening, until

pytestmark = pytest.mark.anyio


async def subscribe(sandbox: Sandbox, url: str, **changes: Any) -> str:
    async with enter(sandbox) as client:
        answer = await client.post("/subscriptions", json=body_of(httpEndpoint={"url": url}, **changes))
        return str(answer.json()["id"])


async def test_a_served_sandbox_sends_at_once() -> None:
    receiver, sandbox = Receiver(), Sandbox(size=20)
    async with listening(receiver) as url, running(sandbox) as base, httpx.AsyncClient(base_url=base) as client:
        await subscribe(sandbox, url)
        user_id = next(sandbox.users())["id"]
        async with enter(sandbox) as api:
            await api.put(f"/users/{user_id}/enabled", json={"enabled": False})
        await until(receiver, 1)
        [event] = receiver.requests[0].rows()
        assert event["resources"][0]["href"] == f"{base}/v1/environments/{sandbox.environment_id}/users/{user_id}"
        shown = (await client.get("/sandbox/webhooks")).json()
        assert [one["waiting"] for one in shown["subscriptions"]] == [0]


async def test_what_happens_in_another_thread_is_sent_too() -> None:
    receiver, sandbox = Receiver(), Sandbox(size=20)
    async with listening(receiver) as url, sandbox.sending():
        await subscribe(sandbox, url)
        asyncio.get_running_loop().set_debug(True)  # it refuses what another thread may not do
        await anyio.to_thread.run_sync(lambda: sandbox.administration().update_user(0, title="Buyer"))
        await until(receiver, 1)
        asyncio.get_running_loop().set_debug(False)


async def test_a_proxy_of_the_environment_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, receiver, sandbox = Receiver(), Receiver(), Sandbox(size=20)
    async with listening(proxy) as elsewhere, listening(receiver) as url:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, elsewhere.removesuffix("/hooks"))
        await subscribe(sandbox, url)
        sandbox.administration().update_user(0, title="Buyer")
        assert [one.status for one in await sandbox.sender.deliver()] == [200]
        assert (len(receiver.requests), len(proxy.requests)) == (1, 0)


async def test_a_redirect_is_not_followed() -> None:
    receiver, sandbox = Receiver([302]), Sandbox(size=20)
    async with listening(receiver) as url:
        await subscribe(sandbox, url)
        sandbox.administration().update_user(0, title="Buyer")
        assert [one.status for one in await sandbox.sender.deliver()] == [302]
        assert len(receiver.requests) == 1


async def test_one_who_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/hooks"
    sandbox = Sandbox(size=20, now=NOW)
    await subscribe(sandbox, url)
    sandbox.administration().update_user(0, title="Buyer")
    assert [one.status for one in await sandbox.sender.deliver()] == [None]
    assert sandbox.sender.waiting() == 1


class Waits(list[float]):
    """The loop's waits, each over at once."""

    @contextmanager
    def within(self, seconds: float) -> Any:
        if seconds == Options().webhook_timeout:
            with anyio.fail_after(30) as scope:
                yield scope
            return
        self.append(seconds)
        with anyio.move_on_after(0) as scope:
            yield scope


async def test_the_loop_waits_for_the_next_try_and_not_longer() -> None:
    waits, receiver = Waits(), Receiver([500, 500, 500])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver)) as outgoing:
        clock = Clock(within=waits.within, sleep=lambda _: anyio.lowlevel.checkpoint())
        sandbox = Sandbox(size=20, now=NOW, webhook_clock=clock, webhook_client=outgoing)
        await subscribe(sandbox, "http://127.0.0.1:9/")
        sandbox.administration().update_user(0, title="Buyer")
        async with sandbox.sending():
            await until(receiver, 4)
    assert len({tuple(ids) for ids in receiver.ids()}) == 1
    assert [round(wait) for wait in waits if wait > 0.5] == [1, 2, 4]


async def test_the_loop_sends_no_faster_than_is_documented() -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    receiver = Receiver()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver)) as outgoing:
        sandbox = Sandbox(size=20, now=NOW, webhook_clock=Clock(sleep=nap), webhook_client=outgoing)
        one = {"maximumPayloadLimit": {"type": "EVENTS_PER_PAYLOAD", "size": 1}}
        await subscribe(sandbox, "http://127.0.0.1:9/", payloadOptions=one)
        for number in range(5):
            sandbox.administration().update_user(0, title=f"Title {number}")
        async with sandbox.sending():
            await until(receiver, 5)
    assert naps[:4] == [1 / 72] * 4


async def test_one_who_is_slow_keeps_nobody_else_waiting() -> None:
    slow, quick, sandbox = Receiver([None]), Receiver(), Sandbox(size=20)
    async with listening(slow) as first, listening(quick) as second, sandbox.sending():
        await subscribe(sandbox, first)
        await subscribe(sandbox, second)
        sandbox.administration().update_user(0, title="Buyer")
        await until(slow, 1)
        sandbox.administration().update_user(0, title="Clerk")
        with anyio.fail_after(4):
            await until(quick, 2)
        assert await sandbox.sender.deliver() == [], "the one is under way"
        assert len(slow.requests) == 1


class Rests:
    """Says when the loop rests until something is due."""

    def __init__(self) -> None:
        self.began = anyio.Event()

    def within(self, seconds: float) -> Any:
        if seconds != Options().webhook_timeout:
            self.began.set()
        return anyio.move_on_after(seconds)


async def test_moving_the_clock_by_the_back_door_brings_what_is_due_then() -> None:
    receiver = Receiver()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver)) as outgoing:
        rests = Rests()
        clock, options = Clock(within=rests.within), Options(webhook_lag=3_600)
        sandbox = Sandbox(size=20, now=NOW, options=options, webhook_clock=clock, webhook_client=outgoing)
        await subscribe(sandbox, "http://127.0.0.1:9/")
        async with sandbox.sending(), enter(sandbox) as client:
            sandbox.administration().update_user(0, title="Buyer")
            await rests.began.wait()
            await client.post("https://api.example.net/sandbox/clock", json={"advance": 3_601})
            await until(receiver, 1)


async def test_an_event_behind_the_loops_back_is_no_error() -> None:
    sandbox = Sandbox(size=20, now=NOW)
    async with sandbox.sending():
        pass
    thread = Thread(target=lambda: sandbox.administration().update_user(0, title="Buyer"))
    thread.start()
    thread.join()
    assert sandbox.sender.next_due() is None
