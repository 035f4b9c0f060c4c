"""An access review of the local copy: once, for the tool and the command.

Administrator roles of everybody cost a request for each, so a copy seldom has them. Of the members of a small group
they are read when the group is reviewed; what could not be read in time stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import anyio

from pingone_mcp import __version__
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import RoleAssignment
from pingone_mcp.directory.provider import Directory, UserQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.replica.asking.accesses import Accesses, AccessQuestion, Roles
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.state import State
from pingone_mcp.replica.tally import Tally
from pingone_mcp.reports.export import Export, Format, Manifest
from pingone_mcp.reports.review import COLUMNS, Reviewing, Row

T = TypeVar("T")

SMALL_GROUP = 100
"""Most members of a group whose roles are read for its review."""


class AccessReview:
    """The rows of one review, each person once, and what is known when they have passed by."""

    def __init__(self, copy: Snapshot, question: AccessQuestion, now: datetime, roles: Roles, tally: Tally) -> None:
        self.question = question
        self.now = now
        self.data_as_of = copy.since.synced
        self._accesses = Accesses(copy, question, roles)
        self._reviewing = Reviewing(now)
        self._tally = tally
        tally.expect(self._accesses.count())

    def rows(self) -> Iterator[Row]:
        """Give one row for each person."""
        return map(self._reviewing.row, self._tally.of(self._accesses.people()))

    def counts(self) -> dict[str, int | None]:
        """Return the counts of the rows given so far."""
        return self._reviewing.counts()

    def gaps(self) -> tuple[Gap, ...]:
        """Return what nobody knows of this question, when all rows have been given."""
        counts = self.counts()
        return self._accesses.gaps(people=counts["people"] or 0, roles_unknown=counts["roles_unknown"] or 0)


async def review_access(
    replica: Replica,
    live: Directory,
    question: AccessQuestion,
    make: Callable[[AccessReview], T],
    *,
    seconds: float,
    tally: Tally | None = None,
) -> tuple[T, State]:
    """Return what `make` makes of a review, in a worker thread, and how the copy stood.

    For at most so many `seconds` roles are read that the copy does not hold. Raises Refused for names that are not
    there, NoReplica, and what `make` raises.
    """
    tally = tally or Tally()
    roles = await _roles_beside(replica, live, question, seconds, tally)
    now = replica.now()
    return await replica.reading(lambda copy: make(AccessReview(copy, question, now, roles, tally)))


def export_review(review: AccessReview, format_: Format, write: Callable[[Iterable[str]], None]) -> Manifest:
    """Write a review with `write`, which is given the chunks of the file; return its manifest."""
    export = Export(format_, COLUMNS)
    write(export.chunks(row.values() for row in review.rows()))
    question = review.question
    return export.manifest(
        program=f"pingone-mcp {__version__}",
        created_at=review.now,
        source="local copy",
        data_as_of=review.data_as_of,
        filters={"group": question.group, "role": question.role, "population": question.population},
        counts=review.counts(),
        gaps=review.gaps(),
    )


async def _roles_beside(
    replica: Replica, live: Directory, question: AccessQuestion, seconds: float, tally: Tally
) -> Roles:
    """Return the roles of the members of a small group, as far as PingOne told them in time."""

    def needed(copy: Snapshot) -> int:
        return 0 if copy.has_roles else Accesses(copy, question).count()

    if question.group is None or question.role is not None:
        return {}
    number, _ = await replica.reading(needed)
    if not 0 < number <= SMALL_GROUP:
        return {}
    tally.expect(number)
    members = UserQuestion(group=question.group, population=question.population, include=("roles",))
    found: dict[str, tuple[RoleAssignment, ...]] = {}
    with anyio.move_on_after(seconds), suppress(Problem):  # what was not read stays unknown, and is told
        await _read_roles(live, members, found, tally)
    return found


async def _read_roles(
    live: Directory, members: UserQuestion, found: dict[str, tuple[RoleAssignment, ...]], tally: Tally
) -> None:
    at: str | None = None
    while True:
        page = await live.users(members, at)
        for user in tally.of(page.items):
            if user.roles is not None:
                found[user.id] = user.roles
        at = page.next
        if at is None:
            return
