"""The tool that reviews who has access, as a summary or as a file."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.directory.paging.listing import Gathered
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.rows import plain
from pingone_mcp.reports.review import Row
from pingone_mcp.server.edge import AppContext, answer, backend_of
from pingone_mcp.server.strict import strict_tool
from pingone_mcp.server.tools.patience import patiently, within
from pingone_mcp.service.answering import ListRequest, asked, listed
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.exports import MOST_LINES
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.service.reviews.access import AccessSummary

_EXPORT = "export"
_AROUND = 1_200  # counts, names, and the cursor, which carries the question
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
        return answer(_exported(backend, wanted))
    from pingone_mcp.service.reviews import access  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    question = AccessQuestion(group=group, role=role, population=population)
    seconds = backend.answer_seconds / 2  # the rest is for the copy

    async def summarize(progress: JobProgress) -> tuple[JsonObject, datetime]:
        summary, state = await access.summarize_access(
            backend, question, most=_SHOWN_PEOPLE, seconds=seconds, progress=progress
        )
        return await in_thread(_summary, backend, summary, pool="answers"), state.synced_at

    async def export(progress: JobProgress) -> tuple[JsonObject, datetime]:
        file_format: Literal["csv", "jsonl"] = "csv" if format == "csv" else "jsonl"
        name = backend.exports.name("access-review", file_format, backend.replica.now())
        write = partial(backend.exports.write, name)
        manifest, state = await access.export_access(
            backend, question, file_format, write, seconds=seconds, progress=progress
        )
        described = manifest.to_json()
        await in_thread(backend.exports.describe, name, described, pool="disk")
        return within(backend, {**_export_made(backend, wanted, name), "manifest": described}, {}), state.synced_at

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


def _export_made(backend: Backend, wanted: ListRequest, name: str) -> JsonObject:
    """Return where an export is read: by its URI, and by calling the tool that made it with `next_cursor`."""
    question = {**wanted.question, _EXPORT: name}
    return {
        "resource": _uri(name),
        "next_cursor": backend.cursors.seal(wanted.tool, question, Mark(position=_at(0))),
    }


def _exported(backend: Backend, wanted: ListRequest) -> JsonObject:
    """Return the rows of an export that its cursor leads to, as many as one answer holds. Raises NotFound."""
    name, at = str(wanted.question[_EXPORT]), _line(wanted.mark.position)
    rows, following = backend.exports.rows(
        name, at, limit=MOST_LINES, characters=max(1, backend.answer_characters - _AROUND)
    )
    gathered = Gathered(
        rows=rows,
        next=Mark(position=_at(following)) if following is not None else None,
        stopped=None if following is None else "limit" if len(rows) == MOST_LINES else "size",
    )
    return listed(backend, wanted, gathered, lacks=lambda _: False).to_json() | {"resource": _uri(name)}


def _at(line: int) -> Position:
    return Position(after=str(line))


def _line(position: Position | None) -> int:
    return int(position.after or 0) if position is not None else 0


def _uri(name: str) -> str:
    return f"pingone://exports/{name}"


def tools() -> list[Tool]:
    """Return the tool of this file."""
    return [strict_tool(access_review, title="Review who has access")]
