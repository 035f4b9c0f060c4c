"""The tool that lists what changed."""

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.changes import Change, ChangeKind
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain, timestamp
from pingone_mcp.server.arguments import TIMES, Cursor, Limit
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking import changes

_NO_CHANGE = "`user` is an id, or the username or email at the time of the change; list_users finds them by name."


async def list_changes(
    ctx: AppContext,
    *,
    since: Annotated[str | None, Field(max_length=64, description=f"Only changes from then on: {TIMES}.")] = None,
    kinds: Annotated[list[ChangeKind] | None, Field(description="Only these kinds.")] = None,
    user: Annotated[str | None, Field(max_length=256, description="Only of this user (id, username or email).")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallToolResult:
    """List what changed, oldest first, as the syncs of the local copy found it.

    Rows carry at, kind, user, before and after of the fields that changed, group, actor where known, and evidence.
    Answers like list_users; later_cursor, at the end, goes on with what is found from now on. Of what happens between
    two syncs the outcome is told. known_since: before it only what the audit told of removals and deactivations.
    """
    found = await changes.list_changes(
        await backend_of(ctx),
        row=change_row,
        since=since,
        kinds=kinds,
        user=user,
        limit=limit,
        cursor=cursor,
        report=page_reporter(ctx, "changes"),
    )
    facts = found.listed.to_json(_NO_CHANGE if found.listed.is_empty and user else None)
    if found.age_seconds is not None:
        facts["replica_age_s"] = found.age_seconds
    facts["known_since"] = timestamp(found.known_since) if found.known_since is not None else None
    if found.later_cursor is not None:
        facts["later_cursor"] = found.later_cursor
    return answer(facts)


# What a person asks of a new or a removed user; get_user and removed_users tell the rest.
_OF_A_USER = ("name", "title", "department", "type", "status", "status_reasons", "manager", "workspaces")
_BESIDE_THE_POINT = ("status_source", "updated_at")


def change_row(change: Change) -> JsonObject:
    """Return one change as an assistant reads it: of a whole user the main fields, of others what changed."""
    row: JsonObject = plain(change)
    if row["user"].get("email") == row["user"].get("username"):
        row["user"].pop("email", None)
    whole = change.kind in ("user.created", "user.removed")
    for side in ("before", "after"):
        fields = row.pop(side, None) or {}
        names = [name for name in (_OF_A_USER if whole else fields) if name in fields and name not in _BESIDE_THE_POINT]
        if names:
            row[side] = {name: fields[name] for name in names}
    return row


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(list_changes, place=70, title="List what changed")]
