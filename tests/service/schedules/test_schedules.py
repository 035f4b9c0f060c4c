"""What a caller does with schedules: of the connections that it reaches, and nothing of any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pingone_mcp.errors import NoSuchConnection, Refused
from pingone_mcp.service.fleet.cursors import ListAsked
from pingone_mcp.service.fleet.fleet import Paused
from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import (
    MOST,
    CallerSchedules,
    ConnectionSchedules,
    NewSchedule,
    NoSchedule,
    ScheduleChange,
)
from tests.fleets import Estate, caller
from tests.service.schedules.hours import kept

FULL = NewSchedule(kind="full_sync", cron="0 3 * * *")
DRIFT = NewSchedule(kind="drift", cron=" 0  7 * * MON-FRI ", zone="Europe/Berlin", arguments={"roster": "crm"})


def use(serving: Estate) -> CallerSchedules:
    return CallerSchedules(serving.control, serving.fleet, kinds_of())


async def test_a_schedule_is_due_at_its_next_time_in_its_zone(serving: Estate) -> None:
    acme = await serving.link("acme")
    made = await use(serving).add(caller(acme.id), None, DRIFT)
    assert (made.cron, made.zone, made.arguments) == ("0 7 * * MON-FRI", "Europe/Berlin", {"roster": "crm"})
    assert made.next_at == datetime(2026, 6, 16, 5, tzinfo=UTC)
    full = await use(serving).add(caller(), acme.id, FULL)
    assert (full.zone, full.next_at) == ("UTC", datetime(2026, 6, 16, 3, tzinfo=UTC))


async def test_whoever_does_not_reach_a_connection_hears_as_if_there_were_none(serving: Estate) -> None:
    acme, globex = await serving.link("acme", tenant="a"), await serving.link("globex", tenant="g")
    theirs = await use(serving).add(caller(), globex.id, FULL)
    for who in (caller(acme.id), caller(tenant="a")):
        asked = ListAsked(caller=who, limit=10)
        assert (await use(serving).listed(asked)).items == []
        for connection in (globex.id, "none"):
            with pytest.raises(NoSuchConnection):
                await use(serving).listed(asked, connection=connection)
            with pytest.raises(NoSuchConnection):
                await use(serving).add(who, connection, FULL)
        for schedule in (theirs.id, "none"):
            for act in (use(serving).find, use(serving).run, use(serving).remove):
                with pytest.raises(NoSchedule):
                    await act(who, schedule)
            with pytest.raises(NoSchedule):
                await use(serving).change(who, schedule, ScheduleChange(is_active=False))
    assert await kept(serving, theirs) == theirs
    assert await use(serving).find(caller(tenant="g"), theirs.id) == theirs


async def test_they_are_listed_in_pages_by_connection_or_all(serving: Estate) -> None:
    acme, globex = await serving.link("acme"), await serving.link("globex")
    made = [await use(serving).add(caller(), one.id, FULL) for one in (acme, globex, acme)]
    first = await use(serving).listed(ListAsked(caller=caller(), limit=2))
    rest = await use(serving).listed(ListAsked(caller=caller(), limit=2, cursor=first.next_cursor))
    found = [*first.items, *rest.items]
    assert sorted(found, key=lambda one: one.id) == sorted(made, key=lambda one: one.id)
    assert rest.next_cursor is None
    chosen = {"connection": acme.id}
    one = await use(serving).listed(ListAsked(caller=caller(), limit=1, chosen=chosen), connection=acme.id)
    asked = ListAsked(caller=caller(), limit=5, cursor=one.next_cursor, chosen=chosen)
    assert {it.id for it in [*one.items, *(await use(serving).listed(asked, connection=acme.id)).items]} == {
        made[0].id,
        made[2].id,
    }
    with pytest.raises(Refused):
        await use(serving).listed(ListAsked(caller=caller(acme.id), limit=2, cursor=first.next_cursor))


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"kind": "drfit"}, "NO_SUCH_KIND", "Did you mean drift"),
        ({"kind": "everything"}, "NO_SUCH_KIND", "There are: full_sync (read everything again), drift"),
        ({"cron": "0 0 30 2 *"}, "NO_CRON", "never due"),
        ({"zone": "Europe/Berln"}, "NO_SUCH_ZONE", "Did you mean Europe/Berlin"),
        ({"arguments": {}}, "WRONG_SCHEDULE", "`roster`: Field required."),
        ({"arguments": {"roster": "crm", "evil\u202e": 1}}, "WRONG_SCHEDULE", "`evil`: there is no such argument."),
        ({"arguments": {"roster": 3}}, "WRONG_SCHEDULE", "`roster`: Input should be a valid string."),
        ({"arguments": {"roster": "crm", "match_on": ["shoe"]}}, "WRONG_SCHEDULE", "`match_on.0`"),
        ({"arguments": {"roster": "crm", "tell_first": 1}}, "WRONG_SCHEDULE", "`tell_first`"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_kept(
    serving: Estate, wrong: dict[str, Any], code: str, said: str
) -> None:
    acme = await serving.link("acme")
    given: dict[str, Any] = {"kind": "drift", "cron": "0 7 * * *", "arguments": {"roster": "crm"}, **wrong}
    with pytest.raises(Refused) as refused:
        await use(serving).add(caller(), acme.id, NewSchedule(**given))
    assert refused.value.code == code
    assert said in refused.value.text()
    assert await serving.control.schedules.listed() == []


async def test_a_change_of_the_time_is_a_new_next_time_and_switching_on_catches_nothing_up(serving: Estate) -> None:
    acme = await serving.link("acme")
    made = await use(serving).add(caller(), acme.id, DRIFT)
    same = await use(serving).change(caller(), made.id, ScheduleChange(arguments={"roster": "crm"}))
    assert same == made
    later = await use(serving).change(caller(), made.id, ScheduleChange(zone="America/New_York"))
    assert later.next_at == datetime(2026, 6, 16, 11, tzinfo=UTC)
    off = await use(serving).change(caller(), made.id, ScheduleChange(is_active=False))
    assert (off.is_active, off.next_at) == (False, later.next_at)
    serving.time.passed += 10 * 86_400
    assert (await use(serving).change(caller(), made.id, ScheduleChange(cron=made.cron))).next_at == later.next_at
    on = await use(serving).change(caller(), made.id, ScheduleChange(is_active=True))
    assert on.next_at == datetime(2026, 6, 26, 11, tzinfo=UTC)
    for wrong in (ScheduleChange(cron="x"), ScheduleChange(zone="x"), ScheduleChange(arguments={"x": 1})):
        with pytest.raises(Refused):
            await use(serving).change(caller(), made.id, wrong)
    assert await kept(serving, made) == on


async def test_running_now_is_being_due_now(serving: Estate) -> None:
    acme = await serving.link("acme")
    made = await use(serving).add(caller(), acme.id, FULL)
    now = serving.time.clock().now()
    assert (await use(serving).run(caller(), made.id)).next_at == now
    assert [one.id for one in await serving.control.schedules.due(now)] == [made.id]
    serving.time.passed += 60
    assert (await use(serving).run(caller(), made.id)).next_at == now, "who asks again disturbs nobody who does it"
    await use(serving).change(caller(), made.id, ScheduleChange(is_active=False))
    with pytest.raises(Refused, match="switched off"):
        await use(serving).run(caller(), made.id)
    await serving.administration.linking.pause(acme.id)
    with pytest.raises(Paused):
        await use(serving).run(caller(), made.id)
    await use(serving).remove(caller(), made.id)
    assert await serving.control.schedules.listed() == []


async def test_a_connection_has_a_bounded_number(serving: Estate) -> None:
    acme = await serving.link("acme")
    every = ConnectionSchedules(serving.control, kinds_of())
    for _ in range(MOST):
        await every.add(acme.id, FULL)
    with pytest.raises(Refused, match="at most"):
        await every.add(acme.id, FULL)
    with pytest.raises(NoSuchConnection):
        await every.add("none", FULL)
