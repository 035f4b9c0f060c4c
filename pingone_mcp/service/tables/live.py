"""Tables read from the provider itself, page by page, in the columns of the local copy.

It is read in the worker thread that writes the file: each page is asked for on the event loop, and waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from anyio import from_thread

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import Group, User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import Directory, GroupQuestion, MemberQuestion, UserQuestion
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.errors import Refused, UnexpectedAnswer
from pingone_mcp.reports.tables import Batch, Column, FlatRow, Subject, Value

T = TypeVar("T")

COPY_ALONE = frozenset({"manager_id"})
"""Columns that are known where everybody is: in the local copy."""


class LiveTable:
    """The rows of a table as the provider shows them now; `gaps` are what could not be read of it so far."""

    def __init__(self, directory: Directory, subject: Subject, columns: Sequence[Column], filter_: str | None) -> None:
        if subject == "changes":
            raise Refused(
                "Changes are what the syncs of the local copy have found: there are none to be read live.",
                "Leave out --live.",
                code="NOT_LIVE",
            )
        self._directory = directory
        self._subject = subject
        self._columns = columns
        self._filter = filter_
        self.gaps: tuple[Gap, ...] = ()
        self.about: int | None = None
        """How many rows there are about in all, where that is known."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows. To be asked in a worker thread of an event loop. Raises Problem."""
        match self._subject:
            case "users":
                yield from self._users()
            case "groups":
                yield from self._groups()
            case _:
                yield from self._memberships()

    def _users(self) -> Iterator[Batch]:
        question, names, seen = UserQuestion(filter=self._filter), _Names(self._directory), set[str]()
        for page in self._pages(lambda at: self._directory.users(question, at)):
            self.about = page.total or page.about
            fresh = [user for user in page.items if user.id not in seen]
            seen.update(user.id for user in fresh)
            yield [self._chosen(names.user(user)) for user in fresh]

    def _groups(self) -> Iterator[Batch]:
        names = _Names(self._directory)
        for page in self._pages(lambda at: self._directory.groups(GroupQuestion(), at)):
            self.about = page.total or page.about
            for group in page.items:  # how many are in it, the list does not say
                place = group.organization.id
                whole = from_thread.run(lambda: self._directory.group(group.id, environment=place))  # noqa: B023 - at once
                yield [self._chosen(names.group(group, whole.total_member_count))]

    def _memberships(self) -> Iterator[Batch]:
        for groups in self._pages(lambda at: self._directory.groups(GroupQuestion(), at)):
            for group in groups.items:
                question = MemberQuestion(group=group.id, environment=group.organization.id)
                for page in self._pages(lambda at: self._directory.members(question, at)):  # noqa: B023 - read at once
                    yield [
                        self._chosen(
                            {
                                "user_id": member.user.id,
                                "username": member.user.username,
                                "group_id": group.id,
                                "group_name": group.name,
                                "type": member.type,
                            }
                        )
                        for member in page.items
                    ]

    def _chosen(self, values: dict[str, Value]) -> FlatRow:
        return [values.get(column.name) for column in self._columns]

    def _pages(self, read: Callable[[Position | None], Coroutine[Any, Any, Page[T]]]) -> Iterator[Page[T]]:
        """Yield the pages of a listing to its end, and keep their gaps. Raises UnexpectedAnswer for a circle."""
        at: Position | None = None
        visited = set[str]()
        gaps: tuple[Gap, ...] = ()
        while True:
            page = from_thread.run(read, at)
            gaps = page.gaps
            yield page
            at = page.next
            if at is None:
                break
            if at.place in visited:
                raise UnexpectedAnswer(
                    f"{self._directory.profile.provider}'s pages run in a circle, so the rest cannot be read.",
                    "Try again later, or read the local copy.",
                    code="REPEATED_LINK",
                )
            visited.add(at.place)
        self.gaps = tuple(dict.fromkeys((*self.gaps, *gaps)))


class _Names:
    """The names of environments and populations, which users and groups of a list carry only in part."""

    def __init__(self, directory: Directory) -> None:
        places = from_thread.run(directory.environments)
        self._environments = {place.id: place.name for place in places}
        self._populations = {
            population.id: population.name
            for place in places
            for population in from_thread.run(directory.populations, place.id)
        }

    def user(self, user: User) -> dict[str, Value]:
        """Return the values of a user by column."""
        row = row_of(user, user.organizations[0].id)
        return {
            **row._asdict(),
            "population": self._populations.get(row.population_id or ""),
            "environment": self._environments.get(row.environment_id),
        }

    def group(self, group: Group, members: int | None) -> dict[str, Value]:
        """Return the values of a group by column."""
        population = group.workspace.id if group.workspace is not None else None
        return {
            "id": group.id,
            "name": group.name,
            "description": group.description,
            "group_type": group.group_type,
            "user_filter": group.user_filter,
            "member_count": members,
            "population_id": population,
            "population": self._populations.get(population or ""),
            "environment_id": group.organization.id,
            "environment": self._environments.get(group.organization.id),
            "created_at": timestamp(group.created_at) if group.created_at is not None else None,
            "updated_at": timestamp(group.updated_at) if group.updated_at is not None else None,
            "external_id": group.external_id,
        }
