"""Times are read as people write them, and anything else is refused with what to write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.text.moments import moment
from pingone_mcp.errors import Refused
from tests.world import NOW


@pytest.mark.parametrize(
    ("text", "at", "again"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC), "2026-11-20T00:00:00.000Z"),
        (" 2026-11-20 ", datetime(2026, 11, 20, tzinfo=UTC), "2026-11-20T00:00:00.000Z"),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC), "2026-11-20T08:00:00.000Z"),
        ("2026-11-20t08:00:00z", datetime(2026, 11, 20, 8, tzinfo=UTC), "2026-11-20T08:00:00.000Z"),
        ("2026-11-20 10:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC), "2026-11-20T08:00:00.000Z"),
        ("90s", NOW - timedelta(seconds=90), "90s"),
        ("15m", NOW - timedelta(minutes=15), "15m"),
        ("24h", NOW - timedelta(hours=24), "24h"),
        ("7 D", NOW - timedelta(days=7), "7d"),
        ("2w", NOW - timedelta(weeks=2), "2w"),
        ("30 days", NOW - timedelta(days=30), "30days"),
        ("1 week", NOW - timedelta(weeks=1), "1week"),
    ],
)
def test_a_date_a_time_and_how_long_ago_are_times(text: str, at: datetime, again: str) -> None:
    read = moment(text, NOW)
    assert (read.at, read.given) == (at, again)
    assert moment(read.given, NOW) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-06-01T00:00:00",
        "0d",
        "7",
        "d",
        "-7d",
        "7 months",
        "7y",
        "999999999w",
        "0001-01-01T00:00+14:00",
    ],
)
def test_anything_else_is_told_what_to_write(text: str) -> None:
    with pytest.raises(Refused) as caught:
        moment(text, NOW)
    assert caught.value.code == "WRONG_TIME"
    assert "2026-11-20" in caught.value.next_step
    assert "7d" in caught.value.next_step


@given(st.text() | st.from_regex(r"[0-9]{1,12}[smhdw]|[0-9TZ:+ -]{1,30}", fullmatch=True))
def test_every_text_is_a_time_or_refused(text: str) -> None:
    try:
        read = moment(text, NOW)
    except Refused:
        return
    assert read.at.tzinfo is not None
