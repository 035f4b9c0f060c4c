"""A search of users: the provider's answer, and those whom the local copy knows by another spelling."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress

from pingone_mcp.directory.models import User
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import copy_is_fresh

# With fewer letters so many people of a large directory would have to be looked at that the answer came late.
_LEAST = 3


class Search:
    """One question about users, page by page.

    PingOne compares letter by letter, accents included. While the local copy is fresh, those whom a `query` finds only
    without accents follow PingOne's own rows.
    """

    def __init__(self, backend: Backend, question: UserQuestion) -> None:
        self._backend = backend
        self.question = question
        self._live: int | None = None
        self._fresh: bool | None = None
        self._first: Page[User] | None = None
        self._seen: set[str] = set()
        self._spelt: set[str] = set()
        self.is_long = max(map(len, (question.query or "").split()), default=0) >= _LEAST
        """Whether the copy is asked at all: whether any word of the query is long enough."""

    @property
    def asks_copy(self) -> bool:
        """Say whether the copy was asked as well, because it is fresh."""
        return bool(self._fresh)

    async def page(self, at: Position | None, *, page_size: int) -> Page[User]:
        """Return the page at a position. `total` counts both kinds where PingOne's own count is known."""
        if at is not None and at.source == "replica":
            self._fresh = True
            page = await self._backend.copy.otherwise_spelt(self.question, at, page_size=page_size)
            self._spelt.update(user.id for user in page.items if user.id not in self._seen)
            return dataclasses.replace(page, total=_sum(self._live, page.total))
        page = await self._backend.directory.users(self.question, at, page_size=page_size)
        self._live = page.total
        self._seen.update(user.id for user in page.items)
        first = await self._first_otherwise_spelt(page_size)
        known = sum(user.id in self._seen for user in first.items) if first is not None else 0
        if first is None or known == len(first.items):  # all of them if PingOne makes no difference after all
            return page
        self._live = _sum(page.total, -known)
        return dataclasses.replace(page, next=page.next or first.at, total=_sum(self._live, first.total))

    async def _first_otherwise_spelt(self, page_size: int) -> Page[User] | None:
        if self._fresh is None:
            self._fresh = self.is_long and await copy_is_fresh(self._backend)
        if self._fresh and self._first is None:
            try:
                self._first = await self._backend.copy.otherwise_spelt(self.question, page_size=page_size)
            except Problem:  # a name that the copy does not know yet: PingOne has answered, and nothing is added to it
                self._fresh = False
        return self._first

    def otherwise_spelt(self, ids: Sequence[str]) -> int:
        """Return how many of these users were found by another spelling only."""
        return sum(identity in self._spelt for identity in ids)

    async def age_of_copy(self) -> int:
        """Return how many seconds old the copy is that those are from. Raises NoReplica."""
        return (await self._backend.copy.provenance()).age_seconds

    async def is_held(self) -> bool:
        """Say that a sync waits for a person, because many who were there cannot be found now."""
        with suppress(Problem):  # there may be no copy, or none that can be read
            state = await self._backend.replica.state()
            return state is not None and state.held
        return False


def _sum(one: int | None, other: int | None) -> int | None:
    return one + other if one is not None and other is not None else None
