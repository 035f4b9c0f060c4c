"""From PingOne to a receiver, whatever happens between: each change arrives, in order, under one id, and is true."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.pingone.feed.hooks.action_types import ACTION_TYPES
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.webhooks.faults import DELIVERY_KINDS, DeliveryFault
from tests.depth import tries
from tests.replica.happenings import Doors, Happening, happenings
from tests.replica.truth import State, copied, truth
from tests.web.hooks.following import Followed, noted_changes
from tests.web.hooks.lives import MOODS, STEPS, Death, House, Mood, Step, housed, line_to, watched

Act: TypeAlias = Literal["sends", "works", "syncs", "syncs in full", "delivers"]
ACTS: tuple[Act, ...] = ("sends", "works", "syncs", "syncs in full", "delivers")


@dataclass(frozen=True)
class Scene:
    """What happens at a company, what goes wrong on the way, and what is done at the same time, by whom dies of it."""

    company: int
    script: Sequence[Happening]
    fault: DeliveryFault | None
    is_paused: bool
    seconds: float
    moods: Sequence[Mood]
    acts: Sequence[Act]
    dies: Death | None


FAULTS = st.builds(
    DeliveryFault,
    st.sampled_from(DELIVERY_KINDS),
    nth=st.one_of(st.none(), st.integers(1, 4)),
    every=st.one_of(st.none(), st.integers(1, 3)),
    times=st.integers(1, 4),
    seconds=st.sampled_from([0.0, 1.0, 90.0, 1_800.0]),
    amount=st.sampled_from([1, 2, 9]),
)
SCENES = st.builds(
    Scene,
    company=st.integers(0, 1),
    script=happenings(4),
    fault=st.one_of(st.none(), FAULTS),
    is_paused=st.sampled_from([False, False, False, True]),
    seconds=st.sampled_from([0.0, 0.5, 61.0, 900.0, 4_000.0]),
    moods=st.lists(st.sampled_from(MOODS), max_size=4),
    acts=st.one_of(
        st.just(("sends", "works", "delivers")), st.lists(st.sampled_from(ACTS), unique=True, min_size=1, max_size=5)
    ),
    dies=st.one_of(
        st.none(),
        st.builds(Death, st.sampled_from(("write", "letter")), st.integers(1, 6)),
        st.builds(Death, st.sampled_from(STEPS), st.integers(1, 30)),
    ),
)
LIMITS = st.sampled_from(
    [
        {},
        {"maximumPayloadLimit": {"type": "EVENTS_PER_PAYLOAD", "size": 1}},
        {
            "payloadFormat": {"https": {"format": "ND_JSON"}},
            "maximumPayloadLimit": {"type": "EVENTS_PER_PAYLOAD", "size": 3},
        },
    ]
)


@dataclass
class Play:
    """A house, who does things at its companies, and what is subscribed to there."""

    house: House
    names: Sequence[str]
    limits: Mapping[str, Any]
    targets: list[list[tuple[str, Any]]] = field(default_factory=list[list[tuple[str, Any]]])
    were: list[State] = field(default_factory=list[State])

    def sandbox(self, number: int) -> Sandbox:
        return self.house.estate.company(self.names[number]).sandbox

    async def subscribe(self) -> None:
        """Let each company send its events to its own hook, and, by mistake, to that of the others."""
        linked = {one.name: one for one in await self.house.life.linked()}
        for number, name in enumerate(self.names):
            async with Doors(self.sandbox(number)) as doors:
                for hook in {name, self.names[0]}:
                    form = await self.house.estate.administration.hook(linked[hook])
                    headers = {header: value.get_secret_value() for header, value in form.headers.items()}
                    target = {"url": form.url, "headers": headers}
                    assert await doors.send("POST", "/subscriptions", self.body(target)) == 201
            feeds = self.sandbox(number).world.feeds
            self.targets.append([(one.subscription.id, one.subscription.native["httpEndpoint"]) for one in feeds])

    def body(self, target: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        return {
            "name": "ours",
            "enabled": True,
            "format": "ACTIVITY",
            "verifyTlsCertificates": True,
            "filterOptions": {"includedActionTypes": ACTION_TYPES},
            "httpEndpoint": target,
            "payloadOptions": self.limits,
            **changes,
        }

    async def switch(self, number: int, *, enabled: bool) -> None:
        async with Doors(self.sandbox(number)) as doors:
            for subscription, target in self.targets[number] if self.targets else ():
                body = self.body(target, enabled=enabled)
                assert await doors.send("PUT", f"/subscriptions/{subscription}", body) == 200

    async def send(self) -> None:
        for number in range(len(self.names)):
            await self.sandbox(number).sender.deliver()

    async def perform(self, scene: Scene) -> None:
        house, number = self.house, scene.company % len(self.names)
        house.pass_time(scene.seconds)
        house.moods = list(scene.moods)
        if scene.fault is not None:
            self.sandbox(number).sender.faults.add(scene.fault)
        if scene.is_paused:
            await self.switch(number, enabled=False)
        async with Doors(self.sandbox(number)) as doors:
            for one in scene.script:
                await doors.happen(one)
        life = house.life
        does = {
            "sends": self.send,
            "works": life.work_on_hooks,
            "syncs": life.sync,
            "syncs in full": life.sync_in_full,
            "delivers": life.deliver,
        }
        await house.act(*(does[act] for act in scene.acts), dies=scene.dies)
        if scene.is_paused:
            await self.switch(number, enabled=True)

    async def settle(self) -> None:
        """Let nothing go wrong any more, until there is nothing to do."""
        house = self.house
        house.moods = []
        for number in range(len(self.names)):
            self.sandbox(number).sender.faults.clear()
        control = house.estate.control
        for _ in range(40):
            house.pass_time(1_900)
            for act in (self.send, house.life.work_on_hooks, house.life.sync, house.life.deliver):
                await house.act(act)
            if not await control.outbox.heads() and not await control.inbox.depth() and not self.waiting():
                break
        else:
            raise AssertionError("there is still something to do")
        assert all(one.is_active for one in await control.webhooks.listed())

    def waiting(self) -> int:
        return sum(self.sandbox(number).sender.waiting() for number in range(len(self.names)))

    async def check(self) -> None:
        linked = {one.name: one for one in await self.house.life.linked()}
        for number, name in enumerate(self.names):
            there = truth(self.sandbox(number))
            replica = await self.house.life.replica(linked[name])
            held = await replica.store.read(copied)
            assert held == there
            noted = await replica.store.read(noted_changes)
            for webhook in await self.house.estate.control.webhooks.listed():
                letters = [one for one in self.house.letters if one.event["webhook_id"] == webhook.id]
                assert webhook.tenant is None or {one.event["payload"]["integrated_account_id"] for one in letters} <= {
                    one.id for one in linked.values() if one.tenant == webhook.tenant
                }, "an event has crossed to another tenant"
                if webhook.tenant in (None, linked[name].tenant):
                    mine = [one for one in letters if one.event["payload"]["integrated_account_id"] == linked[name].id]
                    told = Followed(self.were[number]).follow(mine)
                    assert told.said == noted, "each change under one id, in the order of the feed"
                    told.check(there)


async def play(
    scenes: Sequence[Scene], names: Sequence[str], limits: Mapping[str, Any], *, hooks: bool, folder: Path
) -> int:
    """Perform a play and check what came of it; return how many processes have died."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(housed(folder, [(name, f"tenant of {name}") for name in names]))
        control = house.estate.control
        for tenant in [*(f"tenant of {name}" for name in names), None]:
            await control.webhooks.create(
                target_url="https://h.example.com/in", tenant=tenant, event_types=["record:*"]
            )
        for linked in await house.life.linked():
            await house.life.out.changed(linked.id)
        made = Play(house, names, limits)
        line = await stack.enter_async_context(line_to(house))
        for number in range(len(names)):
            sandbox = made.sandbox(number)
            sandbox.sender.client = line
            made.were.append(truth(sandbox))
        if hooks:
            await made.subscribe()
        stack.enter_context(watched(house))
        for scene in scenes:
            await made.perform(scene)
        await made.settle()
        await made.check()
        return house.fate.deaths


