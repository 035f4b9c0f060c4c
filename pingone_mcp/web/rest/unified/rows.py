"""Unified objects as rows of this API: everything that they have, and under Truto's names too where these differ."""

from __future__ import annotations

from pingone_mcp.directory.models import JsonObject


def group(row: JsonObject) -> JsonObject:
    """Return a group whose `organization` is an id, with its name beside it."""
    place = row["organization"]
    shown = {**row, "organization": place["id"]}
    return shown if "name" not in place else {**shown, "organization_name": place["name"]}


def role(row: JsonObject) -> JsonObject:
    """Return a role with its name as `label` too."""
    return {**row, "label": row["name"]} if "name" in row else row


def activity(row: JsonObject) -> JsonObject:
    """Return a line of the audit: `organization` and `workspace` as ids, actor and context as Truto has them."""
    shown = {name: value for name, value in row.items() if name not in ("ip_address", "user_agent")}
    actor = row["actor"]
    who = {name: actor[name] for name in ("id", "name") if name in actor}
    shown["actor"] = {"type": actor["type"], "user" if actor["type"] == "user" else "application": who}
    if actor["type"] == "anonymous":
        shown["actor"] = {"type": "anonymous"}
    shown["organization"] = row["organization"]["id"]
    if "workspace" in row:
        shown["workspace"] = row["workspace"]["id"]
    context = {name: row[name] for name in ("ip_address", "user_agent") if name in row}
    return {**shown, "context": context} if context else shown
