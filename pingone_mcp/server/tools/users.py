"""The tools about users: lists and searches, and one user whole."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field, TypeAdapter

from pingone_mcp.advice import setting
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import JsonObject, Page, User
from pingone_mcp.directory.provider import Include, UserQuestion
from pingone_mcp.directory.rows import choose_fields, list_row, user_row, user_row_lacks, whole_user
from pingone_mcp.errors import NotFound
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter, strict_tool
from pingone_mcp.server.searches import HINT_CHARACTERS, Search
from pingone_mcp.server.tools.arguments import Cursor, Environment, Fields, Limit, Population, RemoteData
from pingone_mcp.service.answering import asked, collect, envelope, in_time, named_fields
from pingone_mcp.service.backend import Backend

_USER_QUESTION = TypeAdapter(UserQuestion)


async def list_users(
    ctx: AppContext,
    *,
    query: Annotated[
        str | None, Field(max_length=256, description="Start of a name, username or email; or given and family name.")
    ] = None,
    filter: Annotated[  # noqa: A002 - the contract's name for it
        str | None, Field(description='PingOne SCIM filter, e.g. name.family sw "Li" and enabled eq true.')
    ] = None,
    status: Annotated[
        Literal["active", "inactive", "invited", "any"] | None, Field(description="Unified status.")
    ] = None,
    group: Annotated[
        str | None, Field(max_length=256, description="Only members, direct or indirect, of this group (id or name).")
    ] = None,
    population: Population = None,
    environment: Environment = None,
    fields: Fields = None,
    include: Annotated[list[Include] | None, Field(description="Add groups or roles per user (slow).")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    include_remote_data: RemoteData = None,
) -> CallToolResult:
    """List or search users as one flat list over the environments and populations served.

    Answers {result: [rows], next_cursor, result_count, total, stopped}. Rows carry id, username, name, email, title,
    department, status (active, inactive, invited), status_reasons, workspace (population), last_login_at (above 60
    rows: see fields); absent values are left out, and so is an email that repeats the username.
    next_cursor null means that was all; otherwise call again with it as cursor.
    """
    backend = await backend_of(ctx)
    wants = set(fields or ()) if cursor is None else set[str]()
    implied = wants & {"groups", "roles"}
    selected = {
        "query": query,
        "filter": filter,
        "status": None if status == "any" else status,
        "group": group,
        "population": population,
        "environment": environment,
        "include": sorted({*(include or ()), *implied}),
        "remote_data": include_remote_data or ("remote_data" in wants or None),
    }
    wanted = asked(backend, "list_users", selected, cursor, changeable={"fields": fields})
    question = _USER_QUESTION.validate_python(wanted.question)
    chosen = wanted.question.get("fields")
    columns = choose_fields(
        chosen, several_organizations=backend.directory.profile.scope.has_several_environments, limit=limit
    )
    columns += tuple(name for name in question.include if name not in columns)
    if question.remote_data and "remote_data" not in columns:
        columns += ("remote_data",)
    to_row = user_row if chosen else list_row

    search = Search(backend, question)

    async def read(at: str | None) -> Page[User]:
        return await search.page(at, page_size=limit)

    listing = Listing(read=read, row=lambda user: to_row(user, columns), identify=lambda user, _: user.id)
    gathered = await collect(
        backend, listing, wanted, limit=limit, report=page_reporter(ctx, "users"), beside=HINT_CHARACTERS
    )
    hint = await search.hint(gathered.ids, first=cursor is None, last=gathered.next is None)
    lacks = partial(user_row_lacks, fields=columns)
    return answer(envelope(backend, wanted, gathered, lacks=lacks, hint=hint) | named_fields(columns, chosen, limit))


async def get_user(
    ctx: AppContext,
    *,
    user: Annotated[str, Field(min_length=1, max_length=1024, description="Id, username, email or external id.")],
    environment: Environment = None,
    include_remote_data: RemoteData = None,
) -> CallToolResult:
    """Get one user whole.

    Names, emails, phones, status with reasons and the raw values behind it, groups (direct and indirect), roles with
    scope, manager, times, custom attributes. Absent values are left out; truncated says what was cut.
    """
    backend = await backend_of(ctx)
    try:
        with in_time(backend):
            found = await backend.directory.user(user, environment=environment, remote_data=bool(include_remote_data))
    except NotFound as unknown:
        raise await _not_any_more(backend, user, anywhere=environment is None) or unknown from None
    return answer(whole_user(found, backend.answer_characters))


async def _not_any_more(backend: Backend, user: str, *, anywhere: bool) -> NotFound | None:
    """Return the failure for a user whom the local copy knows: removed, moved out of scope, or still there for it."""
    if anywhere and await backend.replica.has(user):
        return NotFound(
            "PingOne does not show this user now, but the local copy still has them: removed since, or hidden.",
            "sync_directory finds out which; query_directory tells what the copy knows.",
            code="NOT_FOUND",
        )
    gone = await backend.replica.gone(user)
    if gone is None:
        return None
    if gone.removed:
        return NotFound(
            f"This user was removed at {gone.at}, as the local copy knows.",
            f"The view removed_users tells more (query_directory); the id is {gone.id}.",
            code="USER_REMOVED",
        )
    return NotFound(
        f"This user left the populations served here at {gone.at}: moved, not removed.",
        f"The person who runs this server decides with {setting('populations')} which populations are served.",
        code="LEFT_SCOPE",
    )


def _other_status(arguments: JsonObject) -> str | None:
    """Say of a status that is a reason, or that of nobody here, how such users are found."""
    wanted = str(arguments.get("status")).lower()
    if wanted in ("disabled", "locked", "removed", "deleted"):
        reason = "removed" if wanted == "deleted" else wanted
        return f'`status` is active, inactive, invited or any. Ask find_deactivated with reasons ["{reason}"]' + (
            ": who is removed is in no list of users." if reason == "removed" else "; status inactive has them too."
        )
    return None


def tools() -> list[Tool]:
    """Return the tools of this file in the order in which clients list them."""
    return [
        strict_tool(list_users, title="List and search users", explain=_other_status),
        strict_tool(get_user, title="Get one user"),
    ]
