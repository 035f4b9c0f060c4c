"""Filters quote and parenthesise themselves, and a text means here what it means to PingOne."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.matching.filters import (
    OPERATORS,
    All,
    AnyOf,
    Compare,
    Filter,
    Not,
    Present,
    Within,
    all_of,
    any_of,
    eq,
    parse,
    sw,
)
from pingone_mcp.errors import Refused
from pingone_mcp.sandbox import scim

WORDS = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_.$:-]{0,8}", fullmatch=True).filter(
    lambda word: word.lower() not in ("not", "and", "or")
)
TEXTS = st.one_of(st.text(), st.text("\"\\'()[] \n\x00\u2028\ud800andor", max_size=12))
VALUES = st.one_of(
    TEXTS, st.booleans(), st.none(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False)
)
LEAVES = st.one_of(st.builds(Compare, WORDS, st.sampled_from(OPERATORS), VALUES), st.builds(Present, WORDS))


def _parts(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[tuple[Filter, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Within, WORDS, inner),
        st.builds(All, _parts(inner)),
        st.builds(AnyOf, _parts(inner)),
    ),
    max_leaves=8,
)


# ------------------------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (eq("enabled", value=True), "enabled eq true"),
        (eq("accountId", None), "accountId eq null"),
        (sw("name.given", 'A"B\\C'), r'name.given sw "A\"B\\C"'),
        (sw("name.given", "É\n"), r'name.given sw "É\n"'),
        (Within("memberOfGroups", eq("id", "g")), 'memberOfGroups[id eq "g"]'),
        (All((eq("a", 1), AnyOf((eq("b", 2), Not(Present("c")))))), "a eq 1 and (b eq 2 or not (c pr))"),
        (AnyOf((eq("a", 1), All((eq("b", 2), eq("c", 3))))), "a eq 1 or (b eq 2 and c eq 3)"),
    ],
)
def test_filters_are_written_as_pingone_reads_them(built: Filter, text: str) -> None:
    assert str(built) == text


@given(TEXTS)
def test_a_value_cannot_leave_its_quotes(value: str) -> None:
    text = str(eq("username", value))
    assert json.loads(text.removeprefix("username eq ")) == value
    assert parse(text) == eq("username", value)
    text.encode()


@given(FILTERS)
def test_what_is_written_is_read_as_the_same(built: Filter) -> None:
    assert parse(str(built)) == built


def test_parts_that_are_not_there_are_left_out() -> None:
    assert all_of([None, None]) is None
    assert all_of([None, eq("a", 1)]) == eq("a", 1)
    assert any_of([eq("a", 1)]) == eq("a", 1)


# ------------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('username EQ "a"', eq("username", "a")),
        ("  enabled eq TRUE ", eq("enabled", value=True)),
        ('enabled eq "true"', eq("enabled", "true")),
        ("a eq null", eq("a", None)),
        ("a eq -12", eq("a", -12)),
        ("a eq 1.5", eq("a", 1.5)),
        ("a eq 1e-7", eq("a", 1e-7)),
        ("title PR", Present("title")),
        ("name.given sw 'O\\'Hara'", sw("name.given", "O'Hara")),
        ("name.given sw 'say \"hi\"'", sw("name.given", 'say "hi"')),
        (r"name.given sw 'say \"hi\"'", sw("name.given", 'say "hi"')),
        ("((a eq 1))", eq("a", 1)),
        ("a eq 1 or b eq 2 and c eq 3", AnyOf((eq("a", 1), All((eq("b", 2), eq("c", 3)))))),
        ("(a eq 1 or b eq 2) AND c eq 3", All((AnyOf((eq("a", 1), eq("b", 2))), eq("c", 3)))),
        (
            'memberOfGroups[id eq "g" and type eq "DIRECT"]',
            Within("memberOfGroups", All((eq("id", "g"), eq("type", "DIRECT")))),
        ),
    ],
)
def test_texts_are_read(text: str, read: Filter) -> None:
    assert parse(text) == read


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ends where an attribute should follow"),
        ("username", "ends where an operator should follow"),
        ("username eq", "ends where a value should follow"),
        ("username eq Ann", "has a value without quotes, at its part 3 of 3"),
        ('username equals "a"', "has no operator where one should be, at its part 2 of 3"),
        ('"a" eq username', "has no attribute where one should be, at its part 1 of 3"),
        ('username eq "a', "cannot be read from character 12 on (an open quote?)"),
        ('(username eq "a"', "lacks a closing ), at its part 5 of 4"),
        ('memberOfGroups[id eq "a")', "lacks a closing ], at its part 6 of 6"),
        ('username eq "a")', "goes on where it should end, at its part 4 of 4"),
        ('username eq "a" username eq "b"', "goes on where it should end"),
        ('not username eq "a"', "needs ( behind not"),
        (r'username eq "\x"', "has a string with a wrong escape"),
        ("(" * 41 + "a eq 1" + ")" * 41, "is nested too deeply"),
        ("a eq 1" + " " * 4_000, "is longer than 4000 characters"),
        ("a eq 1e999", "has a number that is too large"),
    ],
)
def test_a_text_that_is_no_filter_is_refused_saying_where(text: str, told: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(text)
    assert told in caught.value.what
    assert caught.value.code == "INVALID_FILTER"
    assert "Write it like" in caught.value.next_step


def test_a_misspelt_operator_is_told_the_nearest_one() -> None:
    with pytest.raises(Refused, match=r"Did you mean eq\?"):
        parse('username eqq "a"')


TOKENS = st.lists(
    st.sampled_from(
        [
            *OPERATORS,
            "pr",
            "and",
            "or",
            "not",
            "(",
            ")",
            "[",
            "]",
            '"a"',
            "'b'",
            '"',
            "\\",
            "a.b",
            "1",
            "1e9",
            "true",
            "\n",
            "\ud800",
            "٣",
        ]
    ),
    max_size=14,
).map(" ".join)


@given(st.one_of(st.text(), TOKENS))
def test_garbage_is_refused_and_nothing_else(text: str) -> None:
    try:
        read = parse(text)
    except Refused as told:
        str(told).encode()
    else:
        assert parse(str(read)) == read
        str(read).encode()


@given(st.one_of(TOKENS, FILTERS.map(str), FILTERS.map(str).map(lambda text: f"{text}) or (a eq 1")))
def test_a_text_cannot_break_out_of_what_it_is_combined_with(text: str) -> None:
    fence = eq("population.id", "p")
    try:
        combined = all_of([fence, parse(text)])
    except Refused:
        return
    read = parse(str(combined))
    assert isinstance(read, All)
    assert read.parts[0] == fence
    assert len(read.parts) == 2


# -------------------------------------------------------------------------------------------------------- same meaning

SPOKEN = scim.language(
    {"username": "eq sw", "email": "eq sw ew", "name.given": "eq sw ew co", "enabled?": "eq", "updatedAt@": "ge le"},
    members=True,
    negation=True,
)
SHORT = st.text("aB\"\\' )", max_size=2)
_EITHER = st.sampled_from


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


DOCUMENTED = st.one_of(
    st.builds("username {} {}".format, _EITHER(["eq", "SW", "sw"]), SHORT.map(_quoted)),
    st.builds("email {} {}".format, _EITHER(["eq", "ew", "Ew"]), SHORT.map(_quoted)),
    st.builds("name.given {} {}".format, _EITHER(["co", "ew"]), SHORT.map(_quoted)),
    st.builds("enabled eq {}".format, _EITHER(["true", "FALSE", '"true"', '"False"'])),
    st.builds('updatedAt {} "2026-01-0{}T00:00:00Z"'.format, _EITHER(["ge", "LE"]), st.integers(1, 3)),
    st.builds('memberOfGroups[id eq "{}"{}]'.format, _EITHER("gh"), _EITHER(["", ' and type eq "DIRECT"'])),
)
QUESTIONS = st.recursive(
    DOCUMENTED,
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("not ({})".format, inner),
        st.builds("{} {} {}".format, inner, _EITHER(["and", "AND", "or", " OR "]), inner),
    ),
    max_leaves=7,
)
ANN = st.fixed_dictionaries(
    {
        "username": SHORT,
        "email": st.none() | SHORT,
        "name.given": st.none() | SHORT,
        "enabled": st.none() | st.booleans(),
        "updatedAt": st.integers(1, 3).map("2026-01-0{}T00:00:00Z".format),
    }
)


@given(QUESTIONS, ANN, st.dictionaries(_EITHER("gh"), _EITHER(["DIRECT", "INDIRECT"])))
def test_rewriting_a_filter_does_not_change_whom_it_finds(
    text: str, person: dict[str, object], groups: dict[str, scim.Membership]
) -> None:
    def finds(asked: str) -> bool:
        return scim.holds(scim.parse(asked, SPOKEN), person.get, groups.get)

    assert finds(str(parse(text))) == finds(text)
