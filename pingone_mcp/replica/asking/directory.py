"""The local copy as a `Directory`: the same questions, answers and refusals as live, read in worker threads.

What the copy does not hold is passed on to the live directory: the provider's own objects, attributes that the unified
user does not carry, environments that no sync has read, the audit, the list of roles. A listing goes on where it began:
a position that was made live is read live.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from pingone_mcp.directory.coverage import DeactivatedPage, refuse_future
from pingone_mcp.directory.matching.filterable import Filterable
from pingone_mcp.directory.matching.references import Home
from pingone_mcp.directory.models import (
    AuditEntry,
    Description,
    Group,
    Member,
    Organization,
    OrganizationSummary,
    Role,
    User,
    Workspace,
)
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import (
    AuditQuestion,
    DeactivatedQuestion,
    Directory,
    GroupQuestion,
    MemberQuestion,
    Profile,
    Provenance,
    Question,
    UserQuestion,
)
from pingone_mcp.errors import NoReplica
from pingone_mcp.replica.asking.conditions import NotHeld
from pingone_mcp.replica.asking.deactivated import deactivated_page, deactivated_parts
from pingone_mcp.replica.asking.groups import group_parts, groups_page, member_parts, members_page, one_group
from pingone_mcp.replica.asking.one_user import one_user
from pingone_mcp.replica.asking.pages import TablePart
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import user_parts, users_page
from pingone_mcp.replica.state import age_of
from pingone_mcp.replica.store.store import Store

T = TypeVar("T")


class ReplicaDirectory:
    """Answer directory questions from the local copy; each method is described in `Directory`.

    Raises NoReplica until a first sync has been taken over. How old a copy may be is for the caller to say: `fresh`.
    """

    def __init__(self, store: Store, live: Directory, profile: Profile, now: Callable[[], datetime]) -> None:
        self._store = store
        self._live = live
        self.profile = profile
        self._now = now

    async def fresh(self, seconds: float) -> bool:
        """Say whether there is a copy that is at most so old; one from the future, by a wrong clock, is not."""
        try:
            return 0 <= (await self.provenance()).age_seconds <= seconds
        except NoReplica:
            return False

    async def provenance(self, question: Question | None = None, at: Position | None = None) -> Provenance:
        """Say where the answer to a question comes from, and how old it is; raises what the answer would raise."""
        now = self._now()

        def read(copy: Snapshot) -> Provenance:
            if question is not None:
                _parts(copy, self.profile.filterable, question)
            then = copy.since.synced if question is None else copy.read_before(question.environment)
            return Provenance(kind="replica", age_seconds=age_of(then, now))

        return await self._here_or_live(at, read, lambda: self._live.provenance(question, at))

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        return await self._here_or_live(
            at,
            lambda copy: users_page(copy, self.profile.filterable, question, at, page_size),
            lambda: self._live.users(question, at, page_size=page_size),
        )

    async def otherwise_spelt(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        """Return a page of the users whom a `query` finds only if accents make no difference.

        The provider may tell accents apart, so these come beside its own answer: nobody is in both. Nobody comes where
        the copy cannot say.
        """

        async def nobody() -> Page[User]:
            return Page(items=(), at=Position(), next=None, scanned=0, total=0)

        return await self._here_or_live(
            at,
            lambda copy: users_page(copy, self.profile.filterable, question, at, page_size, otherwise_spelt=True),
            nobody,
        )

    async def user(self, reference: str, *, environment: str | None = None, remote_data: bool = False) -> User:
        return await self._here_or_live(
            None,
            lambda copy: one_user(copy, reference, environment, remote_data=remote_data),
            lambda: self._live.user(reference, environment=environment, remote_data=remote_data),
        )

    async def deactivated(
        self, question: DeactivatedQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> DeactivatedPage:
        now = self._now()
        refuse_future(question.since, now)
        return await self._here_or_live(
            at,
            lambda copy: deactivated_page(copy, question, at, page_size, now),
            lambda: self._live.deactivated(question, at, page_size=page_size),
        )

    async def groups(
        self, question: GroupQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Group]:
        return await self._here_or_live(
            at,
            lambda copy: groups_page(copy, question, at, page_size),
            lambda: self._live.groups(question, at, page_size=page_size),
        )

    async def group(self, reference: str, *, environment: str | None = None) -> Group:
        return await self._here_or_live(
            None,
            lambda copy: one_group(copy, reference, environment),
            lambda: self._live.group(reference, environment=environment),
        )

    async def members(
        self, question: MemberQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Member]:
        return await self._here_or_live(
            at,
            lambda copy: members_page(copy, question, at, page_size),
            lambda: self._live.members(question, at, page_size=page_size),
        )

    async def audit(
        self, question: AuditQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[AuditEntry]:
        return await self._live.audit(question, at, page_size=page_size)

    async def roles(self) -> tuple[Role, ...]:
        return await self._live.roles()

    async def describe(self) -> Description:
        """Describe what is in the copy. What the credentials may read now it cannot know, so that is left out."""
        return await self._here_or_live(None, lambda copy: _description(copy, self.profile), self._live.describe)

    async def environments(self) -> tuple[Organization, ...]:
        return await self._here_or_live(None, _environments, self._live.environments)

    async def populations(self, environment: str | None = None) -> tuple[Workspace, ...]:
        return await self._here_or_live(
            None, lambda copy: _populations(copy, environment), lambda: self._live.populations(environment)
        )

    # Reading

    async def _here_or_live(
        self, at: Position | None, here: Callable[[Snapshot], T], live: Callable[[], Awaitable[T]]
    ) -> T:
        """Return what the copy answers, or the live directory where the copy does not hold it, or did not begin."""
        if at is not None and at.source != "replica":
            return await live()
        try:
            return await self._read(here)
        except NotHeld:
            return await live()

    async def _read(self, work: Callable[[Snapshot], T]) -> T:
        """Return what `work` makes of one state of the copy, in a worker thread and one short transaction."""

        def read(database: sqlite3.Connection) -> T:
            database.execute("BEGIN")
            try:
                return work(Snapshot(database, self.profile.scope, self._now()))
            finally:
                database.execute("COMMIT")

        return await self._store.read(read)


def _parts(copy: Snapshot, filterable: Filterable, question: Question) -> list[TablePart]:
    match question:
        case UserQuestion():
            return user_parts(copy, filterable, question)
        case DeactivatedQuestion():
            return deactivated_parts(copy, question)
        case GroupQuestion():
            return group_parts(copy, question)
        case MemberQuestion():
            return member_parts(copy, question)


def _description(copy: Snapshot, profile: Profile) -> Description:
    return Description(
        provider=profile.provider,
        region=profile.region,
        organizations=tuple(_summary(copy, environment) for environment in copy.places.environments(None)),
        limited_to_workspaces=profile.scope.populations,
    )


def _summary(copy: Snapshot, environment: str) -> OrganizationSummary:
    inside = copy.places.inside(Home(environment, None))
    # The plus keeps SQLite from reading the whole rows in the order of the populations.
    by_population: dict[str | None, tuple[int, int]] = {
        population: (users, disabled)
        for population, users, disabled in copy.database.execute(
            "SELECT u.population_id, count(*), count(CASE WHEN u.enabled = 0 THEN 1 END) FROM users_ u "  # noqa: S608 - our own text
            f"WHERE {inside.sql} AND u.removed_at IS NULL GROUP BY +u.population_id",
            inside.values,
        )
    }
    (groups,) = copy.database.execute(
        "SELECT count(*) FROM groups_ WHERE environment_id = ?", (environment,)
    ).fetchone()
    return OrganizationSummary(
        organization=copy.places.organizations[environment],
        user_count=sum(users for users, _ in by_population.values()),
        disabled_count=sum(disabled for _, disabled in by_population.values()),
        group_count=None if copy.places.scope.populations or not copy.has_memberships else groups,
        workspaces=tuple(
            Workspace(
                id=place.id,
                name=place.name,
                user_count=by_population.get(place.id, (0, 0))[0],
                is_default=place.is_default,
            )
            for place in copy.places.populations(environment)
        ),
    )


def _environments(copy: Snapshot) -> tuple[Organization, ...]:
    return tuple(copy.places.organizations[place] for place in copy.places.environments(None))


def _populations(copy: Snapshot, environment: str | None) -> tuple[Workspace, ...]:
    first, *_ = copy.places.environments(environment)
    return tuple(
        Workspace(id=place.id, name=place.name, is_default=place.is_default) for place in copy.places.populations(first)
    )
