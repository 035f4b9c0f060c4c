"""The tools about users: lists and searches, and one user whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field, TypeAdapter

from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import JsonObject, Page, User
from pingone_mcp.directory.position import Position
from pingone_mcp.directory.provider import Include, UserQuestion
from pingone_mcp.directory.rows import choose_fields, list_row, user_row, user_row_lacks, whole_user
from pingone_mcp.server.arguments import Cursor, Environment, Fields, Limit, Population, RemoteData
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import strict_tool
from pingone_mcp.service.answering import asked, collect, envelope, named_fields
from pingone_mcp.service.asking.searches import Search
from pingone_mcp.service.asking.users import find_user

# What a hint beside rows takes.
_HINT_CHARACTERS = 200
_NARROWING = ("filter", "status", "group", "population", "environment")
_ONLY_AS_WRITTEN = "Only names with these very accents were looked for"
_HELD = "A sync is held, because many users cannot be found now: they may be hidden (describe_directory)."
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

    async def read(at: Position | None) -> Page[User]:
        return await search.page(at, page_size=limit)

    listing = Listing(read=read, row=lambda user: to_row(user, columns), identify=lambda user, _: user.id)
    gathered = await collect(
        backend, listing, wanted, limit=limit, report=page_reporter(ctx, "users"), beside=_HINT_CHARACTERS
    )
    hint = await _hint(search, question, gathered.ids, first=cursor is None, last=gathered.next is None)
    lacks = partial(user_row_lacks, fields=columns)
    return answer(envelope(backend, wanted, gathered, lacks=lacks, hint=hint) | named_fields(columns, chosen, limit))


async def _hint(search: Search, question: UserQuestion, ids: Sequence[str], *, first: bool, last: bool) -> str | None:
    """Return what to know about the users of an answer, the first or last one, or what to try when nobody is."""
    if spelt := search.otherwise_spelt(ids):
        return (
            f"Written with other accents than `query`: the last {spelt} of these rows. They come from the local copy, "
            f"which is {await search.age_of_copy()} s old."
        )
    if first and last and not ids:
        held = _HELD if await search.is_held() else None
        return " ".join(filter(None, (*_nobody(search, question), held))) or None
    named = question.query is not None and "@" not in question.query
    if not last or not named or search.asks_copy:
        return None
    return _ONLY_AS_WRITTEN + ("; after sync_directory, others are found too." if search.is_long else ".")


def _nobody(search: Search, question: UserQuestion) -> Iterator[str]:
    """Say what to try when nobody was found."""
    if question.query is not None and search.asks_copy:
        yield "No name, username or email begins like this, whatever the accents."
    elif question.query is not None:
        after = "; after sync_directory this search does not." if search.is_long else "."
        yield ("No name, username or email begins like this. PingOne compares accents (Zoe does not find Zoë)" + after)
    if narrowing := [f"`{name}`" for name in _NARROWING if getattr(question, name) is not None]:
        yield f"Try without {' or '.join(narrowing)}."
    if question.query is not None:
        yield "Try one word, or the beginning of one; query_directory finds any word of a name (people MATCH 'word*')."


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
    found = await find_user(backend, user, environment=environment, remote_data=bool(include_remote_data))
    return answer(whole_user(found, backend.answer_characters))


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