def played(
    scenes: Sequence[Scene], names: Sequence[str], limits: Mapping[str, Any] | None = None, *, hooks: bool
) -> int:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return anyio.run(partial(play, scenes, names, limits or {}, hooks=hooks, folder=Path(folder)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "acts", "most"),
    [
        ("write", ("works",), 5),
        ("letter", ("delivers",), 4),
        ("write", ("syncs",), 6),
        ("request", ("works",), 4),
    ],
)
def test_at_whichever_step_it_dies_the_next_process_goes_on(kind: Step, acts: tuple[Act, ...], most: int) -> None:
    """Between the copy and the outbox, say: of what was found, nothing is lost there, and nothing said twice."""
    scenes: list[Scene] = []
    for number in range(1, most + 1):
        script = [Happening("retitle", who, number, 0) for who in (3, 5)] + [Happening("join", number, 1, 0)]
        quiet = Scene(0, (), None, is_paused=False, seconds=61.0, moods=(), acts=("sends",), dies=None)
        before: list[Scene] = [replace(quiet, script=script)]
        if acts == ("delivers",):
            before.append(replace(quiet, acts=("works",)))
        scenes += [*before, replace(quiet, acts=acts, dies=Death(kind, number))]
        scenes.append(replace(quiet, acts=("delivers",), moods=(MOODS[number % len(MOODS)],)))
    assert played(scenes, ("acme",), hooks=True) == most


@pytest.mark.slow
@tries(5)
@given(scenes=st.lists(SCENES, min_size=1, max_size=6), limits=LIMITS)
def test_whatever_happens_each_change_arrives_once_in_order_and_is_true(
    scenes: list[Scene], limits: dict[str, Any]
) -> None:
    played(scenes, ("acme",), limits, hooks=True)


@pytest.mark.slow
@tries(2)
@given(scenes=st.lists(SCENES, min_size=1, max_size=5))
def test_without_hooks_all_of_it_arrives_by_syncs(scenes: list[Scene]) -> None:
    played(scenes, ("acme",), hooks=False)


@pytest.mark.slow
@tries(2)
@given(scenes=st.lists(SCENES, min_size=1, max_size=5), limits=LIMITS)
def test_of_two_tenants_at_once_no_event_crosses(scenes: list[Scene], limits: dict[str, Any]) -> None:
    played(scenes, ("acme", "other"), limits, hooks=True)
