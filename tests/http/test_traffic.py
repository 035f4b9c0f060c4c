"""How many requests went to providers, by what became of them."""

from __future__ import annotations

import httpx
import pytest

from pingone_mcp.errors import Unreachable
from pingone_mcp.http.traffic import sent
from pingone_mcp.http.transport import PatientTransport
from pingone_mcp.pingone.api.upstream import PINGONE


async def test_every_attempt_is_counted_by_its_outcome() -> None:
    before = sent()
    answers = iter([httpx.Response(429), httpx.Response(503), httpx.Response(200)])
    transport = PatientTransport(httpx.MockTransport(lambda _: next(answers)), PINGONE, budget=0)
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(3):
            await client.get("https://api.pingone.eu/v1/x")
    assert {outcome: count - before[outcome] for outcome, count in sent().items()} == {
        "answered": 1,
        "limited": 1,
        "failed": 1,
    }


async def test_what_nobody_answered_has_failed() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    before = sent()["failed"]
    async with httpx.AsyncClient(transport=PatientTransport(httpx.MockTransport(refuse), PINGONE, budget=0)) as client:
        with pytest.raises(Unreachable):
            await client.get("https://api.pingone.eu/v1/x")
    assert sent()["failed"] == before + 1
