"""Which page of a list comes next, when it has been read to its end, and whether it is whole then: pure decisions.

Servers differ in what they do with `count`, `startIndex` and `cursor`, and many lose users on the way of a client that
trusts arithmetic. So a page counts by what is on it: the next one begins behind as many users as came, and the end is
where as many different users came as the server counts. Pages by place shift while users come and go: who is deleted
before the place pulls another one over to a page that has been read. What shows that nobody was passed over is
`judged`; a cursor (RFC 9865) keeps its own place, and is trusted to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Literal

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.scim.answers import ListPage, key_of, names_of, time_of

MOST_STALE = 3
"""Pages in a row that may bring nobody new."""
# What a server shows where it does not list users without a filter.
_STAND_IN = frozenset({"synthesis_user"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkBounds:
    """How far one reading of a list goes: in pages, users, and bytes of all answers together."""

    pages: int = 20_000
    users: int = 1_000_000
    size: int = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsk:
    """Which page to ask for: `count` users from a place, counted from 1, or behind a cursor (empty: the first page)."""

    count: int
    start: int = 1
    cursor: str | None = None

    def params(self) -> dict[str, str]:
        """Return the parameters; the place is always said, because some servers begin with cursors where it is not."""
        place = {"startIndex": str(self.start)} if self.cursor is None else {"cursor": self.cursor}
        return {**place, "count": str(self.count)}


class ListWalk:
    """One reading of a list, page by page: `next` is what to ask for, and None at the end.

    `users` are those that came, by their keys. `lacking` is a sentence where it ended before the end of the list.
    """

    def __init__(self, *, count: int, by_cursor: bool, bounds: WalkBounds | None = None) -> None:
        self.users: dict[str, JsonObject] = {}
        self.next: PageAsk | None = PageAsk(count=count, cursor="" if by_cursor else None)
        self.lacking: str | None = None
        self.by_cursor = by_cursor
        self.pages = 0
        self.rows = 0
        self.total: int | None = None
        self.is_steady = True
        self.strange = 0
        self._count = count
        self._bounds = bounds or WalkBounds()
        self._size = 0
        self._cursors = set[str]()
        self._stale = 0
        self._last: list[str] = []
        self._is_odd = False  # the server answers with another place than was asked for
        self._by_page = 0  # users on a page, where pages have numbers and `startIndex` is a multiple of these
        self._trace = blake2b(digest_size=16)

    @property
    def trace(self) -> bytes:
        """What two readings have in common that brought the same users in the same order."""
        return self._trace.digest()

    def take(self, page: ListPage, size: int = 0) -> None:
        """Take the page that was asked for, whose answer had so many bytes, and decide what comes next."""
        asked, known = self.next, len(self.users)
        assert asked is not None
        keys = [key_of(one) for one in page.users]
        self.users.update(zip(keys, page.users, strict=True))
        self._count_in(page, keys, size)
        is_stale = len(self.users) == known and not self._is_end_of_nothing(page)
        self._stale = self._stale + 1 if is_stale else 0
        self.next = None
        if asked.cursor is not None:
            self._after_cursor(page, is_stale=is_stale)
        else:
            self._after_place(asked.start, page, keys, is_stale=is_stale)
        if self.lacking is None and (bound := self._reached()) is not None:
            self.stop(bound)
        self._last = keys

    def counted(self, total: int) -> None:
        """Hear how many there are, after a walk in which the server did not say it; some say less than they have."""
        if total > len(self.users):
            self.total = total

    def refused(self) -> bool:
        """Hear that the server does not take what was asked for; say whether anything can be made of that."""
        asked = self.next
        assert asked is not None
        if self.pages == 0 and asked.cursor is None:
            return False
        if self.pages == 0:
            self.by_cursor, self.next = False, PageAsk(count=self._count)
        else:
            self.stop("the server refused to go on")
        return True

    def stop(self, why: str) -> None:
        """End it here, for a reason that continues the sentence of how many users were read."""
        self.next = None
        self.lacking = f"{self._amount()}: {why}."

    def miscount(self) -> str | None:
        """Return what is odd about the numbers at the end, if anything is."""
        if self.total is None:
            return None
        if len(self.users) < self.total:
            return f"{self._amount()}; {self.total - len(self.users):,} did not come."
        if len(self.users) > self.total:
            return f"{self._amount()}: more than the server counts."
        return None if self.is_steady else f"{self._amount()}, and how many there are changed meanwhile."

    def passed_over(self) -> str:
        """Say that users may have been passed over, though as many came as there are."""
        return f"{self._amount()}, but users came and went meanwhile, and others may have been passed over."

    def _amount(self) -> str:
        read = len(self.users)
        if self.total is not None:
            return f"{read:,} of {self.total:,} users were read"
        return "1 user was read" if read == 1 else f"{read:,} users were read"

    def _count_in(self, page: ListPage, keys: list[str], size: int) -> None:
        self.pages += 1
        self._size += size
        self.rows += len(keys)
        self.strange += page.strange
        for key in keys:
            self._trace.update(b"%d " % len(key.encode(errors="replace")) + key.encode(errors="replace"))
        if page.total is not None:
            self.is_steady = self.is_steady and self.total in (None, page.total)
            self.total = page.total

    def _is_end_of_nothing(self, page: ListPage) -> bool:
        """Say whether a page is the empty one at the end."""
        return not page.users and not page.strange and page.next_cursor is None

    def _reached(self) -> str | None:
        if len(self.users) > self._bounds.users:
            return f"no more than {self._bounds.users:,} are taken"
        if self.next is not None and self.pages >= self._bounds.pages:
            return f"no more than {self._bounds.pages:,} pages are asked for"
        if self._size > self._bounds.size:
            return f"no more than {self._bounds.size / 1024**2:,.0f} MiB are taken"
        return None

    def _after_cursor(self, page: ListPage, *, is_stale: bool) -> None:
        cursor = page.next_cursor
        if cursor is None:
            if self.total is not None and self.total > len(self.users):
                # Whoever ignores a cursor answers with the first page by place, and looks as if that were all.
                self.by_cursor, self.next = False, PageAsk(count=self._count, start=len(self.users) + 1)
            elif self.total is None and not page.is_listed and not self.users:
                self.stop("the server neither lists any nor says how many there are")
        elif cursor in self._cursors:
            self.stop("the server gave the same cursor again")
        elif is_stale and (page.users or self._stale >= MOST_STALE):
            self.stop("the server gave the same page again")
        else:
            self._cursors.add(cursor)
            self.next = PageAsk(count=self._count, cursor=cursor)

    def _after_place(self, asked: int, page: ListPage, keys: list[str], *, is_stale: bool) -> None:
        start, length = page.start or asked, len(page.users) + page.strange
        after = start + length
        if length == 0:
            if self.total is None:
                self.stop("the server does not say how many there are")
            return
        self._is_odd = self._is_odd or start != asked
        if self.total is not None and (len(self.users) >= self.total if self._is_odd else after > self.total):
            return
        if is_stale and (self._by_page or self._stale >= MOST_STALE):
            self.stop("the server gave the same users again")
        elif is_stale and (start != asked or keys == self._last):
            self._by_page = length
            self.rows -= len(keys)  # it was a look at how pages are counted
            self.next = self._numbered()
        elif self._by_page:
            self.next = self._numbered()
        else:
            self.next = PageAsk(count=self._count, start=after if after > asked else asked + length)

    def _numbered(self) -> PageAsk:
        """Ask for the page behind those that came, where `startIndex` divided by the users on a page is its number."""
        number = math.ceil(len(self.users) / self._by_page) + 1
        return PageAsk(count=self._count, start=number * self._by_page)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentUsers:
    """Users that were made or changed since shortly before a walk began, and how many there were after it.

    `since` lies before the walk by more than clocks differ; `total` is how many the same filter finds since long ago.
    """

    since: datetime
    users: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a walk has shown: the whole list, less than that, or nothing that a second walk could not settle."""

    outcome: Literal["whole", "again", "lacking"]
    reason: str | None = None


