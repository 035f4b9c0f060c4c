"""Users: lists and searches, and one user whole; of one who is not shown any more, what the local copy knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import TypeAdapter

from pingone_mcp.advice import setting
from pingone_mcp.directory.models import User
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import Include, Status, UserQuestion
from pingone_mcp.directory.rows import choose_fields, list_row, user_row, user_row_lacks
from pingone_mcp.errors import NotFound
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, fields_to_name, in_time, listed
from pingone_mcp.service.asking.searches import Search
from pingone_mcp.service.backend import Backend

_USER_QUESTION = TypeAdapter(UserQuestion)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    """One answer of a list of users, with the search behind it."""

    listed: Listed
    search: Search


async def list_users(
    backend: Backend,
    *,
    query: str | None = None,
    filter_: str | None = None,
    status: Status | None = None,
    group: str | None = None,
    population: str | None = None,
    environment: str | None = None,
    fields: list[str] | None = None,
    include: Sequence[Include] = (),
    remote_data: bool = False,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
    beside: int = 0,
) -> UserList:
    """List or search users over everything that is served; beside a `cursor` the other arguments may be left out.

    `fields` may name groups, roles and remote_data, which are then read too. `beside` is what the answer needs besides
    rows and envelope, in characters. Raises Refused for arguments, and Problem where the first page cannot be read.
    """
    wants = set(fields or ()) if cursor is None else set[str]()
    selected = {
        "query": query,
        "filter": filter_,
        "status": status,
        "group": group,
        "population": population,
        "environment": environment,
        "include": sorted({*include, *(wants & {"groups", "roles"})}),
        "remote_data": remote_data or ("remote_data" in wants or None),
    }
    wanted = asked(backend, "list_users", selected, cursor, changeable={"fields": fields})
    question = _USER_QUESTION.validate_python(wanted.question)
    chosen = wanted.question.get("fields")
    columns = user_columns(backend, chosen, limit)
    columns += tuple(name for name in question.include if name not in columns)
    if question.remote_data and "remote_data" not in columns:
        columns += ("remote_data",)
    to_row = user_row if chosen else list_row
    search = Search(backend, question)

    async def read(at: Position | None) -> Page[User]:
        return await search.page(at, page_size=limit)

    listing = Listing(read=read, row=lambda user: to_row(user, columns), identify=lambda user, _: user.id)
    gathered = await collect(backend, listing, wanted, limit=limit, report=report, beside=beside)
    lacks = partial(user_row_lacks, fields=columns)
    named = fields_to_name(columns, chosen, limit)
    return UserList(listed=listed(backend, wanted, gathered, lacks=lacks, fields=named), search=search)


def user_columns(backend: Backend, chosen: list[str] | None, limit: int) -> tuple[str, ...]:
    """Return the fields of rows of users: those that were chosen, or the default ones. Raises Refused."""
    several = backend.directory.profile.scope.has_several_environments
    return choose_fields(chosen, several_organizations=several, limit=limit)


async def find_user(
    backend: Backend, reference: str, *, environment: str | None = None, remote_data: bool = False
) -> User:
    """Return the user whom an id, username, email or external id means, within the time of one answer.

    Raises NotFound, with the code USER_REMOVED or LEFT_SCOPE where the local copy knows what became of the user, and
    Problem where the provider cannot be asked.
    """
    try:
        with in_time(backend):
            return await backend.directory.user(reference, environment=environment, remote_data=remote_data)
    except NotFound as unknown:
        raise await _not_any_more(backend, reference, anywhere=environment is None) or unknown from None


async def _not_any_more(backend: Backend, user: str, *, anywhere: bool) -> NotFound | None:
    """Return the failure for a user whom the local copy knows: removed, moved out of scope, or still there for it."""
    if anywhere and await backend.replica.has(user):
        return NotFound(
            f"{backend.directory.profile.provider} does not show this user now, but the local copy still has them: removed "
            "since, or hidden.",
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
