"""The users of a SCIM server, read to the end: asks what `paging` decides, and waits where the server wants that."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pingone_mcp.clock import CLOCK_SKEW, Clock
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Refused
from pingone_mcp.scim.answers import GetJson, ListPage, ScimAnswer, ServerFeatures, features_of, key_of, page_of
from pingone_mcp.scim.failures import failure_of
from pingone_mcp.scim.paging import ListWalk, RecentUsers, WalkBounds, judged
from pingone_mcp.tasks import in_thread

PAGE = 200
"""Users that are asked for at once."""
WALKS = 3
"""Readings of the whole list, at most, until one shows that nobody was passed over."""
ATTEMPTS = 4
FIRST_WAIT = 1.0
LONGEST_WAIT = 120.0
_AGAIN = frozenset({429, 500, 502, 503, 504})
# How a server says that it does not take a cursor, a page or a filter.
_REFUSALS = frozenset({400, 404, 501})
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_USERS = re.compile(r"/users/*$", re.IGNORECASE)
# They page only for a caller with a cursor, a hundred users at most, whatever their configuration says.
_WITH_CURSORS_ONLY = re.compile(r"scim\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_ON_THEIR_PAGES = 100
_TIMES = frozenset({"created", "lastmodified"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBounds(WalkBounds):
    """How far all of it goes: each walk as `WalkBounds` says, and so many seconds from the first request to the end."""

    seconds: float = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimList:
    """The users of a server as it wrote them, each once, and how many it says there are (None: it does not say).

    Where the list is not whole, `reason` is a sentence: what was read, and what is lacking.
    """

    users: tuple[JsonObject, ...] = field(repr=False)
    total: int | None
    is_whole: bool
    reason: str | None = None


async def read_users(
    get: GetJson,
    base_url: str,
    *,
    clock: Clock | None = None,
    bounds: ReadingBounds | None = None,
    keep: Callable[[JsonObject], JsonObject] | None = None,
) -> ScimList:
    """Read all users of a SCIM server; `base_url` may end in `/Users`.

    Of each user only what `keep` returns is held, and the id and the times of its `meta`; without it, everything.

    The list is whole only if everybody is on it who was there from the beginning of the reading to its end, as far as
    the server counts right. Raises Refused for a URL with a query, ScimFailed where the server refuses, fails or is
    none, and what `get` raises.
    """
    return await _Reading(get, base_url, clock or Clock(), bounds or ReadingBounds(), keep).read()


class _Reading:
    """One reading of a server, within its bounds."""

    def __init__(
        self,
        get: GetJson,
        base_url: str,
        clock: Clock,
        bounds: ReadingBounds,
        keep: Callable[[JsonObject], JsonObject] | None,
    ) -> None:
        self._get, self._clock, self._bounds, self._keep = get, clock, bounds, keep
        self._config, self._users = _addresses(base_url)
        self._until = clock.monotonic() + bounds.seconds
        self._behind = 0.0  # seconds that the server's clock is behind ours
        self._features = ServerFeatures()

    async def read(self) -> ScimList:
        await self._ask_features()
        seen: dict[str, JsonObject] = {}
        earlier: ListWalk | None = None
        for number in range(1, WALKS + 1):
            since = datetime.fromtimestamp(self._clock.wall() - self._behind, UTC) - CLOCK_SKEW
            walk = await self._walk()
            recent = await self._recent(walk, since)
            found = await in_thread(judged, walk, earlier, recent, pool="answers")
            last = walk.users | dict(recent.users if recent is not None else {})
            if found.outcome == "whole":
                return ScimList(users=tuple(last.values()), total=walk.total, is_whole=True)
            seen |= last
            if found.outcome == "lacking" or number == WALKS:
                return ScimList(users=tuple(seen.values()), total=walk.total, is_whole=False, reason=found.reason)
            earlier = walk
        raise AssertionError  # the last walk has returned

    async def _ask_features(self) -> None:
        """Ask what the server can do. One that does not say, or not to everybody, can do the least."""
        answer = await self._answer(self._config, {})
        if answer is not None and answer.date is not None:
            self._behind = max(0.0, self._clock.wall() - answer.date)
        if answer is not None and answer.status == 200:
            self._features = features_of(answer.document)
        if _WITH_CURSORS_ONLY.fullmatch(urlsplit(self._users).hostname or ""):
            self._features = ServerFeatures(has_cursors=True, most=_ON_THEIR_PAGES)

    async def _walk(self) -> ListWalk:
        """Read the list once, to its end or to one of the bounds. Raises ScimFailed."""
        walk = ListWalk(count=self._count(), by_cursor=self._features.has_cursors, bounds=self._bounds)
        while walk.next is not None:
            answer = await self._answer(self._users, walk.next.params())
            if answer is None:
                walk.stop(f"there are no more than {self._bounds.seconds:g} s for it")
            elif answer.status not in _REFUSALS or not walk.refused():
                walk.take(self._kept(_page(answer)), answer.size)
        if walk.lacking is None and walk.total is None:
            page = await self._asked_aside({"count": str(self._count())})
            walk.counted(0 if page is None or page.total is None else page.total)
        return walk

    async def _recent(self, walk: ListWalk, since: datetime) -> RecentUsers | None:
        """Ask who was made or changed since then, after a walk that only this can settle.

        Some answer filters that they do not know with nothing: so it is asked how many there are since long ago, too.
        Who ignores them answers with everybody, and whoever came is among these.
        """
        if not self._features.has_filters or walk.by_cursor or walk.pages == 1:
            return None
        if walk.lacking is not None or walk.miscount() is not None:
            return None
        found = await self._since(since)
        if found is None or found.strange or found.total != len({key_of(one) for one in found.users}):
            return None
        everybody = await self._since(_LONG_AGO)
        if everybody is None or everybody.total is None:
            return None
        return RecentUsers(since=since, users={key_of(one): one for one in found.users}, total=everybody.total)

    async def _since(self, at: datetime) -> ListPage | None:
        text = at.isoformat(timespec="seconds").replace("+00:00", "Z")
        count = 1 if at == _LONG_AGO else self._count()
        return await self._asked_aside(
            {"filter": f'meta.lastModified ge "{text}"', "startIndex": "1", "count": str(count)}
        )

    async def _asked_aside(self, params: Mapping[str, str]) -> ListPage | None:
        """Return a page beside the walk; None where there is none, which shows nothing."""
        answer = await self._answer(self._users, params)
        page = page_of(answer.document) if answer is not None and answer.status == 200 else None
        return None if page is None else self._kept(page)

    def _kept(self, page: ListPage) -> ListPage:
        """Return a page without what nobody wants of its users: there may be a million of them."""
        if self._keep is None:
            return page
        users = tuple({**self._keep(one), **_identity(one)} for one in page.users)
        return dataclasses.replace(page, users=users)

    def _count(self) -> int:
        return min(PAGE, self._features.most or PAGE)

    async def _answer(self, url: str, params: Mapping[str, str]) -> ScimAnswer | None:
        """Ask until there is an answer, or patience ends on one; None where there is no more time."""
        for attempt in range(1, ATTEMPTS + 1):
            answer = await self._once(url, params)
            if answer is None or answer.status not in _AGAIN or attempt == ATTEMPTS:
                return answer
            wait = FIRST_WAIT * 2 ** (attempt - 1) if answer.retry_after is None else answer.retry_after
            if wait > min(LONGEST_WAIT, self._left()):
                return answer
            await self._clock.sleep(wait)
        raise AssertionError  # the last attempt has returned

    async def _once(self, url: str, params: Mapping[str, str]) -> ScimAnswer | None:
        answers: list[ScimAnswer] = []
        with self._clock.within(self._left()):
            answers.append(await self._get(url, params))
        return answers[0] if answers else None

    def _left(self) -> float:
        return max(0.0, self._until - self._clock.monotonic())


def _identity(user: JsonObject) -> JsonObject:
    """Return what tells a user from others, and says when it was made and changed."""
    found: JsonObject = {}
    for name, value in user.items():
        if name.lower() == "id":
            found[name] = value
        elif name.lower() == "meta" and isinstance(value, dict):
            found[name] = {part: at for part, at in value.items() if part.lower() in _TIMES}
    return found


def _page(answer: ScimAnswer) -> ListPage:
    page = page_of(answer.document) if answer.status == 200 else None
    if page is None:
        raise failure_of(answer)
    return page


def _addresses(base_url: str) -> tuple[str, str]:
    """Return where a server says what it can do, and where its users are, which may be written small."""
    if "?" in base_url or "#" in base_url:
        raise Refused(
            "The address of a SCIM server has no query.", "Give it as https://example.com/scim/v2.", code="SCIM_ADDRESS"
        )
    found = _USERS.search(base_url)
    base = base_url[: found.start()] if found else base_url.rstrip("/")
    is_small = found is not None and found[0].startswith("/users")
    return (
        base + ("/serviceproviderconfig" if is_small else "/ServiceProviderConfig"),
        base + (found[0].rstrip("/") if found else "/Users"),
    )
