"""A user as a row of the REST API, and of events: all that it has, under Truto's names too where these differ."""

from __future__ import annotations

from pingone_mcp.directory.models import JsonObject


def shown_user(row: JsonObject) -> JsonObject:
    """Return a user with `avatar` beside `avatar_url`, and the `organization` of each of its groups."""
    shown = dict(row)
    if "avatar_url" in row:
        shown["avatar"] = row["avatar_url"]
    if "groups" in row:
        home = next((place["id"] for place in row.get("organizations", ())), None)
        shown["groups"] = [group if home is None else {**group, "organization": home} for group in row["groups"]]
    return shown
