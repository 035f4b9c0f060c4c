"""A search of users: PingOne's answer, whom the local copy knows by another spelling, and what to try next."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress

from pingone_mcp.directory.models import Page, User
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import Problem
from pingone_mcp.service.backend import Backend

_ONLY_AS_WRITTEN = "Only names with these very accents were looked for"
# What a hint beside rows takes.
HINT_CHARACTERS = 200
# With fewer letters so many people of a large directory would have to be looked at that the answer came late.
_LEAST = 3
_NARROWING = ("filter", "status", "group", "population", "environment")


class Search:
    """One question about users, page by page.

    PingOne compares letter by letter, accents included. While the local copy is fresh, those whom a `query` finds only
    without accents follow PingOne's own rows.
    """

    def __init__(self, backend: Backend, question: UserQuestion) -> None:
        self._backend = backend
        self._question = question
        self._live: int | None = None
        self._fresh: bool | None = None
        self._first: Page[User] | None = None
        self._seen: set[str] = set()
        self._spelt: set[str] = set()
        self._is_long = max(map(len, (question.query or "").split()), default=0) >= _LEAST

    async def page(self, at: str | None, *, page_size: int) -> Page[User]:
        """Return the page at a position. `total` counts both kinds where PingOne's own count is known."""
        if at is not None and self._backend.copy.is_here(at):
            self._fresh = True
            page = await self._backend.copy.otherwise_spelt(self._question, at, page_size=page_size)
            self._spelt.update(user.id for user in page.items if user.id not in self._seen)
            return dataclasses.replace(page, total=_sum(self._live, page.total))
        page = await self._backend.directory.users(self._question, at, page_size=page_size)
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
            self._fresh = self._is_long and await self._backend.copy_is_fresh()
        if self._fresh and self._first is None:
            try:
                self._first = await self._backend.copy.otherwise_spelt(self._question, page_size=page_size)
            except Problem:  # a name that the copy does not know yet: PingOne has answered, and nothing is added to it
                self._fresh = False
        return self._first

    async def hint(self, ids: Sequence[str], *, first: bool, last: bool) -> str | None:
        """Return what to know about the users of an answer, the first or last one, or what to try when nobody is."""
        spelt = sum(identity in self._spelt for identity in ids)
        if spelt:
            age = (await self._backend.copy.source()).age_seconds
            return (
                f"Written with other accents than `query`: the last {spelt} of these rows. They come from the local copy, "
                f"which is {age} s old."
            )
        if first and last and not ids:
            return " ".join(filter(None, (self._nobody(), await self._held()))) or None
        named = self._question.query is not None and "@" not in self._question.query
        if not last or not named or self._fresh:
            return None
        return _ONLY_AS_WRITTEN + ("; after sync_directory, others are found too." if self._is_long else ".")

    async def _held(self) -> str | None:
        """Say that many who were there cannot be found now; there may be no copy, or none that can be read."""
        with suppress(Problem):
            state = await self._backend.replica.state()
            if state is not None and state.held:
                return (
                    "A sync is held, because many users cannot be found now: they may be hidden (describe_directory)."
                )
        return None

    def _nobody(self) -> str | None:
        question = self._question
        narrowing = [f"`{name}`" for name in _NARROWING if getattr(question, name) is not None]
        told: list[str] = []
        if question.query is not None:
            told.append(
                "No name, username or email begins like this, whatever the accents."
                if self._fresh
                else "No name, username or email begins like this. PingOne compares accents (Zoe does not find Zoë)"
                + ("; after sync_directory this search does not." if self._is_long else ".")
            )
        if narrowing:
            told.append(f"Try without {' or '.join(narrowing)}.")
        if question.query is not None:
            told.append(
                "Try one word, or the beginning of one; query_directory finds any word of a name (people MATCH 'word*')."
            )
        return " ".join(told) or None


def _sum(one: int | None, other: int | None) -> int | None:
    return one + other if one is not None and other is not None else None
