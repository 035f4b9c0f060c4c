"""What tests of schedules share: rosters, schedules that are due, and the events that come of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.outbox import OutgoingEvent
from pingone_mcp.control.watching.schedules import ScheduleRecord
from pingone_mcp.service.schedules.kinds import ScheduleKind, kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule
from pingone_mcp.service.schedules.worker import Schedules
from pingone_mcp.tasks import background
from tests.fleets import Estate

DAILY = "0 7 * * *"


def given_files(folder: Path) -> dict[str, str]:
    """Return the settings of files that are laid out for every connection, and make their folder."""
    (folder / "rosters").mkdir(exist_ok=True)
    return {"rosters": str(folder / "rosters"), "roles_file": str(folder / "roles.toml")}


def write_roster(serving: Estate, rows: Iterable[Mapping[str, Any]], name: str = "crm") -> None:
    (serving.folder / "rosters" / f"{name}.json").write_text(json.dumps([*rows]), encoding="utf-8")


def everybody(serving: Estate, name: str = "acme") -> list[dict[str, Any]]:
    """Return an account for every user of a company that is active."""
    users = [
        one
        for one in serving.company(name).sandbox.users()
        if one["enabled"] and one["lifecycle"]["status"] == "ACCOUNT_OK" and one["account"]["status"] == "OK"
    ]
    return [{"username": one["username"], "email": one["email"], "active": True} for one in users]


async def scheduled(
    serving: Estate, linked: LinkedConnection, kind: str = "drift", *, cron: str = DAILY, **arguments: Any
) -> ScheduleRecord:
    if kind != "full_sync":
        arguments = {"roster": "crm", **arguments}
    new = NewSchedule(kind=kind, cron=cron, zone="Europe/Berlin", arguments=arguments)
    return await ConnectionSchedules(serving.control, kinds_of()).add(linked.id, new)


@asynccontextmanager
async def working(serving: Estate, kinds: Mapping[str, ScheduleKind] | None = None) -> AsyncIterator[Schedules]:
    async with background() as tasks:
        kinds = kinds_of() if kinds is None else kinds
        yield Schedules(serving.control, serving.fleet, kinds, tasks, serving.time.clock())


async def at_its_time(serving: Estate, schedule: ScheduleRecord) -> ScheduleRecord:
    """Return a schedule as it is once it is due."""
    found = await kept(serving, schedule)
    now = serving.time.clock().now()
    serving.time.passed += max(0.0, (found.next_at - now + timedelta(seconds=1)).total_seconds())
    return found


async def done(serving: Estate, schedule: ScheduleRecord) -> ScheduleRecord:
    """Return a schedule when it has been done at its next time."""
    async with working(serving) as schedules:
        await schedules.do(await at_its_time(serving, schedule))
    return await kept(serving, schedule)


async def kept(serving: Estate, schedule: ScheduleRecord) -> ScheduleRecord:
    found = await serving.control.schedules.get(schedule.id)
    assert found is not None
    return found


async def until_ran(serving: Estate, schedule: ScheduleRecord) -> ScheduleRecord:
    """Return a schedule once it has been done since it was as it is given."""
    with anyio.fail_after(60):
        while (found := await kept(serving, schedule)).ran_at == schedule.ran_at:  # noqa: ASYNC110 - nobody says so
            await anyio.sleep(0.01)
    return found


async def news(serving: Estate) -> list[OutgoingEvent]:
    """Return the events about drift, the oldest first."""
    outbox = serving.control.outbox
    found = [await outbox.read(one.id) for one in reversed(await outbox.listed(limit=1_000))]
    return [one for one in found if one is not None and one.event == "drift:new"]


def new_usernames(event: OutgoingEvent, kind: str = "status_mismatches") -> list[str]:
    new: Any = event.payload["new"]
    return [row["account"]["username"] for row in new[kind]]
