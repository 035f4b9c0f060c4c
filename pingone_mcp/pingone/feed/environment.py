"""What a sync reads from one environment of PingOne: in the background, unless it is urgent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from pingone_mcp.ahead import ahead
from pingone_mcp.directory.matching.filters import All, Filter, Within, all_of, any_of, eq, ge
from pingone_mcp.directory.models import Group, GroupMembership, JsonObject, MembershipType, Workspace
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import row_of
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, RequestRefused, UnexpectedAnswer
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.feed.events import ROLE_TYPES, TYPES, past_of, wanted_by
from pingone_mcp.pingone.feed.holding import MembershipFilter, in_group, membership_filters
from pingone_mcp.pingone.feed.members import Keep, MemberLists
from pingone_mcp.pingone.feed.pages import whole_pages
from pingone_mcp.pingone.feed.turns import Turns
from pingone_mcp.pingone.feed.walk import Walk, walking
from pingone_mcp.pingone.filters import bounds
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.source import GroupList, Holding, Pair, Past, RoleList, ShortList, Wanted
from pingone_mcp.tasks import each

T = TypeVar("T")

IDS_PER_FILTER = 50
LOOKUP_PAGE = 1_000
EVENTS_PAGE = 500
# So many pages of events of all kinds are read before they are asked for kind by kind: sign-ons may be millions.
MIXED_PAGES = 4
# So many pages of updates before a first sync are looked through for who was deactivated.
_PAST_PAGES = 40


class PingOneEnvironment:
    """Read one environment of PingOne; each method is explained in `replica.source.EnvironmentSource`."""

    def __init__(self, served: Served, environment: str, *, remote_data: bool, background: bool = True) -> None:
        self.left_out = 0
        self._background = background
        self._served = served
        self._environment = environment
        self._remote_data = remote_data
        self._scope = served.connection.scope
        self._bounds = bounds(served.connection.scope)
        self._root = f"/environments/{environment}"
        self._size = served.connection.pace.page_size
        self._turns = Turns(served.connection.pace.concurrency)
        self._members = MemberLists(served, environment, self._turns)
        self._population_names: dict[str, str | None] = {}

    async def populations(self) -> list[Workspace]:
        path = path_with(f"{self._root}/populations", {"limit": LOOKUP_PAGE})
        found = [one async for page in self._pages(path, "populations") for one in self._readable(page, wire.workspace)]
        served = [population for population in found if self._scope.has_population(population.id)]
        self._population_names = {population.id: population.name for population in served}
        return served

    # Users

    def walk(self, *, ledger: Path) -> AbstractAsyncContextManager[Walk[UserRow]]:
        making = partial(self._served.people.made_rows, self._environment, remote_data=self._remote_data)
        return walking(self._served, self._environment, making, ledger=ledger, turns=self._turns)

    async def users_since(self, at: datetime) -> AsyncIterator[list[UserRow]]:
        for bound in self._bounds:
            # Counts of ranges of `updatedAt` may be wrong ("Read All Users"): nothing is concluded from them.
            async for page in self._users(all_of((ge("updatedAt", at), bound)), counted=False):
                rows, left_out = await self._rows(page)
                self.left_out += left_out
                yield rows

    async def user(self, identity: str) -> UserRow | None:
        try:
            raw = await self._served.client.get(f"{self._root}/users/{identity}", background=self._background)
        except NotFound:
            return None
        user = self._served.people.unify(raw, {}, {}, remote_data=self._remote_data)
        return row_of(user, self._environment, remote_data=self._remote_data)

    async def users_by_id(self, ids: Iterable[str]) -> dict[str, UserRow]:
        """Return who of these is there, some dozens in one request."""
        found: dict[str, UserRow] = {}

        async def read(batch: Sequence[str]) -> None:
            wanted = any_of(eq("id", identity) for identity in batch)
            async for page in self._users(wanted, counted=False):  # who is missing is asked for one by one
                rows, _ = await self._rows(page)
                found.update((row.id, row) for row in rows)

        await each(read, list(_batches(sorted(set(ids)), IDS_PER_FILTER)))
        return found

    async def _rows(self, page: HalPage) -> tuple[list[UserRow], int]:
        """Return the users of a page, and how many have no id."""
        people = self._served.people
        users, left_out = await people.read(page)
        return [people.reader.row(user, self._environment, remote_data=self._remote_data) for user in users], left_out

    # Groups and who is in them

    async def groups(self) -> GroupList:
        path = path_with(f"{self._root}/groups", {"limit": LOOKUP_PAGE})
        found: dict[str, Group] = {}
        whole = True
        try:
            async for page in self._pages(path, "groups"):
                found |= {group.id: group for group in self._readable(page, wire.group)}
        except ShortList:
            whole = False
        served = [
            one for one in found.values() if self._scope.has_group_of(one.workspace.id if one.workspace else None)
        ]
        return GroupList(served, whole)

    async def group(self, identity: str) -> Group | None:
        path = f"{self._root}/groups/{identity}?include=totalMemberCounts"
        try:
            return wire.group(await self._served.client.get(path, background=self._background))
        except NotFound:
            return None

    async def children(self, group: str) -> set[str]:
        wanted = Within("memberOfGroups", All((eq("id", group), eq("type", "DIRECT"))))
        path = path_with(f"{self._root}/groups", {"limit": LOOKUP_PAGE, "filter": str(wanted)})
        return {one.id async for page in self._pages(path, "groups") for one in self._readable(page, wire.group)}

    async def parents(self, group: str) -> set[str]:
        found = await self._memberships(f"{self._root}/groups/{group}/memberOfGroups")
        return {parent.id for parent in found if parent.type in ("direct", None)}

    async def memberships(self, user: str) -> list[GroupMembership]:
        return await self._memberships(path_with(f"{self._root}/users/{user}/memberOfGroups", {"limit": self._size}))

    async def _memberships(self, path: str) -> list[GroupMembership]:
        """Return the memberships of a user or a group; none when there is no such one any more."""
        try:
            pages = self._pages(path, "groupMemberships")
            return [one async for page in pages for one in self._readable(page, wire.membership)]
        except NotFound:
            return []

    async def members(self, group: str, kind: MembershipType, keep: Keep) -> None:
        for bound in self._bounds:
            members = in_group(group, kind)
            await self._members.read(members if bound is None else All((members, bound)), keep)

    async def holding(self, pairs: Iterable[Pair], kind: MembershipType) -> Holding:
        found: set[Pair] = set()
        unsure: set[Pair] = set()

        async def ask(question: MembershipFilter) -> None:
            try:
                async for page in self._users(question.filter):
                    there = (user for user in wire.ids_of(page.raws) if user in question.groups)
                    found.update(Pair(user, question.groups[user]) for user in there)
            except ShortList:
                unsure.update(question.pairs())

        async def ask_for_one(question: MembershipFilter) -> None:
            try:
                await ask(question)
            except (FilterRefused, RequestRefused, NotFound, NotPermitted, UnexpectedAnswer):
                unsure.update(question.pairs())

        wanted = sorted(set(pairs))
        try:
            await each(ask, list(membership_filters(wanted, kind, mixed=True)))
        except (FilterRefused, RequestRefused, NotFound):  # one group at a time is documented, several at once are not
            await each(ask_for_one, list(membership_filters(wanted, kind, mixed=False)))
        return Holding(found, unsure - found)

    async def role_assignments(self, user: str) -> RoleList:
        path = f"{self._root}/users/{user}/roleAssignments"
        try:
            raws = [raw async for page in self._pages(path, "roleAssignments") for raw in page]
        except NotFound:
            return RoleList((), is_whole=True)
        names = self._served.names
        places = self._population_names | await names.environment_names()
        return RoleList(*wire.role_assignments(raws, roles=await names.role_names(), places=places))

    # Events

    async def happened(self, since: datetime, seen: Collection[str]) -> Wanted:
        """Read events of all kinds; kind by kind where there are too many others."""
        found: list[JsonObject] = []
        pages = 0
        async with aclosing(self._pages(self._events_path(since), "activities")) as mixed:
            async for page in mixed:
                if pages == MIXED_PAGES:
                    found = await self._activities(since, TYPES)
                    break
                found += page
                pages += 1
        return wanted_by(one for one in found if one.get("id") not in seen)

    async def past(self, before: datetime) -> Past:
        since = before - audit.WINDOW + audit.MARGIN
        async with ahead() as beside:
            updates = beside.ask(partial(self._activities, since, ("USER.UPDATED",), most_pages=_PAST_PAGES))
            given = beside.ask(partial(self._activities, since, ROLE_TYPES))
            gone = await self._activities(since, ("USER.DELETED", "USER.LOCKED"))
            updated, roles = await updates.taken(), await given.taken()
        return Past(
            since=since,
            events=past_of((*gone, *updated), self._environment, self._scope),
            roles=frozenset(wanted_by(roles).roles),
        )

    async def _activities(
        self, since: datetime, types: Sequence[str], *, most_pages: int | None = None
    ) -> list[JsonObject]:
        """Return the events of some types since a time, newest first; of each at most the newest `most_pages`."""

        async def read(action: str) -> list[JsonObject]:
            found: list[JsonObject] = []
            pages = 0
            async with aclosing(self._pages(self._events_path(since, action), "activities")) as all_pages:
                async for page in all_pages:
                    found += page
                    pages += 1
                    if pages == most_pages:
                        break
            return found

        return [raw for found in await each(read, types) for raw in found]

    def _events_path(self, since: datetime, action: str | None = None) -> str:
        return audit.path(self._environment, self._served.now(), limit=EVENTS_PAGE, since=since, action=action)

    # Pages

    def _readable(self, page: Iterable[JsonObject], read: Callable[[JsonObject], T]) -> list[T]:
        """Return what of a page can be told apart, and count the rest."""
        found, left_out = wire.readable(page, read)
        self.left_out += left_out
        return list(found)

    def _users(self, wanted: Filter | None, *, counted: bool = True) -> AsyncGenerator[HalPage, None]:
        path = self._served.people.path(self._environment, wanted, self._size)
        return whole_pages(partial(self._page, key="users"), path, "users", counted=counted)

    async def _pages(self, path: str, key: str) -> AsyncGenerator[Sequence[JsonObject], None]:
        async with aclosing(whole_pages(partial(self._page, key=key), path, key)) as pages:
            async for page in pages:
                yield page.items

    async def _page(self, path: str, key: str) -> HalPage:
        return await self._served.client.page(path, key, environment=self._environment, background=self._background)


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
