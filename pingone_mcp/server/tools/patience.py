"""Answers to what looks at everybody in the local copy: the outcome, or how far it is when that takes longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from mcp.types import CallToolResult

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import fitted
from pingone_mcp.server.edge import AppContext, answer, connection_of
from pingone_mcp.server.progress import Progressing
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import version_of_copy
from pingone_mcp.service.jobs import JobProgress

SHOWN = 20
"""Rows of a list that an answer shows; the counts say how many there are."""
# What `shown` takes for a list, and the age of the copy.
_SHOWN_CHARACTERS, _AGE_CHARACTERS = 50, 40


async def patiently(
    ctx: AppContext,
    backend: Backend,
    question: tuple[object, ...],
    work: Callable[[JobProgress], Awaitable[tuple[JsonObject, datetime]]],
) -> CallToolResult:
    """Answer with the facts that `work` finds in the copy, or with how far it is; the same question joins it.

    `work` also returns when the sync began that the copy is of. Raises NoReplica, and what `work` raises.
    """
    progressing = Progressing(ctx.report_progress)

    async def report(progress: JobProgress) -> None:
        await progressing.report(progress.stage, progress.done, progress.about)

    version, seconds = await version_of_copy(backend), backend.answer_seconds
    ended = await connection_of(ctx).jobs.wait(question, version, work, seconds=seconds, report=report)
    if isinstance(ended, JobProgress):
        return answer({"state": "running", "stage": ended.stage, "done": ended.done, "about": ended.about})
    facts, synced_at = ended
    return answer(facts | {"replica_age_s": backend.replica.age_of(synced_at)})


def within(backend: Backend, facts: JsonObject, of: Mapping[str, int]) -> JsonObject:
    """Return facts within the size of an answer, with `shown` for each list that is not whole: 20 of 512.

    `of` says how many there are of each list.
    """
    beside = _AGE_CHARACTERS + sum(len(name) + _SHOWN_CHARACTERS for name in of)
    kept = fitted(facts, max(0, backend.answer_characters - beside))
    shown = {
        name: f"{len(kept.get(name, ())):,} of {total:,}"
        for name, total in of.items()
        if len(kept.get(name, ())) < total
    }
    if not shown:
        return kept
    cut = {name: what for name, what in kept.pop("truncated", {}).items() if name not in shown}
    return kept | {"shown": shown} | ({"truncated": cut} if cut else {})
