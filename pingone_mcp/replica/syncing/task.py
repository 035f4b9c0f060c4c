"""What the reading of every environment of one sync has in common, and what is known of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from pingone_mcp.directory.rights import Right
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Problem, RequestRefused, UnexpectedAnswer
from pingone_mcp.replica.evidence import HELD_SHARE, KnownShortfall, Shortfall, Vanished, examples, masses
from pingone_mcp.replica.findings import Findings
from pingone_mcp.replica.source import EnvironmentSource, Source
from pingone_mcp.replica.store.noted import EnvironmentCoverage, Memory
from pingone_mcp.replica.store.rereads import forget_rereads
from pingone_mcp.replica.store.staging import Staging
from pingone_mcp.replica.store.store import Store
from pingone_mcp.replica.watermark import Watermark
from pingone_mcp.tasks import in_thread

T = TypeVar("T")
P = ParamSpec("P")

Report = Callable[[str, int, int | None], None]
"""Called with progress: the stage, how much of it is done, and how much it is about in all, where that is known."""
Look = Callable[Concatenate[sqlite3.Connection, P], T]

ONE_FAILS = (NotPermitted, NotFound, FilterRefused, RequestRefused, UnexpectedAnswer)
"""What one thing that is broken for good answers with: the others are read all the same."""


# Who was created so long before the last look and is new in the copy was hidden from it; else it was shown late.
_LATE = timedelta(minutes=10)
AT_ONCE = 16
"""So many things are asked for side by side; how many requests are under way is the provider's pace."""


class Incomplete(Problem):
    """A walk did not find everybody for certain, so that nothing was taken over."""


def why_unread(problem: Problem, right: Right) -> str:
    """Say that something may not be read, and what role lets it be read, or that it could not be."""
    if isinstance(problem, NotPermitted):
        return f"may not be read (403; {right.taken_by})"
    return f"could not be read ({problem.code})"


def longest_gap(source: Source) -> timedelta:
    """Return how long ago the last sync may be: not all the time for which events are kept, to be sure."""
    return source.keeps_events - timedelta(days=1)


def sound_mark(memory: Memory, environment: str, source: Source) -> Watermark | None:
    """Return up to where an environment was read; one that a wrong clock has noted is replaced."""
    mark, now = memory.watermarks.get(environment), source.now()
    if mark is None or mark.is_sound(now, source.ahead()):
        return mark
    return mark.as_far_back(now, longest_gap(source))


def seen_before(mark: Watermark) -> str:
    """Return up to when everybody had been read who could be seen then."""
    return timestamp(datetime.fromisoformat(mark.updated) - _LATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a person has chosen about syncs.

    `roles` reads the role assignments of every user, one request each, with each full sync; otherwise those of the
    users that events name. `remote_data` keeps the provider's own objects too. A full sync is due `full_after` the last
    one. When more than `held_share` (0..1) of an environment or a population would be gone without an event, the sync
    is held. `by_counts` holds the copy against the provider's own count of users in each population.
    """

    roles: bool = False
    remote_data: bool = False
    full_after: timedelta = timedelta(hours=24)
    held_share: float = HELD_SHARE
    by_counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One sync as the reading of each environment sees it.

    `accepted` are users and groups that a person has said to be gone.
    """

    source: Source
    store: Store
    staging: Staging
    report: Report
    options: SyncOptions
    accepted: frozenset[str] = frozenset()

    def now(self) -> datetime:
        return self.source.now()

    async def begin_anew(self, environment: str) -> None:
        """Forget what was read again of an environment: all of it will be read after that.

        What is read again from now on will be left alone.
        """
        await self.store.write(lambda connection: forget_rereads(connection, environment))

    async def look(self, work: Look[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Return what `work` makes of the local copy, with what is staged attached as `staged`."""

        def looked() -> T:
            with self.store.writer() as connection:
                connection.execute("ATTACH DATABASE ? AS staged", (str(self.staging.path),))
                return work(connection, *arguments, **named)

        await self.staging.keep()
        return await in_thread(looked, pool="copy")


@dataclass(slots=True, kw_only=True)
class EnvironmentSync:
    """One environment that is being synced: where it is read, what was known of it, and what has been found out.

    `known` is what the last sync noted, `coverage` what this one will; `vanished` are those who are too many to be
    called gone without a person, with their ids in `held`. `listed` are the groups that could be listed, and
    `short_before` those whose members were not all in the copy, each with how many direct ones are. While `walking`
    over everybody, what is read beside that is not shown as progress.
    """

    task: Task
    source: EnvironmentSource
    found: Findings
    known: EnvironmentCoverage
    coverage: EnvironmentCoverage
    notes: list[str] = field(default_factory=list[str])
    vanished: list[Vanished] = field(default_factory=list[Vanished])
    held: set[str] = field(default_factory=set[str])
    listed: set[str] = field(default_factory=set[str])
    short_before: Mapping[str, KnownShortfall] = field(default_factory=dict[str, KnownShortfall])
    walking: bool = False

    @property
    def id(self) -> str:
        return self.found.id

    def remember(self, short: Mapping[str, KnownShortfall]) -> None:
        """Take note of the groups whose members were not all in the copy."""
        self.short_before = short
        self.found.short_before = {group for group, known in short.items() if known.shortfall.of_members}

    @property
    def ledger(self) -> Path:
        """The notes of the walk over this environment, which a sync that is killed leaves to the next one."""
        return self.task.store.path.with_suffix(f".{self.id}.ledger")

    @property
    def is_narrowed(self) -> bool:
        """Say whether only some populations are served, while the provider counts the members of all of them."""
        return bool(self.task.source.scope.populations)

    def report(self, stage: str, done: int, about: int | None) -> None:
        """Show progress, of one stage at a time."""
        if not self.walking or stage == "users":
            self.task.report(stage, done, about)

    def serves(self, user: UserRow) -> bool:
        """Say whether a user is in a population that is served."""
        return self.task.source.scope.has_population(user.population_id)

    def counts_vanished(self, what: str, ids: Collection[str], known: int, population: str | None = None) -> Vanished:
        """Say how many of how many could not be found: of a population, or of the environment."""
        return Vanished(
            what=what,
            environment=self.id,
            population=population,
            missing=len(ids),
            known=known,
            examples=examples(ids),
        )

    def hold(self, vanished: Sequence[Vanished], ids: Collection[str]) -> None:
        """Leave it to a person where too many could not be found at once."""
        if found := masses(vanished, self.task.options.held_share):
            self.vanished += found
            self.held.update(ids)

    def fall_short(
        self,
        group: str,
        *,
        counted: int | None = None,
        found: int | None = None,
        total: int | None = None,
        why: str | None = None,
    ) -> None:
        """Note that not all members of a group were read, and in how many syncs that was so."""
        before = self.short_before.get(group)
        tries = before.shortfall.tries + 1 if before is not None else 1
        self.found.short[group] = Shortfall(counted=counted, found=found, total=total, why=why, tries=tries)
