"""The tools about users: lists and searches, and one user whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import Include
from pingone_mcp.directory.rows import whole_user
from pingone_mcp.server.arguments import Cursor, Environment, Fields, Limit, Population, RemoteData
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking import users
from pingone_mcp.service.asking.searches import Search
from pingone_mcp.service.asking.users import UserList

# What a hint beside rows takes.
_HINT_CHARACTERS = 200
_NARROWING = ("filter", "status", "group", "population", "environment")
_ONLY_AS_WRITTEN = "Only names with these very accents were looked for"
_HELD = "A sync is held, because many users cannot be found now: they may be hidden (describe_directory)."


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
    found = await users.list_users(
        backend,
        query=query,
        filter_=filter,
        status=None if status == "any" else status,
        group=group,
        population=population,
        environment=environment,
        fields=fields,
        include=include or (),
        remote_data=bool(include_remote_data),
        limit=limit,
        cursor=cursor,
        report=page_reporter(ctx, "users"),
        beside=_HINT_CHARACTERS,
    )
    return answer(found.listed.to_json(await _hint(found)))


async def _hint(found: UserList) -> str | None:
    """Return what to know about the users of an answer, or what to try when nobody was found."""
    search, question = found.search, found.search.question
    if spelt := search.otherwise_spelt(found.listed.gathered.ids):
        return (
            f"Written with other accents than `query`: the last {spelt} of these rows. They come from the local copy, "
            f"which is {await search.age_of_copy()} s old."
        )
    if found.listed.is_empty:
        held = _HELD if await search.is_held() else None
        return " ".join(filter(None, (*_nobody(search), held))) or None
    named = question.query is not None and "@" not in question.query
    if found.listed.next_cursor is not None or not named or search.asks_copy:
        return None
    return _ONLY_AS_WRITTEN + ("; after sync_directory, others are found too." if search.is_long else ".")


def _nobody(search: Search) -> Iterator[str]:
    """Say what to try when nobody was found."""
    question = search.question
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
    found = await users.find_user(backend, user, environment=environment, remote_data=bool(include_remote_data))
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


def tools() -> list[StrictTool]:
    """Return the tools of this file."""
    return [
        strict_tool(list_users, place=10, title="List and search users", explain=_other_status),
        strict_tool(get_user, place=20, title="Get one user"),
    ]
