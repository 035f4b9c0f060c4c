"""What a sync asks of a provider: everybody, what has changed since, one thing at a time, and what its audit says.

A provider implements `Source`, and `EnvironmentSource` for each environment (a directory without any such parts is one
environment). Everything is in terms of the unified directory, users as rows; ids are texts that name one thing for
good. Whatever cannot be read is raised as an UpstreamProblem: NotPermitted, NotFound, FilterRefused, RequestRefused and
UnexpectedAnswer are about the thing asked for, and the sync goes on without it; any other one ends the sync.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar, get_args

from pingone_mcp.clock import Clock
from pingone_mcp.directory.changes import ChangeKind
from pingone_mcp.directory.models import (
    Group,
    GroupMembership,
    JsonObject,
    MembershipType,
    Organization,
    RoleAssignment,
    Workspace,
)
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import Problem, UnexpectedAnswer

T = TypeVar("T")

KINDS: tuple[MembershipType, ...] = get_args(MembershipType)


class Pair(NamedTuple):
    """A user and a group, by id."""

    user: str
    group: str


# What the audit says


@dataclass(frozen=True, slots=True)
class Trace:
    """When something was done (RFC 3339 in UTC with milliseconds and Z) and by whom, as an event says."""

    at: str
    actor: str | None


@dataclass(slots=True, kw_only=True)
class Wanted:
    """What some events ask for; events carry no values, so that what they name is read again.

    `users` are to be read again, `removed` are known to be gone, of `memberships` it is to be verified whether they
    hold, `groups` were made or changed, `removed_groups` deleted, and the role assignments of `roles` are to be read.
    """

    users: set[str] = field(default_factory=set[str])
    removed: dict[str, Trace] = field(default_factory=dict[str, Trace])
    memberships: set[Pair] = field(default_factory=set[Pair])
    groups: set[str] = field(default_factory=set[str])
    removed_groups: set[str] = field(default_factory=set[str])
    roles: set[str] = field(default_factory=set[str])
    homes: dict[str, str] = field(default_factory=dict[str, str])
    """By user: the population that the latest event names."""
    traces: dict[tuple[str, str, ChangeKind], Trace] = field(default_factory=dict[tuple[str, str, ChangeKind], Trace])
    """The latest by user, group ('' for a change of the user) and kind of change."""
    seen: dict[str, str] = field(default_factory=dict[str, str])
    """When each event was, by its id."""

    def trace(self, kind: ChangeKind, user: str, group: str = "") -> Trace | None:
        """Return when and by whom a change was made, where an event says so."""
        return self.traces.get((user, group, kind))

    def left_group(self, user: str, group: str) -> bool:
        """Say whether the last that events say of a user and a group is that the membership ended."""
        left, joined = self.trace("membership.removed", user, group), self.trace("membership.added", user, group)
        return left is not None and (joined is None or joined.at < left.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """What happened to a user before the first sync; `removed` is what is still known of one who is gone."""

    kind: ChangeKind
    user: str
    trace: Trace
    removed: UserRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the audit says of the time before a first sync, back to `since`.

    `events` are removals, deactivations and locks, the newest of each kind and user, oldest first. `roles` are the
    users to whom a role was given or from whom one was taken.
    """

    since: datetime
    events: tuple[PastEvent, ...] = ()
    roles: frozenset[str] = frozenset()


# Everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a walk found everybody who was there from its beginning to its end, and what kept it from it.

    `counted` is how many users the provider counts, where the walk came to its end and met fewer. `problem` is the one
    that ended it.
    """

    complete: bool
    reason: str | None = None
    counted: int | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkPage(Generic[T]):
    """Users that this walk had not handed over before, and others again that have changed since it began."""

    users: tuple[T, ...]
    changed: tuple[T, ...] = ()


class UserWalk(Protocol):
    """One walk over all users of an environment that are served: iterate over its pages, then look at `verdict`.

    A page counts as handed over once it is kept. Iterating and keeping raise nothing but what cancels them.
    """

    @property
    def delivered(self) -> int:
        """How many users have been handed over, those before a kill included."""

    @property
    def about(self) -> int | None:
        """About how many users there are, for progress; None where the provider does not say."""

    @property
    def left_out(self) -> int:
        """How often a user without an id was met, who cannot be told from others."""

    @property
    def verdict(self) -> Verdict: ...

    def __aiter__(self) -> AsyncIterator[WalkPage[UserRow]]: ...

    def kept(self) -> None:
        """Note that all pages so far lie where a kill does not reach them; a walk that goes on begins behind them."""


# One environment


class ShortList(UnexpectedAnswer):
    """A list that ended before as many things had come (`found`) as the provider counts, twice."""

    def __init__(self, what: str, *, counted: int, found: int) -> None:
        super().__init__(what, "Sync again.", code="SHORT_LIST")
        self.counted = counted
        self.found = found


class GroupList(NamedTuple):
    """The groups that are served, and whether they are all that the provider counts."""

    groups: list[Group]
    is_whole: bool


class Holding(NamedTuple):
    """The pairs that hold, and those of which the provider gave no whole answer."""

    pairs: set[Pair]
    unsure: set[Pair]


class RoleList(NamedTuple):
    """The role assignments of a user that can be told apart, and whether all of them could be read."""

    assignments: tuple[RoleAssignment, ...]
    is_whole: bool


class EnvironmentSource(Protocol):
    """Read one environment for one sync. Every method that reads raises UpstreamProblem, as the module says.

    Single reads and `users_by_id` show users wherever they are; lists show those of the populations served.
    """

    @property
    def left_out(self) -> int:
        """How many things lists showed without an id, the walk aside."""

    async def populations(self) -> list[Workspace]:
        """Return the populations that are served, with the provider's own counts of users where it counts."""

    def walk(self, *, ledger: Path) -> AbstractAsyncContextManager[UserWalk]:
        """Walk over all users that are served.

        A walk that did not come to its end goes on the next time from what it has noted in the file `ledger`; one that
        keeps no notes begins anew, with nobody delivered. Entering raises Refused when another process uses the file.
        """

    def users_since(self, at: datetime) -> AsyncIterator[Sequence[UserRow]]:
        """Yield the users that were changed since a time, page by page; one may come twice.

        Raises FilterRefused where the provider cannot tell: then everybody is walked over.
        """

    async def user(self, identity: str) -> UserRow | None:
        """Return one user, or None for who is gone (HTTP 404)."""

    async def users_by_id(self, ids: Iterable[str]) -> dict[str, UserRow]:
        """Return who of these the lists show."""

    async def groups(self) -> GroupList:
        """Return the groups that are served; `group_count` counts those nested in one directly."""

    async def group(self, identity: str) -> Group | None:
        """Return one group with its total member count, or None for one that is gone."""

    async def children(self, group: str) -> set[str]:
        """Return the groups that are nested in a group directly."""

    async def parents(self, group: str) -> set[str]:
        """Return the groups that a group is nested in directly; none when there is no such group any more."""

    async def members(self, group: str, kind: MembershipType, keep: Callable[[Sequence[str]], Awaitable[int]]) -> None:
        """Hand over the ids of a group's members of one kind, some at a time; one may come twice. Raises ShortList.

        `keep` says how many of those it is given were not there before.
        """

    async def memberships(self, user: str) -> Sequence[GroupMembership]:
        """Return the groups that a user is in, directly or not; none when there is no such user any more."""

    async def holding(self, pairs: Iterable[Pair], kind: MembershipType) -> Holding:
        """Return which users are in which groups."""

    async def role_assignments(self, user: str) -> RoleList:
        """Return a user's role assignments; none when there is no such user any more."""

    async def happened(self, since: datetime, seen: Collection[str]) -> Wanted:
        """Return what the events since a time ask for, those of the ids `seen` left out.

        Raises NotPermitted where the audit may not be read.
        """

    async def past(self, before: datetime) -> Past:
        """Return what the audit says of the time before a first sync, which began `before`."""


# The whole of it


class Source(Protocol):
    """A provider as a sync reads it."""

    @property
    def scope(self) -> Scope:
        """What part of the directory is read."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Which of the provider's attributes hold which unified field; others make all records anew."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Whose view of which directory this is: what was staged for another one is not taken up again."""

    @property
    def page_size(self) -> int:
        """How many users a page of a list holds."""

    @property
    def keeps_events(self) -> timedelta:
        """For how long events can be read."""

    @property
    def clock(self) -> Clock:
        """How time passes here."""

    def now(self) -> datetime:
        """Return the provider's time, as well as it is known; ours where it is not."""

    def ahead(self) -> float:
        """Return how many seconds our clock is ahead of the provider's."""

    async def settle_time(self) -> None:
        """Find out what time it is at the provider: a sync goes by it. Raises Problem."""

    async def environments(self) -> Sequence[Organization]:
        """Return the environments that are to be read, in one order; one that cannot be read has no name."""

    def wanted(self, events: Iterable[JsonObject]) -> Mapping[str, Wanted]:
        """Return what events that the provider has sent ask for, by environment, those that are not served included."""

    def environment(self, identity: str, *, remote_data: bool, urgent: bool = False) -> EnvironmentSource:
        """Return what reads one environment; with `remote_data`, rows carry the provider's own objects.

        What is `urgent` is read before what others read in the background.
        """
