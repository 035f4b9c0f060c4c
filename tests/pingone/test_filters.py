"""What a person types becomes a filter that PingOne takes, of no more than fits into a URL."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.matching.filters import AnyOf, parse
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.filters import people, people_are_cut
from pingone_mcp.sandbox import scim

TEXTS = st.one_of(st.text(), st.text("\"\\'()[] \n\x00\u2028\ud800andor", max_size=12))


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("ann@x", 'username sw "ann@x" or email sw "ann@x"'),
        (
            " Ann ",
            'username sw "Ann" or email sw "Ann" or name.given sw "Ann" or name.family sw "Ann" or name.formatted sw "Ann"',
        ),
        (
            "Ann  Lee",
            (
                '(name.given sw "Ann" and name.family sw "Lee") or (name.given sw "Lee" and name.family sw "Ann") '
                'or name.family sw "Ann Lee" or name.given sw "Ann Lee" or name.formatted sw "Ann Lee" '
                'or username sw "Ann Lee" or username sw "Ann.Lee" or email sw "Ann.Lee"'
            ),
        ),
    ],
)
def test_what_a_person_types_becomes_a_filter(typed: str, text: str) -> None:
    assert str(people(typed)) == text


def test_an_empty_query_is_refused() -> None:
    for typed in (" \n ", " , "):
        with pytest.raises(Refused, match="empty"):
            people(typed)


NAMES = scim.language(
    {
        "username": "eq sw",
        "email": "eq sw ew",
        "name.given": "eq sw ew",
        "name.family": "eq sw ew",
        "name.formatted": "eq sw",
    }
)


def finds(typed: str, **person: str) -> bool:
    return scim.holds(
        scim.parse(str(people(typed, longest=1_500)), NAMES), {f"name.{k}": v for k, v in person.items()}.get
    )


@pytest.mark.parametrize(
    ("typed", "given_name", "family_name"),
    [
        ("Jan van der Berg", "Jan", "van der Berg"),
        ("van der Berg", "Jan", "van der Berg"),
        ("van der Berg Jan", "Jan", "van der Berg"),
        ("van der Berg, Jan", "Jan", "van der Berg"),
        ("Berg, Jan van der", "Jan", "van der Berg"),
        ("de la Cruz", "María", "de la Cruz"),
        ("Mary Ann", "Mary Ann", "Smith"),
        ("mary ann smith", "Mary Ann", "Smith"),
        ("Smith Mary Ann", "Mary Ann", "Smith"),
        ("Smith, Mary Ann", "Mary Ann", "Smith"),
        ("Mary Ann Smith", "Mary", "Smith"),
        ("Becker, Uma", "Uma", "Becker"),
        ("Becker,Uma", "Uma", "Becker"),
        ("Uma Becker", "Uma", "Becker"),
        ("Uma Bec", "Uma", "Becker"),
        ("Becker,", "Uma", "Becker"),
        ("Ana Maria de la Cruz Santos", "Ana Maria", "de la Cruz Santos"),
        ("de la Cruz Santos, Ana Maria", "Ana Maria", "de la Cruz Santos"),
    ],
)
def test_names_are_found_however_they_are_divided_and_turned(typed: str, given_name: str, family_name: str) -> None:
    assert finds(typed, given=given_name, family=family_name)
    assert not finds(typed, given="Robin", family="Hale")


def test_a_whole_name_that_is_one_word_is_found() -> None:
    assert finds("王小明", given="小明", family="王", formatted="王小明")


@given(st.text(max_size=256).filter(lambda text: text.replace(",", " ").split() != []), st.integers(0, 3_000))
def test_a_search_takes_no_more_of_a_url_than_it_may_or_says_so(typed: str, longest: int) -> None:
    every, kept = people(typed), people(typed, longest=longest)
    size = len(quote(str(kept), safe=""))
    assert size <= longest or not isinstance(kept, AnyOf)
    assert people_are_cut(typed, longest) == (kept != every)
    if isinstance(kept, AnyOf):
        assert isinstance(every, AnyOf)
        assert kept.parts == every.parts[: len(kept.parts)]


@given(TEXTS.filter(lambda text: text.replace(",", " ").split() != []))
def test_whatever_a_person_types_becomes_a_filter(typed: str) -> None:
    assert parse(str(people(typed))) == people(typed)
