"""How the local copy stands: how old it is, how much it holds, and how the last sync ended."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from pingone_mcp.clock import CLOCK_SKEW
from pingone_mcp.replica.store.noted import last_run, recalled
from pingone_mcp.replica.store.rereads import counts_since_reread
from pingone_mcp.replica.store.retention import change_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is in the copy, and since when.

    `synced_at` is when the last sync that was taken over began: nothing later is surely in it. `age_seconds` counts
    from there, and is less than nothing where a clock is wrong (`age_of`). `problem` says why a later one came to
    nothing, and `held` that it waits for a person.
    """

    synced_at: datetime
    age_seconds: int
    full_at: datetime | None
    users: int
    groups: int
    memberships: int
    changes: int
    problem: str | None = None
    held: bool = False

    def is_young(self, most: timedelta) -> bool:
        """Say whether the copy is at most so old; one from the future is not."""
        return 0 <= self.age_seconds <= most.total_seconds()


def state_of(connection: sqlite3.Connection, now: datetime) -> State | None:
    """Return the state of the copy at a time; None before the first sync has been taken over."""
    last = last_run(connection, "outcome = 'complete'")
    if last is None or last.counts is None:
        return None
    full = last_run(connection, "outcome = 'complete' AND mode = 'full'")
    newest = last_run(connection, "1")
    failed = newest is not None and newest.outcome != "complete"
    synced_at = datetime.fromisoformat(last.started_at)
    # Only syncs and rereads write, so the numbers hold until the next one.
    counts = (counts_since_reread(connection) or last.counts).rows
    oldest_id, newest_id = change_ids(connection)
    return State(
        synced_at=synced_at,
        age_seconds=age_of(synced_at, now),
        full_at=datetime.fromisoformat(full.started_at) if full is not None else None,
        users=counts.users,
        groups=counts.groups,
        memberships=counts.memberships,
        changes=newest_id - oldest_id + 1,
        problem=newest.reason or "It failed." if failed and newest is not None else None,
        held=recalled(connection).held is not None,
    )


def age_of(then: datetime, now: datetime) -> int:
    """Return how many seconds ago a time was; less than nothing where it is further ahead than good clocks differ."""
    seconds = round((now - then).total_seconds())
    return 0 if -CLOCK_SKEW.total_seconds() <= seconds < 0 else seconds
