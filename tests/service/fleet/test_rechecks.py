"""Credentials that a question was refused by, checked again at once, and until they work."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import NotAuthenticated
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.service.checks import Heard
from pingone_mcp.service.fleet.rechecks import AGAIN_SECONDS, RECOVERY_SECONDS, Rechecks
from tests.fleets import Estate, caller


class Counting:
    """Checks, counted by connection."""

    def __init__(self, serving: Estate) -> None:
        self._linking = serving.administration.linking
        self.checks: Counter[str] = Counter()

    async def __call__(self, connection: str, heard: Heard) -> LinkedConnection:
        self.checks[connection] += 1
        return await self._linking.check(connection, heard)


@pytest.fixture
def counted(serving: Estate) -> Counting:
    return Counting(serving)


@pytest.fixture
def rechecks(serving: Estate, counted: Counting) -> Rechecks:
    return Rechecks(serving.refusals, serving.control.connections, counted, serving.time.clock())


async def refused(serving: Estate, linked: LinkedConnection, times: int = 1) -> None:
    """Ask so many questions at once, each of which is refused."""
    backend = await (await serving.fleet.served(caller(), linked.id)).backend()

    async def ask() -> None:
        with pytest.raises(NotAuthenticated):
            await backend.directory.users(UserQuestion())

    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(ask)


async def row(serving: Estate, linked: LinkedConnection) -> LinkedConnection:
    found = await serving.control.connections.get(linked.id)
    assert found is not None
    return found


async def test_a_refused_question_makes_one_check_which_says_what_is_wrong(
    serving: Estate, rechecks: Rechecks, counted: Counting
) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    with serving.another_secret("acme"):
        await refused(serving, acme, times=30)
        await rechecks.look()
        await refused(serving, acme, times=30)
        await rechecks.look()
    assert counted.checks == {acme.id: 1}
    after = await row(serving, acme)
    assert after.status == "needs_reauth"
    assert "client secret" in (after.reason or "")
    assert (await row(serving, globex)).status == "active"


async def test_what_is_refused_after_a_check_is_checked_when_its_time_has_come(
    serving: Estate, rechecks: Rechecks, counted: Counting
) -> None:
    acme = await serving.link("acme")
    serving.refusals.note(acme.id)
    await rechecks.look()
    assert (await row(serving, acme)).status == "active", "a mistake of the moment"
    with serving.another_secret("acme"):
        await refused(serving, acme)
        await rechecks.look()
        assert counted.checks == {acme.id: 1}
        serving.time.passed += AGAIN_SECONDS
        await rechecks.look()
    assert counted.checks == {acme.id: 2}
    assert (await row(serving, acme)).status == "needs_reauth"


async def test_it_recovers_without_a_question_and_is_synced_at_once(
    serving: Estate, rechecks: Rechecks, counted: Counting
) -> None:
    acme = await serving.link("acme")
    with serving.another_secret("acme"):
        await refused(serving, acme)
        await rechecks.look()
        serving.time.passed += RECOVERY_SECONDS
        await rechecks.look()
        assert (await row(serving, acme)).status == "needs_reauth"
    serving.time.passed += AGAIN_SECONDS
    await rechecks.look()
    assert counted.checks == {acme.id: 2}, "not as often as that"
    serving.time.passed += RECOVERY_SECONDS
    await rechecks.look()
    after = await row(serving, acme)
    assert (after.status, after.reason) == ("active", None)
    assert after.next_sync_at == serving.time.clock().now()


async def test_a_right_that_is_given_back_is_found_without_a_question_too(serving: Estate, rechecks: Rechecks) -> None:
    acme = await serving.link("acme")
    faults = serving.company("acme").sandbox.faults
    faults.add("forbidden", path="/users", times=None)
    serving.refusals.note(acme.id)
    await rechecks.look()
    assert (await row(serving, acme)).status == "validation_error"
    faults.clear()
    serving.time.passed += RECOVERY_SECONDS
    await rechecks.look()
    after = await row(serving, acme)
    assert (after.status, after.next_sync_at) == ("active", serving.time.clock().now())


async def test_what_is_paused_or_gone_or_broken_is_no_matter_to_the_others(
    serving: Estate, rechecks: Rechecks, counted: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, broken, acme = [await serving.link(name) for name in ("paused", "broken", "acme")]
    await serving.administration.linking.pause(paused.id)
    monkeypatch.delitem(serving.worlds, "broken")  # opening it raises ValueError
    for one in (paused.id, broken.id, "never-there", acme.id):
        serving.refusals.note(one)
    with serving.another_secret("acme"):
        await rechecks.look()
    assert set(counted.checks) == {broken.id, acme.id}
    assert (await row(serving, acme)).status == "needs_reauth"
    assert not serving.refusals.noted()


async def test_a_token_that_is_not_accepted_is_a_refusal_too(serving: Estate) -> None:
    acme = await serving.link("acme")
    serving.company("acme").sandbox.faults.add(Fault("token_revoked", times=None))
    await refused(serving, acme)
    assert serving.refusals.noted() == {acme.id}
