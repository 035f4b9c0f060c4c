"""The tool about users who cannot sign in any more."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field, TypeAdapter

from pingone_mcp.directory.coverage import DeactivatedPage, Reason, covered_so_far
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.position import Position
from pingone_mcp.directory.provider import DeactivatedQuestion
from pingone_mcp.directory.rows import choose_fields, deactivated_row, plain, user_row_lacks
from pingone_mcp.server.arguments import TIMES, Cursor, Environment, Limit, Population
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import strict_tool
from pingone_mcp.service.answering import asked, collect, envelope, named_fields
from pingone_mcp.service.freshness import exact_directory

_COVERAGE_CHARACTERS = 1_800
_DEACTIVATED_QUESTION = TypeAdapter(DeactivatedQuestion)


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
    backend = await backend_of(ctx)
    selected = {
        "reasons": sorted(reasons) if reasons else None,
        "population": population,
        "environment": environment,
    }
    wanted = asked(backend, "find_deactivated", selected, cursor, since=since)
    question = _DEACTIVATED_QUESTION.validate_python(wanted.question)
    columns = choose_fields(
        None, several_organizations=backend.directory.profile.scope.has_several_environments, limit=limit
    )
    directory = await exact_directory(backend, goes_on=cursor is not None)
    source = await directory.source(question, wanted.mark.position)

    last: list[DeactivatedPage] = []

    async def read(at: Position | None) -> DeactivatedPage:
        last[:] = [await directory.deactivated(question, at, page_size=limit)]
        return last[0]

    listing = Listing(
        read=read, row=lambda found: deactivated_row(found, columns), identify=lambda found, _: found.user.id
    )
    gathered = await collect(
        backend,
        listing,
        wanted,
        limit=limit,
        report=page_reporter(ctx, "users and events"),
        beside=_COVERAGE_CHARACTERS,
    )
    coverage = covered_so_far(last[0].coverage, gathered.next.position if gathered.next is not None else None)
    facts = envelope(
        backend, wanted, dataclasses.replace(gathered, gaps=()), lacks=partial(user_row_lacks, fields=columns)
    )  # told in coverage
    told = {"coverage": {reason: plain(how) for reason, how in coverage.items()}, "source": plain(source)}
    return answer(facts | told | named_fields(columns, None, limit))


def tools() -> list[Tool]:
    """Return the tool of this file."""
    return [strict_tool(find_deactivated, title="Find deactivated users")]
