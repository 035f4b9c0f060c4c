"""What is promised of events, whatever happens: each arrives, in order, and none under two ids.

Receivers fail and lose answers, and the process dies between any two of its steps; the next one goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.outbox import NewEvent
from pingone_mcp.control.webhooks import Webhook
from pingone_mcp.errors import Unreachable
from pingone_mcp.http.outward.targets import Receipt
from pingone_mcp.replica.replica import Replica
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.deliveries import Deliveries
from tests.depth import tries
from tests.fleets import Estate, estate
from tests.service.events.receivers import Letter

PassingOn = Literal["whole", "dies before it writes", "dies before it is kept", "dies when it is kept"]
Delivering = Literal[
    "arrives", "is refused", "arrives, and the answer is lost", "dies before", "arrives, and dies", "dies when noted"
]
Step = tuple[Literal["changes"], int] | tuple[Literal["passed on"], PassingOn] | tuple[Literal["sent"], Delivering]

STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("changes"), st.integers(1, 3)),
    st.tuples(
        st.just("passed on"),
        st.sampled_from(["whole", "dies before it writes", "dies before it is kept", "dies when it is kept"]),
    ),
    st.tuples(
        st.just("sent"),
        st.sampled_from(
            [
                *("arrives", "is refused", "arrives, and the answer is lost", "dies before"),
                *("arrives, and dies", "dies when noted"),
            ]
        ),
    ),
)


class Killed(Exception):
    """The process is dead."""


@dataclass
class Life:
    """A fleet of one connection, and what came at the receivers; a process that died is followed by another one."""

    serving: Estate
    linked: LinkedConnection
    replica: Replica
    webhooks: list[Webhook]
    changes: int = 0
    letters: list[Letter] = field(default_factory=list[Letter])
    fate: Delivering = "arrives"

    async def change(self, count: int) -> None:
        """Let a sync find changes, of users who are called by their numbers."""
        at = "2026-06-15T12:00:00.000Z"
        rows = [(at, at, "user.updated", f"u{self.changes + n}", "walk", "{}", "{}") for n in range(count)]
        await self.replica.store.write(
            lambda database: database.executemany(
                "INSERT INTO changes_ (at, seen_at, kind, user_id, evidence, before, after) VALUES (?,?,?,?,?,?,?)",
                rows,
            )
        )
        self.changes += count

    async def pass_on(self, fate: PassingOn) -> None:
        control = self.serving.control
        whole = control.outbox.add_all

        async def add_all(events: Sequence[NewEvent], *, connection_id: str, tenant: str | None) -> int:
            if fate == "dies before it writes":
                raise Killed
            written = await whole(events, connection_id=connection_id, tenant=tenant)
            if fate == "dies before it is kept":
                raise Killed
            return written

        with pytest.MonkeyPatch.context() as dying, suppress(Killed):
            dying.setattr(control.outbox, "add_all", add_all)
            await ChangesOut(control, self.serving.fleet, self.serving.time.clock()).pass_on(self.linked.id)

    async def send(self, fate: Delivering) -> None:
        """Let each line try its first event, at whatever time it is due."""
        self.fate = fate
        control = self.serving.control
        heads = await control.outbox.heads()
        for head in heads:
            now = self.serving.time.clock().now()
            self.serving.time.passed += max(0.0, (head.next_try_at - now).total_seconds())
            deliveries = Deliveries(control, self.post, anyio.create_task_group(), self.serving.time.clock())
            try:
                await deliveries.deliver_next(head.line)
            except Killed:
                return

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        if self.fate == "dies before":
            raise Killed
        if self.fate == "is refused":
            return Receipt(500, None)
        self.letters.append(Letter(url, body, headers))
        if self.fate == "arrives, and dies":
            raise Killed
        if self.fate == "arrives, and the answer is lost":
            raise Unreachable("The connection broke before the answer was whole.")
        return Receipt(200, None)

    async def settle(self) -> None:
        await self.pass_on("whole")
        for _ in range(self.changes + 1):
            await self.send("arrives")
        assert await self.serving.control.outbox.heads() == []

    def check(self) -> None:
        expected = [f"u{n}" for n in range(self.changes)]
        for webhook in self.webhooks:
            came = [letter.event for letter in self.letters if letter.event["webhook_id"] == webhook.id]
            first: dict[str, str] = {}
            for event in came:
                user: str = event["payload"]["records"][0]["id"]
                assert first.setdefault(event["id"], user) == user, "one id, one change"
            assert list(first.values()) == expected, "each once, in order, under one id"
        ids = {letter.event["id"]: letter.event["webhook_id"] for letter in self.letters}
        assert len(ids) == self.changes * len(self.webhooks), "no id is one of two webhooks"


async def live(script: list[Step], folder: Path) -> None:
    async with estate(folder) as serving:
        linked = await serving.link("acme")
        kinds = (("record:*",), ("record:updated", "record:deleted"))
        webhooks = [
            (await serving.control.webhooks.create(target_url=f"https://{n}.example.com", event_types=types))[0]
            for n, types in enumerate(kinds)
        ]
        replica = (await (await serving.fleet.current(linked)).backend()).replica
        await replica.sync("full", report=lambda *_: None)
        life = Life(serving, linked, replica, webhooks)
        for step in script:
            match step:
                case ("changes", count):
                    await life.change(count)
                case ("passed on", passing):
                    await life.pass_on(passing)
                case ("sent", sending):
                    await life.send(sending)
        await life.settle()
        life.check()


@pytest.mark.slow
@tries(25)
@given(st.lists(STEPS, max_size=25))
def test_every_change_arrives_in_order_and_under_one_id(script: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(live, script, Path(folder))
