"""People as somebody looks through them: by a few letters, by filters with counts, page after page."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass

import anyio

from pingone_mcp.directory.models import User
from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.browsing.counts import FilterChoice, FilterChoices, choices
from pingone_mcp.replica.browsing.people import PeoplePage, PeopleQuestion, people_page
from pingone_mcp.replica.browsing.person import KnownPerson, known_person
from pingone_mcp.service.answering import asked
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.browsing.copied import CopyAge, FoundInCopy, read_copy

__all__ = ["FilterChoice", "FilterChoices", "KnownPerson", "PeopleQuestion"]
PAGE = 50
_LONGEST_QUERY = 200
_LISTING = "browse_people"
_KEPT = 200  # connections


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPeople:
    """One page of people. `total` is how many there are in all; None where there are more than `at_least`."""

    people: tuple[User, ...]
    total: int | None
    at_least: int


async def browse_people(
    backend: Backend, question: PeopleQuestion, *, cursor: str | None = None, limit: int = PAGE
) -> FoundInCopy[ListedPeople]:
    """Return a page of the people whom a question means, by family name; beside a `cursor` the question stays the same.

    Raises Refused for a question or a cursor that makes no sense, and NoReplica before the first sync.
    """
    if len(question.query or "") > _LONGEST_QUERY:
        raise Refused(f"That is more than {_LONGEST_QUERY} characters.", "Type a few letters of a name.")
    wanted = asked(backend, _LISTING, asdict(question), cursor)

    def read(copy: Snapshot) -> PeoplePage:
        return people_page(copy, question, wanted.mark.position, limit)

    page, age = await read_copy(backend, read)
    following = backend.cursors.seal(_LISTING, wanted.question, Mark(position=page.next)) if page.next else None
    found = ListedPeople(people=page.items, total=page.total, at_least=page.about or 0)
    return FoundInCopy(found=found, copy=age, next_cursor=following)


async def find_person(backend: Backend, identity: str) -> FoundInCopy[KnownPerson]:
    """Return the person of an id with all that the copy knows, gone or not. Raises NotFound, and NoReplica."""
    person, age = await read_copy(backend, lambda copy: known_person(copy, identity))
    return FoundInCopy(found=person, copy=age)


def known_total(people: ListedPeople, question: PeopleQuestion, choices: FilterChoices) -> int | None:
    """Return how many there are in all: of everybody, and where there is one filter, that was counted already."""
    if people.total is not None:
        return people.total
    asked_for = {name: value for name, value in asdict(question).items() if value}
    if not asked_for:
        return choices.people
    if len(asked_for) != 1:
        return None
    [(name, value)] = asked_for.items()
    if name == "removed":
        return choices.removed
    counted: dict[str, tuple[FilterChoice, ...]] = {
        "status": choices.statuses,
        "population": choices.populations,
        "group": choices.groups,
        "department": choices.departments,
    }
    return next((one.count for one in counted.get(name, ()) if one.value == value), None)


class PeopleChoices:
    """What people can be filtered by: counted once for each edition of a copy, and kept while it is the newest."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Backend, FilterChoices]] = OrderedDict()
        self._turns: dict[str, anyio.Lock] = {}

    async def of(self, connection: str, backend: Backend, copy: CopyAge) -> FilterChoices:
        """Return the choices of a connection whose copy stands so. Raises NoReplica, and Problem."""
        async with self._turns.setdefault(connection, anyio.Lock()):
            known = self._known.get(connection)
            # A connection that was opened anew may serve another part of the same copy.
            if known is not None and known[0] is backend and known[1].edition == copy.edition:
                self._known.move_to_end(connection)
                return known[1]
            counted, _ = await backend.replica.read(choices)
            self._known[connection] = backend, counted
            if len(self._known) > _KEPT:
                forgotten, _ = self._known.popitem(last=False)
                self._turns.pop(forgotten, None)
            return counted
