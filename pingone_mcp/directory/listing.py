"""One bounded answer out of a listing of any length: rows until a budget ends, and where to go on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import anyio

from pingone_mcp.advice import setting
from pingone_mcp.directory.cursor import LoopGuard, Mark, place_of
from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import JsonObject, Page
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
class Progress:
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
    `identify` tells items apart; it is given the item's place in its page too, for those that have no id.
    """

    read: Callable[[str | None], Awaitable[Page[T]]]
    row: Callable[[T], JsonObject]
    identify: Callable[[T, int], str]
    around: Callable[[str], int] = lambda _: 0


async def gather(  # noqa: PLR0912 - one loop, which reads best in one piece
    listing: Listing[T],
    mark: Mark,
    budget: Budget,
    *,
    now: Callable[[], float],
    report: Callable[[Progress], Awaitable[None]],
) -> Gathered:
    """Read pages from `mark` on until they end or the budget does. `now` is monotonic, in seconds.

    An id that comes twice is returned once. A page that fails behind others ends the answer, and its problem is told
    with it; the next call begins there. Raises what the first page raises, Unreachable when that takes longer than the
    budget, UnexpectedAnswer when the pages run in a circle, and Refused
    when a page has changed so much since `mark` was made that the place in it cannot be found again.
    """
    answer = Gathered()
    seen = set(mark.after)
    started = now()
    used = pages = scanned = 0
    while True:
        try:
            page = await _in_time(listing.read(mark.position), budget.seconds - (now() - started))
        except UpstreamProblem as problem:
            if not pages:
                raise
            answer.problem = problem
            return _stop(answer, mark, "error")
        if page is None:
            if not pages:
                raise too_slow(budget.seconds)
            return _stop(answer, mark, "time")
        pages += 1
        scanned += page.scanned
        answer.total, answer.gaps = page.total, page.gaps
        await report(Progress(pages=pages, scanned=scanned, about=page.about or page.total))

        around = max(listing.around(page.at), listing.around(page.next or ""))
        room = budget.characters - around - used
        items: dict[str, T] = {}  # an id that a page repeats would make the place behind it ambiguous
        for place, item in enumerate(page.items):
            items.setdefault(listing.identify(item, place), item)
        ids = list(items)
        start = _place(ids, mark)
        for index in range(start, len(ids)):
            if ids[index] in seen:
                continue
            if len(answer.rows) >= budget.limit:
                return _stop(answer, _within(mark, page.at, ids, index), "limit")
            row, size = await _fitting(listing.row(items[ids[index]]), room, alone=not answer.rows)
            if size > room and answer.rows:
                return _stop(answer, _within(mark, page.at, ids, index), "size")
            seen.add(ids[index])
            answer.rows.append(row)
            answer.ids.append(ids[index])
            room, used = room - size, used + size
        if page.next is None:
            if start > len(ids):
                raise _lost()
            return answer
        mark = Mark(
            position=page.next,
            after=_still_ahead(ids, mark),
            taken=max(0, start - len(ids)),
            guard=_step(mark, page.at, page.next),
        )
        if why := _spent(budget, rows=len(answer.rows), pages=pages, room=room, seconds=now() - started):
            return _stop(answer, mark, why)


async def _in_time(reading: Awaitable[Page[T]], seconds: float) -> Page[T] | None:
    """Return the page, or None when it takes longer."""
    with anyio.move_on_after(seconds):
        return await reading
    return None


async def _fitting(row: JsonObject, room: int, *, alone: bool) -> tuple[JsonObject, int]:
    """Return a row and its size; the only row of an answer is cut to what there is room for.

    That is done in a thread: a row may have a hundred thousand members.
    """
    size = _size(row)
    if size <= room or not alone:
        return row, size
    cut = await in_thread(fitted, row, max(room, _LEAST_ROOM) - 1, pool="answers")
    return cut, _size(cut)


def _spent(budget: Budget, *, rows: int, pages: int, room: int, seconds: float) -> Stopped | None:
    """Say which part of the budget is used up, if any is."""
    if rows >= budget.limit or pages == budget.pages:
        return "limit"
    if room <= 0:
        return "size"
    return "time" if seconds >= budget.seconds else None


def too_slow(seconds: float) -> Unreachable:
    return Unreachable(
        f"PingOne did not answer within the {seconds:g} s of one answer.",
        f"Try again. {setting('answer_seconds')} allows more time; `pingone-mcp check` tries the connection step by step.",
        code="TOO_SLOW",
    )


def _size(row: JsonObject) -> int:
    return len(json.dumps(row, ensure_ascii=False, separators=(",", ":"))) + 1


def _stop(answer: Gathered, mark: Mark, why: Stopped) -> Gathered:
    answer.next = mark
    answer.stopped = why
    return answer


def _within(mark: Mark, at: str, ids: list[str], taken: int) -> Mark:
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


def _step(mark: Mark, here: str, following: str) -> LoopGuard:
    """Return the guard behind this page, the beginning of a listing counted as a place too."""
    here, following = place_of(here), place_of(following)
    guard = mark.guard if mark.position is not None else LoopGuard().after(here)
    guard = guard.after(following) if guard is not None and following != here else None
    if guard is None:
        raise UnexpectedAnswer(
            "PingOne's pages run in a circle: a `next` link came twice, so the rest of this list cannot be read.",
            "Start again without `cursor`, or narrow the question.",
            code="REPEATED_LINK",
        )
    return guard
