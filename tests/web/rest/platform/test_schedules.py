"""Schedules over REST: who reaches a connection says what is done for it by the hour."""

from __future__ import annotations

from typing import Any

import pytest

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.worker import Schedules
from pingone_mcp.tasks import background
from tests.web.rest.offices import Office

ROOT = "/schedule"
DRIFT: dict[str, Any] = {
    "kind": "drift",
    "cron": "0 7 * * mon-fri",
    "zone": "Europe/Berlin",
    "arguments": {"roster": "crm", "match_on": ["email"]},
}


async def test_a_schedule_is_made_shown_changed_and_removed(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    made = await desk.ask("POST", ROOT, json={"integrated_account_id": acme.id, **DRIFT})
    now = desk.estate.time.clock().now()
    assert made == {
        "id": made["id"],
        "integrated_account_id": acme.id,
        **DRIFT,
        "is_active": True,
        "next_at": "2026-06-16T05:00:00.000Z",
        "ran_at": None,
        "outcome": None,
        "summary": None,
        "created_at": timestamp(now),
    }
    assert await desk.ask("GET", f"{ROOT}/{made['id']}") == made
    assert (await desk.ask("GET", ROOT))["result"] == [made]
    assert (await desk.ask("GET", f"{ROOT}?integrated_account_id={acme.id}"))["result"] == [made]
    changed = await desk.ask("PATCH", f"{ROOT}/{made['id']}", json={"zone": "UTC", "arguments": {"roster": "erp"}})
    assert (changed["next_at"], changed["arguments"]) == ("2026-06-16T07:00:00.000Z", {"roster": "erp"})
    assert await desk.ask("DELETE", f"{ROOT}/{made['id']}") == {"id": made["id"]}
    assert (await desk.ask("GET", f"{ROOT}/{made['id']}", 404))["code"] == "NO_SCHEDULE"


async def test_what_came_of_a_run_that_was_asked_for_is_shown(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id)
    made = await desk.ask("POST", ROOT, json={"kind": "full_sync", "cron": "0 3 * * *"})
    asked = await desk.ask("POST", f"{ROOT}/{made['id']}/run")
    assert asked["next_at"] == timestamp(desk.estate.time.clock().now())
    control, fleet, clock = desk.estate.control, desk.estate.fleet, desk.estate.time.clock()
    async with background() as tasks:
        [due] = await control.schedules.due(clock.now())
        await Schedules(control, fleet, kinds_of(), tasks, clock).do(due)
    ran = await desk.ask("GET", f"{ROOT}/{made['id']}")
    assert (ran["outcome"], ran["ran_at"], ran["next_at"]) == (
        "asked",
        timestamp(clock.now()),
        "2026-06-16T03:00:00.000Z",
    )
    [run] = (await desk.ask("GET", "/sync-job-run"))["result"]
    assert (run["cause"], run["status"]) == ("full_sync", "created")
    await desk.ask("PATCH", f"{ROOT}/{made['id']}", json={"is_active": False})
    assert (await desk.ask("POST", f"{ROOT}/{made['id']}/run", 400))["code"] == "SCHEDULE_OFF"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "full_sync"}, "WRONG_BODY"),
        ({"kind": "full_sync", "cron": "0 3 * * *", "when": "now"}, "WRONG_BODY"),
        ({"kind": "full_sync", "cron": "0 0 30 2 *"}, "NO_CRON"),
        ({"kind": "full_sync", "cron": "0 3 * * *", "zone": "Mars/Base"}, "NO_SUCH_ZONE"),
        ({"kind": "full_sync", "cron": "0 3 * * *", "arguments": {"roster": "crm"}}, "WRONG_SCHEDULE"),
        ({"kind": "nap", "cron": "0 3 * * *"}, "NO_SUCH_KIND"),
        ({"kind": "drift", "cron": "0 3 * * *"}, "WRONG_SCHEDULE"),
    ],
)
async def test_what_cannot_be_is_said(desk: Office, body: dict[str, Any], code: str) -> None:
    acme = await desk.estate.link("acme")
    assert (await desk.ask("POST", ROOT, 400, json={"integrated_account_id": acme.id, **body}))["code"] == code
    assert (await desk.ask("GET", ROOT))["result"] == []


async def test_another_tenants_answers_as_if_there_were_none(desk: Office) -> None:
    acme = await desk.estate.link("acme", tenant="a")
    await desk.estate.link("globex", tenant="g")
    made = await desk.ask("POST", ROOT, json={"integrated_account_id": acme.id, **DRIFT})
    desk.is_for(tenant="g")
    assert (await desk.ask("GET", ROOT))["result"] == []
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"{ROOT}/ID", None),
        ("PATCH", f"{ROOT}/ID", {"is_active": False}),
        ("DELETE", f"{ROOT}/ID", None),
        ("POST", f"{ROOT}/ID/run", None),
        ("POST", ROOT, {"integrated_account_id": "ACCOUNT", **DRIFT}),
        ("GET", f"{ROOT}?integrated_account_id=ACCOUNT", None),
    ]
    unknown = "11111111-1111-1111-1111-111111111111"
    for method, path, body in calls:
        answers: list[Any] = []
        for schedule, account in ((made["id"], acme.id), (unknown, unknown)):
            target = path.replace("ID", schedule).replace("ACCOUNT", account)
            given = (
                None if body is None else {**body, **({"integrated_account_id": account} if method == "POST" else {})}
            )
            answers.append(await desk.ask(method, target, 404, json=given))
        assert answers[0] == answers[1]
    desk.is_for(acme.id)
    assert (await desk.ask("GET", f"{ROOT}/{made['id']}")) == made


async def test_it_takes_the_scope_of_syncs(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id, may=("directory.read", "directory.write", "events.manage", "connections.manage"))
    assert (await desk.ask("GET", ROOT, 403))["code"] == "INSUFFICIENT_SCOPE"
    await desk.ask("POST", ROOT, 403, json=DRIFT)
