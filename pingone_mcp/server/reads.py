"""The tools that read: each is one question to the directory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field, TypeAdapter

from pingone_mcp.advice import setting
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import Deactivated, JsonObject, Page, User
from pingone_mcp.directory.native import ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.provider import DeactivatedQuestion, Include, Reason, UserQuestion
from pingone_mcp.directory.rows import (
    WIDE_ROWS,
    choose_fields,
    compact,
    deactivated_row,
    is_truncated,
    list_row,
    plain,
    user_row,
    user_row_lacks,
    whole_user,
)
from pingone_mcp.errors import NotFound, Refused
from pingone_mcp.server.bodies import TOO_DEEP, bounded
from pingone_mcp.server.edge import AppContext, answer, backend_of, open_object, page_reporter, strict_tool
from pingone_mcp.server.searches import HINT_CHARACTERS, Search
from pingone_mcp.service.answering import asked, collect, envelope, in_time
from pingone_mcp.service.backend import Backend
from pingone_mcp.tasks import in_thread

Limit = Annotated[int, Field(ge=1, le=1000, description="Most rows to return.")]
Cursor = Annotated[str | None, Field(description="`next_cursor` of the answer before; goes on with its question.")]
Environment = Annotated[str | None, Field(max_length=256, description="Only this environment (id or name).")]
Population = Annotated[str | None, Field(max_length=256, description="Only this population (id or name).")]
Fields = Annotated[list[str] | None, Field(description="Exactly these fields per row; * for all.")]
TIMES = "2026-11-20, 2026-11-20T08:00:00Z or 7d"
RemoteData = Annotated[bool | None, Field(description="Add PingOne's own object as `remote_data` (large).")]


Parameter = str | int | bool
Query = Annotated[
    Annotated[Mapping[str, Parameter | list[Parameter]], open_object(limit="integer", filter="string")] | None,
    Field(description="Query parameters."),
]


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
    columns = choose_fields(chosen, several_organizations=backend.directory.several_organizations(), limit=limit)
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
    return answer(envelope(backend, wanted, gathered, lacks=lacks, hint=hint) | narrowed(columns, chosen, limit))


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
    columns = choose_fields(None, several_organizations=backend.directory.several_organizations(), limit=limit)
    directory = await backend.exact_directory(goes_on=cursor is not None)
    source = await directory.source(question, wanted.mark.position)

    async def read(at: str | None) -> Page[Deactivated]:
        return await directory.deactivated(question, at, page_size=limit)

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
    read_to = gathered.next.position if gathered.next else None
    coverage = directory.coverage(question, read_to, gathered.gaps)
    facts = envelope(
        backend, wanted, dataclasses.replace(gathered, gaps=()), lacks=partial(user_row_lacks, fields=columns)
    )  # told in coverage
    told = {"coverage": {reason: plain(how) for reason, how in coverage.items()}, "source": plain(source)}
    return answer(facts | told | narrowed(columns, None, limit))


def narrowed(columns: tuple[str, ...], chosen: list[str] | None, limit: int) -> JsonObject:
    """Say which fields rows carry where there are fewer than by default, so that none is taken for absent."""
    return {"fields": list(columns)} if not chosen and limit > WIDE_ROWS else {}


async def proxy_request(
    ctx: AppContext,
    *,
    path: Annotated[str, Field(min_length=1, description="Path below the API base, e.g. /environments/{id}/users.")],
    method: Literal["GET", "HEAD"] = "GET",
    query: Query = None,
    cursor: Cursor = None,
) -> CallToolResult:
    """Send one read request to the PingOne API as it is, for what the other tools do not cover.

    Answers {status, correlation_id} with result (a collection's native items without _links, and next_cursor for the
    next page) or body (a single resource verbatim). Secrets are blanked. describe_directory, topic api, lists paths.
    """
    backend = await backend_of(ctx)
    wanted = asked(backend, "proxy_request", {"method": method, "path": path, "query": parameters(query)}, cursor)
    question = _PROXY_QUESTION.validate_python(wanted.question)
    room = backend.answer_characters - _AROUND
    answers: list[ProxyAnswer] = []

    repeated: set[str] = set()

    async def read(at: str | None) -> Page[JsonObject]:
        answers.append(await backend.native_api().send(question, at))
        page = answers[-1].page or Page(items=(), at="", next=None, scanned=0)
        found = Counter(str(item.get("id")) for item in page.items)
        repeated.update(identity for identity, times in found.items() if times > 1)
        return page

    def identify(item: JsonObject, place: int) -> str:
        """Tell items apart by id; by their place too where a page repeats an id, or has none."""
        identity = str(item.get("id"))
        return f"{identity}#{place}" if identity in repeated or "id" not in item else identity

    listing = Listing(read=read, row=lambda item: item, identify=identify)
    gathered = await collect(backend, listing, wanted, limit=_MOST_ITEMS, report=page_reporter(ctx, "items"), pages=1)
    listed = envelope(backend, wanted, gathered, lacks=is_truncated)
    return answer(await in_thread(proxied, answers[0], listed, room, pool="answers"))


def proxied(sent: ProxyAnswer, listed: JsonObject, room: int) -> JsonObject:
    """Return the facts of a proxied answer: `listed` where it is a list, its body where it is not, or both."""
    facts: JsonObject = {"status": sent.status, "correlation_id": sent.correlation_id}
    if sent.page is not None and (sent.page.items or sent.body is None):
        facts = listed | facts
        room -= len(compact(listed["result"]))
    elif sent.page is not None:
        facts["next_cursor"] = listed["next_cursor"]
    if sent.content_type is not None and (sent.page is None or sent.body is not None):
        facts["body"], left_out = bounded(sent.body, max(room, _LEAST))
        if left_out is not None:
            facts["truncated"] = left_out
    if sent.cut:
        facts["truncated"] = " ".join(filter(None, (facts.get("truncated"), TOO_DEEP)))
    if isinstance(sent.body, str) and sent.content_type is not None and not sent.content_type.endswith("json"):
        facts["content_type"] = sent.content_type
    return facts


_COVERAGE_CHARACTERS = 1_800
_USER_QUESTION = TypeAdapter(UserQuestion)
_DEACTIVATED_QUESTION = TypeAdapter(DeactivatedQuestion)
_PROXY_QUESTION = TypeAdapter(ProxyQuestion)
_MOST_ITEMS = 5_000
_AROUND = 1_600  # the cursor, the counts, and what is said about a cut
_LEAST = 200


def parameters(query: Mapping[str, Parameter | list[Parameter]] | None) -> dict[str, str | list[str]]:
    """Return query parameters as the texts that are sent: true and false in small letters, a list as several."""
    return {
        name: [_text(item) for item in value] if isinstance(value, list) else _text(value)
        for name, value in (query or {}).items()
    }


def _text(value: Parameter) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def writes_off() -> Refused:
    return Refused(
        "Writes are off, so nothing was sent.",
        f"The person who runs this server can allow them with {setting('allow_writes')}.",
        code="WRITES_OFF",
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


def _write_wanted(arguments: JsonObject) -> str | None:
    """Say of a write why it is none of the methods that are offered."""
    return str(writes_off()) if str(arguments.get("method")).upper() in ("POST", "PUT", "PATCH", "DELETE") else None


def tools() -> list[Tool]:
    """Return the tools of this file in the order in which clients list them."""
    return [
        strict_tool(list_users, title="List and search users", explain=_other_status),
        strict_tool(get_user, title="Get one user"),
        strict_tool(find_deactivated, title="Find deactivated users"),
        strict_tool(proxy_request, title="Read from the PingOne API", explain=_write_wanted),
    ]
