"""When a connection is synced next: pure decisions, with chance as a parameter."""

from __future__ import annotations

from datetime import datetime, timedelta

DEFAULT_MINUTES = 15.0
"""Minutes between two syncs of a connection that says nothing about it."""
LONGEST_BACKOFF = timedelta(hours=6)
_JITTER = 0.1  # of the interval, either way: connections that began together drift apart


def next_sync(ended: datetime, interval: timedelta, *, failures: int, jitter: float) -> datetime:
    """Return when to sync again after a sync that has ended.

    `failures` is how many syncs in a row have failed up to this one: each doubles the wait, up to `LONGEST_BACKOFF` or
    the interval, whichever is longer. `jitter` is in 0..1.
    """
    wait: timedelta = interval * (1 << min(failures, 16))
    wait = min(wait, max(interval, LONGEST_BACKOFF))
    return ended + wait * (1 + _JITTER * (2 * jitter - 1))