def judged(walk: ListWalk, earlier: ListWalk | None = None, recent: RecentUsers | None = None) -> Judgement:
    """Say whether a walk that has ended brought everybody who was there from its beginning to its end.

    One answer is a moment. Pages by place show it if nobody came or went meanwhile: so says a filter by time
    (`recent`), or a walk just before (`earlier`) that brought the same users in the same order. For who is pulled over
    to a page that was read, another one had to go, and does not come again.
    """
    if walk.lacking is not None:
        return Judgement(outcome="lacking", reason=walk.lacking)
    if walk.strange:
        return Judgement(outcome="lacking", reason=f"The list has entries that are no users: {walk.strange:,}.")
    if len(walk.users) == 1 and names_of(walk.users.values()) & _STAND_IN:
        return Judgement(outcome="lacking", reason="The server lists a made-up user in place of those that it has.")
    if (odd := walk.miscount()) is not None:
        return Judgement(outcome="lacking" if walk.pages == 1 else "again", reason=odd)
    if walk.pages == 1 or walk.by_cursor:
        return Judgement(outcome="whole")
    if recent is not None and _was_calm(walk, recent):
        return Judgement(outcome="whole")
    if earlier is not None and _is_same(walk, earlier):
        return Judgement(outcome="whole")
    return Judgement(outcome="again", reason=walk.passed_over())


def _was_calm(walk: ListWalk, recent: RecentUsers) -> bool:
    """Say whether nobody came or went: nobody is new, nobody who changed is gone, and the number is as it was."""
    if recent.total != walk.total or walk.rows != len(walk.users):
        return False
    for key, user in recent.users.items():
        made = time_of(user, "created")
        if key not in walk.users or made is None or made >= recent.since:
            return False
    for key, user in walk.users.items():
        changed = time_of(user, "lastModified")
        if changed is None or (changed >= recent.since and key not in recent.users):
            return False
    return True


def _is_same(walk: ListWalk, earlier: ListWalk) -> bool:
    walks = (walk, earlier)
    return walk.trace == earlier.trace and all(one.miscount() is None and one.rows == len(one.users) for one in walks)
