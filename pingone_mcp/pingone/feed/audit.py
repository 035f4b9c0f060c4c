"""Audit events: where PingOne answers them, and how far back."""

from __future__ import annotations

from datetime import datetime, timedelta

from pingone_mcp.clock import CLOCK_SKEW
from pingone_mcp.directory.matching.filters import all_of, eq, ge, le
from pingone_mcp.pingone.api.client import path_with

WINDOW = timedelta(days=14)  # "Audit activities": older ones are not answered
# Our clock and PingOne's differ: the lower bound stays inside the window, and the upper one beyond the newest event.
MARGIN = timedelta(minutes=1)
PRECISION = timedelta(milliseconds=1)


def path(
    environment: str,
    now: datetime,
    *,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
    action: str | None = None,
) -> str:
    """Return the path of the events between two times (None: all there are), newest first, of one kind or of all.

    A range of time is obligatory; beside it at most one kind may be asked for (PingOne, "Audit activities").
    """
    start = max(since or now - WINDOW, now - WINDOW + MARGIN)
    kind = eq("action.type", action) if action is not None else None
    wanted = all_of((ge("recordedAt", start), le("recordedAt", until or now + CLOCK_SKEW), kind))
    return path_with(f"/environments/{environment}/activities", {"limit": limit, "filter": str(wanted)})
