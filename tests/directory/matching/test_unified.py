"""Conditions on unified fields: how times bound, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.matching.unified import (
    USER_FIELDS,
    ComparedField,
    Comparison,
    FieldCondition,
    bounds_of,
    checked,
    holds,
)
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
ROUND = TIMES.map(lambda at: at.replace(microsecond=at.microsecond // 1_000 * 1_000))
BY_TIME: dict[Comparison, str] = {"eq": "__eq__", "gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}
FIELD = ComparedField("time", "at")


@given(ROUND, TIMES, st.sampled_from(sorted(BY_TIME)), st.integers(-3, 3))
def test_a_range_holds_just_the_times_that_compare_so(
    at: datetime, asked: datetime, comparison: Comparison, near: int
) -> None:
    for other in (asked, at, at + timedelta(microseconds=near * 500)):
        condition = FieldCondition(field="at", comparison=comparison, values=(other.isoformat(),))
        bounds = bounds_of(condition)
        inside = (bounds.least is None or at >= bounds.least) and (bounds.most is None or at <= bounds.most)
        assert inside == getattr(at, BY_TIME[comparison])(other)
        assert holds({"at": timestamp(at)}, [condition], {"at": FIELD}) == inside


@pytest.mark.parametrize(
    ("field", "comparison", "values"),
    [
        ("created_at", "gt", ("yesterday",)),
        ("created_at", "gt", ("2026-01-01T00:00:00",)),
        ("created_at", "gte", ("9999-12-31T23:59:59.9999Z",)),
        ("created_at", "gt", ("2026-01-01", "2026-02-01")),
        ("username", "gt", ("a",)),
        ("username", "eq", ("",)),
        ("username", "eq", ("a", "b")),
        ("is_2fa_enabled", "eq", ("perhaps",)),
        ("is_2fa_enabled", "in", ("true",)),
        ("id", "eq", ("no id",)),
        ("group", "in", ("Everybody",)),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, comparison: Comparison, values: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match=f"`{field}`"):
        checked(FieldCondition(field=field, comparison=comparison, values=values), USER_FIELDS[field])


def test_a_plus_sign_that_was_not_encoded_is_one() -> None:
    condition = FieldCondition(field="created_at", comparison="gte", values=("2026-01-01T02:00:00 02:00",))
    assert bounds_of(condition).least == datetime(2026, 1, 1, tzinfo=UTC)
