"""How many people a question finds, where they are too many to be counted each time."""

from __future__ import annotations

import pytest

from pingone_mcp.service.browsing.people import FilterChoice, FilterChoices, ListedPeople, PeopleQuestion, known_total


def choice(value: str, count: int | None) -> tuple[FilterChoice, ...]:
    return (FilterChoice(value=value, name=value.upper(), count=count),)


COUNTED = FilterChoices(
    edition="1",
    people=90_000,
    statuses=choice("active", 70_000),
    populations=choice("p", 50_000),
    departments=choice("d", 40_000),
    groups=choice("g", None),
    removed=30_000,
)
MANY = ListedPeople(people=(), total=None, at_least=2_000)


@pytest.mark.parametrize(
    ("question", "total"),
    [
        (PeopleQuestion(), 90_000),
        (PeopleQuestion(status="active"), 70_000),
        (PeopleQuestion(population="p"), 50_000),
        (PeopleQuestion(department="d"), 40_000),
        (PeopleQuestion(removed=True), 30_000),
        (PeopleQuestion(group="g"), None),
        (PeopleQuestion(status="invited"), None),
        (PeopleQuestion(query="a"), None),
        (PeopleQuestion(status="active", population="p"), None),
        (PeopleQuestion(removed=True, population="p"), None),
    ],
)
def test_of_many_only_what_was_counted_is_said(question: PeopleQuestion, total: int | None) -> None:
    assert known_total(MANY, question, COUNTED) == total


def test_what_was_counted_for_the_question_itself_counts() -> None:
    assert known_total(ListedPeople(people=(), total=0, at_least=0), PeopleQuestion(), COUNTED) == 0
