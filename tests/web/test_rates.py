"""How often something may happen, in bounded memory; and what the gate counts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.web.gate import OF_CREDENTIAL, ON_CONNECTION
from pingone_mcp.web.rates import PER_SECONDS, Rates, Recent
from tests.web.authorization_server import BASE, claims, signed
from tests.web.entrance import (
    KEY,
    MCP,
    OTHER_KEY,
    PING,
    TENANT_KEY,
    USERS,
    Entrance,
    ask,
    bearer,
    entrance,
    holder,
)
from tests.world import Time


@pytest.fixture
async def gate() -> AsyncIterator[Entrance]:
    async with entrance() as made:
        yield made


async def test_so_many_may_happen_and_no_more_until_ten_seconds_later() -> None:
    time = Time()
    rates = Rates(most=50, clock=time.clock())
    for _ in range(2):
        assert [rates.take("a") for _ in range(52)] == [True] * 50 + [False] * 2
        assert rates.is_spent("a")
        await time.passes(time.passed + 2 * PER_SECONDS)


async def test_whoever_waits_as_long_as_the_answer_says_may_come_again() -> None:
    time = Time()
    rates = Rates(most=50, clock=time.clock())
    await time.passes(9.9)
    while rates.take("a"):
        pass
    await time.passes(9.9 + PER_SECONDS)
    assert rates.take("a")


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(1, 8)), max_size=40))
async def test_no_more_happens_in_any_nine_seconds_and_room_comes_back(visits: list[tuple[float, int]]) -> None:
    time = Time()
    rates = Rates(most=5, clock=time.clock())
    came: list[float] = []
    for pause, times in visits:
        await time.passes(time.passed + pause)
        came += [time.passed for _ in range(times) if rates.take("a")]
    for at in came:
        assert len([one for one in came if at <= one <= at + PER_SECONDS - 1]) <= 5
    await time.passes(time.passed + PER_SECONDS)
    assert [rates.take("a") for _ in range(6)] == [True] * 5 + [False]


async def test_keys_count_apart_and_the_oldest_makes_way() -> None:
    rates = Rates(most=1, clock=Time().clock(), most_keys=100)
    assert rates.take("first")
    for name in range(99):
        assert rates.take(f"key {name}")
    assert not rates.take("first")
    for name in range(10_000):
        rates.take(f"tried {name}")
    assert len(rates) == 100
    assert rates.take("key 1"), "it was forgotten"


def test_the_last_keys_are_remembered() -> None:
    recent = Recent(most=2)
    for key in (b"a", b"b", b"a", b"c"):
        recent.add(key)
    assert [key in recent for key in (b"a", b"b", b"c")] == [True, False, True]


async def times(gate: Entrance, count: int, path: str, token: str | None = KEY) -> list[int]:
    async with gate.client() as client:
        headers = {} if token is None else bearer(token)
        return [(await client.get(path, headers=headers)).status_code for _ in range(count)]


async def test_a_credential_may_ask_so_often_in_ten_seconds(gate: Entrance) -> None:
    path = "/integrated-account/other"  # a connection that it does not reach
    assert await times(gate, OF_CREDENTIAL + 1, path) == [200] * OF_CREDENTIAL + [429]
    response = await ask(gate, path)
    assert (response.headers["retry-after"], response.json()["code"]) == ("10", "RATE_LIMITED")
    assert await times(gate, 1, path, OTHER_KEY) == [200], "another credential counts apart"
    await gate.time.passes(10)
    assert await times(gate, 1, path) == [200]


@pytest.mark.parametrize(
    "path",
    [
        f"{USERS}?integrated_account_id=acme",
        f"{USERS}?integrated_account_id[]=acme",
        f"{USERS}?limit=1&integrated_account_id%5B0%5D=acme",
        f"{USERS}?integrated_account_id=&integrated%5faccount_id[12]=%61cme",
        "/integrated-account/acme",
        MCP,
        USERS,
    ],
)
async def test_a_connection_may_be_asked_so_often_however_it_is_named(gate: Entrance, path: str) -> None:
    both = "pmk_k9_" + "v" * 43
    gate.keys[both] = holder("k9", "acme", "beta")
    assert await times(gate, ON_CONNECTION + 1, path, KEY if path == USERS else both) == [200] * ON_CONNECTION + [429]
    assert await times(gate, 1, f"{USERS}?integrated_account_id=acme", both) == [429]
    assert await times(gate, 1, f"{USERS}?integrated_account_id=beta", both) == [200]


@pytest.mark.parametrize("token", [OTHER_KEY, TENANT_KEY])
async def test_nobody_uses_up_what_a_connection_of_others_may_be_asked(gate: Entrance, token: str) -> None:
    await times(gate, 60, f"{USERS}?integrated_account_id=acme", token)
    await times(gate, 60, MCP, token)
    assert await times(gate, 1, MCP) == [200]


@pytest.mark.parametrize("path", [USERS, f"{USERS}?integrated_account_id=gamma", "/c/gamma/mcp"])
async def test_a_connection_of_a_tenant_counts_for_those_who_reach_it(gate: Entrance, path: str) -> None:
    assert (await times(gate, ON_CONNECTION + 1, path, TENANT_KEY))[-1] == 429


@pytest.mark.parametrize("name", ["%00", "a'b", "%F0%9F%92%A9", "x" * 65])
async def test_what_is_no_name_of_a_connection_is_not_looked_up(gate: Entrance, name: str) -> None:
    assert await times(gate, 1, f"{USERS}?integrated_account_id={name}", TENANT_KEY) == [200]


async def test_asking_for_what_no_connection_is_called_counts_too(gate: Entrance) -> None:
    assert (await times(gate, OF_CREDENTIAL + 1, "/c/a.b/mcp"))[-2:] == [404, 429]


async def guess(gate: Entrance, address: str, count: int) -> list[int]:
    async with gate.client(address) as client:
        return [
            (await client.get(USERS, headers=bearer(f"pmk_k{number}_{'x' * 43}"))).status_code
            for number in range(count)
        ]


async def test_guessing_credentials_is_slow_and_those_who_are_known_go_on(gate: Entrance) -> None:
    assert await times(gate, 1, USERS) == [200]
    assert await guess(gate, "192.0.2.1", 52) == [401] * 50 + [429] * 2
    assert await times(gate, 1, USERS) == [200], "it was good before"
    assert await times(gate, 1, USERS, OTHER_KEY) == [429], "nobody saw it before"
    assert await times(gate, 1, USERS, None) == [401]
    assert await times(gate, 1, USERS, signed(claims(aud=BASE))) == [200], "tokens are new every few minutes"
    assert await guess(gate, "192.0.2.2", 1) == [401]
    await gate.time.passes(10)
    assert await times(gate, 1, USERS, OTHER_KEY) == [200]


async def test_a_network_of_ipv6_is_one_guesser(gate: Entrance) -> None:
    assert await guess(gate, "2001:db8::1", 50) == [401] * 50
    assert await guess(gate, "2001:db8::ffff:2", 1) == [429]
    assert await guess(gate, "2001:db8:0:1::1", 1) == [401]


async def test_a_key_that_was_revoked_is_good_no_longer(gate: Entrance) -> None:
    assert await times(gate, 1, USERS) == [200]
    del gate.keys[KEY]
    assert await times(gate, 1, USERS) == [401]


async def test_tokens_of_one_person_are_one_credential(gate: Entrance) -> None:
    tokens = [signed(claims(jti=str(number))) for number in range(51)]
    statuses = [(await ask(gate, MCP, token, json=PING)).status_code for token in tokens]
    assert statuses == [200] * 50 + [429]
