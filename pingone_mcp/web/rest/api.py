"""The whole API of one process: every operation once, and the routes and the document that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pingone_mcp.service.fleet.accounts import CallerAccounts
from pingone_mcp.service.fleet.caller_runs import CallerRuns
from pingone_mcp.service.fleet.event_targets import EventTargets
from pingone_mcp.service.fleet.repeats import Repeats
from pingone_mcp.service.schedules.kinds import ScheduleKind, kinds_of
from pingone_mcp.service.schedules.schedules import CallerSchedules
from pingone_mcp.settings.targets import TargetRules
from pingone_mcp.web.rest.document import document_operation
from pingone_mcp.web.rest.operation import AnswerBudget, Asking, RestAnswer, RestOperation, routes
from pingone_mcp.web.rest.platform.accounts import account_operations
from pingone_mcp.web.rest.platform.rosters import roster_operations
from pingone_mcp.web.rest.platform.schedules import schedule_operations
from pingone_mcp.web.rest.platform.sync_runs import run_operations
from pingone_mcp.web.rest.platform.webhooks import webhook_operations
from pingone_mcp.web.rest.proxy import proxy_operations
from pingone_mcp.web.rest.unified.operations import OPERATIONS

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from pingone_mcp.control.control import ControlData
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.linking import Linking
    from pingone_mcp.service.fleet.syncs import FleetSyncs
    from pingone_mcp.service.rosters.desk import RosterDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """What the API answers from; `server` is the URL at which it is asked, `targets` where events may be sent.

    `kinds` are those of schedules.
    """

    control: ControlData
    fleet: Fleet
    linking: Linking
    syncs: FleetSyncs
    rosters: RosterDesk
    server: str
    targets: TargetRules = field(default_factory=TargetRules)
    kinds: Mapping[str, ScheduleKind] = field(default_factory=kinds_of)


async def ping(_: Asking) -> RestAnswer:
    """Answer that somebody answers."""
    return RestAnswer(body={"status": "ok"})


PING = RestOperation(
    name="ping",
    path="/ping",
    tag="service",
    summary="Hear that somebody answers.",
    is_open=True,
    permission=None,
    of_connection=False,
    answer=ping,
    answers={"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]},
)


def operations(parts: ApiParts) -> tuple[RestOperation, ...]:
    """Return every operation."""
    found = (
        *OPERATIONS,
        *account_operations(CallerAccounts(parts.control, parts.fleet, parts.linking)),
        *webhook_operations(EventTargets(parts.control, parts.targets.allow_url)),
        *run_operations(CallerRuns(parts.control, parts.fleet, parts.syncs)),
        *schedule_operations(CallerSchedules(parts.control, parts.fleet, parts.kinds), parts.kinds),
        *roster_operations(parts.rosters, parts.control.derive("cursors of lists")),
        *proxy_operations(Repeats(parts.control.idempotency)),
        PING,
    )
    return (*found, document_operation(found, parts.server))


def api_routes(parts: ApiParts, budget: AnswerBudget | None = None) -> list[BaseRoute]:
    """Return the routes of the API."""
    return routes(operations(parts), parts.fleet, budget)
