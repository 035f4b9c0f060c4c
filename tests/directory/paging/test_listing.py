"""One answer out of a listing: bounded, and the next one goes on exactly behind it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.cursor import CursorSeal, Mark
from pingone_mcp.directory.paging.listing import Budget, Gathered, Listing, ListingProgress, gather
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.errors import Refused, UnexpectedAnswer

SEAL = CursorSeal(b"key")


@dataclass
class Time:
    """A clock that stands still until somebody moves it."""

    now: float = 1_000.0


@dataclass
class Shelf:
    """A made-up listing in pages; positions are `at:<number of the page>`."""

    pages: list[list[str]]
    wide: int = 0
    totals: list[int | None] = field(default_factory=lambda: [None])
    time: Time = field(default_factory=Time)
    seconds: float = 0.0
    reads: list[str | None] = field(default_factory=list[str | None])
    reports: list[ListingProgress] = field(default_factory=list[ListingProgress])
    following: Callable[[int], str | None] | None = None

    async def read(self, position: Position | None) -> Page[str]:
        self.reads.append(position.after if position is not None else None)
        self.time.now += self.seconds
        number = 0 if position is None else int((position.after or "").removeprefix("at:"))
        following = f"at:{number + 1}" if number + 1 < len(self.pages) else None
        if self.following is not None:
            following = self.following(number)
        items = tuple(self.pages[number])
        total = self.totals[min(number, len(self.totals) - 1)]
        return Page(
            at=Position(after=f"at:{number}"),
            items=items,
            next=Position(after=following) if following is not None else None,
            scanned=len(items),
            total=total,
        )

    def row(self, item: str) -> JsonObject:
        return {"id": item, **({"more": "x" * (self.wide * (1 + len(item) % 3))} if self.wide else {})}

    async def report(self, progress: ListingProgress) -> None:
        self.reports.append(progress)

    async def gather(
        self,
        mark: Mark | None = None,
        *,
        limit: int = 1_000,
        characters: int = 1_000_000,
        seconds: float = 60.0,
        pages: int | None = None,
    ) -> Gathered:
        return await gather(
            Listing(read=self.read, row=self.row, identify=lambda item, place: item),
            mark or Mark(),
            Budget(limit=limit, characters=characters, seconds=seconds, pages=pages),
            now=lambda: self.time.now,
            report=self.report,
        )


def ids(answer: Gathered) -> list[str]:
    return [row["id"] for row in answer.rows]


def size(answer: Gathered) -> int:
    return sum(len(json.dumps(row, separators=(",", ":"))) + 1 for row in answer.rows)


PAGES = st.lists(st.integers(0, 7), min_size=1, max_size=8).map(
    lambda sizes: [[f"{page}-{place}" for place in range(size)] for page, size in enumerate(sizes)]
)


@given(PAGES, st.integers(1, 9), st.integers(1, 400), st.integers(0, 60), st.integers(1, 4))
def test_going_on_by_marks_yields_everything_once_and_in_order(
    pages: list[list[str]], limit: int, characters: int, wide: int, most: int
) -> None:
    everything = [item for page in pages for item in page]

    async def walk() -> list[str]:
        shelf = Shelf(pages, wide=wide)
        got: list[str] = []
        mark: Mark | None = Mark()
        for _ in range(len(everything) + len(pages) + 1):
            assert mark is not None
            answer = await shelf.gather(mark, limit=limit, characters=characters, pages=most)
            assert len(answer.rows) <= limit
            assert size(answer) <= characters or len(answer.rows) == 1
            assert (answer.stopped is None) == (answer.next is None)
            got += ids(answer)
            mark = answer.next
            if mark is None:
                return got
            mark = SEAL.open("x", SEAL.seal("x", {}, mark))[1]
        pytest.fail("the walk does not end")

    assert anyio.run(walk) == everything


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=3), st.integers(1, 5))
def test_a_page_that_repeats_an_id_loses_nothing_and_ends(pages: list[list[str]], limit: int) -> None:
    async def walk() -> list[str]:
        shelf = Shelf(pages)
        got: list[str] = []
        mark: Mark | None = Mark()
        for _ in range(30):
            answer = await shelf.gather(mark, limit=limit)
            assert len(set(ids(answer))) == len(answer.rows)
            got += ids(answer)
            mark = answer.next
            if mark is None:
                return got
        pytest.fail("the walk does not end")

    assert set(anyio.run(walk)) == {item for page in pages for item in page}


async def test_an_id_that_comes_twice_is_returned_once() -> None:
    answer = await Shelf([["a", "b", "a"], ["b", "c"]]).gather()
    assert ids(answer) == ["a", "b", "c"]
    assert answer.next is None


async def test_items_without_an_id_are_told_apart_by_their_place() -> None:
    shelf = Shelf([["same", "same", "same"]])
    listing = Listing(read=shelf.read, row=shelf.row, identify=lambda item, place: str(place))
    budget = Budget(limit=2, characters=1_000, seconds=9)
    first = await gather(listing, Mark(), budget, now=lambda: 0.0, report=shelf.report)
    assert first.next is not None
    second = await gather(listing, first.next, budget, now=lambda: 0.0, report=shelf.report)
    assert (len(first.rows), len(second.rows), second.next) == (2, 1, None)


# ------------------------------------------------------------------------------------------------------------ budgets


async def test_a_row_larger_than_the_budget_is_returned_all_the_same() -> None:
    shelf = Shelf([["a", "b"]], wide=500)
    first = await shelf.gather(characters=10)
    assert (ids(first), first.stopped) == (["a"], "size")
    second = await shelf.gather(first.next, characters=10)
    assert (ids(second), second.next) == (["b"], None)


async def test_a_row_is_cut_beside_the_event_loop() -> None:
    looked_at: set[str] = set()

    class Row(dict[str, Any]):
        def items(self) -> Any:
            looked_at.add(threading.current_thread().name)
            return super().items()

    shelf, row = Shelf([["a"]]), Row({f"name{number}": number for number in range(1_000)})
    listing = Listing(read=shelf.read, row=lambda _: row, identify=lambda item, _: item)
    budget = Budget(limit=1, characters=2_000, seconds=9)
    answer = await gather(listing, Mark(), budget, now=lambda: 0.0, report=shelf.report)
    assert "truncated" in answer.rows[0]
    assert threading.current_thread().name not in looked_at
    assert looked_at


async def test_the_limit_ends_an_answer() -> None:
    answer = await Shelf([["a", "b"], ["c"]]).gather(limit=1)
    assert (ids(answer), answer.stopped) == (["a"], "limit")


async def test_a_limit_reached_at_the_end_of_a_page_does_not_read_the_next_one() -> None:
    shelf = Shelf([["a", "b"], ["c"]])
    answer = await shelf.gather(limit=2)
    assert (answer.stopped, shelf.reads) == ("limit", [None])
    assert answer.next is not None
    assert (answer.next.position, answer.next.after) == (Position(after="at:1"), ())


async def test_a_limit_reached_with_the_last_row_is_the_end() -> None:
    answer = await Shelf([["a", "b"]]).gather(limit=2)
    assert (answer.stopped, answer.next) == (None, None)


async def test_only_as_many_pages_are_read_as_asked_for() -> None:
    shelf = Shelf([[], ["a"], ["b"]])
    answer = await shelf.gather(pages=1)
    assert (ids(answer), answer.stopped, shelf.reads) == ([], "limit", [None])
    assert ids(await shelf.gather(answer.next, pages=1)) == ["a"]


async def test_the_time_budget_ends_an_answer_between_pages() -> None:
    shelf = Shelf([["a"], ["b"], ["c"]], seconds=3.0)
    answer = await shelf.gather(seconds=5.0)
    assert (ids(answer), answer.stopped) == (["a", "b"], "time")
    assert ids(await shelf.gather(answer.next, seconds=5.0)) == ["c"]


async def test_the_first_page_is_read_however_long_it_takes() -> None:
    answer = await Shelf([["a"], ["b"]], seconds=900.0).gather(seconds=1.0)
    assert (ids(answer), answer.stopped) == (["a"], "time")


async def test_a_further_page_that_does_not_come_in_time_is_left_to_the_next_answer() -> None:
    time = Time()
    shelf = Shelf([["a"], ["b"]], time=time)

    async def read(position: Position | None) -> Page[str]:
        if position is not None:
            await anyio.sleep_forever()
        time.now += 0.999_999
        return await shelf.read(position)

    listing = Listing(read=read, row=shelf.row, identify=lambda item, place: item)
    budget = Budget(limit=9, characters=999, seconds=1.0)
    answer = await gather(listing, Mark(), budget, now=lambda: time.now, report=shelf.report)
    assert (ids(answer), answer.stopped) == (["a"], "time")
    assert answer.next is not None
    assert answer.next.position == Position(after="at:1")
    assert ids(await shelf.gather(answer.next)) == ["b"]


async def test_each_page_is_reported_once() -> None:
    shelf = Shelf([["a", "b"], [], ["c"]], totals=[9, 9, 3])
    answer = await shelf.gather()
    assert shelf.reports == [
        ListingProgress(pages=1, scanned=2, about=9),
        ListingProgress(pages=2, scanned=2, about=9),
        ListingProgress(pages=3, scanned=3, about=3),
    ]
    assert answer.total == 3


# ------------------------------------------------------------------------------------------------------------ changes


@given(st.integers(1, 9), st.sets(st.integers(0, 9)))
def test_deletions_between_two_answers_neither_lose_nor_repeat_what_is_left(limit: int, gone: set[int]) -> None:
    before = [f"u{number}" for number in range(10)]
    left = [item for number, item in enumerate(before) if number not in gone]
    taken = before[:limit]

    async def walk() -> list[str]:
        first = await Shelf([before]).gather(limit=limit)
        assert first.next is not None
        return ids(await Shelf([left]).gather(first.next))

    if set(taken[-4:]) & set(left):
        assert anyio.run(walk) == [item for item in left if item not in taken]
    else:
        with pytest.raises(Refused) as caught:
            anyio.run(walk)
        assert caught.value.code == "STALE_CURSOR"


async def test_a_page_that_is_gone_altogether_is_said() -> None:
    answer = await Shelf([["a", "b", "c"]]).gather(limit=2)
    with pytest.raises(Refused, match="cannot be found again") as caught:
        await Shelf([[]]).gather(answer.next)
    assert "without `cursor`" in caught.value.next_step


async def test_rows_that_moved_up_from_the_next_page_are_not_lost() -> None:
    answer = await Shelf([["a", "b", "c"], ["d", "e"]]).gather(limit=2)
    assert ids(await Shelf([["b", "c", "d"], ["e"]]).gather(answer.next)) == ["c", "d", "e"]


# ------------------------------------------------------------------------------------------------------------ circles


async def test_a_page_that_names_itself_as_the_next_is_an_error() -> None:
    shelf = Shelf([["a"], ["b"]], following=lambda _: "at:1")
    with pytest.raises(UnexpectedAnswer) as caught:
        await shelf.gather()
    assert caught.value.code == "REPEATED_LINK"
    assert shelf.reads == [None, "at:1"]


@given(st.integers(0, 12), st.integers(1, 12), st.integers(1, 3))
def test_a_circle_of_pages_is_an_error_even_across_answers(tail: int, cycle: int, pages: int) -> None:
    length = 1 + tail + cycle
    shelf = Shelf([[] for _ in range(length)], following=lambda n: f"at:{n + 1 if n + 1 < length else 1 + tail}")

    async def walk() -> None:
        mark: Mark | None = Mark()
        while mark is not None:
            assert len(shelf.reads) < 6 * length
            mark = (await shelf.gather(mark, pages=pages)).next

    with pytest.raises(UnexpectedAnswer):
        anyio.run(walk)
