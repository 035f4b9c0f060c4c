"""The tools of the local copy: bring it up to date, ask it what changed, and ask it anything else in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field, TypeAdapter

from pingone_mcp.directory.changes import Change, ChangeKind
from pingone_mcp.directory.cursor import Mark
from pingone_mcp.directory.gaps import Gap, listed_as_json
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import JsonObject, Page
from pingone_mcp.directory.rows import fitted, is_truncated, plain, timestamp
from pingone_mcp.replica.asking.changes import ChangePage, ChangeQuestion
from pingone_mcp.server.edge import AppContext, answer, backend_of, connection_of, page_reporter, strict_tool
from pingone_mcp.server.progress import Progressing
from pingone_mcp.server.tools.arguments import TIMES, Cursor, Limit
from pingone_mcp.service.answering import asked, collect, envelope
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.syncing import Ended, Running

if TYPE_CHECKING:
    from pingone_mcp.replica.asking.snapshot import Snapshot
    from pingone_mcp.replica.sync import SyncReport

_OUR_OWN = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


async def sync_directory(
    ctx: AppContext,
    *,
    mode: Annotated[
        Literal["auto", "full", "incremental"], Field(description="auto: incremental where that is enough.")
    ] = "auto",
) -> CallToolResult:
    """Bring the local copy of the directory up to date; PingOne itself is only read.

    Answers {state: done, counts, changes, gaps, …}, or failed, or held (too many gone without evidence: a person
    decides) with a reason; or {state: running, stage, done, about} when it takes longer than one answer may: it goes on
    by itself, and another call tells how far it is, or what came of it.
    """
    backend = await backend_of(ctx)
    progress = Progressing(ctx.report_progress)

    async def report(running: Running) -> None:
        await progress.report(running.stage, running.done, running.about)

    found = await connection_of(ctx).syncing(backend).wait(mode, backend.answer_seconds, report)
    if isinstance(found, Running):
        return answer({"state": "running", **plain(found)})
    return answer(fitted(_came_of(*found), backend.answer_characters))


def _came_of(report: SyncReport, ended: Ended) -> JsonObject:
    """Return what a sync came to, and when it ran: it may have ended before it was asked for."""
    state = "held" if report.held else "done" if report.taken_over else "failed"
    when = {"started_at": timestamp(ended.started_at), "ended_at": timestamp(ended.ended_at)}
    return {"state": state, **plain(report), "seconds": round(report.seconds, 2), **when}


async def list_changes(
    ctx: AppContext,
    *,
    since: Annotated[str | None, Field(max_length=64, description=f"Only changes from then on: {TIMES}.")] = None,
    kinds: Annotated[list[ChangeKind] | None, Field(description="Only these kinds. Default: all.")] = None,
    user: Annotated[str | None, Field(max_length=256, description="Only of this user (id, username or email).")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallToolResult:
    """List what changed, oldest first, as the syncs of the local copy found it.

    Rows carry at, kind, user, before and after of the fields that changed, group, actor where known, and evidence.
    Answers like list_users; later_cursor, at the end, goes on with what is found from now on. Of what happens between
    two syncs the outcome is told. known_since: before it only what the audit told of removals and deactivations.
    """
    backend = await backend_of(ctx)
    wanted = asked(backend, "list_changes", {"kinds": kinds, "user": user}, cursor, since=since)
    question = _CHANGE_QUESTION.validate_python(wanted.question)
    last: list[ChangePage] = []

    async def read(at: str | None) -> Page[Change]:
        last[:] = [await backend.replica.changes(question, at, page_size=limit)]
        return last[0]

    listing = Listing(read=read, row=change_row, identify=lambda change, _: str(change.id))
    gathered = await collect(backend, listing, wanted, limit=limit, report=page_reporter(ctx, "changes"))
    nothing = cursor is None and gathered.next is None and not gathered.rows
    hint = _NO_CHANGE if nothing and question.user is not None else None
    told = envelope(backend, wanted, gathered, lacks=is_truncated, hint=hint) | await freshness(backend)
    told["known_since"] = timestamp(last[0].known_since) if last[0].known_since is not None else None
    if gathered.next is None:
        told["later_cursor"] = backend.cursors.seal("list_changes", wanted.question, Mark(position=last[0].newest))
    return answer(told)


async def query_directory(
    ctx: AppContext,
    *,
    sql: Annotated[
        str, Field(min_length=1, max_length=20_000, description="One SELECT (SQLite) over the views; read-only.")
    ],
    limit: Annotated[int, Field(ge=1, le=1000, description="Most rows to return.")] = 100,
) -> CallToolResult:
    """Answer a question about the whole directory by SQL over its local copy.

    Views: users, removed_users, groups, memberships, populations, environments, role_assignments, changes; people for
    full-text search (people MATCH 'ann*', join users on id). describe_directory, topic views, tells the columns. Prefer
    counts and GROUP BY. replica_age_s says how old the copy is: sync_directory renews it.
    """
    from pingone_mcp.replica.asking.accesses import unread  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    backend = await backend_of(ctx)

    def lacks(copy: Snapshot) -> list[Gap]:
        """Return what the copy does not hold of what the query is about."""
        return [*copy.gaps(None), *unread(copy, roles="role_assignments" in sql.lower())]

    seconds = min(2.0, backend.answer_seconds)
    found, gaps, state = await backend.replica.query(
        sql, limit=limit, characters=backend.answer_characters, seconds=seconds, beside=lacks
    )
    return answer({**plain(found), "replica_age_s": state.age_seconds, **listed_as_json(gaps)})


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
        told = row.pop(side, None) or {}
        names = [name for name in (_OF_A_USER if whole else told) if name in told and name not in _BESIDE_THE_POINT]
        if names:
            row[side] = {name: told[name] for name in names}
    return row


async def freshness(backend: Backend) -> JsonObject:
    state = await backend.replica.state()
    return {} if state is None else {"replica_age_s": state.age_seconds}


_NO_CHANGE = "`user` is an id, or the username or email at the time of the change; list_users finds them by name."
_CHANGE_QUESTION = TypeAdapter(ChangeQuestion)


def tools() -> list[Tool]:
    """Return the tools of this file in the order in which clients list them."""
    return [
        strict_tool(sync_directory, title="Bring the local copy up to date", annotations=_OUR_OWN),
        strict_tool(list_changes, title="List what changed"),
        strict_tool(query_directory, title="Ask the whole directory in SQL"),
    ]
