"""One bounded answer out of a listing of any length: rows until a budget ends, and where to go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import anyio

from pingone_mcp.advice import setting
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.cursor import LoopGuard, Mark
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import fitted
from pingone_mcp.errors import Refused, UnexpectedAnswer, Unreachable, UpstreamProblem
from pingone_mcp.tasks import in_thread

T = TypeVar("T")

Stopped = Literal["limit", "size", "time", "error"]
_ANCHORS = 4
_LEAST_ROOM = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long an answer may get: rows, characters of compact JSON in all, seconds, pages of the provider.

    At least one page is read and at least one row returned, so that every call gets further.
    """

    limit: int
    characters: int
    seconds: float
    pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingProgress:
    """What has been read so far; `about` estimates all that there is to read."""

    pages: int
    scanned: int
    about: int | None


@dataclass(slots=True, kw_only=True)
class Gathered:
    """Rows (`ids` says of whom), and the mark to go on from (None: that was all) with the reason why it stopped there.

    `problem` is set when it stopped for one; `gaps` are those of the pages read.
    """

    rows: list[JsonObject] = field(default_factory=list[JsonObject])
    ids: list[str] = field(default_factory=list[str])
    next: Mark | None = None
    total: int | None = None
    stopped: Stopped | None = None
    problem: UpstreamProblem | None = None
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """What a listing is made of: how to read a page at a position, and how its items become rows.

    `around` is what an answer that goes on from a position needs beside its rows, in characters.
    `identify` tells items apart; it is given the item's place in its page too, for those that have no id. `provider` is
    whom a failure names.
    """

    read: Callable[[Position | None], Awaitable[Page[T]]]
    row: Callable[[T], JsonObject]
    identify: Callable[[T, int], str]
    around: Callable[[Position | None], int] = lambda _: 0
    provider: str = "The directory"


async def gather(
    listing: Listing[T],
    mark: Mark,
    budget: Budget,
    *,
    now: Callable[[], float],
    report: Callable[[ListingProgress], Awaitable[None]],
) -> Gathered:
    """Read pages from `mark` on until they end or the budget does. `now` is monotonic, in seconds.

    An id that comes twice is returned once. A page that fails behind others ends the answer, which carries the problem;
    the next call begins there. Raises what the first page raises, Unreachable when that takes longer than the budget,
    UnexpectedAnswer when the pages run in a circle, and Refused when a page has changed so much since `mark` was made
    that the place in it cannot be found again.
    """
    gathering = _Gathering(listing, mark, budget)
    started = now()
    while (page := await gathering.read(budget.seconds - (now() - started))) is not None:
        await report(gathering.progress(page))
        if not await gathering.take(page) or not gathering.turn(page, now() - started):
            break
    return gathering.answer


