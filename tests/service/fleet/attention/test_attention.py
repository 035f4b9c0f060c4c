"""What needs a person: each kind appears when it is so, and is gone when it is settled; nobody sees what is others'."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from pydantic import SecretStr

from pingone_mcp.control.inbox import IncomingEvent
from pingone_mcp.control.sealing import of_hook
from pingone_mcp.control.tables import SEALED_VALUES
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.service.fleet.attention.matters import Matter
from pingone_mcp.service.rosters.pulling import NotPulled
from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule
from tests.fleets import caller, copy_of, damage_copy
from tests.service.events.test_changes_out import disable
from tests.service.fleet.attention.attending import ALL, EVERYBODY, Attended
from tests.service.rosters.conftest import Answered, user

TARGET = "https://app.example.com/hooks"
LIST = "https://crm.example.com/scim/v2/Users"


async def only(at: Attended) -> Matter:
    [matter] = await at.matters()
    return matter


async def test_credentials_that_stopped_working_are_a_matter_until_they_work(at: Attended) -> None:
    linked, linking = at.acme, at.estate.administration.linking
    with at.estate.another_secret("acme"):
        at.estate.company("acme").sandbox.revoke_tokens()
        await linking.check(linked.id, at.estate.steps.append)
        matter = await only(at)
    assert (matter.kind, matter.act) == ("credentials", "reconnect")
    assert "do not work any more" in matter.what
    synced = (await at.estate.control.connections.get(linked.id)) or linked
    assert matter.since == synced.last_sync_at
    at.passes(100_000)
    assert await at.kinds() == ["credentials"], "that it is old, too, is the same matter"
    await linking.check(linked.id, at.estate.steps.append)
    await at.sync()
    assert await at.kinds() == []


async def test_credentials_that_lack_a_right_are_said_to_work_and_to_lack_it(at: Attended) -> None:
    faults = at.estate.company("acme").sandbox.faults
    faults.add("forbidden", path="/users", times=None)
    await at.estate.administration.linking.check(at.acme.id, at.estate.steps.append)
    matter = await only(at)
    assert (matter.kind, matter.act) == ("credentials", "reconnect")
    assert "Its credentials work, and lack a right. users of" in matter.what
    faults.clear()
    await at.estate.administration.linking.check(at.acme.id, at.estate.steps.append)
    assert await at.kinds() == []


async def test_a_copy_that_is_not_brought_up_to_date_is_a_matter_until_it_is(at: Attended) -> None:
    at.passes(3_500)
    assert await at.kinds() == []
    at.passes(300)
    matter = await only(at)
    assert (matter.kind, matter.act) == ("stale", "sync")
    assert matter.since is not None
    await at.sync()
    assert await at.kinds() == []


async def test_a_long_interval_makes_a_copy_late_later(at: Attended) -> None:
    await at.desk.intervals.change(EVERYBODY, at.acme.id, 1_440)
    at.passes(2 * 86_400)
    assert await at.kinds() == []
    at.passes(2 * 86_400)
    assert await at.kinds() == ["stale"]


async def test_a_directory_that_was_never_read_is_a_matter_after_a_while(at: Attended) -> None:
    other = await at.estate.link("globex", tenant="customer")
    assert await at.matters(other) == []
    at.passes(4_000)
    [matter] = await at.matters(other)
    assert (matter.kind, matter.since, matter.what) == ("stale", None, "The directory was not read yet.")


async def test_an_environment_that_cannot_be_read_any_more_is_a_matter(at: Attended) -> None:
    both = await at.estate.link("globex", tenant="customer", environments=["all"])
    sandbox = at.estate.company("globex").sandbox
    await at.sync(both)
    assert await at.matters(both) == []
    other = next(one.id for one in sandbox.company.environments if one.id != sandbox.environment_id)
    sandbox.narrow(other, Narrowing(populations=frozenset()))
    await at.estate.control.sync_runs.request(both.id, "full_sync")
    await at.sync(both)
    [matter] = await at.matters(both)
    assert (matter.kind, matter.act) == ("place", "choose")
    assert other in matter.what
    assert matter.since is not None
    sandbox.narrow(other)
    await at.estate.control.sync_runs.request(both.id, "full_sync")
    await at.sync(both)
    assert await at.matters(both) == []


async def test_a_webhook_is_a_matter_while_it_fails_while_it_is_off_and_until_all_was_sent_again(at: Attended) -> None:
    control = at.estate.control
    webhook, _ = await control.webhooks.create(target_url=TARGET, event_types=(), tenant="customer")
    await control.outbox.add("record:updated", {"a": 1}, connection_id=at.acme.id, tenant="customer")
    [event] = await control.outbox.listed()
    assert await at.kinds() == []
    await control.outbox.failed(event.id, "It answered 503.", control.clock.now())
    assert await at.kinds() == [], "it is tried again"
    at.passes(700)
    failing = await only(at)
    assert (failing.kind, failing.act, failing.subject) == ("webhook_failing", "try_again", webhook.id)
    assert "app.example.com" in failing.what
    assert "It answered 503." in failing.what
    await control.outbox.give_up(webhook.id, "Events could not be delivered for 24 hours.")
    off = await only(at)
    assert (off.kind, off.act) == ("webhook_off", "switch_on")
    await control.webhooks.update(webhook.id, is_active=True)
    lost = await only(at)
    assert (lost.kind, lost.act) == ("webhook_lost", "resend")
    await control.outbox.resend_failed(webhook_id=webhook.id)
    assert await at.kinds() == []


async def test_a_webhook_that_a_person_has_switched_off_is_none(at: Attended) -> None:
    webhook, _ = await at.estate.control.webhooks.create(target_url=TARGET, tenant="customer")
    await at.estate.control.webhooks.update(webhook.id, is_active=False)
    assert await at.kinds() == []


async def test_deliveries_with_another_secret_are_a_matter_until_another_one_is_made(at: Attended) -> None:
    secrets = at.estate.control.hook_secrets
    await secrets.get(at.acme.id)
    await secrets.note_refused(at.acme.id, 3)
    matter = await only(at)
    assert (matter.kind, matter.act) == ("hook_secret", "hook")
    at.passes(600)
    assert (await at.sync()).status == "completed"
    shown = await at.desk.hooks.shown(EVERYBODY, at.acme.id)
    await at.desk.hooks.renew(EVERYBODY, at.acme.id, shown.edition)
    assert await at.kinds() == []


async def test_what_a_hook_could_not_read_is_a_matter_for_a_day(at: Attended) -> None:
    await at.estate.control.inbox.add(
        at.acme.id, [IncomingEvent(event_id="unreadable:1", body=b"{", is_readable=False)]
    )
    assert await at.kinds() == ["hook_format"]
    at.passes(86_400)
    await at.sync()
    assert await at.kinds() == []


async def test_events_that_were_set_aside_are_a_matter_until_a_sync(at: Attended) -> None:
    inbox = at.estate.control.inbox
    at.passes(60)
    await inbox.add(at.acme.id, [IncomingEvent(event_id="one", body=b"{}")])
    [received] = await inbox.pending(at.acme.id)
    await inbox.set_aside([received.number])
    matter = await only(at)
    assert (matter.kind, matter.act) == ("hook_aside", "sync")
    at.passes(60)
    await at.sync()
    assert await at.kinds() == []


async def test_events_that_wait_for_long_are_a_matter_until_they_are_done(at: Attended) -> None:
    inbox = at.estate.control.inbox
    await inbox.add(at.acme.id, [IncomingEvent(event_id="one", body=b"{}")])
    at.passes(3_000)
    assert await at.kinds() == []
    at.passes(700)
    await at.sync()
    assert await at.kinds() == ["hook_waits"]
    await inbox.done([one.number for one in await inbox.pending(at.acme.id)])
    assert await at.kinds() == []


async def test_a_hook_is_silent_where_syncs_find_what_no_event_said(at: Attended) -> None:
    inbox = at.estate.control.inbox
    await inbox.add(at.acme.id, [IncomingEvent(event_id="one", body=b"{}")])
    await inbox.done([one.number for one in await inbox.pending(at.acme.id)])
    at.passes(90_000)
    await at.sync()
    assert await at.kinds() == [], "nothing has changed, so there was nothing to say"
    await disable(at.estate, 0)
    at.passes(60)
    await at.sync()
    matter = await only(at)
    assert (matter.kind, matter.act) == ("hook_silent", "hook")
    await inbox.add(at.acme.id, [IncomingEvent(event_id="two", body=b"{}")])
    await inbox.done([one.number for one in await inbox.pending(at.acme.id)])
    assert await at.kinds() == []


async def test_a_roster_that_cannot_be_pulled_is_a_matter_until_it_is(at: Attended) -> None:
    pulls, applications = at.estate.rosters.pulls, at.estate.applications

    async def read(_: str, __: SecretStr | None) -> Answered:
        return Answered(users=(user("ann"),))

    await pulls.set_source(at.acme.id, "crm", LIST, None)
    with pytest.raises(NotPulled):
        await pulls.pull(at.acme.id, "crm")
    matter = await only(at)
    assert (matter.kind, matter.act, matter.subject) == ("roster", "pull", "crm")
    assert "crm" in matter.what
    applications[LIST] = read
    await pulls.pull(at.acme.id, "crm")
    assert await at.kinds() == []


async def test_a_schedule_that_failed_is_a_matter_until_it_does_not(at: Attended) -> None:
    records = at.estate.control.schedules
    schedules = ConnectionSchedules(at.estate.control, kinds_of())
    made = await schedules.add(at.acme.id, NewSchedule(kind="full_sync", cron="0 3 * * *"))
    await records.settle(made, outcome="failed", summary="It failed.", next_at=made.next_at, found=None)
    matter = await only(at)
    assert (matter.kind, matter.act, matter.subject) == ("schedule", "run", made.id)
    again = await records.get(made.id)
    assert again is not None
    await records.settle(again, outcome="asked", summary="Asked.", next_at=made.next_at, found=None)
    assert await at.kinds() == []


async def test_a_key_that_ends_soon_is_a_matter_until_it_is_revoked(at: Attended) -> None:
    keys, now = at.estate.control.api_keys, at.estate.control.clock.now()
    far = await keys.create(name="far", permissions=ALL, connections=[at.acme.id], expires_at=now + timedelta(days=30))
    made = await keys.create(name="soon", permissions=ALL, connections=[at.acme.id], expires_at=now + timedelta(days=5))
    matter = await only(at)
    assert (matter.kind, matter.act, matter.subject, matter.until) == ("key", "renew", made.key.id, made.key.expires_at)
    at.passes(6 * 86_400)
    await at.sync()
    ended = await only(at)
    assert (ended.until, ended.since) == (None, made.key.expires_at)
    assert "has ended" in ended.what
    await keys.revoke(made.key.id)
    assert await at.kinds() == []
    await keys.revoke(far.key.id)


async def test_a_key_that_has_ended_long_ago_is_no_matter_any_more(at: Attended) -> None:
    keys, ends = at.estate.control.api_keys, at.estate.control.clock.now() + timedelta(days=1)
    await keys.create(name="short", permissions=ALL, connections=[at.acme.id], expires_at=ends)
    at.passes(7 * 86_400)
    await at.sync()
    assert await at.kinds() == ["key"]
    at.passes(2 * 86_400)
    await at.sync()
    assert await at.kinds() == []


async def test_nothing_of_a_paused_connection_needs_a_person(at: Attended) -> None:
    at.passes(10_000)
    await at.estate.administration.linking.pause(at.acme.id)
    assert await at.kinds() == []


async def test_the_first_page_has_the_matters_of_all_connections_and_each_webhook_once(at: Attended) -> None:
    globex = await at.estate.link("globex", tenant="other")
    await at.sync(globex)
    for tenant in ("customer", "other"):
        webhook, _ = await at.estate.control.webhooks.create(target_url=TARGET, event_types=(), tenant=tenant)
        await at.estate.control.outbox.give_up(webhook.id, "It was given up.")
    at.passes(10_000)
    found = await at.desk.attention.everywhere(EVERYBODY)
    assert [one.kind for one in found] == ["stale", "stale", "webhook_off", "webhook_off"]
    assert {one.of.name for one in found if one.of is not None} == {"acme", "globex"}
    own = await at.desk.attention.everywhere(caller(tenant="other", permissions=ALL))
    assert [(one.kind, one.of and one.of.name) for one in own] == [("stale", "globex"), ("webhook_off", None)]


async def test_a_caller_of_one_connection_sees_nothing_of_others_and_no_webhook(at: Attended) -> None:
    globex = await at.estate.link("globex", tenant="customer")
    await at.sync(globex)
    control = at.estate.control
    now = control.clock.now()
    webhook, _ = await control.webhooks.create(target_url=TARGET, event_types=(), tenant="customer")
    await control.outbox.give_up(webhook.id, "It was given up.")
    for reached in ([at.acme.id, globex.id], [globex.id], None):
        await control.api_keys.create(
            name=f"of {reached}", permissions=ALL, connections=reached, expires_at=now + timedelta(days=5)
        )
    own = await control.api_keys.create(
        name="own", permissions=ALL, connections=[at.acme.id], expires_at=now + timedelta(days=5)
    )
    at.passes(10_000)
    found = await at.desk.attention.everywhere(caller(at.acme.id, permissions=ALL))
    assert [(one.kind, one.of and one.of.id) for one in found] == [("stale", at.acme.id), ("key", at.acme.id)]
    assert found[1].subject == own.key.id
    assert await at.desk.attention.of_connection(caller(at.acme.id, permissions=ALL), at.acme.id) == found


async def test_who_may_only_read_sees_no_schedule_no_key_and_no_webhook(at: Attended) -> None:
    control = at.estate.control
    webhook, _ = await control.webhooks.create(target_url=TARGET, event_types=(), tenant="customer")
    await control.outbox.give_up(webhook.id, "It was given up.")
    ends = control.clock.now() + timedelta(days=5)
    await control.api_keys.create(name="soon", permissions=ALL, connections=[at.acme.id], expires_at=ends)
    made = await ConnectionSchedules(control, kinds_of()).add(
        at.acme.id, NewSchedule(kind="full_sync", cron="0 3 * * *")
    )
    await control.schedules.settle(made, outcome="failed", summary="It failed.", next_at=made.next_at, found=None)
    assert await at.kinds() == ["schedule", "webhook_off", "key"]
    reader = caller(permissions=("directory.read",))
    assert await at.desk.attention.of_connection(reader, at.acme.id) == []


async def test_what_cannot_be_read_of_one_connection_hides_no_matter_of_another(at: Attended) -> None:
    globex = await at.estate.link("globex", tenant="customer")
    await at.sync(globex)
    control = at.estate.control
    await control.hook_secrets.get(globex.id)
    async with control.database.write() as connection:
        broken = SEALED_VALUES.update().where(SEALED_VALUES.c.owner == of_hook(globex.id))
        await connection.execute(broken.values(sealed=b"x" * 60))
    at.passes(10_000)
    found = await at.desk.attention.everywhere(EVERYBODY)
    assert [(one.kind, one.of and one.of.name) for one in found] == [
        ("unknown", "globex"),
        ("stale", "acme"),
        ("stale", "globex"),
    ]
    assert "could not be found out whether events of PingOne arrive" in found[0].what
    assert found[0].act == "look"


async def test_a_copy_that_is_damaged_is_a_matter_until_a_sync_has_made_it_anew(at: Attended) -> None:
    await damage_copy(at.estate, at.acme)
    matter = await only(at)
    assert (matter.kind, matter.act, matter.since) == ("copy_damaged", "sync", None)
    assert "The local copy is damaged" in matter.what
    at.passes(100_000)
    assert await at.kinds() == ["copy_damaged"], "that it is old, too, is settled by the same"
    assert (await at.sync()).status == "completed"
    assert await at.kinds() == []


async def test_a_copy_that_cannot_be_read_is_said_not_to_be_known_and_one_that_is_not_there_yet_is_no_matter(
    at: Attended,
) -> None:
    file = await copy_of(at.estate, at.acme)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 1000000")
    matter = await only(at)
    assert (matter.kind, matter.act) == ("unknown", "look")
    assert "could not be found out how the local copy is" in matter.what
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()
    assert await at.kinds() == []
