"""Cron expressions in zones that put their clocks forward and back."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.errors import Refused
from pingone_mcp.service.schedules.cron import check_cron, check_zone, next_time

BERLIN = "Europe/Berlin"


def times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """Return the times at which an expression is due, as clocks there show them, with the offset from UTC."""
    at = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found: list[str] = []
    for _ in range(count):
        at = next_time(cron, zone, at)
        found.append(at.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 7 * * mon-fri", "2026-11-27T12:00:00", ["2026-11-30T07:00+01:00", "2026-12-01T07:00+01:00"]),
        ("0 3 1 * *", "2026-11-27T12:00:00", ["2026-12-01T03:00+01:00", "2027-01-01T03:00+01:00"]),
        ("*/30 * * * *", "2026-11-27T12:00:01", ["2026-11-27T13:30+01:00", "2026-11-27T14:00+01:00"]),
        ("0 0 29 2 *", "2026-11-27T12:00:00", ["2028-02-29T00:00+01:00", "2032-02-29T00:00+01:00"]),
        ("0 9 * * MON#1", "2026-11-27T12:00:00", ["2026-12-07T09:00+01:00", "2027-01-04T09:00+01:00"]),
    ],
)
def test_expressions_mean_the_clocks_of_their_zone(cron: str, after: str, expected: list[str]) -> None:
    assert times(cron, BERLIN, after, 2) == expected


def test_what_lies_in_the_hour_that_is_left_out_is_done_as_it_ends() -> None:
    assert times("30 2 * * *", BERLIN, "2026-03-28T00:00:00", 3) == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert times("0 7 * * *", BERLIN, "2026-03-28T12:00:00", 1) == ["2026-03-29T07:00+02:00"]


def test_what_lies_in_the_hour_that_comes_twice_is_done_once() -> None:
    assert times("30 2 * * *", BERLIN, "2026-10-24T12:00:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    assert times("0 7 * * *", BERLIN, "2026-10-24T12:00:00", 1) == ["2026-10-25T07:00+01:00"]


@pytest.mark.parametrize("after", ["2026-10-25T00:30:00", "2026-10-25T00:59:00", "2026-10-25T01:10:00"])
def test_what_ends_in_the_second_of_these_hours_is_not_done_again(after: str) -> None:
    assert times("30 2 * * *", BERLIN, after, 1) == ["2026-10-26T02:30+01:00"]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_what_is_done_every_so_often_goes_on_by_real_time(day: str) -> None:
    at, found = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=UTC), []
    for _ in range(8):
        at = next_time("*/30 * * * *", BERLIN, at)
        found.append(at)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=30)}


def test_a_zone_of_the_south_and_one_of_half_hours_and_utc() -> None:
    assert times("30 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00", 2) == [
        "2026-10-04T02:30+11:00",
        "2026-10-05T02:30+11:00",
    ]
    assert times("0 7 * * *", "Asia/Kolkata", "2026-11-27T12:00:00", 1) == ["2026-11-28T07:00+05:30"]
    assert times("0 7 * * *", "UTC", "2026-11-27T12:00:00", 1) == ["2026-11-28T07:00+00:00"]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 0 30 2 *", "never due: no such month has such a day"),
        ("0 0 31 4,6,9,11 *", "never due"),
        ("0 0 */30 2 mon#3", "never due"),
        ("0 25 * * *", "wrong hour"),
        ("60 * * * *", "wrong minute"),
        ("0 0 1 13 *", "wrong month|never due"),
        ("0 0 32 * *", "wrong day-of-month"),
        ("0 7 * * fri-mon", "wrong day-of-week"),
        ("0 7 * *", "4 fields"),
        ("0 0 7 * * *", "6 fields"),
        ("@daily", "1 fields"),
        ("", "0 fields"),
        ("0 7 * * " + "1," * 60 + "1", "too long"),
    ],
)
def test_what_is_no_expression_is_said_with_examples(cron: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        check_cron(cron)
    assert "`0 7 * * mon-fri`" in refused.value.next_step
    assert refused.value.code == "NO_CRON"


@pytest.mark.parametrize(
    "zone", ["Berlin", "europe/berlin", "localtime", "../etc/passwd", "Europe", "", "+01:00", "a\0b"]
)
def test_what_is_no_zone_is_said_with_examples(zone: str) -> None:
    with pytest.raises(Refused, match="no time zone") as refused:
        check_zone(zone)
    assert "Europe/Berlin" in refused.value.text()


@given(
    st.text("0123456789*,-/#LWMONJAN ", max_size=30) | st.text(max_size=30),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as hypothesis has it
    st.sampled_from([BERLIN, "UTC", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_whatever_is_written_is_refused_or_due_later(cron: str, after: datetime, zone: str) -> None:
    with suppress(Refused):
        assert next_time(cron, zone, after) > after


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as above
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_time_of_day_comes_once_a_day(minute: int, hour: int, after: datetime, zone: str) -> None:
    first = next_time(f"{minute} {hour} * * *", zone, after)
    second = next_time(f"{minute} {hour} * * *", zone, first)
    days = [at.astimezone(ZoneInfo(zone)).date() for at in (first, second)]
    assert days[1] - days[0] == timedelta(days=1)
