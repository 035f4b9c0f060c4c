"""A burst of hooks: many events about some people cost few reads, and each change is said once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from pingone_mcp.directory.changes import changes_between
from pingone_mcp.replica.replica import Replica
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.webhooks.bodies import event_written
from pingone_mcp.sandbox.webhooks.subscription import Payload
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.deliveries import Deliveries
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.tasks import background
from tests.depth import SOAK, long, soaked
from tests.replica.truth import State, copied, truth
from tests.service.events.hooks.happened import event
from tests.service.events.receivers import URL, Receiver
from tests.service.events.test_changes_out import sync
from tests.web.faces import WholeFace, whole_face

PEOPLE, ABOUT, EVENTS, AT_ONCE = (600, 300, 5_000, 500) if SOAK else (200, 100, 1_000, 100)
NEWCOMERS, LEAVERS, UNTOUCHED = 25, 25, 20
MOST_READS = ABOUT + 20
Said = Counter[tuple[str, str, str | None]]
"""How often something is said: whose change, its kind, and the group where it is about one."""


def live(sandbox: Sandbox, chance: random.Random, *, nested: bool) -> list[dict[str, Any]]:
    """Let things happen to three hundred people until there are 5,000 events; return these, as hooks have them.

    Some are about people to whom nothing happens at all. `nested` says whether people join groups within groups.
    """
    state, admin = sandbox.state(), sandbox.administration()
    began = len(state.events)
    everybody = [position for user in sandbox.users() if (position := state.position(user["id"])) is not None]
    some = chance.sample(everybody, ABOUT - NEWCOMERS)
    untouched, leavers, others = some[:UNTOUCHED], some[UNTOUCHED:][:LEAVERS], some[UNTOUCHED + LEAVERS :]
    others += [
        admin.create_user(f"new.{n}@example.com", state.user(others[0])["population"]["id"]) for n in range(NEWCOMERS)
    ]
    groups = _groups(state, nested=nested)
    while len(state.events) - began < EVENTS - LEAVERS - UNTOUCHED:
        position, group = chance.choice(others + leavers), chance.choice(groups)
        match chance.randrange(6):
            case 0 | 1:
                admin.update_user(position, title=f"Title {chance.randrange(5)}")
            case 2:
                admin.disable_user(position)
            case 3:
                admin.lock_user(position)
            case 4:
                admin.unlock_user(position)
            case _:
                is_in = any(one.id == group and kind == "DIRECT" for one, kind in state.memberships(position))
                (admin.take_from_group if is_in else admin.add_to_group)(position, group)
    for position in leavers:
        admin.delete_user(position)
    base, options = f"{sandbox.base_url}/v1/environments", sandbox.options
    happened = [event_written(one, base, state.id, Payload(), options) for one in state.events[began:]]
    return [*happened, *(event(sandbox, state.user(position)["id"]) for position in untouched)]


def _groups(state: EnvironmentState, *, nested: bool) -> list[str]:
    """Return some groups with chosen members; unless they may be, none that is nested in another."""
    around = {parent for group in state.groups.values() for parent in group.parents}
    chosen = [group for group in state.groups.values() if "userFilter" not in group.record]
    return [one.id for one in chosen if nested or not (one.parents or one.id in around)][:3]


def arrays(events: list[dict[str, Any]], chance: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Yield what is sent: in no order, a tenth of it twice, at most so many at once."""
    sent = [*events, *chance.sample(events, len(events) // 10)]
    chance.shuffle(sent)
    return (sent[start : start + AT_ONCE] for start in range(0, len(sent), AT_ONCE))


def differences(before: State, after: State) -> Said:
    """Return what there is to be said of two states of a directory, each change of each person once.

    Who is in a group in another way than before has gained it where that is as a direct member, and lost it otherwise.
    """
    said = Said()
    for user in before.users.keys() | after.users.keys():
        for change in changes_between(before.users.get(user), after.users.get(user)):
            said[user, change.kind, None] += 1
    for pair in {pair for pair, _ in before.memberships.items() ^ after.memberships.items()}:
        is_gained = pair not in before.memberships or after.memberships.get(pair) == "direct"
        said[pair[0], "membership.added" if is_gained else "membership.removed", pair[1]] += 1
    return said


async def feed(replica: Replica) -> Said:
    """Return what the copy has written down so far."""
    rows = await replica.store.read(
        lambda connection: connection.execute("SELECT user_id, kind, group_id FROM changes_").fetchall()
    )
    return Said((user, kind, group) for user, kind, group in rows)


def said_to(receiver: Receiver) -> Said:
    payloads = [letter.event["payload"] for letter in receiver.letters]
    return Said((one["records"][0]["id"], one["change"], _group(one)) for one in payloads)


def _group(payload: dict[str, Any]) -> str | None:
    if not payload["change"].startswith("membership."):
        return None
    [group] = payload["after"]["groups"] or payload["before"]["groups"]
    return str(group["id"])


@asynccontextmanager
async def passing_on(face: WholeFace, receiver: Receiver) -> AsyncIterator[HookWork]:
    """Do all that `serve` does with what comes, at once, and with the time that the test lets pass."""
    estate, clock = face.estate, face.estate.time.clock()
    await estate.control.webhooks.create(target_url=URL, event_types=["record:*"])
    out = ChangesOut(estate.control, estate.fleet, clock)
    await sync(estate, face.acme)
    await out.changed(face.acme.id)
    async with background() as tasks:
        tasks.start_soon(Deliveries(estate.control, receiver.post, tasks, clock).run)
        yield HookWork(estate.control, estate.fleet, out.changed, tasks, clock)


async def deliver(face: WholeFace, body: Sequence[dict[str, Any]]) -> None:
    secret = (await face.estate.control.hook_secrets.get(face.acme.id)).get_secret_value()
    path = f"/hooks/pingone/{face.acme.id}"
    assert (await face.ask("POST", path, body=json.dumps(body).encode(), key=secret)).status == 200


async def until_delivered(face: WholeFace) -> None:
    """Return when nothing waits to be sent any more."""
    with anyio.fail_after(120):
        while await face.estate.control.outbox.depth():  # noqa: ASYNC110 - nobody else waits for it
            await anyio.sleep(0.1)


@soaked
@pytest.mark.parametrize(
    "at_once",
    [pytest.param(True, id="when all have come"), pytest.param(False, id="after each array", marks=long)],
)
async def test_a_burst_costs_a_read_for_each_person_at_most_and_says_each_change_once(
    tmp_path: Path, *, at_once: bool
) -> None:
    chance, receiver = random.Random(15), Receiver()
    async with whole_face(tmp_path, size=PEOPLE) as face, passing_on(face, receiver) as work:
        sandbox = face.estate.company("acme").sandbox
        replica = (await (await face.estate.fleet.current(face.acme)).backend()).replica
        before = truth(sandbox)
        assert await replica.store.read(copied) == before
        first = await feed(replica)
        # Whoever was read as a member of an inner group only is said to be in the outer one, and once more where an
        # array behind that says: directly.
        events = live(sandbox, chance, nested=at_once)
        assert len(events) == EVENTS
        sandbox.requests.clear()
        for body in arrays(events, chance):
            await deliver(face, body)
            if not at_once:
                await work.work(face.acme.id)
        await work.work(face.acme.id)
        assert len(sandbox.requests) <= MOST_READS
        after = truth(sandbox)
        assert await replica.store.read(copied) == after
        changes = differences(before, after)
        assert len({user for user, _, _ in changes}) <= ABOUT - UNTOUCHED
        assert await feed(replica) - first == changes
        await until_delivered(face)
        assert said_to(receiver) == changes
        assert len({letter.headers["webhook-id"] for letter in receiver.letters}) == changes.total()