class _Gathering(Generic[T]):
    """One answer in the making: what it has, where the next page begins, and what of the budget is used."""

    def __init__(self, listing: Listing[T], mark: Mark, budget: Budget) -> None:
        self.answer = Gathered()
        self._listing = listing
        self._mark = mark
        self._budget = budget
        self._seen = set(mark.after)
        self._ids: list[str] = []
        self._pages = self._scanned = self._characters = self._room = 0

    def progress(self, page: Page[T]) -> ListingProgress:
        return ListingProgress(pages=self._pages, scanned=self._scanned, about=page.about or page.total)

    async def read(self, seconds: float) -> Page[T] | None:
        """Return the next page; None where it fails or takes longer, which ends an answer that has pages already.

        Of an answer that has none yet, raises the failure, or Unreachable.
        """
        page: Page[T] | None = None
        try:
            with anyio.move_on_after(seconds):
                page = await self._listing.read(self._mark.position)
        except UpstreamProblem as problem:
            if not self._pages:
                raise
            self.answer.problem = problem
            self._stop(self._mark, "error")
            return None
        if page is None:
            if not self._pages:
                raise too_slow(self._listing.provider, self._budget.seconds)
            self._stop(self._mark, "time")
            return None
        self._pages += 1
        self._scanned += page.scanned
        self.answer.total, self.answer.gaps = page.total, page.gaps
        return page

    async def take(self, page: Page[T]) -> bool:
        """Take the rows of a page from the mark on; say whether all of them had room."""
        around = max(self._listing.around(page.at), self._listing.around(page.next))
        self._room = self._budget.characters - around - self._characters
        items: dict[str, T] = {}  # an id that a page repeats would make the place behind it ambiguous
        for place, item in enumerate(page.items):
            items.setdefault(self._listing.identify(item, place), item)
        self._ids = ids = list(items)
        for index in range(_place(ids, self._mark), len(ids)):
            identity = ids[index]
            if identity not in self._seen and (full := await self._add(identity, items[identity])):
                self._stop(_within(self._mark, page.at, ids, index), full)
                return False
        return True

    async def _add(self, identity: str, item: T) -> Stopped | None:
        """Add one row, or say why there is no room for it. The first one always has room."""
        answer = self.answer
        if len(answer.rows) >= self._budget.limit:
            return "limit"
        row = self._listing.row(item)
        size = _size(row)
        if size > self._room and not answer.rows:
            row = await _cut(row, self._room)
            size = _size(row)
        if size > self._room and answer.rows:
            return "size"
        self._seen.add(identity)
        answer.rows.append(row)
        answer.ids.append(identity)
        self._room -= size
        self._characters += size
        return None

    def turn(self, page: Page[T], seconds: float) -> bool:
        """Go on behind a page that was taken; say whether there is a next one and a budget for it.

        Raises Refused where the list ends before the place that the mark remembers, UnexpectedAnswer for a circle.
        """
        ids, start = self._ids, _place(self._ids, self._mark)
        if page.next is None:
            if start > len(ids):
                raise _lost()
            return False
        self._mark = Mark(
            position=page.next,
            after=_still_ahead(ids, self._mark),
            taken=max(0, start - len(ids)),
            guard=_step(self._mark, page.at, page.next, self._listing.provider),
        )
        spent = self._spent(seconds)
        if spent is not None:
            self._stop(self._mark, spent)
        return spent is None

    def _spent(self, seconds: float) -> Stopped | None:
        """Say which part of the budget is used up, if any is."""
        if len(self.answer.rows) >= self._budget.limit or self._pages == self._budget.pages:
            return "limit"
        if self._room <= 0:
            return "size"
        return "time" if seconds >= self._budget.seconds else None

    def _stop(self, mark: Mark, why: Stopped) -> None:
        self.answer.next = mark
        self.answer.stopped = why


async def _cut(row: JsonObject, room: int) -> JsonObject:
    """Return the only row of an answer, cut to what there is room for: in a thread, for it may be of any size."""
    return await in_thread(fitted, row, max(room, _LEAST_ROOM) - 1, pool="answers")


def too_slow(provider: str, seconds: float) -> Unreachable:
    """Return the failure of an answer whose first page took longer than all of its seconds."""
    return Unreachable(
        f"{provider} did not answer within the {seconds:g} s of one answer.",
        f"Try again. {setting('answer_seconds')} allows more time; `pingone-mcp check` tries the connection step by step.",
        code="TOO_SLOW",
    )


def _size(row: JsonObject) -> int:
    from pingone_mcp.directory.text.compact_json import json_size  # noqa: PLC0415 - start-up: before rows there are tools

    return json_size(row) + 1


def _within(mark: Mark, at: Position, ids: list[str], taken: int) -> Mark:
    anchors = (*mark.after, *ids[:taken])[-_ANCHORS:]
    return Mark(position=at, after=anchors, taken=taken, guard=mark.guard)


def _place(ids: list[str], mark: Mark) -> int:
    """Return the index to go on at: behind the last of the remembered ids that is still there.

    An index beyond the page means that the page became shorter, and that so many rows behind it are to be passed.
    """
    places = {identity: index for index, identity in enumerate(ids)}
    for identity in reversed(mark.after):
        if identity in places:
            return places[identity] + 1
    if not mark.taken or len(ids) < mark.taken:
        return mark.taken
    raise _lost()


def _still_ahead(ids: list[str], mark: Mark) -> tuple[str, ...]:
    """Return the remembered ids behind the last one on this page: a page that became shorter puts them on the next."""
    known = set(ids)
    last = max((place for place, identity in enumerate(mark.after) if identity in known), default=-1)
    return mark.after[last + 1 :]


def _lost() -> Refused:
    return Refused(
        "The directory changed so much since this cursor was made that its place cannot be found again.",
        "Start again without `cursor`.",
        code="STALE_CURSOR",
    )


def _step(mark: Mark, here: Position, following: Position, provider: str) -> LoopGuard:
    """Return the guard behind this page, the beginning of a listing counted as a place too."""
    guard = mark.guard if mark.position is not None else LoopGuard().after(here.place)
    guard = guard.after(following.place) if guard is not None and following.place != here.place else None
    if guard is None:
        raise UnexpectedAnswer(
            f"{provider}'s pages run in a circle: a `next` link came twice, so the rest of this list cannot be read.",
            "Start again without `cursor`, or narrow the question.",
            code="REPEATED_LINK",
        )
    return guard
