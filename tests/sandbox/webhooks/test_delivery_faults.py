"""What may go wrong with deliveries, each by its name, and what is promised all the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.sandbox.webhooks.bodies import UNKNOWN_ACTION
from pingone_mcp.sandbox.webhooks.faults import DELIVERY_KINDS, DeliveryFault, DeliveryFaultKind
from tests.depth import tries
from tests.sandbox.webhooks.receiver import SECRET, subscribed

pytestmark = pytest.mark.anyio
ONE_EACH = {"maximumPayloadLimit": {"type": "EVENTS_PER_PAYLOAD", "size": 1}}


async def test_an_answer_that_is_lost_brings_the_batch_again() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("lost_answer")
        made = world.happen(2)
        assert await world.deliver() == [200]
        assert not world.sandbox.sender.deliveries[0].accepted
        assert await world.deliver(1) == [200]
        assert world.receiver.ids() == [made, made]
        assert await world.deliver(60) == []


async def test_an_accepted_batch_may_come_again_behind_later_ones() -> None:
    async with subscribed() as world:
        await world.subscribe(payloadOptions=ONE_EACH)
        world.sandbox.sender.faults.add("delivered_again", amount=2, seconds=3_600)
        one, two, three, four = world.happen(4)
        await world.deliver()
        assert world.receiver.ids() == [[one], [two], [three], [one], [four]]


async def test_a_delayed_batch_delays_all_behind_it() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("delayed_batch", seconds=30, times=None)
        [first] = world.happen()
        assert await world.deliver() == []
        [second] = world.happen()
        assert await world.deliver(29) == []
        assert await world.deliver(1.1) == [200]
        assert await world.deliver(30) == [200]
        assert world.receiver.ids() == [[first], [second]]


async def test_a_reordered_batch_lets_others_pass_but_not_for_long() -> None:
    async with subscribed() as world:
        await world.subscribe(payloadOptions=ONE_EACH)
        world.sandbox.sender.faults.add("reordered_batch", amount=2, seconds=60)
        one, two, three, four = world.happen(4)
        await world.deliver()
        assert world.receiver.ids() == [[two], [three], [one], [four]]
        world.sandbox.sender.faults.add("reordered_batch", amount=2, seconds=60)
        [alone] = world.happen()
        assert (await world.deliver(), await world.deliver(59)) == ([], [])
        assert await world.deliver(1.1) == [200]
        assert world.receiver.ids()[-1] == [alone]


async def test_a_lost_batch_never_comes() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("lost_batch")
        world.happen()
        assert await world.deliver() == []
        assert world.sandbox.sender.waiting() == 0
        [later] = world.happen()
        await world.deliver()
        assert world.receiver.ids() == [[later]]


async def test_a_wrong_secret_comes_in_the_place_of_the_right_one() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("wrong_secret")
        world.receiver.answers = [401]
        made = world.happen()
        await world.deliver()
        assert await world.deliver(1) == [200]
        assert [request.headers["authorization"] for request in world.receiver.requests] == ["wrong", SECRET]
        assert world.receiver.ids() == [made, made]


async def test_events_may_come_alone_as_objects_or_in_lines() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("single_object", times=2)
        world.sandbox.sender.faults.add("nd_json", nth=3)
        made = world.happen(4)
        assert await world.deliver() == [200, 200, 200]
        *alone, lines = world.receiver.requests
        assert [json.loads(request.body)["id"] for request in alone] == made[:2]
        assert [json.loads(line)["id"] for line in lines.body.splitlines()] == made[2:]
        assert [id_ for one in world.sandbox.sender.deliveries for id_ in one.event_ids] == made


async def test_a_body_may_be_cut_or_larger_than_any() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("cut_body", nth=1)
        world.sandbox.sender.faults.add("large_body", nth=2, amount=5)
        world.receiver.answers = [500, 500]
        made = world.happen()
        for _ in range(3):
            await world.deliver(60)
        cut, large, whole = world.receiver.requests
        assert whole.body.startswith(cut.body)
        assert len(cut.body) == len(whole.body) // 2
        assert len(large.body) == 5 * 1024 * 1024
        assert large.ids() == whole.ids() == made


async def test_events_may_stand_twice_and_strangers_among_them() -> None:
    async with subscribed() as world:
        await world.subscribe()
        kinds: list[DeliveryFaultKind] = ["repeated_event", "unknown_action", "event_of_nobody", "foreign_environment"]
        for nth, kind in enumerate(kinds, start=1):
            world.sandbox.sender.faults.add(kind, nth=nth)
        world.receiver.answers = [500] * 3
        made = world.happen()
        for _ in range(4):
            await world.deliver(60)
        repeated, unknown, nobody, foreign = (request.rows() for request in world.receiver.requests)
        assert [row["id"] for row in repeated] == made * 2
        assert [row["id"] for row in (unknown[0], nobody[0], foreign[0])] == made * 3
        assert unknown[1]["action"] == {"type": UNKNOWN_ACTION}
        [resource] = nobody[1]["resources"]
        assert (await world.client.get(f"/users/{resource['id']}")).status_code == 404
        assert resource["environment"]["id"] == world.sandbox.environment_id
        [resource] = foreign[1]["resources"]
        assert resource["environment"]["id"] != world.sandbox.environment_id
        assert f"/{resource['environment']['id']}/users/" in resource["href"]
        strangers = {row["id"] for row in (unknown[1], nobody[1], foreign[1])}
        assert len(strangers | set(made)) == 4


async def test_events_may_lack_what_was_modified() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.sandbox.sender.faults.add("without_modified_attributes", nth=1)
        world.sandbox.sender.faults.add("empty_embedded", nth=2)
        world.receiver.answers = [500, 500]
        world.happen()
        for _ in range(3):
            await world.deliver(60)
        without, empty, whole = (request.rows()[0] for request in world.receiver.requests)
        assert whole["_embedded"] == {"modifiedAttributes": ["title"]}
        assert empty == whole | {"_embedded": {}}
        assert "_embedded" not in without


async def test_a_fault_befalls_the_target_it_names() -> None:
    async with subscribed() as world:
        await world.subscribe()
        other = await world.subscribe(httpEndpoint={"url": "http://127.0.0.1:9000/other"})
        world.sandbox.sender.faults.add("lost_answer", target="/other$", every=1, times=None)
        world.happen()
        await world.deliver()
        assert world.sandbox.sender.waiting() == world.sandbox.sender.waiting(other) == 1


@pytest.mark.parametrize("kind", DELIVERY_KINDS)
async def test_every_delivery_fault_can_be_planned_over_http(kind: DeliveryFaultKind) -> None:
    async with subscribed() as world:
        host = "https://api.example.net/sandbox/webhooks/faults"
        assert (await world.client.post(host, json={"kind": kind, "nth": 2, "amount": 3})).status_code == 201
        [planned] = (await world.client.get(host)).json()["faults"]
        assert (planned["kind"], planned["nth"], planned["amount"], planned["happened"]) == (kind, 2, 3, 0)
        assert world.sandbox.faults.listing() == []
        assert (await world.client.post(host, json={"kind": "server_error"})).status_code == 400
        assert (await world.client.delete(host)).status_code == 204
        assert world.sandbox.sender.faults.listing() == []


HARMLESS = sorted(set(DELIVERY_KINDS) - {"lost_batch"})
FAULTS = st.builds(
    DeliveryFault,
    st.sampled_from(HARMLESS),
    nth=st.one_of(st.none(), st.integers(1, 6)),
    every=st.one_of(st.none(), st.integers(1, 3)),
    times=st.integers(1, 4),
    seconds=st.sampled_from([0.0, 1.0, 90.0]),
    amount=st.integers(1, 3),
)


@tries(40)
@given(st.lists(FAULTS, max_size=5), st.lists(st.sampled_from([200, 204, 500, 503]), max_size=6), st.integers(1, 9))
async def test_whatever_goes_wrong_every_event_is_accepted_in_the_end(
    faults: list[DeliveryFault], answers: list[int], size: int
) -> None:
    limit = {"maximumPayloadLimit": {"type": "EVENTS_PER_PAYLOAD", "size": size}}
    async with subscribed() as world:
        await world.subscribe(payloadOptions=limit)
        for fault in faults:
            world.sandbox.sender.faults.add(fault)
        world.receiver.answers = list(answers)
        made: list[str] = []
        for _ in range(40):
            made += world.happen(2) if len(made) < 12 else []
            await world.deliver(61)
        accepted = [id_ for one in world.sandbox.sender.deliveries if one.status == 200 for id_ in one.event_ids]
        assert world.sandbox.sender.waiting() == 0
        assert set(made) <= set(accepted)
        kinds = {fault.kind for fault in faults}
        if not kinds & {"reordered_batch", "delivered_again"}:
            firsts = list(dict.fromkeys(id_ for id_ in accepted if id_ in made))
            assert firsts == made, "nothing but these faults changes the order"
