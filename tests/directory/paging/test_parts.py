"""A listing in parts is read to its end from any position, and what it lacks stays said to the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.coverage import Coverage, Reason, covered_so_far
from pingone_mcp.directory.gaps import EndedEarly, Gap, LeftOut, UnreadableEnvironment
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import ReadPage, find, page_at, part_name
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.errors import Refused


@dataclass(frozen=True)
class MadeUp:
    """A part whose pages are known; it counts so many rows more than there are, and may lose its last links."""

    key: str
    pages: tuple[tuple[str, ...], ...]
    label: str = ""
    more: int = 0
    is_counted: bool = True
    gaps: tuple[Gap, ...] = ()
    without_id: int = 0

    @property
    def name(self) -> str:
        return part_name(self.key, "")

    @property
    def rows(self) -> list[str]:
        return [row for page in self.pages for row in page]

    def lacks(self, counted: Counted, *, ended: bool) -> Iterator[Gap]:
        if ended and counted.missing:
            yield EndedEarly(place=self.key, noun="users", counted=counted.said or 0, came=counted.came)
        if counted.left_out:
            yield LeftOut(place=self.key, noun="users", lacking="an id", count=counted.left_out)

    def read(self, link: str | None) -> ReadPage[str]:
        number = int(link or 0)
        return ReadPage(
            items=self.pages[number],
            rows=len(self.pages[number]),
            link=str(number),
            next=str(number + 1) if number + 1 < len(self.pages) else None,
            count=len(self.rows) + self.more,
            left_out=self.without_id,
            gaps=self.gaps,
        )


def page(parts: list[MadeUp], at: Position | None) -> Page[str]:
    place = find(parts, at, source="live")
    return page_at(place, place.part.read(place.position.after))


def walk(parts: list[MadeUp]) -> list[Page[str]]:
    found = [page(parts, None)]
    while (following := found[-1].next) is not None:
        written = json.dumps(following.to_json())  # it goes on in another process
        found.append(page(parts, Position.from_json(json.loads(written))))
    return found


PAGES = st.lists(st.lists(st.text(min_size=1, max_size=3), max_size=3).map(tuple), min_size=1, max_size=4).map(tuple)
LISTINGS = st.lists(PAGES, min_size=1, max_size=4).map(
    lambda parts: [MadeUp(key=f"part{number}", pages=pages) for number, pages in enumerate(parts)]
)


@given(LISTINGS)
def test_a_walk_over_all_parts_yields_every_row_in_order(parts: list[MadeUp]) -> None:
    found = walk(parts)
    assert [row for one in found for row in one.items] == [row for part in parts for row in part.rows]
    assert not any(one.gaps for one in found)
    again = [page(parts, one.at) for one in found]
    assert [(one.items, one.next) for one in again] == [(one.items, one.next) for one in found]


@given(LISTINGS, st.data())
def test_what_a_part_lacks_is_a_gap_to_the_end_of_the_listing(parts: list[MadeUp], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(parts) - 1))
    short = parts[number]
    parts[number] = MadeUp(key=short.key, pages=short.pages, more=2, gaps=(UnreadableEnvironment(place="e"),))
    found = walk(parts)
    before = sum(len(part.pages) for part in parts[:number])
    until = before + len(short.pages) - 1
    came = len(short.rows)
    ended = EndedEarly(place=short.key, noun="users", counted=came + 2, came=came)
    for index, one in enumerate(found):
        assert (UnreadableEnvironment(place="e") in one.gaps) == (index >= before)
        assert (ended in one.gaps) == (index >= until)
    assert len(found[-1].gaps) == 2, "each is said once"
    assert all(one.total is None for one in found[until:])


def test_rows_without_an_id_are_counted_over_all_pages_of_a_part() -> None:
    first, last = walk([MadeUp(key="p", pages=(("a",), ("b",)), without_id=1)])
    assert [one.gaps for one in (first, last)] == [
        (LeftOut(place="p", noun="users", lacking="an id", count=count),) for count in (1, 2)
    ]


@pytest.mark.parametrize(
    ("pages", "more", "is_counted", "totals"),
    [
        ((("a", "b"), ("c",)), 0, True, [3, 3]),
        ((("a", "b"), ("c",)), 0, False, [None, None]),
        ((("a", "b"), ("c",)), -1, True, [None, None]),  # the first page holds all that are counted, yet has a link
        ((("a",), ("b",), ("c",)), -1, True, [2, 2, None]),
    ],
)
def test_a_count_is_a_total_while_nothing_contradicts_it(
    pages: tuple[tuple[str, ...], ...], more: int, totals: list[int | None], *, is_counted: bool
) -> None:
    found = walk([MadeUp(key="p", pages=pages, more=more, is_counted=is_counted)])
    assert [one.total for one in found] == totals


def test_of_several_parts_nothing_is_known_of_the_total() -> None:
    found = walk([MadeUp(key="p", pages=(("a",),)), MadeUp(key="q", pages=(("b",),))])
    assert [(one.total, one.about) for one in found] == [(None, None)] * 2


def test_a_position_of_a_part_that_is_gone_or_of_the_copy_is_stale() -> None:
    parts = [MadeUp(key="p", pages=(("a",), ("b",)))]
    following = page(parts, None).next
    assert following is not None
    for others, source in (([MadeUp(key="q", pages=(("a",),))], "live"), (parts, "replica")):
        with pytest.raises(Refused) as caught:
            find(others, following, source="replica" if source == "replica" else "live")
        assert caught.value.code == "STALE_CURSOR"


def test_a_part_asked_otherwise_has_another_name() -> None:
    assert part_name("p", "enabled eq true") != part_name("p", "enabled eq false")


def test_a_reason_is_covered_once_the_list_is_behind_it() -> None:
    coverage: dict[Reason, Coverage] = {
        "disabled": Coverage(how="", complete=True),
        "locked": Coverage(how="", complete=False, note="some"),
        "removed": Coverage(how="", complete=True),
    }
    reached = [None, Position(label="removed"), Position(label="locked"), Position(label="disabled")]
    assert [[one.complete for one in covered_so_far(coverage, position).values()] for position in reached] == [
        [True, False, True],
        [True, False, False],
        [True, False, False],
        [False, False, False],
    ]
