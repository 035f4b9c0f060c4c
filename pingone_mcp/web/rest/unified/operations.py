"""All operations of the unified user directory."""

from __future__ import annotations

from pingone_mcp.web.rest.operation import RestOperation
from pingone_mcp.web.rest.unified import activities, groups, short_lists, users

OPERATIONS: tuple[RestOperation, ...] = (
    *users.OPERATIONS,
    *groups.OPERATIONS,
    *short_lists.OPERATIONS,
    *activities.OPERATIONS,
)
