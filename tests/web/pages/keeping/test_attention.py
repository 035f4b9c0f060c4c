"""What needs a person, on pages: each with the button that settles it, for who may press it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule
from tests.fleets import damage_copy
from tests.web.pages.keeping.keepers import Keeper

TARGET = "https://app.example.com/hooks"


async def test_a_webhook_that_was_given_up_is_switched_on_and_sent_to_again_from_the_first_page(keeper: Keeper) -> None:
    control = keeper.face.estate.control
    await keeper.sync()
    webhook, _ = await control.webhooks.create(target_url=TARGET, event_types=(), tenant="customer")
    await control.outbox.add("record:updated", {"a": 1}, connection_id=keeper.face.acme.id, tenant="customer")
    await control.outbox.give_up(webhook.id, "Events could not be delivered for 24 hours.")
    await keeper.sign_in("directory.read", "events.manage")
    await keeper.get("/")
    assert keeper.actions() == [f"/webhooks/{webhook.id}/on"]
    await keeper.post(back="front")
    assert "The webhook is on" in keeper.page
    assert keeper.actions() == [f"/webhooks/{webhook.id}/resend"]
    await keeper.post(back="front")
    assert "Events that are sent again: 1." in keeper.page
    assert "What needs you" not in keeper.page
    await keeper.sign_in("directory.read", "events.manage", connections=[keeper.face.acme.id])
    await control.outbox.give_up(webhook.id, "Again.")
    await keeper.get("/")
    assert "app.example.com" not in keeper.page, "a webhook gets the events of a whole tenant"
    assert (await keeper.post(f"/webhooks/{webhook.id}/on")).status == 403
    await keeper.sign_in("directory.read")
    await keeper.get("/")
    assert (await keeper.post(f"/webhooks/{webhook.id}/on")).status == 403
    found = await control.webhooks.get(webhook.id)
    assert found is not None
    assert not found.is_active


async def test_credentials_that_stopped_working_lead_to_where_they_are_entered(keeper: Keeper) -> None:
    estate, acme = keeper.face.estate, keeper.face.acme
    await keeper.sync()
    with estate.another_secret("acme"):
        estate.company("acme").sandbox.revoke_tokens()
        await estate.administration.linking.check(acme.id, estate.steps.append)
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get(f"{keeper.root}/attention")
    assert "do not work any more" in keeper.page
    assert f'href="{keeper.root}/link/reconnect"' in keeper.page
    await keeper.get("/")
    await keeper.post(f"{keeper.root}/link/check")
    await keeper.get(f"{keeper.root}/attention")
    assert "do not work any more" not in keeper.page


async def test_a_schedule_that_failed_is_run_again_and_leads_back(keeper: Keeper) -> None:
    control = keeper.face.estate.control
    await keeper.sync()
    made = await ConnectionSchedules(control, kinds_of()).add(
        keeper.face.acme.id, NewSchedule(kind="full_sync", cron="0 3 * * *")
    )
    await control.schedules.settle(
        made, outcome="failed", summary="It failed: <b>x</b>.", next_at=made.next_at, found=None
    )
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/attention")
    assert "It failed: &lt;b&gt;x&lt;/b&gt;." in keeper.page
    await keeper.post(back="attention")
    assert keeper.at == f"{keeper.root}/attention"
    assert "It is done now: full sync." in keeper.page
    due = await control.schedules.get(made.id)
    assert due is not None
    assert due.next_at <= control.clock.now()


async def test_a_form_leads_nowhere_but_to_pages_of_ours(keeper: Keeper) -> None:
    await keeper.sign_in("directory.read", "directory.sync")
    await keeper.get(f"{keeper.root}/attention")
    await keeper.post(f"{keeper.root}/settings/sync", back="https://evil.example/")
    assert keeper.at == f"{keeper.root}/settings"
    await keeper.until_synced()


async def test_a_page_without_matters_says_so(keeper: Keeper) -> None:
    await keeper.sync()
    await keeper.sign_in("directory.read", "directory.sync", "connections.manage", "events.manage")
    await keeper.get(f"{keeper.root}/attention")
    assert "Nothing: acme is read as it should be" in keeper.page
    await keeper.get("/")
    assert "What needs you" not in keeper.page


async def test_a_damaged_copy_is_not_called_read_as_it_should_be_and_is_made_anew_by_the_button(keeper: Keeper) -> None:
    await keeper.sync()
    await damage_copy(keeper.face.estate, keeper.face.acme)
    await keeper.sign_in("directory.read", "directory.sync")
    assert (await keeper.get(f"{keeper.root}/people")).status == 503
    await keeper.get(f"{keeper.root}/attention")
    assert "as it should be" not in keeper.page
    assert "The local copy is damaged" in keeper.page
    await keeper.post(back="attention")
    await keeper.until_synced()
    assert (await keeper.get(f"{keeper.root}/people")).status == 200
    await keeper.get(f"{keeper.root}/attention")
    assert "as it should be" in keeper.page


async def test_who_may_not_read_the_directory_is_not_assured_that_it_is_read(keeper: Keeper) -> None:
    await keeper.sync()
    await keeper.sign_in("connections.manage")
    await keeper.get(f"{keeper.root}/attention")
    assert "as it should be" not in keeper.page
    assert "Nothing that you may see" in keeper.page


async def test_matters_beyond_those_that_fit_are_counted(keeper: Keeper) -> None:
    keys, now = keeper.face.estate.control.api_keys, keeper.face.estate.control.clock.now()
    await keeper.sync()
    for number in range(33):
        await keys.create(
            name=f"key {number}",
            permissions=["directory.read"],
            connections=[keeper.face.acme.id],
            expires_at=now + timedelta(days=3),
        )
    await keeper.sign_in("directory.read", "connections.manage")
    await keeper.get("/")
    assert keeper.page.count('class="matter"') == 30
    assert "3 more come up" in keeper.page


@pytest.mark.parametrize("path", ["/people", "/groups", "/changes", "/settings"])
async def test_every_page_of_a_connection_says_how_much_needs_a_person(keeper: Keeper, path: str) -> None:
    await keeper.sync()
    keeper.face.estate.time.passed += 90_000
    await keeper.sign_in("directory.read")
    await keeper.get(keeper.root + path)
    assert f'href="{keeper.root}/attention">1 thing needs you' in keeper.page
