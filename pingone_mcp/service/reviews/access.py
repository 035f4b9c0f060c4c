"""An access review of the local copy: who has access, by which way, and who deserves a look.

Administrator roles of everybody cost a request for each, so a copy seldom has them. Of the members of a small group
they are read when the group is reviewed; what could not be read in time stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import anyio

from pingone_mcp import __version__
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import RoleAssignment
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import AccessQuestion, Directory, UserQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.replica.asking.accesses import Accesses, Roles
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.state import State
from pingone_mcp.reports.export import Export, Format, Manifest
from pingone_mcp.reports.review import COLUMNS, Row, counts_of
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.jobs import JobProgress

T = TypeVar("T")

SMALL_GROUP = 100
"""Most members of a group whose roles are read for its review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSummary:
    """Counts of the people who have access (None: not known), what is lacking, and those with most flags."""

    counts: Mapping[str, int | None]
    gaps: tuple[Gap, ...]
    people: tuple[Row, ...]


class CopiedReview:
    """One review of a state of the copy: what is counted, and the rows, each person once.

    `roles` were read beside the copy.
    """

    def __init__(
        self, copy: Snapshot, question: AccessQuestion, now: datetime, roles: Roles, progress: JobProgress
    ) -> None:
        self.now = now
        self.copy = copy
        self.data_as_of = copy.since.synced
        self.progress = progress
        self.roles = roles
        self.accesses = Accesses(copy, question, now, roles)
        self._facts = self.accesses.facts()
        self.counts = counts_of(self._facts)
        self._people = self.counts["people"] or 0
        progress.expect(self._people)

    def worst(self, most: int) -> tuple[Row, ...]:
        """Return so many of those with most flags."""
        found = tuple(self.accesses.worst(most, self._facts))
        self.progress.done += self._people
        return found

    def rows(self) -> Iterator[Row]:
        """Give one row for each person."""
        return self.progress.of(self.accesses.rows())

    def gaps(self) -> tuple[Gap, ...]:
        """Return what nobody knows of this question."""
        return self.accesses.gaps(people=self._people, roles_unknown=self.counts["roles_unknown"] or 0)


async def summarize_access(
    backend: Backend, question: AccessQuestion, *, most: int, seconds: float, progress: JobProgress | None = None
) -> tuple[AccessSummary, State]:
    """Return a summary with at most so many people, and the state of the copy.

    For at most so many `seconds` roles are read that the copy does not hold. Raises Refused for names that are not
    there, and NoReplica.
    """

    def summary(review: CopiedReview) -> AccessSummary:
        return AccessSummary(counts=review.counts, gaps=review.gaps(), people=review.worst(most))

    return await reviewed(backend, question, summary, seconds=seconds, progress=progress)


async def export_access(
    backend: Backend,
    question: AccessQuestion,
    format_: Format,
    write: Callable[[Iterable[str]], None],
    *,
    seconds: float,
    progress: JobProgress | None = None,
) -> tuple[Manifest, State]:
    """Write everybody who has access with `write`, which is given the chunks of the file in a worker thread.

    Return the manifest, and the state of the copy. Raises what `summarize_access` raises, and what `write` does.
    """

    def export(review: CopiedReview) -> Manifest:
        file = Export(format_, COLUMNS)
        write(file.chunks(row.values() for row in review.rows()))
        return file.manifest(
            program=f"pingone-mcp {__version__}",
            created_at=review.now,
            source="local copy",
            data_as_of=review.data_as_of,
            filters={"group": question.group, "role": question.role, "population": question.population},
            counts=review.counts,
            gaps=review.gaps(),
        )

    return await reviewed(backend, question, export, seconds=seconds, progress=progress)


async def reviewed(
    backend: Backend,
    question: AccessQuestion,
    make: Callable[[CopiedReview], T],
    *,
    seconds: float,
    progress: JobProgress | None,
    roles: Roles | None = None,
) -> tuple[T, State]:
    """Return what `make` makes of a review, in a worker thread, and the state of the copy.

    With `roles` that another look has read beside the copy none are read again.
    """
    progress = progress or JobProgress()
    if roles is None:
        roles = await _roles_beside(backend, question, seconds, progress)
    now = backend.replica.now()
    return await backend.replica.read(lambda copy: make(CopiedReview(copy, question, now, roles, progress)))


def may_read_roles(question: AccessQuestion) -> bool:
    """Say whether a review reads roles beside the copy, where that has none and few people are asked for."""
    return question.group is not None and question.role is None


async def _roles_beside(backend: Backend, question: AccessQuestion, seconds: float, progress: JobProgress) -> Roles:
    """Return the roles of the members of a small group, as far as they could be read in time."""
    now = backend.replica.now()

    def needed(copy: Snapshot) -> int:
        return 0 if copy.has_roles else Accesses(copy, question, now).count()

    if not may_read_roles(question):
        return {}
    number, _ = await backend.replica.read(needed)
    if not 0 < number <= SMALL_GROUP:
        return {}
    progress.expect(number)
    members = UserQuestion(group=question.group, population=question.population, include=("roles",))
    found: dict[str, tuple[RoleAssignment, ...]] = {}
    with anyio.move_on_after(seconds), suppress(Problem):  # what was not read stays unknown, and is a gap
        await _read_roles(backend.directory, members, found, progress)
    return found


async def _read_roles(
    live: Directory, members: UserQuestion, found: dict[str, tuple[RoleAssignment, ...]], progress: JobProgress
) -> None:
    at: Position | None = None
    while True:
        page = await live.users(members, at)
        for user in progress.of(page.items):
            if user.roles is not None:
                found[user.id] = user.roles
        at = page.next
        if at is None:
            return
