"""Queries as both SDKs and people write them, and what is refused of them by name."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.matching.unified import FieldCondition, Sorting
from pingone_mcp.errors import Refused
from pingone_mcp.web.rest.parameters import Parameter, read
from pingone_mcp.web.rest.query import read_query

PARAMETERS = (
    Parameter(name="limit", about="", kind="integer", least=1, most=100, default=10),
    Parameter(name="next_cursor", about=""),
    Parameter(name="excluded", about="", kind="list"),
    Parameter(name="ignored", about="", kind="boolean"),
    Parameter(name="format", about="", choices=("unified", "raw")),
    Parameter(name="remote_query", about="", kind="members"),
    Parameter(name="sort_by", about="", kind="sorting", choices=("name", "created_at"), aliases={"label": "name"}),
    Parameter(name="group", about="", kind="filter", comparisons=("eq", "in"), other_names=("group.id",)),
    Parameter(name="created_at", about="", kind="filter", comparisons=("eq", "gt", "lt")),
    Parameter(name="custom", about="", kind="filter", comparisons=("eq", "in"), is_open=True),
)


@pytest.mark.parametrize(
    "written",
    [
        "excluded[]=a&excluded[]=b",
        "excluded[0]=a&excluded[1]=b",
        "excluded=a&excluded=b",
        "excluded=a,b",
        "excluded=a%2C%20b",
        "excluded%5B%5D=a&excluded%5B%5D=b",
    ],
)
def test_a_list_is_written_in_any_way(written: str) -> None:
    assert read(written.encode(), PARAMETERS).lists == {"excluded": ("a", "b")}


def test_a_comma_in_a_value_of_a_list_that_was_written_as_one_is_a_comma() -> None:
    assert read(b"excluded[]=a,b", PARAMETERS).lists == {"excluded": ("a,b",)}


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ("group=1", FieldCondition(field="group", values=("1",))),
        ("group[id]=1", FieldCondition(field="group", values=("1",))),
        ("group[eq]=1", FieldCondition(field="group", values=("1",))),
        ("group[id][in]=1,2", FieldCondition(field="group", comparison="in", values=("1", "2"))),
        ("group[in][]=1&group[in][]=2", FieldCondition(field="group", comparison="in", values=("1", "2"))),
        ("group[]=1&group[]=2", FieldCondition(field="group", comparison="in", values=("1", "2"))),
        ("group=a,b", FieldCondition(field="group", values=("a,b",))),
        ("created_at%5Bgt%5D=2026-01-01", FieldCondition(field="created_at", comparison="gt", values=("2026-01-01",))),
        ("custom[badge]=4", FieldCondition(field="custom.badge", values=("4",))),
    ],
)
def test_a_filter_is_a_field_an_operator_and_values(written: str, condition: FieldCondition) -> None:
    assert read(written.encode(), PARAMETERS).conditions == (condition,)


def test_the_same_field_may_be_compared_in_two_ways() -> None:
    found = read(b"created_at[gt]=1&created_at[lt]=2", PARAMETERS).conditions
    assert [(one.comparison, one.values) for one in found] == [("gt", ("1",)), ("lt", ("2",))]


def test_members_are_passed_on_by_name() -> None:
    assert read(b"remote_query[filter]=a%20eq%20b&remote_query[x.y]=1", PARAMETERS).members == {
        "remote_query": {"filter": "a eq b", "x.y": "1"}
    }


@pytest.mark.parametrize(
    ("written", "sorting"),
    [
        ("sort_by=name", Sorting(field="name")),
        ("sort_by=label", Sorting(field="name")),
        ("sort_by[label]=desc", Sorting(field="name", descending=True)),
        ("sort_by[name]=asc", Sorting(field="name")),
        ("sort_by[created_at]=DESC", Sorting(field="created_at", descending=True)),
        ("sort_by=", None),
    ],
)
def test_rows_are_sorted_by_one_field(written: str, sorting: Sorting | None) -> None:
    assert read(written.encode(), PARAMETERS).sorting == sorting


def test_an_empty_parameter_is_absent() -> None:
    given_ = read(b"next_cursor=&limit=&excluded=&ignored=&format=", PARAMETERS)
    assert (given_.texts, given_.lists, given_.flags, given_.integers) == ({}, {}, {}, {"limit": 10})


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("lmit=5", "lmit"),
        ("created[gt]=1", "created"),
        ("format[x]=raw", "format.x"),
        ("limit[gt]=5", "limit"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=٣", "limit"),
        ("limit=1&limit=2", "limit"),
        ("format=RAW", "format"),
        ("ignored=perhaps", "ignored"),
        ("group[gt]=1", "group"),
        ("created_at[in]=1", "created_at"),
        ("custom=1", "custom"),
        ("remote_query=1", "remote_query"),
        ("remote_query[a]=1&remote_query[a]=2", "remote_query.a"),
        ("sort_by=size", "sort_by"),
        ("sort_by[name]=up", "sort_by.name"),
        ("sort_by=name&sort_by[created_at]=asc", "sort_by.created_at"),
        ("a[b=1", "a[b"),
        ("[]=1", "[]"),
    ],
)
def test_what_is_not_taken_is_named(written: str, named: str) -> None:
    with pytest.raises(Refused) as refused:
        read(quote(written, safe="=&[]").encode(), PARAMETERS)
    assert f"`{named}`" in refused.value.what


def test_who_mistypes_a_name_is_shown_the_nearest() -> None:
    with pytest.raises(Refused) as refused:
        read(b"creatd_at[gt]=1", PARAMETERS)
    assert "Did you mean created_at" in refused.value.next_step


def test_an_error_repeats_a_name_harmless_and_short() -> None:
    with pytest.raises(Refused) as refused:
        read(urlencode({"\u202e`x" + "y" * 9_000: "1"}).encode(), PARAMETERS)
    assert "\u202e" not in refused.value.what
    assert len(refused.value.what) < 200


@pytest.mark.parametrize("raw", [b"limit=%ff", "limit=é".encode(), b"&".join(b"a=1" for _ in range(1_001))])
def test_what_is_no_query_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        read(raw, PARAMETERS)


@given(st.binary(max_size=60) | st.text(alphabet="abgt[]=&,.0%2C", max_size=40).map(str.encode))
def test_any_query_is_read_or_refused(raw: bytes) -> None:
    try:
        for one in read_query(raw):
            assert one.values
    except Refused:
        pass
