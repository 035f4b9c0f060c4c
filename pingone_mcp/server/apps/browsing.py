"""The tool that opens the directory browser, and the one by which the browser asks for pages and people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from mcp.server.apps import client_supports_apps
from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.gaps import listed_as_json
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import compact, fitted, list_row
from pingone_mcp.server.apps import facts
from pingone_mcp.server.apps.hosts import shown_by
from pingone_mcp.server.apps.view import URI
from pingone_mcp.server.arguments import Cursor
from pingone_mcp.server.edge import AppContext, answer, backend_of, connection_of
from pingone_mcp.server.strict import StrictTool, strict_tool

if TYPE_CHECKING:
    from pingone_mcp.service.browsing.people import ListedPeople

_FIRST = 10  # people whom a model is shown
_PAGE = 15  # people on one page of the view
_ROW_FIELDS = ("id", "username", "name", "email", "department", "status", "status_reasons")
_REMOVED = "removed"
_IN_HOST = (
    "The person sees the directory browser now, and searches and pages in it by themselves: show no list beside it."
)


async def browse_directory(
    ctx: AppContext,
    *,
    query: Annotated[str | None, Field(max_length=200, description="Words of a name, username or email.")] = None,
    view: Annotated[Literal["people", "removed"] | None, Field(description="removed: who is gone.")] = None,
) -> CallToolResult:
    """Show the person a browser of the directory; answers the first matches."""
    from pingone_mcp.service.browsing.people import PeopleQuestion, browse_people  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    backend = await backend_of(ctx)
    found = await browse_people(backend, PeopleQuestion(query=query, removed=view == _REMOVED), limit=_FIRST)
    people = found.found
    counts: JsonObject = {"total": people.total}
    if people.total is None:
        counts["at_least"] = people.at_least
    shown: JsonObject = {
        "result": [list_row(user, _ROW_FIELDS) for user in people.people],
        "result_count": len(people.people),
        **counts,
        "hint": _IN_HOST if client_supports_apps(ctx) else _how_to_go_on(people, gone=view == _REMOVED),
        "replica_age_s": found.copy.age_seconds,
        **listed_as_json(found.copy.gaps),
    }
    return answer(fitted(shown, backend.answer_characters))


def _how_to_go_on(people: ListedPeople, *, gone: bool) -> str:
    """Return where the rest is found, in a client that shows no browser."""
    more = "more than these" if people.total is None or people.total > len(people.people) else "these"
    everybody = 'find_deactivated with reasons ["removed"]' if gone else "list_users"
    return f"There are {more}. {everybody} lists all, page by page; get_user gives one whole."


async def directory_view(
    ctx: AppContext,
    *,
    query: Annotated[str | None, Field(max_length=200, description="Words of a name.")] = None,
    status: Annotated[str | None, Field(max_length=100, description="A status, or removed.")] = None,
    population: Annotated[str | None, Field(max_length=256, description="An id.")] = None,
    group: Annotated[str | None, Field(max_length=256, description="An id.")] = None,
    cursor: Cursor = None,
    with_filters: Annotated[bool | None, Field(description="Add what can be filtered by.")] = None,
    person: Annotated[str | None, Field(max_length=1024, description="An id: this person alone.")] = None,
) -> CallToolResult:
    """Give the directory browser what it shows: a page of people, or one person. For the browser only."""
    from pingone_mcp.service.browsing.people import PeopleQuestion, browse_people, find_person, known_total  # noqa: PLC0415 - start-up, as above

    backend = await backend_of(ctx)
    if person is not None:
        one = await find_person(backend, person)
        about = facts.copy(one.copy)
        room = max(0, backend.answer_characters - _size(about))
        provider = backend.directory.profile.provider
        known = facts.person(one.found, provider, lacks=bool(one.copy.gaps), characters=room)
        return answer({"person": known, "copy": about})
    question = PeopleQuestion(
        query=query,
        status=None if status == _REMOVED else status,
        population=population,
        group=group,
        removed=status == _REMOVED,
    )
    found = await browse_people(backend, question, cursor=cursor, limit=_PAGE)
    people = found.found
    counted = await connection_of(ctx).people_choices.of(connection_of(ctx).id, backend, found.copy)
    shown: JsonObject = {
        "people": [facts.row(user) for user in people.people],
        "total": known_total(people, question, counted),
        "at_least": people.at_least,
        "next_cursor": found.next_cursor,
        "copy": facts.copy(found.copy),
    }
    if with_filters:
        shown["filters"] = facts.choices(counted, backend.answer_characters)
    return answer(shown)


def _size(value: JsonObject) -> int:
    return len(compact(value))


def tools() -> list[StrictTool]:
    """Return the tools of this file."""
    return [
        strict_tool(browse_directory, place=140, title="Browse the directory", meta=shown_by(URI)),
        strict_tool(directory_view, place=150, title="Page of the directory browser", meta=shown_by(URI, "app")),
    ]
