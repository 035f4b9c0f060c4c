"""Connections, runs and schedules as rows: the same in answers of the REST API, in events, and at the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text.harmless import clean
from pingone_mcp.settings.callers import OF_THE_PROCESS

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.control.sync_runs import RunRecord
    from pingone_mcp.control.watching.schedules import ScheduleRecord

INSTALLATION = "default"
"""Truto's environments are what its customers keep apart on one server; here each server is one."""
METHOD: Literal["oauth2_client_credentials"] = "oauth2_client_credentials"
SYNC_JOB: Literal["user-directory"] = "user-directory"
"""The only job that there is."""


def shown_account(linked: LinkedConnection) -> JsonObject:
    """Return a connection as a row. Of its settings those are there that a caller may give, and no secret."""
    last, following = linked.last_sync_at, linked.next_sync_at
    return {
        "id": linked.id,
        "name": linked.name,
        "tenant_id": linked.tenant,
        "environment_id": INSTALLATION,
        "environment_integration_id": linked.provider,
        "status": linked.status,
        "last_error": linked.reason,
        "is_paused": linked.is_paused,
        "is_sandbox": bool(linked.settings.get("sandbox")),
        "authentication_method": METHOD,
        "region": None,
        "context": {name: value for name, value in linked.settings.items() if name not in OF_THE_PROCESS},
        "object_store_context_fields": [],
        "integration": {"id": linked.provider, "name": linked.provider, "label": "PingOne", "category": "directory"},
        "last_sync_at": None if last is None else timestamp(last),
        "next_sync_at": None if following is None else timestamp(following),
        "created_at": timestamp(linked.created_at),
        "updated_at": timestamp(linked.updated_at),
    }


def shown_run(run: RunRecord) -> JsonObject:
    """Return a run of a sync as a row."""
    return {
        "id": run.id,
        "sync_job_id": SYNC_JOB,
        "integrated_account_id": run.connection_id,
        "status": run.status,
        "cause": run.cause,
        "counts": dict(run.counts),
        "error": run.reason,
        "created_at": timestamp(run.created_at),
        "started_at": None if run.started_at is None else timestamp(run.started_at),
        "ended_at": None if run.ended_at is None else timestamp(run.ended_at),
    }


def shown_schedule(schedule: ScheduleRecord) -> JsonObject:
    """Return a schedule as a row."""
    ran = schedule.ran_at
    return {
        "id": schedule.id,
        "integrated_account_id": schedule.connection_id,
        "kind": schedule.kind,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "arguments": clean(dict(schedule.arguments)),
        "is_active": schedule.is_active,
        "next_at": timestamp(schedule.next_at),
        "ran_at": None if ran is None else timestamp(ran),
        "outcome": schedule.outcome,
        "summary": clean(schedule.summary),
        "created_at": timestamp(schedule.created_at),
    }
