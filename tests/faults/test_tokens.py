"""Tokens under faults: requests are answered with the truth or with an error, and when it is over all is well again."""

from __future__ import annotations

from typing import Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.pingone.directory import PingOneDirectory
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.faults import Fault, FaultKind
from pingone_mcp.sandbox.options import Options
from tests.depth import tries
from tests.faults.honesty import Reading, Trial, judge, trial
from tests.faults.plans import ALONE, UNENDING, Alone, faults

FIRST = 5
TOKEN = "/as/token"
KINDS: tuple[FaultKind, ...] = (
    "rate_limited_seconds",
    "rate_limited_date",
    "unavailable_503",
    "bad_gateway_html",
    "server_error",
    "dropped_connection",
    "truncated_body",
    "slow",
)
HOUR = 3_600.0


def first(sandbox: Sandbox) -> set[str]:
    return {user["id"] for user, _ in zip(sandbox.users(), range(FIRST), strict=False)}


async def ask(opened: Trial, directory: PingOneDirectory) -> Reading:
    reading = Reading()
    try:
        page = await directory.users(UserQuestion(), page_size=FIRST)
    except Problem as problem:
        reading.told.append(opened.hear(problem))
    else:
        reading.ids = [user.id for user in page.items]
        opened.said.append(repr(page))
    opened.said += [repr(directory), repr(vars(directory))]
    return reading


async def storm(planned: list[Fault], doubts: Options) -> None:
    """Let callers of two processes ask at once, three times, while it storms; then once more in good weather."""
    with trial(doubts) as opened, anyio.fail_after(60):
        truth = opened.sandbox.watch(first)
        opened.plan(*planned)
        world = opened.world
        async with world.directory(transport=opened.ear()) as one, world.directory(transport=opened.ear()) as other:

            async def call(directory: PingOneDirectory) -> None:
                judge(await ask(opened, directory), truth)

            for _ in range(3):
                async with anyio.create_task_group() as tasks:
                    for directory in (one, other, one, other):
                        tasks.start_soon(call, directory)
            opened.sandbox.faults.clear()
            await opened.rest(130)  # no pause is longer than two minutes
            sent = opened.sandbox.token_requests
            for directory in (one, other):
                reading = await ask(opened, directory)
                assert reading.told == []
                judge(reading, truth)
            assert opened.sandbox.token_requests <= sent + 1


@pytest.mark.parametrize(
    "alone", [one for one in (*ALONE, *UNENDING) if one.kind in KINDS], ids=lambda alone: alone.name
)
async def test_one_kind_of_fault_at_the_token_endpoint(alone: Alone) -> None:
    await storm([alone.fault(TOKEN)], Options())


@pytest.mark.slow
@given(
    at_the_endpoint=st.lists(faults((TOKEN,), KINDS), min_size=1, max_size=3),
    at_the_api=st.lists(faults(("/users",), (*KINDS, "token_revoked")), max_size=2),
    doubts=st.builds(
        Options,
        token_lifetime=st.sampled_from([3_600, 90]),
        token_failure_status=st.sampled_from([400, 401]),
        token_scope=st.sampled_from([None, "p1:read:user"]),
        latency=st.sampled_from([0.0, 0.5]),
    ),
)
@tries(15)
async def test_faults_of_tokens_together(
    at_the_endpoint: list[Fault], at_the_api: list[Fault], doubts: Options
) -> None:
    await storm([*at_the_endpoint, *at_the_api], doubts)


Step = tuple[Literal["clock", "time", "revoked", "process"], float]
STEPS = st.one_of(
    st.tuples(st.just("clock"), st.sampled_from([-48 * HOUR, -5 * HOUR, -50 * 60.0, 50 * 60.0, 5 * HOUR, 48 * HOUR])),
    st.tuples(st.just("time"), st.sampled_from([30.0, 50 * 60.0, 58 * 60.0, 59.5 * 60, HOUR, 3 * HOUR])),
    st.tuples(st.just("revoked"), st.just(0.0)),
    st.tuples(st.just("process"), st.just(0.0)),
)


@pytest.mark.slow
@given(steps=st.lists(STEPS, min_size=1, max_size=8))
@tries(12)
async def test_a_clock_that_jumps_costs_a_token_request_and_nothing_else(steps: list[Step]) -> None:
    """The wall clock of this machine jumps; PingOne's does not, and tells by 401 that a token has ended."""
    with trial() as opened, anyio.fail_after(60):
        truth = opened.sandbox.watch(first)

        async def good(directory: PingOneDirectory) -> None:
            sent = opened.sandbox.token_requests
            reading = await ask(opened, directory)
            assert reading.told == []
            judge(reading, truth)
            assert opened.sandbox.token_requests - sent <= 1

        left = list(steps)
        while True:
            async with opened.world.directory(transport=opened.ear()) as directory:
                await good(directory)
                while left and left[0][0] != "process":
                    match left.pop(0):
                        case "clock", seconds:
                            opened.time.start += seconds
                        case "time", seconds:
                            await opened.rest(seconds)
                        case _:
                            opened.sandbox.revoke_tokens()
                    opened.time.slow = opened.time.passed
                    await good(directory)
            if not left:
                break
            left.pop(0)
        kinds = [kind for kind, _ in steps]
        assert opened.sandbox.token_requests <= 1 + len(kinds) - kinds.count("process")
        if not {"clock", "revoked"} & set(kinds):
            assert all(one.status == 200 for one in opened.sandbox.requests), "a token is renewed before its end"


@pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR])
@pytest.mark.parametrize("kind", ["rate_limited_date", "rate_limited_seconds", "unavailable_503"])
async def test_a_pause_by_a_clock_that_jumps_ends(kind: FaultKind, jump: float) -> None:
    """A date in `Retry-After` is hours away for a clock that is wrong by hours: an error, perhaps, and no hang."""
    with trial() as opened, anyio.fail_after(60):
        truth = opened.sandbox.watch(first)
        opened.time.start += jump
        opened.plan(Fault(kind, seconds=3), Fault(kind, path=TOKEN, seconds=3))
        async with opened.world.directory(transport=opened.ear()) as directory:
            for _ in range(2):  # at the token endpoint, and at the API
                judge(await ask(opened, directory), truth)
                await opened.rest(130)
            assert (await ask(opened, directory)).told == []


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_secret_that_is_not_accepted_is_not_told(method: str, status: int) -> None:
    with trial(Options(token_failure_status=status)) as opened:
        opened.heard.add(wrong := "wrong~secret-of-somebody")
        changes = {"client_secret": SecretStr(wrong), "auth_method": method}
        async with opened.world.directory(transport=opened.ear(), **changes) as directory:
            assert (await ask(opened, directory)).told
        opened.said.append(repr(opened.world.connection(**changes)))


async def test_a_leak_would_be_noticed() -> None:
    """Everything that is looked through holds a secret when it is put there."""
    with trial() as opened:
        async with opened.world.directory(transport=opened.ear()) as directory:
            await ask(opened, directory)
        assert opened.leaks() == []
        for credential in (opened.sandbox.client_secret, *filter(None, opened.heard)):
            opened.said.append(f"… {credential} …")
            assert opened.leaks()
            opened.said.pop()
