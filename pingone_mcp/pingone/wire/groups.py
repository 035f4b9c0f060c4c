"""Groups of PingOne, and memberships in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pingone_mcp.directory.models import Group, GroupMembership, JsonObject, Named
from pingone_mcp.directory.text.json_text import shallow
from pingone_mcp.pingone.wire.lenient import (
    Read,
    count,
    identity,
    inner,
    leniently,
    named,
    readable,
    text,
    time,
    unified_names,
)

_UNIFIED: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "description": ("description",),
    "externalId": ("external_id",),
    "environment": ("organization",),
    "environment.id": ("organization",),
    "population": ("workspace",),
    "population.id": ("workspace",),
    "directMemberCounts": ("member_count", "group_count"),
    "directMemberCounts.users": ("member_count",),
    "directMemberCounts.groups": ("group_count",),
    "totalMemberCounts": ("total_member_count",),
    "totalMemberCounts.users": ("total_member_count",),
    "userFilter": ("user_filter", "group_type", "member_count"),
    "createdAt": ("created_at",),
    "updatedAt": ("updated_at",),
}


def group(raw: JsonObject, *, populations: Mapping[str, str | None] | None = None, remote_data: bool = False) -> Group:
    """Return the unified group; what cannot be read of it is named in `unreadable`.

    `member_count` is None for a dynamic group: PingOne counts its members in the total only.
    """

    def read(raw: JsonObject) -> Group:
        direct, total = inner(raw, "directMemberCounts"), inner(raw, "totalMemberCounts")
        user_filter = text(raw, "userFilter")
        workspace = named(raw, "population", populations)
        return Group(
            id=identity(raw, "group"),
            name=text(raw, "name"),
            description=text(raw, "description"),
            external_id=text(raw, "externalId"),
            group_type="external" if raw.get("sourceType") else "dynamic" if user_filter else "custom",
            organization=Named(id=text(inner(raw, "environment"), "id") or ""),
            workspace=workspace,
            member_count=None if user_filter else count(direct, "users"),
            group_count=count(direct, "groups"),
            total_member_count=count(total, "users"),
            user_filter=user_filter,
            created_at=time(raw, "createdAt"),
            updated_at=time(raw, "updatedAt"),
        )

    found, unread = leniently(raw, read)
    if not unread and not remote_data:
        return found
    return replace(found, unreadable=unified_names(unread, _UNIFIED), remote_data=shallow(raw) if remote_data else None)


def membership(raw: JsonObject) -> GroupMembership:
    """Return a membership, without what cannot be read of it."""
    return _membership(raw)[0]


def memberships(raws: Sequence[JsonObject]) -> tuple[tuple[GroupMembership, ...], bool]:
    """Return the memberships that have an id, and whether those are all, each read whole."""
    found, left_out = readable(raws, _membership)
    return tuple(one for one, _ in found), not left_out and not any(unread for _, unread in found)


def _membership(raw: JsonObject) -> Read[GroupMembership]:
    def read(raw: JsonObject) -> GroupMembership:
        kind = text(raw, "type")
        group = inner(raw, "_embedded").get("group")
        other = group.get("name") if isinstance(group, dict) else None
        return GroupMembership(
            id=identity(raw, "group membership"),
            name=text(raw, "name") or (other if isinstance(other, str) else None),
            type=kind.lower() if kind in ("DIRECT", "INDIRECT") else kind,
        )

    return leniently(raw, read)
