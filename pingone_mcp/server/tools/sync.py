"""The tool that brings the local copy up to date."""

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import fitted, plain, timestamp
from pingone_mcp.server.edge import AppContext, answer, backend_of, connection_of
from pingone_mcp.server.progress import Progressing
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.syncing import Mode, Running


async def sync_directory(
    ctx: AppContext,
    *,
    mode: Annotated[Mode, Field(description="auto: incremental where that is enough.")] = "auto",
) -> CallToolResult:
    """Bring the local copy of the directory up to date; PingOne itself is only read.

    Answers {state: done, counts, changes, gaps, …}, or failed, or held (too many gone without evidence: a person
    decides) with a reason; or {state: running, stage, done, about} when it takes longer than one answer may: it goes on
    by itself, and another call tells how far it is, or what came of it.
    """
    backend, connection = await backend_of(ctx), connection_of(ctx)
    progress = Progressing(ctx.report_progress)

    async def report(running: Running) -> None:
        await progress.report(running.stage, running.done, running.about)

    found = await connection.syncing(backend).wait(mode, backend.answer_seconds, report)
    if isinstance(found, Running):
        return answer({"state": "running", **plain(found)})
    synced, ended = found
    outcome: JsonObject = {
        "state": "held" if synced.held else "done" if synced.taken_over else "failed",
        **plain(synced),
    }
    # It may have ended before it was asked for.
    # The provider's time may turn out behind ours, by which the beginning was dated.
    ended_at = max(ended.started_at, ended.ended_at)
    when = {"started_at": timestamp(ended.started_at), "ended_at": timestamp(ended_at)}
    return answer(fitted({**outcome, "seconds": round(synced.seconds, 2), **when}, backend.answer_characters))


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(sync_directory, place=110, title="Bring the local copy up to date")]
