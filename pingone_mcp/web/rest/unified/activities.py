"""`/unified/user-directory/activities`: what was done, as the provider's audit has it."""

from __future__ import annotations

from types import MappingProxyType

from pingone_mcp.service.asking.audit import AUDIT_FIELDS, list_audit
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.unified import rows, schemas
from pingone_mcp.web.rest.unified.switches import NATIVE, PAGING, SHAPING, RowShape, filters, quietly

_OTHER_NAMES = MappingProxyType(
    {
        "actor.id": ("actor.user.id", "user_id", "user.id"),
        "organization": ("organization.id", "organization_id"),
    }
)
_ABOUT = MappingProxyType(
    {
        "action": "user_created, user_updated, user_deleted, create, updated, destroy, or the provider's own word.",
        "event": "The provider's own word for what was done.",
        "entity": "Only what was done to the thing of this id.",
        "created_at": "When it was done; PingOne shows the last 14 days.",
    }
)


async def list_activities(asking: Asking) -> RestAnswer:
    """Answer a list of what was done."""
    query = asking.query
    shape = RowShape.of(query, schemas.ACTIVITY["properties"])
    found = await list_audit(
        await asking.backend(),
        query.conditions,
        remote_data=shape.needs_native,
        limit=query.integers["limit"],
        cursor=query.texts.get("next_cursor"),
        report=quietly,
    )
    return shape.list(found, rows.activity)


OPERATIONS = (
    RestOperation(
        name="listActivities",
        path="/unified/user-directory/activities",
        tag="activities",
        summary="List what was done, of each environment the newest first.",
        parameters=(*PAGING, *SHAPING, *NATIVE, *filters(AUDIT_FIELDS, _ABOUT, _OTHER_NAMES)),
        answer=list_activities,
        answers=schemas.listed(schemas.ACTIVITY),
    ),
)
