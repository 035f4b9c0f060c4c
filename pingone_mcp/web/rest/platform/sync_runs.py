"""`/sync-job-run`: the runs of syncs. Each connection has one job: to keep its local copy up to date."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BeforeValidator, Field, JsonValue

from pingone_mcp.control.announcing.rows import SYNC_JOB, shown_run
from pingone_mcp.errors import NotFound
from pingone_mcp.service.fleet.caller_runs import CallerRuns
from pingone_mcp.web.rest.content import GivenBody
from pingone_mcp.web.rest.operation import CONNECTION, Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import Parameter
from pingone_mcp.web.rest.platform.accounts import AccountId
from pingone_mcp.web.rest.platform.lists import (
    PAGES,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    described,
    list_asked,
    platform_list,
    platform_listed,
)

Status = Literal["created", "running", "completed", "failed", "held"]
_STATUSES: tuple[Status, ...] = get_args(Status)
_OF = Parameter(name=CONNECTION.name, about="Only the runs of this connection.")
_STATUS = Parameter(name="status", choices=_STATUSES, about="Only runs with this status.")


def _no_number(value: object) -> object:
    """Return a value that is no number: 0 equals False, and is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("Input should be false")  # noqa: TRY004 - pydantic takes no other
    return value


class NewRun(GivenBody):
    """A sync that is wanted now."""

    integrated_account_id: AccountId | None = None
    sync_job_id: Literal["user-directory"] = SYNC_JOB
    status: Literal["created"] = "created"
    args: Annotated[dict[str, JsonValue], Field(max_length=0)] | None = None
    ignore_previous_run: Annotated[Literal[False] | None, BeforeValidator(_no_number)] = Field(
        None, description="A run goes on where the one before has ended."
    )


RUN = described(
    {
        "id": TEXT,
        "sync_job_id": TEXT,
        "integrated_account_id": TEXT,
        "status": {"enum": list(_STATUSES)},
        "cause": TEXT,
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "error": TEXT_OR_NULL,
        "created_at": TIME,
        "started_at": TIME_OR_NULL,
        "ended_at": TIME_OR_NULL,
    }
)


class RunHandlers:
    """What answers, over the use cases."""

    def __init__(self, runs: CallerRuns) -> None:
        self._runs = runs

    async def list(self, asking: Asking) -> RestAnswer:
        texts = asking.query.texts
        connection, status = texts.get(_OF.name), texts.get(_STATUS.name)
        asked = list_asked(asking, {"connection": connection, "status": status})
        found = await self._runs.listed(asked, connection=connection, status=cast(Any, status))
        return platform_list(asking, found, shown_run)

    async def get(self, asking: Asking) -> RestAnswer:
        found = await self._runs.find(asking.caller, asking.path["id"])
        if found is None:
            raise NotFound("There is no such run.", "List those that there were.", code="NO_RUN")
        return RestAnswer(body=shown_run(found))

    async def create(self, asking: Asking) -> RestAnswer:
        run = await self._runs.request(asking.caller, asking.given(NewRun).integrated_account_id)
        return RestAnswer(body=shown_run(run))


def run_operations(runs: CallerRuns) -> tuple[RestOperation, ...]:
    """Return the operations of runs."""
    does = RunHandlers(runs)
    operation = partial(RestOperation, tag="sync_job_runs", of_connection=False, permission="directory.sync")
    return (
        operation(
            name="listSyncJobRuns",
            path="/sync-job-run",
            summary="List the syncs of the last 30 days, the newest first.",
            parameters=(*PAGES, _OF, _STATUS),
            answer=does.list,
            answers=platform_listed(RUN),
        ),
        operation(
            name="createSyncJobRun",
            method="POST",
            path="/sync-job-run",
            summary="Ask for a sync now; answers its run, which is the one that waits already, if one does.",
            takes=NewRun,
            answer=does.create,
            answers=RUN,
        ),
        operation(
            name="getSyncJobRun",
            path="/sync-job-run/{id}",
            summary="Get one run.",
            about_path={"id": "The id of the run."},
            answer=does.get,
            answers=RUN,
        ),
    )
