"""Deliveries with another secret: several are an alarm, and where it is looked for, whoever shows what."""

from __future__ import annotations

import logging

import pytest

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.events.hooks.refusals import BURST, HookRefusals
from tests.fleets import Estate


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_a_burst_is_warned_of_once_in_an_hour(serving: Estate, caplog: pytest.LogCaptureFixture) -> None:
    acme, secrets = await serving.link("acme"), serving.control.hook_secrets
    refusals, secret = HookRefusals(secrets, serving.time.clock()), await secrets.get(acme.id)

    async def shown(*texts: str) -> None:
        for text in texts:
            await secrets.opens(acme.id, text)
        await refusals.look()

    since = serving.control.clock.now()
    await shown(secret.get_secret_value())
    assert await secrets.refused_deliveries(acme.id) is None
    await shown(*["another"] * (BURST - 1))
    assert warnings(caplog) == []
    serving.time.passed += 60
    await shown("s3cr3t")
    [said] = warnings(caplog)
    assert said.startswith(f"{BURST} deliveries to the hook of connection {acme.id} showed another secret since ")
    assert timestamp(since) in said
    assert "s3cr3t" not in said
    await shown("another")
    await refusals.look()
    serving.time.passed += 3_599
    await shown("another")
    assert len(warnings(caplog)) == 1
    serving.time.passed += 1
    await shown("another")
    assert len(warnings(caplog)) == 2
    series = await secrets.refused_deliveries(acme.id)
    assert series is not None
    assert (series.count, series.since, series.last) == (BURST + 3, since, serving.control.clock.now())


async def test_nobody_s_hook_is_no_alarm(serving: Estate, caplog: pytest.LogCaptureFixture) -> None:
    acme, secrets = await serving.link("acme"), serving.control.hook_secrets
    refusals = HookRefusals(secrets, serving.time.clock())
    with caplog.at_level(logging.DEBUG, logger="pingone_mcp"):
        for connection in (acme.id, "nobody") * BURST:
            await secrets.opens(connection, "x")
        await refusals.look()
    assert warnings(caplog) == []


async def test_a_connection_that_was_removed_is_passed_over(serving: Estate) -> None:
    acme, secrets = await serving.link("acme"), serving.control.hook_secrets
    refusals = HookRefusals(secrets, serving.time.clock())
    await secrets.get(acme.id)
    await secrets.opens(acme.id, "x")
    await serving.administration.linking.remove(acme.id)
    await refusals.look()
    assert await secrets.refused_deliveries(acme.id) is None
