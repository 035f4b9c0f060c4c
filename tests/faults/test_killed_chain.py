"""kill -9 of `pingone-mcp serve` while hooks come and events go: the next process goes on, and nothing is lost."""

from __future__ import annotations

import random
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from pingone_mcp.control.announcing.sent_changes import SentUntil
from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.pingone.feed.hooks.action_types import ACTION_TYPES
from pingone_mcp.replica.store.feed import feed_of
from pingone_mcp.replica.store.retention import change_ids
from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.fleet.linking import LinkRequest
from pingone_mcp.wiring.fleet import open_administration
from tests.depth import long
from tests.faults.serving import Server, started
from tests.process.programs import PATIENCE, PROGRAM, bare
from tests.replica.happenings import KINDS, Doors, Happening
from tests.replica.truth import State, copied, truth
from tests.sandbox.webhooks.receiver import Receiver, body_of, listening
from tests.service.events.receivers import Letter
from tests.web.hooks.following import Followed, noted_changes

KILLS = 50
_MOMENT = 0.2


@dataclass
class Town:
    """A company that sends hooks, a receiver of events, and the state folder of the process between them."""

    home: Path
    sandbox: Sandbox
    receiver: Receiver
    connection: str
    port: int
    dice: random.Random = field(default_factory=lambda: random.Random(4711))

    @property
    def place(self) -> ControlPlace:
        return ControlPlace(folder=self.home / "state")

    async def subscribe(self) -> None:
        async with open_administration(self.place) as administration:
            form = await administration.hook(await administration.find(self.connection))
        headers = {name: value.get_secret_value() for name, value in form.headers.items()}
        target = {"url": f"http://127.0.0.1:{self.port}/hooks/pingone/{self.connection}", "headers": headers}
        body = body_of(httpEndpoint=target, filterOptions={"includedActionTypes": ACTION_TYPES})
        async with Doors(self.sandbox) as doors:
            assert await doors.send("POST", "/subscriptions", body) == 201

    async def live(self) -> None:
        """Let things happen, again and again."""
        async with Doors(self.sandbox) as doors:
            while True:
                await doors.happen(Happening(self.dice.choice(KINDS), *(self.dice.randrange(1000) for _ in range(3))))
                await anyio.sleep(self.dice.uniform(0, 0.03))

    async def synced(self) -> bool:
        async with open_control(self.place) as control:
            [linked] = await control.connections.listed()
            return linked.last_sync_at is not None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Server]:
        """Serve in a process, until the block ends or somebody kills it; the company goes on meanwhile."""
        process = started(self.home, port=self.port)
        server = await anyio.to_thread.run_sync(process.__enter__)
        try:
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(process.__exit__, None, None, None)

    async def is_quiet(self) -> bool:
        """Say whether nothing waits to be sent, worked on, passed on or delivered: asked in the order it goes."""
        if self.sandbox.sender.waiting():
            return False
        async with open_control(self.place) as control:
            if await control.inbox.depth() or await self.state() != truth(self.sandbox):
                return False
            newest = await self.store.read(newest_change)
            return await control.sent_changes.until(self.connection) == newest and not await control.outbox.depth()

    async def state(self) -> State:
        return await self.store.read(copied)

    @property
    def store(self) -> Store:
        [path] = (self.home / "state" / "connections" / self.connection / "replica").glob("*.db")
        return Store(path)

    async def tries_now(self) -> None:
        """Do what a person does who does not wait until it is tried again: `pingone-mcp events resend`."""
        async with open_control(self.place) as control:
            for head in await control.outbox.heads():
                await control.outbox.resend(head.id)

    async def tells_more(self) -> None:
        before = len(self.receiver.requests)

        async def has_come() -> bool:
            return len(self.receiver.requests) > before

        await until(has_come)

    def letters(self) -> list[Letter]:
        """Return what came about people."""
        came = [Letter(one.path, one.body, one.headers) for one in self.receiver.requests]
        return [one for one in came if one.event["event"].startswith("record:")]


def newest_change(database: sqlite3.Connection) -> SentUntil | None:
    """Return where somebody is who has passed all changes of a copy on."""
    named = feed_of(database)
    return None if named is None else SentUntil(named[0], change_ids(database)[1])


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE):
        while not await true():  # noqa: ASYNC110 - what it waits for is in another process
            await anyio.sleep(_MOMENT)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with built(tmp_path) as made:
        yield made


@asynccontextmanager
async def built(home: Path) -> AsyncIterator[Town]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = Options(webhook_backoff=0.05, webhook_longest_backoff=0.2, requests_per_second=None)
    sandbox, receiver = Sandbox(60, options=options, customers=5), Receiver()
    async with running(sandbox) as base, listening(receiver) as target:
        place = ControlPlace(folder=home / "state")
        values = {
            "environment_id": sandbox.environment_id,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "api_url": f"{base}/v1",
            "auth_url": base,
        }
        async with open_administration(place) as administration:
            linked = await administration.linking.connect(LinkRequest(values=values, name="acme"), lambda _: None)
        async with open_control(place) as control:
            await control.webhooks.create(target_url=target, event_types=["record:*"])
        yield Town(home, sandbox, receiver, linked.id, port)


@pytest.mark.slow
@long
async def test_whenever_it_is_killed_each_change_arrives_once_in_order_and_is_true(town: Town) -> None:
    async with town.served():
        await until(town.synced)
    were = truth(town.sandbox)
    await town.subscribe()
    for kill in range(KILLS):
        town.receiver.answers = town.dice.choices([200, 200, 500, 302], k=3)
        await town.tries_now()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(town.live)
            async with town.served() as server:
                if kill % 2:  # on a slow machine too, many a process gets so far
                    await town.tells_more()
                await anyio.sleep(town.dice.uniform(0, 1.2))
                server.process.kill()
            tasks.cancel_scope.cancel()
    town.receiver.answers = []
    await town.tries_now()
    async with town.served():
        await until(town.is_quiet)
    told = Followed(were).follow(town.letters())
    assert told.said == await town.store.read(noted_changes)
    told.check(truth(town.sandbox))
    assert len(told.said) > KILLS


@long
async def test_what_a_sync_of_another_process_finds_is_sent_by_the_one_that_serves(town: Town) -> None:
    async with town.served():
        await until(town.synced)
        user = next(one for one in town.sandbox.users() if one["enabled"])
        async with Doors(town.sandbox) as doors:
            assert await doors.send("PUT", f"/users/{user['id']}/enabled", {"enabled": False}) == 200
        env = bare(town.home, PINGONE_STATE_DIR=str(town.home / "state"))
        await anyio.run_process([*PROGRAM, "sync", "--connection", "acme"], env=env)

        async def came() -> bool:
            return bool(town.letters())

        await until(came)
    [letter] = town.letters()
    assert (letter.event["payload"]["change"], letter.event["payload"]["records"][0]["id"]) == (
        "user.deactivated",
        user["id"],
    )
