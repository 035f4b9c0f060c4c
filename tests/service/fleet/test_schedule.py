"""When connections are synced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pingone_mcp.service.fleet.schedule import LONGEST_BACKOFF, next_sync

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize(
    ("failures", "interval", "expected"),
    [
        (0, QUARTER, QUARTER),
        (1, QUARTER, 2 * QUARTER),
        (3, QUARTER, 8 * QUARTER),
        (50, QUARTER, LONGEST_BACKOFF),
        (50, timedelta(days=1), timedelta(days=1)),
    ],
)
def test_failures_double_the_wait_up_to_a_limit(failures: int, interval: timedelta, expected: timedelta) -> None:
    assert next_sync(NOW, interval, failures=failures, jitter=0.5) == NOW + expected


def test_chance_moves_a_sync_a_little_either_way() -> None:
    assert next_sync(NOW, QUARTER, failures=0, jitter=0.0) == NOW + 0.9 * QUARTER
    assert next_sync(NOW, QUARTER, failures=0, jitter=1.0) == NOW + 1.1 * QUARTER
