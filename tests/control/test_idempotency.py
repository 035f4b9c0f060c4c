"""A request that is sent again gets the first answer, and nothing is done twice."""

from __future__ import annotations

import dataclasses

import anyio
import pytest

from pingone_mcp.control.control import ControlData
from pingone_mcp.control.idempotency import AnotherRequest, KeptAnswer, KeyedRequest, StillInFlight, UnknownOutcome
from pingone_mcp.control.linked import LinkedConnection
from tests.control.conftest import Hands

ANSWER = KeptAnswer(status=201, media_type="application/json", body=b'{"id":\n"x"}')


@pytest.fixture
def request_(linked: LinkedConnection) -> KeyedRequest:
    return KeyedRequest(principal="p", connection_id=linked.id, path="POST /proxy/users", key="k", body=b"{}")


async def test_the_first_answer_is_given_for_a_day(control: ControlData, request_: KeyedRequest, hands: Hands) -> None:
    assert await control.idempotency.begin(request_) is None
    await control.idempotency.finish(request_, ANSWER)
    hands.go(hours=23, minutes=59)
    assert await control.idempotency.begin(request_) == ANSWER
    hands.go(minutes=1)
    assert await control.idempotency.begin(request_) is None


async def test_of_many_at_once_one_is_carried_out(control: ControlData, request_: KeyedRequest) -> None:
    first, refused = [], []

    async def send() -> None:
        try:
            first.append(await control.idempotency.begin(request_))
        except StillInFlight as failure:
            refused.append(failure.code)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(send)
    assert (first, refused) == ([None], ["IN_FLIGHT"] * 7)


async def test_another_request_with_the_same_key_is_refused(control: ControlData, request_: KeyedRequest) -> None:
    await control.idempotency.begin(request_)
    other = dataclasses.replace(request_, body=b"{ }")
    with pytest.raises(AnotherRequest):
        await control.idempotency.begin(other)
    await control.idempotency.finish(request_, ANSWER)
    with pytest.raises(AnotherRequest):
        await control.idempotency.begin(other)


@pytest.mark.parametrize("changed", [{"principal": "q"}, {"path": "POST /proxy/groups"}, {"key": "l"}])
async def test_a_key_is_the_callers_own_and_for_one_path(
    control: ControlData, request_: KeyedRequest, changed: dict[str, str]
) -> None:
    await control.idempotency.begin(request_)
    await control.idempotency.finish(request_, ANSWER)
    other = KeyedRequest(**{**dataclasses.asdict(request_), **changed})
    assert await control.idempotency.begin(other) is None


async def test_a_key_is_for_one_connection(control: ControlData, request_: KeyedRequest) -> None:
    await control.idempotency.begin(request_)
    other = await control.connections.add(name="other", settings={}, credentials={})
    assert await control.idempotency.begin(dataclasses.replace(request_, connection_id=other.id)) is None
    with pytest.raises(LookupError):
        await control.idempotency.begin(dataclasses.replace(request_, connection_id="none"))


async def test_what_was_cut_off_is_never_done_again_by_itself(
    control: ControlData, request_: KeyedRequest, hands: Hands
) -> None:
    await control.idempotency.begin(request_)
    hands.go(minutes=14, seconds=59)
    with pytest.raises(StillInFlight):
        await control.idempotency.begin(request_)
    hands.go(seconds=1)
    with pytest.raises(UnknownOutcome, match="may have been carried out, or not"):
        await control.idempotency.begin(request_)


async def test_what_certainly_did_nothing_may_be_sent_again(control: ControlData, request_: KeyedRequest) -> None:
    await control.idempotency.begin(request_)
    await control.idempotency.drop(request_)
    assert await control.idempotency.begin(request_) is None
    await control.idempotency.finish(request_, ANSWER)
    await control.idempotency.drop(request_)
    assert await control.idempotency.begin(request_) == ANSWER
