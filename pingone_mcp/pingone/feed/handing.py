"""Pages of a walk on their way from those who read them to the one who takes them, noted once they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from pingone_mcp.errors import Problem
from pingone_mcp.pingone.feed.ledger import Ledger
from pingone_mcp.pingone.feed.ranges import FIRST, UserRange
from pingone_mcp.pingone.wire import ReadUser
from pingone_mcp.replica.source import WalkPage

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class FoundPage(Generic[T]):
    """The users of a page that was read, and how its part goes on: at the link `next`, or in the parts `children`.

    `made` makes that of a user which is handed over: once, for users come again.
    """

    part: UserRange
    next: str | None
    users: Sequence[ReadUser]
    children: tuple[UserRange, ...]
    made: Callable[[ReadUser], T]
    taken: bool = False


class HandingOver(Generic[T]):
    """Pages that are put side by side and taken one after the other; each is handed over when the next one is taken.

    `delivered` is how many users were handed over, those before a kill included. From the first `count_anew` on,
    `pages` were put since the last one, and `missed` were among them, of those who had been there before the walk began
    (`since`).
    """

    def __init__(self, ledger: Ledger) -> None:
        self.since = FIRST
        self.delivered = ledger.delivered
        self.pages = self.missed = 0
        self._counts = False
        self._ledger = ledger
        self._out, self._in = anyio.create_memory_object_stream[FoundPage[T]](0)
        self._taken: FoundPage[T] | None = None
        self._not_kept: Problem | None = None
        self._open: set[FoundPage[T]] = set()  # pages that were read, and not yet handed over
        self._settled = anyio.Event()

    def count_anew(self) -> None:
        self.pages = self.missed = 0
        self._counts = True

    async def put(self, page: FoundPage[T]) -> None:
        """Wait until a page is taken. Raises BrokenResourceError when no more are."""
        self.pages += 1
        self._open.add(page)
        try:
            await self._out.send(page)
        except BaseException:
            if not page.taken:
                self._settle(page)
            raise

    async def all_settled(self) -> None:
        """Wait until all pages that were put are handed over, or given up."""
        while self._open:
            await self._settled.wait()

    async def take(self) -> WalkPage[T]:
        """Return the next page that says anything. Raises EndOfStream behind the last one, and the ledger's Problem."""
        if self._not_kept is not None:
            raise self._not_kept
        try:
            while True:
                self._hand_over()
                page = self._sorted_out(await self._in.receive())
                if page.users or page.changed:
                    return page
        except Problem as problem:
            self._not_kept = problem
            raise

    def keep(self) -> None:
        """Note all pages so far for good; what the ledger raises meets who takes the next one.

        Notes that broke off in the middle of a page are not: they would speak of users that nobody was given.
        """
        if self._not_kept is not None:
            return
        try:
            self._hand_over()
            self._ledger.kept()
        except Problem as problem:
            self._not_kept = problem

    def end(self) -> None:
        """Put no more pages."""
        self._out.close()

    def refuse(self) -> None:
        """Take no more pages."""
        self._in.close()

    def _sorted_out(self, page: FoundPage[T]) -> WalkPage[T]:
        users = {user.known.id: user for user in page.users}
        page.taken, self._taken = True, page
        new = self._ledger.begin_page(users)
        fresh = [user for identity, user in users.items() if identity in new]
        self.delivered += len(fresh)
        if self._counts:
            self.missed += sum((at := user.created_at) is None or at < self.since for user in fresh)
        again = (user for identity, user in users.items() if identity not in new)
        changed = (user for user in again if (at := user.updated_at) is None or at >= self.since)
        return WalkPage(users=tuple(map(page.made, fresh)), changed=tuple(map(page.made, changed)))

    def _hand_over(self) -> None:
        page, self._taken = self._taken, None
        if page is None:
            return
        following = None if page.children else page.next
        self._ledger.end_page(page.part.name(), following, [child.name() for child in page.children])
        self._settle(page)

    def _settle(self, page: FoundPage[T]) -> None:
        self._open.discard(page)
        settled, self._settled = self._settled, anyio.Event()
        settled.set()
