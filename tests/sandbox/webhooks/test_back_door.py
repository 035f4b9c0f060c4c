"""A receiver is subscribed at the sandbox's back door, with what `connections hook --json` prints."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.sandbox.entrance import NOW, enter
from tests.sandbox.webhooks.receiver import ACTIONS, SECRET, TARGET, Receiver

DOOR = "https://api.example.net/sandbox/webhooks"
FORM: dict[str, Any] = {"url": TARGET, "headers": {"Authorization": SECRET}, "action_types": list(ACTIONS)}


async def test_who_is_subscribed_by_hand_gets_what_happens_from_then_on() -> None:
    receiver = Receiver()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver)) as line:
        sandbox = Sandbox(size=20, now=NOW, webhook_client=line)
        sandbox.administration().update_user(0, title="Buyer")
        async with enter(sandbox) as client:
            made = await client.post(DOOR, json=FORM)
            assert (made.status_code, made.json()["url"]) == (201, TARGET)
            [shown] = (await client.get("/subscriptions")).json()["_embedded"]["subscriptions"]
        assert (shown["id"], shown["enabled"], shown["format"]) == (made.json()["id"], True, "ACTIVITY")
        sandbox.administration().update_user(0, title="Clerk")
        [delivery] = await sandbox.sender.deliver()
    [request] = receiver.requests
    assert (delivery.accepted, request.headers["authorization"], len(request.rows())) == (True, SECRET, 1)


@pytest.mark.parametrize(
    "form", [FORM | {"url": "https://example.com/"}, FORM | {"action_types": []}, {"url": TARGET}, [1]]
)
async def test_what_cannot_be_subscribed_is_refused(form: Any) -> None:
    sandbox = Sandbox(size=20, now=NOW)
    async with enter(sandbox) as client:
        assert (await client.post(DOOR, json=form)).status_code == 400
        assert (await client.get("/subscriptions")).json()["count"] == 0
