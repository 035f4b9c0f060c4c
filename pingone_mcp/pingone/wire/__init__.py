"""PingOne's JSON as the unified directory; PingOne's field names stand in this folder alone.

Users come as bytes, two hundred a page, and go a fast way: bytes -> structs -> `User` or `UserRow`. What that way
refuses, and all else, is read as JSON objects: a value of another type than PingOne documents is left out and named,
and what is beside it stays. Absent and null are None, false is false, and values outside the known enumerations are
kept as they came. Source: PingOne Platform API, "Users", "Groups", "Populations", "Environments", "Audit activities".
"""

from __future__ import annotations

from pingone_mcp.pingone.wire.audit import action_of, audit_entry, event_of
from pingone_mcp.pingone.wire.events import event, removed_user
from pingone_mcp.pingone.wire.groups import group, membership, memberships
from pingone_mcp.pingone.wire.lenient import readable
from pingone_mcp.pingone.wire.places import organization, workspace
from pingone_mcp.pingone.wire.reading import TakesLong, UserReader, ids_of
from pingone_mcp.pingone.wire.roles import role, role_assignments
from pingone_mcp.pingone.wire.structs import CORE_ATTRIBUTES, ReadUser
from pingone_mcp.pingone.wire.users import status_of, user

__all__ = [
    "CORE_ATTRIBUTES",
    "ReadUser",
    "TakesLong",
    "UserReader",
    "action_of",
    "audit_entry",
    "event",
    "event_of",
    "group",
    "ids_of",
    "membership",
    "memberships",
    "organization",
    "readable",
    "removed_user",
    "role",
    "role_assignments",
    "status_of",
    "user",
    "workspace",
]
