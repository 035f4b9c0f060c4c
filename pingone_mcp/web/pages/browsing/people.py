"""The pages of people: a list that is searched while somebody types, and one person with all that is known."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from pingone_mcp.errors import Refused
from pingone_mcp.service.browsing import words
from pingone_mcp.service.browsing.people import (
    PeopleChoices,
    PeopleQuestion,
    browse_people,
    find_person,
    known_total,
)
from pingone_mcp.web.pages.browsing.copied import given, of_copy, part_of, query_of
from pingone_mcp.web.pages.page import PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pingone_mcp.web.pages.frame import Frame
    from pingone_mcp.web.pages.page import Visit

_PARTS = frozenset({"results", "rows", "copy"})
_REMOVED = "removed"
_LONGEST = 400  # characters of what is asked by one filter


class PeoplePages:
    """Shows people of the local copy."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._choices = PeopleChoices()

    def pages(self) -> list[SitePage]:
        """Return the pages; a connection's own path leads to its people."""
        return [
            *(
                SitePage(path=path, show=self._lead, shows_directory=False)
                for path in ("/c/{connection}", "/c/{connection}/")
            ),
            SitePage(path="/c/{connection}/people", show=of_copy(self._show)),
            SitePage(path="/c/{connection}/people/{person}", show=of_copy(self._person)),
        ]

    async def _lead(self, visit: Visit) -> Response:
        there = self._frame.to(path_in(visit.connection.id, "people"))
        return RedirectResponse(there, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    async def _show(self, visit: Visit) -> PageView:
        part = part_of(visit)
        if part is not None and part not in _PARTS:
            raise _no_part()
        filters = _filters(visit)
        backend = await visit.backend()
        question = _question(filters)
        found = await browse_people(backend, question, cursor=given(visit, "after"))
        choices = None
        if part in (None, "results"):
            assert visit.served is not None, "a page that shows the directory"
            choices = await self._choices.of(visit.served.id, backend, found.copy)
        people = found.found
        here = path_in(visit.connection.id, "people")
        values: dict[str, object] = {
            "here": here,
            "live": path_in(visit.connection.id, "live"),
            "filters": filters,
            "is_filtered": any(filters.values()),
            "people": people.people,
            "total": people.total if choices is None else known_total(people, question, choices),
            "at_least": people.at_least,
            "choices": choices,
            "copy": words.copy_note(found.copy),
            "is_further": given(visit, "after") is not None,
            "query": query_of(filters),
            "more": None if found.next_cursor is None else query_of(filters, after=found.next_cursor),
            "words": words,
        }
        return PageView(template="browsing/people.html", values=values, part=part)

    async def _person(self, visit: Visit) -> PageView:
        backend = await visit.backend()
        found = await find_person(backend, visit.path["person"])
        values: dict[str, object] = {
            "here": path_in(visit.connection.id),
            "live": path_in(visit.connection.id, "live"),
            "known": found.found,
            "user": found.found.user,
            "provider": backend.directory.profile.provider,
            "copy": words.copy_note(found.copy),
            "words": words,
        }
        return PageView(template="browsing/person.html", values=values)


def _filters(visit: Visit) -> dict[str, str | None]:
    """Return what the address of a page asks for. Raises Refused for what is too long to be meant."""
    filters = {name: given(visit, name) for name in ("q", "status", "population", "group", "department")}
    if any(len(value or "") > _LONGEST for value in filters.values()):
        raise Refused("A filter is longer than anything that it could find.", "Choose one of the list.", code="FILTER")
    return filters


def _question(filters: Mapping[str, str | None]) -> PeopleQuestion:
    removed = filters["status"] == _REMOVED
    return PeopleQuestion(
        query=filters["q"],
        status=None if removed else filters["status"],
        population=filters["population"],
        group=filters["group"],
        department=filters["department"],
        removed=removed,
    )


def _no_part() -> Refused:
    return Refused("A page has no such part.", "Load the page whole.", code="NO_SUCH_PART")
