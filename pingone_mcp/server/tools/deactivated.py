"""The tool about users who cannot sign in any more."""

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.coverage import Reason
from pingone_mcp.directory.rows import plain
from pingone_mcp.server.arguments import TIMES, Cursor, Environment, Limit, Population
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking import deactivated

_COVERAGE_CHARACTERS = 1_800


async def find_deactivated(
    ctx: AppContext,
    *,
    reasons: Annotated[
        list[Reason] | None,
        Field(description="disabled: switched off; locked: account locked; removed: deleted. Default: all."),
    ] = None,
    since: Annotated[
        str | None,
        Field(max_length=64, description=f"Only since then: {TIMES}; also tells when and by whom, where known."),
    ] = None,
    population: Population = None,
    environment: Environment = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallToolResult:
    """Find users who cannot sign in any more, and why.

    Rows carry status_reasons (disabled, locked, removed), and deactivated_at and deactivated_by where the audit says
    so. Answers like list_users, plus coverage: per reason how it was found, whether it is complete by now, and what may
    be missing. Only claim what coverage supports. source says whether PingOne or the local copy answered, and its age.
    """
    found = await deactivated.find_deactivated(
        await backend_of(ctx),
        reasons=reasons,
        since=since,
        population=population,
        environment=environment,
        limit=limit,
        cursor=cursor,
        report=page_reporter(ctx, "users and events"),
        beside=_COVERAGE_CHARACTERS,
    )
    facts = found.listed.to_json()
    fields = {"fields": facts.pop("fields")} if "fields" in facts else {}
    coverage = {reason: plain(how) for reason, how in found.coverage.items()}
    return answer(facts | {"coverage": coverage, "source": plain(found.provenance)} | fields)


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(find_deactivated, place=30, title="Find deactivated users")]
