"""What was done, as the provider's audit has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from pingone_mcp.directory.matching.unified import (
    ORGANIZATION,
    ComparedField,
    FieldCondition,
    TimeBounds,
    bounds_of,
    checked,
    holds,
)
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import AuditQuestion
from pingone_mcp.directory.rows import is_truncated, plain, timestamp
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, listed
from pingone_mcp.service.backend import Backend

_QUESTION = TypeAdapter(AuditQuestion)

AUDIT_FIELDS: Mapping[str, ComparedField] = MappingProxyType(
    {
        "action": ComparedField("text", "action"),
        "event": ComparedField("text", "event"),
        "entity": ComparedField("text", "entity"),
        "entity_type": ComparedField("text", "entity_type"),
        "actor.type": ComparedField("text", "actor.type"),
        "actor.id": ComparedField("text", "actor.id"),
        "outcome": ComparedField("text", "outcome"),
        ORGANIZATION: ComparedField("id", "organization.id"),
        "created_at": ComparedField("time", "created_at"),
    }
)


async def list_audit(
    backend: Backend,
    conditions: Sequence[FieldCondition],
    *,
    remote_data: bool = False,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> Listed:
    """List what was done, of each environment the newest first.

    Raises Refused for arguments, NotPermitted where the audit may not be read, and Problem where its first page cannot.
    """
    for condition in conditions:
        checked(condition, AUDIT_FIELDS[condition.field])
    question, others = _narrowed(conditions)
    selected = {
        **question,
        "remote_data": remote_data or None,
        "others": sorted([one.field, one.comparison, list(one.values)] for one in others),
    }
    wanted = asked(backend, "audit", selected, cursor)
    compared = [
        FieldCondition(field=field, comparison=comparison, values=tuple(values))
        for field, comparison, values in wanted.question.get("others", ())
    ]
    asking = _QUESTION.validate_python({name: value for name, value in wanted.question.items() if name != "others"})

    async def read(at: Position | None) -> Page[JsonObject]:
        page: Page[Any] = await backend.directory.audit(asking, at, page_size=None if compared else limit)
        rows = (plain(entry) for entry in page.items)
        kept = tuple(row for row in rows if holds(row, compared, AUDIT_FIELDS))
        return dataclasses.replace(page, items=kept, total=None if compared else page.total)

    listing = Listing(read=read, row=lambda row: row, identify=lambda row, _: str(row["id"]))
    gathered = await collect(backend, listing, wanted, limit=limit, report=report)
    return listed(backend, wanted, gathered, lacks=is_truncated)


def _narrowed(conditions: Sequence[FieldCondition]) -> tuple[dict[str, str | None], list[FieldCondition]]:
    """Return what the provider is asked, and the conditions that its answers are compared with afterwards."""
    action = environment = None
    times, others = TimeBounds(), list[FieldCondition]()
    for condition in conditions:
        is_one = condition.comparison == "eq"
        if condition.field == "created_at" and condition.comparison != "in":
            times = times.within(bounds_of(condition))
        elif condition.field in ("action", "event") and is_one and action is None:
            action = condition.values[0]
        elif condition.field == ORGANIZATION and is_one and environment is None:
            environment = condition.values[0]
        else:
            others.append(condition)
    narrowed = {"since": _text(times.least), "until": _text(times.most), "action": action, "environment": environment}
    return narrowed, others


def _text(at: datetime | None) -> str | None:
    return timestamp(at) if at is not None else None
