"""What a sync reads from one environment of PingOne, the walk over its users aside; always in the background."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar, get_args
from urllib.parse import quote

from pingone_mcp.directory.filters import All, Filter, Within, all_of, any_of, eq, ge
from pingone_mcp.directory.models import Group, GroupMembership, JsonObject, User, Workspace
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, RequestRefused, UnexpectedAnswer
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.asking.parts import Part
from pingone_mcp.pingone.client import HalPage, path_with
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.events import TYPES
from pingone_mcp.tasks import each

T = TypeVar("T")
Kind = Literal["direct", "indirect"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pair = tuple[str, str]
"""A user and a group."""

# PingOne takes 6 KB of request line and headers, and a token is one of more than one: so much is left for a filter.
LONGEST_FILTER = 3_600
IDS_PER_FILTER = 50
LOOKUP_PAGE = 1_000
EVENTS_PAGE = 500
# So many pages of events of all kinds are read before they are asked for kind by kind: sign-ons may be millions.
MIXED_PAGES = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One filter that tells of several pairs whether they hold; each user is in one of them only."""

    filter: Filter
    groups: Mapping[str, str]
    """By user: the group that is meant."""


class ShortList(UnexpectedAnswer):
    """A list that ended before as many things had come as PingOne counts, twice."""

    def __init__(self, key: str, *, counted: int, found: int) -> None:
        super().__init__(
            f"PingOne counts {counted:,} {key}, and its pages showed {found:,}.", "Sync again.", code="SHORT_LIST"
        )
        self.counted = counted
        self.found = found


