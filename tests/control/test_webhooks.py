"""Webhooks: which events each wants, and a secret that is shown once and kept sealed."""

from __future__ import annotations

import pytest

from pingone_mcp.control.control import ControlData
from tests.control.conftest import Hands

URL = "https://example.com/hook"


async def test_a_webhook_is_as_it_was_made_and_its_secret_is_kept_apart(control: ControlData, hands: Hands) -> None:
    webhook, secret = await control.webhooks.create(target_url=URL, event_types=["record:*"], tenant="acme")
    assert await control.webhooks.get(webhook.id) == webhook
    assert (webhook.target_url, webhook.event_types, webhook.created_at) == (URL, ("record:*",), hands.time)
    assert await control.webhooks.secret(webhook.id) == secret
    assert secret.get_secret_value() not in repr(webhook)
    other, another = await control.webhooks.create(target_url=URL)
    assert secret != another
    assert await control.webhooks.listed() == [webhook, other] or await control.webhooks.listed() == [other, webhook]
    assert await control.webhooks.listed(tenant="acme") == [webhook]


@pytest.mark.parametrize(
    ("types", "event", "wanted"),
    [
        ([], "record:created", True),
        (["record:created"], "record:created", True),
        (["record:created"], "record:created2", False),
        (["record:*"], "record:deleted", True),
        (["record:*"], "records:deleted", False),
        (["integrated_account:active", "record:*"], "integrated_account:deleted", False),
    ],
)
async def test_a_webhook_wants_the_types_it_names(
    control: ControlData, types: list[str], event: str, *, wanted: bool
) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL, event_types=types)
    assert webhook.wants(event) is wanted


async def test_a_webhook_of_a_tenant_hears_nothing_of_another(control: ControlData) -> None:
    acme, _ = await control.webhooks.create(target_url=URL, tenant="acme")
    every, _ = await control.webhooks.create(target_url=URL)
    off, _ = await control.webhooks.create(target_url=URL, is_active=False)
    active = control.webhooks.active
    assert {one.id for one in await active("acme")} == {acme.id, every.id}
    assert [one.id for one in await active("beta")] == [every.id]
    assert [one.id for one in await active(None)] == [every.id]
    assert not off.is_active


async def test_a_webhook_is_changed_and_switched_off_with_a_reason(control: ControlData, hands: Hands) -> None:
    webhook, secret = await control.webhooks.create(target_url=URL)
    hands.go(hours=1)
    changed = await control.webhooks.update(webhook.id, target_url=f"{URL}/2", event_types=["record:created"])
    assert changed is not None
    assert (changed.target_url, changed.event_types, changed.updated_at) == (
        f"{URL}/2",
        ("record:created",),
        hands.time,
    )
    off = await control.webhooks.update(webhook.id, is_active=False, reason="It failed for 24 hours.")
    assert off is not None
    assert (off.is_active, off.reason) == (False, "It failed for 24 hours.")
    on = await control.webhooks.update(webhook.id, is_active=True)
    assert on is not None
    assert (on.is_active, on.reason) == (True, None)
    assert await control.webhooks.secret(webhook.id) == secret
    assert await control.webhooks.update("none", is_active=True) is None


async def test_a_webhook_goes_with_its_secret(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    await control.outbox.add("record:created", {}, connection_id="c", tenant=None)
    assert await control.webhooks.remove(webhook.id)
    assert not await control.webhooks.remove(webhook.id)
    assert await control.webhooks.get(webhook.id) is None
    assert await control.outbox.depth() == 0
    with pytest.raises(LookupError):
        await control.webhooks.secret(webhook.id)


async def test_the_root_of_all_keys_is_no_webhook(control: ControlData) -> None:
    before = control.derive("cursors")
    assert not await control.webhooks.remove("root")
    assert not await control.connections.remove("root")
    await control.rotate_keys()
    assert control.derive("cursors") == before
    await control.connections.add(name="root", settings={}, credentials={}, connection_id="root")
    assert await control.connections.remove("root")
    await control.rotate_keys()


async def test_the_secret_of_a_webhook_is_no_credential_of_a_connection(control: ControlData) -> None:
    webhook, _ = await control.webhooks.create(target_url=URL)
    with pytest.raises(LookupError):
        await control.connections.credentials(webhook.id)
