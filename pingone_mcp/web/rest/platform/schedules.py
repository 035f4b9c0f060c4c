"""`/schedule`: what is done for a connection by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from pydantic import Field, JsonValue

from pingone_mcp.control.announcing.rows import shown_schedule
from pingone_mcp.control.watching.schedules import OUTCOMES
from pingone_mcp.service.schedules.cron import LONGEST_CRON, LONGEST_ZONE
from pingone_mcp.service.schedules.kinds import ScheduleKind
from pingone_mcp.service.schedules.schedules import CallerSchedules, NewSchedule, ScheduleChange
from pingone_mcp.web.rest.content import GivenBody
from pingone_mcp.web.rest.operation import CONNECTION, Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import Parameter
from pingone_mcp.web.rest.platform.accounts import AccountId
from pingone_mcp.web.rest.platform.lists import (
    PAGES,
    REMOVED,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    YES_NO,
    described,
    list_asked,
    platform_list,
    platform_listed,
)

_OF = Parameter(name=CONNECTION.name, about="Only the schedules of this connection.")
Cron = Annotated[
    str,
    Field(
        max_length=LONGEST_CRON,
        description="When: minute, hour, day of the month, month, day of the week.",
        examples=["0 7 * * mon-fri"],
    ),
]
Zone = Annotated[
    str,
    Field(max_length=LONGEST_ZONE, description="The time zone of that, by its IANA name.", examples=["Europe/Berlin"]),
]
Arguments = Annotated[
    dict[str, JsonValue],
    Field(max_length=20, description="Those of the kind (`pingone-mcp guide http`).", examples=[{"roster": "crm"}]),
]


class AddedSchedule(GivenBody):
    """What is to be done by the hour."""

    integrated_account_id: AccountId | None = None
    kind: Annotated[str, Field(max_length=64, description="What is done.", examples=["drift", "full_sync"])]
    cron: Cron
    zone: Zone = "UTC"
    arguments: Arguments = Field(default_factory=dict)
    is_active: bool = True


class ChangedSchedule(GivenBody):
    """What is changed of a schedule; what is not named stays. Other arguments begin with a first check again."""

    cron: Cron | None = None
    zone: Zone | None = None
    arguments: Arguments | None = None
    is_active: bool | None = None


SCHEDULE = described(
    {
        "id": TEXT,
        "integrated_account_id": TEXT,
        "kind": TEXT,
        "cron": TEXT,
        "zone": TEXT,
        "arguments": {"type": "object"},
        "is_active": YES_NO,
        "next_at": TIME,
        "ran_at": TIME_OR_NULL,
        "outcome": {"enum": [*OUTCOMES, None]},
        "summary": TEXT_OR_NULL,
        "created_at": TIME,
    }
)


class ScheduleHandlers:
    """What answers, over the use cases."""

    def __init__(self, schedules: CallerSchedules) -> None:
        self._schedules = schedules

    async def list(self, asking: Asking) -> RestAnswer:
        connection = asking.query.texts.get(_OF.name)
        found = await self._schedules.listed(list_asked(asking, {"connection": connection}), connection=connection)
        return platform_list(asking, found, shown_schedule)

    async def get(self, asking: Asking) -> RestAnswer:
        return RestAnswer(body=shown_schedule(await self._schedules.find(asking.caller, asking.path["id"])))

    async def create(self, asking: Asking) -> RestAnswer:
        given = asking.given(AddedSchedule)
        new = NewSchedule(
            kind=given.kind, cron=given.cron, zone=given.zone, arguments=given.arguments, is_active=given.is_active
        )
        return RestAnswer(
            body=shown_schedule(await self._schedules.add(asking.caller, given.integrated_account_id, new))
        )

    async def change(self, asking: Asking) -> RestAnswer:
        given = asking.given(ChangedSchedule)
        change = ScheduleChange(cron=given.cron, zone=given.zone, arguments=given.arguments, is_active=given.is_active)
        return RestAnswer(body=shown_schedule(await self._schedules.change(asking.caller, asking.path["id"], change)))

    async def remove(self, asking: Asking) -> RestAnswer:
        await self._schedules.remove(asking.caller, asking.path["id"])
        return RestAnswer(body={"id": asking.path["id"]})

    async def run(self, asking: Asking) -> RestAnswer:
        return RestAnswer(body=shown_schedule(await self._schedules.run(asking.caller, asking.path["id"])))


def schedule_operations(schedules: CallerSchedules, kinds: Mapping[str, ScheduleKind]) -> tuple[RestOperation, ...]:
    """Return the operations of schedules, of which there are these kinds."""
    does = ScheduleHandlers(schedules)
    about = {"id": "The id of the schedule."}
    there = ", ".join(f"`{name}` ({kind.does})" for name, kind in kinds.items())
    operation = partial(RestOperation, tag="schedules", of_connection=False, permission="directory.sync")
    return (
        operation(
            name="listSchedules",
            path="/schedule",
            summary="List what is done by the hour, the oldest first.",
            parameters=(*PAGES, _OF),
            answer=does.list,
            answers=platform_listed(SCHEDULE),
        ),
        operation(
            name="createSchedule",
            method="POST",
            path="/schedule",
            summary=f"Have something done for a connection by the hour. There are: {there}.",
            takes=AddedSchedule,
            answer=does.create,
            answers=SCHEDULE,
        ),
        operation(
            name="getSchedule",
            path="/schedule/{id}",
            summary="Get one schedule, with what came of its last run.",
            about_path=about,
            answer=does.get,
            answers=SCHEDULE,
        ),
        operation(
            name="updateSchedule",
            method="PATCH",
            path="/schedule/{id}",
            summary="Change when something is done, or with what, or switch it off or on.",
            about_path=about,
            takes=ChangedSchedule,
            answer=does.change,
            answers=SCHEDULE,
        ),
        operation(
            name="deleteSchedule",
            method="DELETE",
            path="/schedule/{id}",
            summary="Remove a schedule, and what its checks found.",
            about_path=about,
            answer=does.remove,
            answers=REMOVED,
        ),
        operation(
            name="runSchedule",
            method="POST",
            path="/schedule/{id}/run",
            summary="Have it done now too, as soon as its turn comes: `ran_at` and `outcome` say when it was.",
            about_path=about,
            answer=does.run,
            answers=SCHEDULE,
        ),
    )