class Upstream:
    """Read one environment. Raises UpstreamProblem, NotPermitted and ShortList among them.

    `left_out` counts what has no id and so cannot be told from other things.
    """

    def __init__(self, served: Served, environment: str, bounds: Sequence[Filter | None]) -> None:
        self._served = served
        self._environment = environment
        self._bounds = bounds
        self.left_out = 0
        self._root = f"/environments/{environment}"
        self._size = served.connection.page_size

    async def populations(self) -> list[Workspace]:
        path = path_with(f"{self._root}/populations", {"limit": LOOKUP_PAGE})
        allowed = self._served.connection.scope.populations
        found = [one async for page in self._pages(path, "populations") for one in self._readable(page, wire.workspace)]
        return [population for population in found if not allowed or population.id in allowed]

    async def groups(self) -> tuple[list[Group], bool]:
        """Return the groups that are served, each as the list tells it, and whether that list was whole."""
        path = path_with(f"{self._root}/groups", {"limit": LOOKUP_PAGE})
        allowed = self._served.connection.scope.populations
        found: dict[str, Group] = {}
        whole = True
        try:
            async for page in self._pages(path, "groups"):
                found |= {group.id: group for group in self._readable(page, wire.group)}
        except ShortList:
            whole = False
        served = (one for one in found.values() if not allowed or one.workspace is None or one.workspace.id in allowed)
        return list(served), whole

    async def group(self, identity: str) -> Group | None:
        """Return one group, or None for one that is gone (404)."""
        try:
            path = f"{self._root}/groups/{identity}?include=totalMemberCounts"
            return wire.group(await self._served.client.get(path, background=True))
        except NotFound:
            return None

    async def memberships(self, user: str) -> list[GroupMembership]:
        """Return the groups that a user is in, directly or not; none when there is no such user any more."""
        path = path_with(f"{self._root}/users/{user}/memberOfGroups", {"limit": self._size})
        try:
            pages = self._pages(path, "groupMemberships")
            return [one async for page in pages for one in self._readable(page, wire.membership)]
        except NotFound:
            return []

    async def children(self, group: str) -> set[str]:
        """Return the groups that are nested directly in a group."""
        wanted = Within("memberOfGroups", All((eq("id", group), eq("type", "DIRECT"))))
        path = path_with(f"{self._root}/groups", {"limit": LOOKUP_PAGE, "filter": str(wanted)})
        return {one.id async for page in self._pages(path, "groups") for one in self._readable(page, wire.group)}

    async def parents(self, group: str) -> set[str]:
        """Return the groups that a group is nested in directly; none when there is no such group any more."""
        path = f"{self._root}/groups/{group}/memberOfGroups"
        try:
            pages = self._pages(path, "groupMemberships")
            found = [one async for page in pages for one in self._readable(page, wire.membership)]
        except NotFound:
            return set()
        return {parent.id for parent in found if parent.type in ("direct", None)}

    async def members(self, group: str, kind: Kind) -> AsyncIterator[list[str]]:
        """Yield ids of a group's members, page by page; one may come twice."""
        for bound in self._bounds:
            wanted = all_of((_membership(group, kind), bound))
            async for page in self._users(wanted):
                yield _ids_of(page)

    async def users_since(self, at: datetime) -> AsyncIterator[list[User]]:
        """Yield the users that were changed since a time. Raises FilterRefused where PingOne cannot tell."""
        for bound in self._bounds:
            # Counts of ranges of `updatedAt` may be wrong ("Read All Users"): nothing is concluded from them.
            async for page in self._users(all_of((ge("updatedAt", at), bound)), counted=False):
                yield self._readable(page, self.unified)

    async def users_by_id(self, ids: Iterable[str]) -> dict[str, JsonObject]:
        """Return who of these is there, raw, wherever they are; some dozens are asked for at once."""
        found: dict[str, JsonObject] = {}

        async def read(batch: Sequence[str]) -> None:
            wanted = any_of(eq("id", identity) for identity in batch)
            async for page in self._users(wanted, counted=False):  # who is missing is asked for by itself
                found.update((identity, raw) for raw in page if (identity := _id_of(raw)) is not None)

        await each(read, list(_batches(sorted(set(ids)), IDS_PER_FILTER)))
        return found

    async def user(self, identity: str) -> JsonObject | None:
        """Return one user, raw, or None for who is gone (404)."""
        try:
            return await self._served.client.get(f"{self._root}/users/{identity}", background=True)
        except NotFound:
            return None

    def unified(self, raw: JsonObject) -> User:
        return self._served.unify(raw, {}, {})

    def serves(self, raw: JsonObject) -> bool:
        return self._served.serves_raw(raw)

    async def holding(self, pairs: Iterable[Pair], kind: Kind) -> tuple[set[Pair], set[Pair]]:
        """Return the pairs of a user and a group that hold, and those of which PingOne gave no whole answer.

        As many are asked for at once as fit into a request.
        """
        found: set[Pair] = set()
        unsure: set[Pair] = set()

        async def ask(question: Question) -> None:
            try:
                async for page in self._users(question.filter):
                    ids = _ids_of(page)
                    found.update((user, question.groups[user]) for user in ids if user in question.groups)
            except ShortList:
                unsure.update(question.groups.items())

        async def ask_for_one(question: Question) -> None:
            try:
                await ask(question)
            except (FilterRefused, RequestRefused, NotFound, NotPermitted, UnexpectedAnswer):
                unsure.update(question.groups.items())

        wanted = sorted(set(pairs))
        try:
            await each(ask, list(questions(wanted, kind, mixed=True)))
        except (FilterRefused, RequestRefused, NotFound):  # one group at a time is documented, several at once are not
            await each(ask_for_one, list(questions(wanted, kind, mixed=False)))
        return found, unsure - found

    async def activities(
        self, since: datetime, now: datetime, *, types: Sequence[str] | None = None, most_pages: int | None = None
    ) -> list[JsonObject]:
        """Return the events since a time, newest first: of these types, or of all that a sync may want.

        Of each type at most the newest `most_pages`. Raises NotPermitted.
        """
        if types is None:
            found: list[JsonObject] = []
            pages = 0
            async with aclosing(self._pages(self._events_path(since, now), "activities")) as mixed:
                async for page in mixed:
                    if pages == MIXED_PAGES:
                        break
                    found += page
                    pages += 1
                else:
                    return found

        async def read(action: str) -> list[JsonObject]:
            path = self._events_path(since, now, action)
            found: list[JsonObject] = []
            pages = 0
            async with aclosing(self._pages(path, "activities")) as all_pages:
                async for page in all_pages:
                    found += page
                    pages += 1
                    if pages == most_pages:
                        break
            return found

        return [raw for found in await each(read, types or TYPES) for raw in found]

    def _events_path(self, since: datetime, now: datetime, action: str | None = None) -> str:
        return audit.path(self._environment, now, limit=EVENTS_PAGE, since=since, action=action)

    async def role_assignments(self, user: str) -> list[JsonObject]:
        """Return a user's role assignments, raw; none when there is no such user any more."""
        path = f"{self._root}/users/{user}/roleAssignments"
        try:
            return [raw async for page in self._pages(path, "roleAssignments") for raw in page]
        except NotFound:
            return []

    # Pages

    def _readable(self, page: Iterable[JsonObject], read: Callable[[JsonObject], T]) -> list[T]:
        """Return what of a page can be told apart, and count the rest."""
        found, left_out = wire.readable(page, read)
        self.left_out += left_out
        return list(found)

    async def _users(self, wanted: Filter | None, *, counted: bool = True) -> AsyncIterator[Sequence[JsonObject]]:
        path = self._served.users_path(Part(key="", environment=self._environment, filter=wanted), self._size)
        async for page in self._pages(path, "users", counted=counted):
            yield page

    async def _pages(self, path: str, key: str, *, counted: bool = True) -> AsyncGenerator[Sequence[JsonObject], None]:
        """Yield the items of each page, and once more from the first page on where they came to no good end.

        That is where a cursor is not accepted any more, and where fewer came than the last page counts (`counted`): a
        page that has lost its link looks like the last one. Raises ShortList when that is so twice.
        """
        again = False
        seen, found = {path}, 0
        following: str | None = path
        while following is not None:
            try:
                page = await self._page(following, key)
            except RequestRefused:
                if following == path or again:
                    raise
                following, seen, found, again = path, {path}, 0, True
                continue
            yield page.items
            found += len(page.items)
            following = page.next
            if following is None and counted and page.count is not None and found < page.count:
                if again:
                    raise ShortList(key, counted=page.count, found=found)
                following, seen, found, again = path, {path}, 0, True
                continue
            if following in seen:
                raise UnexpectedAnswer(
                    "PingOne's pages run in a circle: a `next` link came twice.", "Try again.", code="REPEATED_LINK"
                )
            seen.add(following or "")

    async def _page(self, path: str, key: str) -> HalPage:
        return await self._served.client.page(path, key, environment=self._environment, background=True)


