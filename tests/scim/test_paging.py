"""What shows that nobody was passed over, and what does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pingone_mcp.scim.answers import ListPage, key_of
from pingone_mcp.scim.paging import ListWalk, RecentUsers, judged

SINCE = datetime(2026, 6, 15, 12, tzinfo=UTC)
BEFORE, AFTER = SINCE - timedelta(days=1), SINCE + timedelta(minutes=1)


def user(name: str, made: datetime = BEFORE, changed: datetime = BEFORE) -> dict[str, Any]:
    return {"id": name, "meta": {"created": made.isoformat(), "lastModified": changed.isoformat()}}


def walked(*pages: list[dict[str, Any]], totals: list[int] | None = None) -> ListWalk:
    """Walk over pages, each of which says how many there are."""
    walk, whole = ListWalk(count=10, by_cursor=False), sum(len(page) for page in pages)
    for number, page in enumerate(pages):
        walk.take(ListPage(users=tuple(page), total=totals[number] if totals else whole))
    assert (walk.next, walk.lacking) == (None, None)
    return walk


def recent(*users: dict[str, Any], total: int = 4) -> RecentUsers:
    return RecentUsers(since=SINCE, users={key_of(one): one for one in users}, total=total)


FOUR = ([user("a"), user("b")], [user("c"), user("d")])


@pytest.mark.parametrize("shown", [recent(), recent(user("b", changed=AFTER))])
def test_a_walk_is_whole_where_a_filter_shows_that_nobody_came_or_went(shown: RecentUsers) -> None:
    assert judged(walked(*FOUR)).outcome == "again"
    assert judged(walked(*FOUR), recent=shown).outcome == "whole"


@pytest.mark.parametrize(
    ("pages", "shown"),
    [
        (FOUR, recent(user("e", made=AFTER, changed=AFTER))),
        (FOUR, recent(user("d", made=AFTER, changed=AFTER))),
        (FOUR, recent({"id": "d", "meta": {"lastModified": AFTER.isoformat()}})),
        (FOUR, recent(total=3)),
        (FOUR, recent(total=5)),
        ((FOUR[0], [user("c"), user("gone", changed=AFTER)]), recent()),
        ((FOUR[0], [user("c"), {"id": "d"}]), recent()),
    ],
    ids=[
        "one came",
        "one came who was read",
        "one who may have come",
        "one went",
        "more came",
        "one came and went",
        "no times",
    ],
)
def test_a_walk_is_not_settled_by_a_filter_that_shows_somebody_who_came_or_went(
    pages: tuple[list[dict[str, Any]], ...], shown: RecentUsers
) -> None:
    assert judged(walked(*pages), recent=shown).outcome == "again"


def test_a_walk_is_whole_where_another_one_brought_the_same() -> None:
    assert judged(walked(*FOUR), walked(*FOUR)).outcome == "whole"
    assert judged(walked([*FOUR[0], FOUR[1][0]], FOUR[1][1:]), walked(*FOUR)).outcome == "whole", (
        "on pages of any length"
    )


@pytest.mark.parametrize(
    "earlier",
    [
        [[user("a"), user("b")], [user("c"), user("e")]],
        [[user("a"), user("b")], [user("d"), user("c")]],
        [[user("a"), user("bc")], [user("d"), user("")]],
    ],
)
def test_a_walk_is_not_settled_by_one_that_brought_others(earlier: list[list[dict[str, Any]]]) -> None:
    assert judged(walked(*FOUR), walked(*earlier)).outcome == "again"


def test_a_walk_is_not_whole_where_the_number_of_users_changed_meanwhile() -> None:
    moved = walked(*FOUR, totals=[5, 4])
    found = judged(moved, moved, recent())
    assert (found.outcome, found.reason) == (
        "again",
        "4 of 4 users were read, and how many there are changed meanwhile.",
    )


def test_a_walk_that_brought_one_twice_is_not_settled() -> None:
    """A row that was pushed on to the next page may hide another one that was pulled over."""
    twice = walked([user("a"), user("b")], [user("b"), user("c"), user("d")], totals=[4, 4])
    assert judged(twice, twice).outcome == "again"
    assert judged(twice, recent=recent()).outcome == "again"


@pytest.mark.parametrize("change", [lambda walk: walk.counted(5), lambda walk: walk.counted(3)])
def test_a_cursor_is_believed_unless_the_server_counts_more(change: Callable[[ListWalk], None]) -> None:
    walk = ListWalk(count=2, by_cursor=True)
    for number, page in enumerate(FOUR):
        walk.take(ListPage(users=tuple(page), next_cursor="next" if number == 0 else None))
    assert judged(walk).outcome == "whole"
    change(walk)
    assert judged(walk).outcome == ("again" if walk.total == 5 else "whole")


def test_whoever_says_another_place_than_was_asked_for_is_followed_by_what_came() -> None:
    walk = ListWalk(count=2, by_cursor=False)
    for place, page in ((1, FOUR[0]), (3, FOUR[1])):
        assert walk.next is not None
        assert walk.next.start == place
        walk.take(ListPage(users=tuple(page), total=4, start=1))
    assert walk.next is None, "all have come, whatever places are said"
    assert dataclasses.asdict(judged(walk, walk)) == {"outcome": "whole", "reason": None}
