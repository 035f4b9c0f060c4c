"""The tool that reviews who has access, as a summary or as a file."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.export import Format
from pingone_mcp.reports.review import Row
from pingone_mcp.server.edge import AppContext, answer, backend_of
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.server.tools.patience import patiently, within
from pingone_mcp.service.answering import asked
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.access_export import exported_rows, make_access_export
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.service.reviews.access import AccessSummary

# Of the people who deserve a look; the counts say the rest.
_SHOWN_PEOPLE = 10


async def access_review(
    ctx: AppContext,
    *,
    group: Annotated[str | None, Field(max_length=256, description="Of this group (id or name).")] = None,
    role: Annotated[str | None, Field(max_length=256, description="Of this administrator role (id or name).")] = None,
    population: Annotated[str | None, Field(max_length=256, description="Of this population (id or name).")] = None,
    format: Annotated[  # noqa: A002 - the contract's name for it
        Literal["summary", "csv", "jsonl"] | None, Field(description="csv, jsonl: make a file to read or hand on.")
    ] = None,
    cursor: Annotated[str | None, Field(description="`next_cursor`.")] = None,
) -> CallToolResult:
    """Review who has access and by which way: directly, through nested groups, by a role with its scope.

    Answers counts (people, by flag, by way, by status; null: not known) and the people with most flags:
    inactive_with_access, never_signed_in, no_sign_in_for_90_days, no_mfa, privileged. With csv or jsonl instead a
    resource with everybody, a manifest with SHA-256, and next_cursor for the rows. Without group, role and population:
    everybody with any access. {state: running}: call again.
    """
    backend = await backend_of(ctx)
    selected = {"group": group, "role": role, "population": population, "format": format}
    wanted = asked(backend, "access_review", selected, cursor)
    if cursor is not None:
        found = exported_rows(backend, wanted)
        return answer(found.listed.to_json() | {"resource": _uri(found.name)})
    from pingone_mcp.service.reviews import access  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    question = AccessQuestion(group=group, role=role, population=population)
    seconds = backend.answer_seconds / 2  # the rest is for the copy

    async def summarize(progress: JobProgress) -> tuple[JsonObject, datetime]:
        summary, state = await access.summarize_access(
            backend, question, most=_SHOWN_PEOPLE, seconds=seconds, progress=progress
        )
        return await in_thread(_summary, backend, summary, pool="answers"), state.synced_at

    async def export(progress: JobProgress) -> tuple[JsonObject, datetime]:
        file_format: Format = "csv" if format == "csv" else "jsonl"
        made, state = await make_access_export(
            backend, question, file_format, wanted, seconds=seconds, progress=progress
        )
        facts = {"resource": _uri(made.name), "next_cursor": made.next_cursor, "manifest": made.manifest.to_json()}
        return within(backend, facts, {}), state.synced_at

    work = summarize if format is None or format == "summary" else export
    return await patiently(ctx, backend, ("access_review", question, format), work)


def _summary(backend: Backend, summary: AccessSummary) -> JsonObject:
    people = [_short(row) for row in summary.people]
    facts = {"counts": dict(summary.counts), "gaps": sentences(summary.gaps), "people": people}
    return within(backend, facts, {"people": summary.counts["people"] or 0})


def _short(row: Row) -> JsonObject:
    """Return a row as an assistant reads it: without what is absent, and without the columns for a table."""
    left_out = {"first_name", "manager", "type", "created_at"}
    return {name: value for name, value in plain(row).items() if name not in left_out}


def _uri(name: str) -> str:
    return f"pingone://exports/{name}"


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(access_review, place=80, title="Review who has access")]