def questions(pairs: Sequence[Pair], kind: Kind, *, mixed: bool) -> Iterator[Question]:
    """Yield the filters that tell which pairs hold: several groups in one (`mixed`), or one group in each.

    An answer names users, not groups. So a user comes once in a filter, and whoever comes back is in the group meant.
    """
    waiting = list(pairs)
    while waiting:
        taken: dict[str, str] = {}
        by_group: dict[str, list[str]] = {}
        later: list[Pair] = []
        room = LONGEST_FILTER
        for user, group in waiting:
            cost = _USER_COST + (0 if group in by_group else _GROUP_COST)
            fits = user not in taken and cost <= room and (mixed or group in by_group or not by_group)
            if not fits:
                later.append((user, group))
                continue
            room -= cost
            taken[user] = group
            by_group.setdefault(group, []).append(user)
        yield Question(any_of(_of_group(group, users, kind) for group, users in by_group.items()), taken)
        waiting = later


def _of_group(group: str, users: Sequence[str], kind: Kind) -> Filter:
    return All((_membership(group, kind), any_of(eq("id", user) for user in users)))


def _membership(group: str, kind: Kind) -> Filter:
    return Within("memberOfGroups", All((eq("id", group), eq("type", kind.upper()))))


_SOME_ID = "0" * 36
_USER_COST = len(quote(f'id eq "{_SOME_ID}" or ', safe=""))
_GROUP_COST = len(quote(f"({_membership(_SOME_ID, 'indirect')} and ()) or ", safe=""))


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _id_of(raw: JsonObject) -> str | None:
    """Return the id of a user as PingOne tells it; None for one that has none, who cannot be told from others."""
    identity = raw.get("id")
    return identity if isinstance(identity, str) and identity else None


def _ids_of(page: Iterable[JsonObject]) -> list[str]:
    return [identity for raw in page if (identity := _id_of(raw)) is not None]
