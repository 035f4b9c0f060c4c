"""The tool that says which application roles follow from groups and attributes."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import fitted
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.server.arguments import Cursor, Limit
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.server.tools.patience import SHOWN, patiently, within
from pingone_mcp.service.answering import ListRequest, asked
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.rules import read_rules


async def map_roles(
    ctx: AppContext,
    *,
    user: Annotated[str | None, Field(max_length=1024, description="Id, username, email or external id.")] = None,
    group: Annotated[str | None, Field(max_length=256, description="All members of this group (id or name).")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallToolResult:
    """Say which application roles follow from groups and attributes by the rules that the person configured.

    For a user: roles, each with the rule and the group that gave it, and conflicts. For a group: one row per member.
    For neither: a review of the rules: groups that no rule maps, rules without a group, rules that give nobody a role;
    {state: running}: call again.
    """
    backend = await backend_of(ctx)
    rules = await read_rules(backend.rules)
    if user is not None:
        return answer(await _of_user(backend, rules, user))
    wanted = asked(backend, "map_roles", {"group": group}, cursor)
    if "group" in wanted.question:
        return answer(await _of_group(ctx, backend, rules, wanted, limit=limit))
    which = sha256(repr(rules).encode(errors="replace")).hexdigest()
    return await patiently(ctx, backend, ("map_roles", which), partial(_review, backend, rules))


async def _of_user(backend: Backend, rules: Rules, reference: str) -> JsonObject:
    from pingone_mcp.service.reviews.roles import roles_of_user  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    found = await roles_of_user(backend, rules, reference)
    facts = {**found.to_json(), "replica_age_s": found.state.age_seconds}
    return fitted(facts, backend.answer_characters)


async def _of_group(ctx: AppContext, backend: Backend, rules: Rules, wanted: ListRequest, *, limit: int) -> JsonObject:
    from pingone_mcp.service.reviews.roles import roles_of_group  # noqa: PLC0415 - start-up, as above

    found, age = await roles_of_group(backend, rules, wanted, limit=limit, report=page_reporter(ctx, "members"))
    return found.to_json() | ({} if age is None else {"replica_age_s": age})


async def _review(backend: Backend, rules: Rules, progress: JobProgress) -> tuple[JsonObject, datetime]:
    from pingone_mcp.service.reviews.roles import review_roles  # noqa: PLC0415 - start-up, as above

    review, state = await review_roles(backend, rules, progress=progress)
    facts = review.to_json(SHOWN)
    counts = facts["counts"]
    return within(backend, facts, {name: counts[name] for name in facts if name in counts}), state.synced_at


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(map_roles, place=100, title="Map groups to application roles")]
