"""The local copy of a connection as everybody above uses it: questions in worker threads, and the sync behind it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

from pingone_mcp.directory.changes import ChangePage, ChangeQuestion
from pingone_mcp.directory.gaps import EarlierChanges
from pingone_mcp.directory.matching.unified import UserSelection
from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import Directory
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.replica.asking.changes import changes_page, newest_changes
from pingone_mcp.replica.asking.conditions import NotHeld
from pingone_mcp.replica.asking.directory import ReplicaDirectory
from pingone_mcp.replica.asking.one_user import Gone, gone_user, has_user
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.findings import Mode
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.replica.queries.query import Answer
from pingone_mcp.replica.selecting.page import selected_page
from pingone_mcp.replica.source import Source
from pingone_mcp.replica.state import State, age_of, state_of
from pingone_mcp.replica.store.edition import edition_of
from pingone_mcp.replica.store.store import Damaged, Store, no_replica
from pingone_mcp.replica.syncing.task import Report, SyncOptions

if TYPE_CHECKING:
    from pingone_mcp.replica.exporting.feed import FeedPage, FeedPlace
    from pingone_mcp.replica.syncing.reread import RereadReport
    from pingone_mcp.replica.syncing.run import SyncReport

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One local copy, filled from its `source`. Every question raises NoReplica until a first sync was taken over.

    `max_age` says how long the copy may answer in the place of the provider. A caller who lets it be queried closes
    `queries`.
    """

    store: Store
    source: Source
    queries: Queries = field(default_factory=Queries)
    options: SyncOptions = field(default_factory=SyncOptions)
    max_age: timedelta = timedelta(hours=1)

    async def sync(
        self,
        mode: Literal["auto"] | Mode,
        *,
        report: Report,
        accept_removals: bool = False,
        as_shown: str | None = None,
    ) -> SyncReport:
        """Bring the copy up to date; see `Sync.run`."""
        from pingone_mcp.replica.sync import Sync  # noqa: PLC0415 - start-up: most who ask the copy do not sync

        sync = Sync(self.source, self.store, self.options, report=report)
        return await sync.run(mode, accept_removals=accept_removals, as_shown=as_shown)

    async def reread(self, events: Iterable[JsonObject]) -> RereadReport:
        """Read again what events that the provider has sent name; see `Sync.reread`."""
        from pingone_mcp.replica.sync import Sync  # noqa: PLC0415 - as above

        return await Sync(self.source, self.store, self.options).reread(events)

    def now(self) -> datetime:
        """Return the provider's time, by which the copy is dated, as well as it is known."""
        return self.source.now()

    def age_of(self, synced_at: datetime) -> int:
        """Return how many seconds old by now a copy is whose last sync began then."""
        return age_of(synced_at, self.now())

    async def state(self) -> State | None:
        """Return how the copy stands; None when there is none yet."""
        now = self.now()
        try:
            return await self.store.read(lambda connection: state_of(connection, now))
        except NoReplica:
            return None

    async def sound_state(self) -> State | None:
        """Return how the copy stands; None when there is none yet, or one so damaged that a sync will make it anew."""
        try:
            return await self.state()
        except Damaged:
            return None

    def directory(self, live: Directory) -> ReplicaDirectory:
        """Return the copy as a directory; what it does not hold is asked of the live one."""
        return ReplicaDirectory(self.store, live, live.profile, self.now)

    async def read(self, work: Callable[[Snapshot], T]) -> tuple[T, State]:
        """Return what `work` makes of one state of the copy, and how the copy stood.

        Raises NoReplica before the first sync and for what no sync could read, and ReplicaProblem where the file cannot
        be read.
        """
        now = self.now()

        def ask(connection: sqlite3.Connection) -> tuple[T, State]:
            connection.execute("BEGIN")
            try:
                state = state_of(connection, now)
                if state is None:
                    raise no_replica()
                return work(Snapshot(connection, self.source.scope, now)), state
            finally:
                connection.execute("COMMIT")

        try:
            return await self.store.read(ask)
        except NotHeld:
            raise NoReplica(
                "The local copy does not hold what this needs: PingOne did not let a sync read it.",
                "`pingone-mcp check` says which role the worker application lacks.",
                code="NOT_IN_REPLICA",
            ) from None

    async def changes(
        self, question: ChangeQuestion, at: Position | None, *, page_size: int | None = None
    ) -> ChangePage:
        """Return a page of changes, oldest first. Raises Refused for a position behind which some are forgotten."""

        def read(copy: Snapshot) -> ChangePage:
            return _with_gaps(changes_page(copy.database, question, at, page_size), copy, question)

        page, _ = await self.read(read)
        return page

    async def newest_changes(self, question: ChangeQuestion, limit: int) -> ChangePage:
        """Return so many of the newest changes, newest first."""

        def read(copy: Snapshot) -> ChangePage:
            return _with_gaps(newest_changes(copy.database, question, limit), copy, question)

        page, _ = await self.read(read)
        return page

    async def feed(self, after: FeedPlace | None, *, skip: bool = False) -> FeedPage | None:
        """Return the changes behind a place of the feed, for whoever passes them on (`exporting.feed.feed_page`)."""
        from pingone_mcp.replica.exporting.feed import feed_page  # noqa: PLC0415 - start-up: most pass nothing on

        page, _ = await self.read(lambda copy: feed_page(copy, after, skip=skip))
        return page

    async def selected(
        self, selection: UserSelection, at: Position | None, *, page_size: int | None = None
    ) -> tuple[Page[User], State]:
        """Return a page of the users whom a selection chooses, with groups and roles as far as these are held.

        Beside it stands how the copy stood then.
        """
        return await self.read(lambda copy: selected_page(copy, selection, at, page_size))

    async def gone(self, reference: str) -> Gone | None:
        """Return what the copy knows of a user who is not in it any more; None where it knows nothing."""
        try:
            found, _ = await self.read(lambda copy: gone_user(copy, reference))
        except Problem:  # there is no copy, or none that can be read
            return None
        return found

    async def has(self, reference: str) -> bool:
        """Say whether the copy has a user; not where there is no copy."""
        try:
            found, _ = await self.read(lambda copy: has_user(copy, reference))
        except Problem:
            return False
        return found

    async def query(
        self, sql: str, *, limit: int, characters: int, seconds: float, beside: Callable[[Snapshot], T]
    ) -> tuple[Answer, T, State]:
        """Answer one SELECT over the views, and say what `beside` makes of the copy, and how that stood: of one state.

        For the bounds and what is raised see `Queries.answer`. A caller who is cancelled ends the query.
        """
        while True:
            (edition, made), state = await self.read(lambda copy: (edition_of(copy.database), beside(copy)))
            answer, answered = await self.queries.answer(
                self.store.path, sql, limit=limit, characters=characters, seconds=seconds
            )
            if answered == edition:  # else a sync has ended between the two
                return answer, made, state


def _with_gaps(page: ChangePage, copy: Snapshot, question: ChangeQuestion) -> ChangePage:
    """Say since when changes are known, where the question reaches further back, and what the copy lacks."""
    known, gaps = copy.since.watched, copy.gaps(None)
    if question.since is not None and question.since < known:
        gaps += (EarlierChanges(known_since=timestamp(known), audited_since=timestamp(copy.since.audited_since)),)
    return replace(page, known_since=known, gaps=gaps)
