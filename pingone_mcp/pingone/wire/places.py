"""Environments and populations of PingOne."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pingone_mcp.directory.models import JsonObject, Organization, Workspace
from pingone_mcp.pingone.wire.lenient import count, flag, identity, leniently, text, unified_names

_UNIFIED: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "userCount": ("user_count",),
    "default": ("is_default",),
}


def workspace(raw: JsonObject) -> Workspace:
    """Return the unified population; what cannot be read of it is named in `unreadable`."""

    def read(raw: JsonObject) -> Workspace:
        return Workspace(
            id=identity(raw, "population"),
            name=text(raw, "name"),
            user_count=count(raw, "userCount"),
            is_default=flag(raw, "default"),
        )

    found, unread = leniently(raw, read)
    return replace(found, unreadable=unified_names(unread, _UNIFIED)) if unread else found


def organization(raw: JsonObject) -> Organization:
    """Return the unified environment, without what cannot be read of it."""

    def read(raw: JsonObject) -> Organization:
        return Organization(
            id=identity(raw, "environment"),
            name=text(raw, "name"),
            type=text(raw, "type"),
            region=text(raw, "region"),
        )

    return leniently(raw, read)[0]
