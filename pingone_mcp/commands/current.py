"""A local copy that is fresh enough to be compared with: brought up to date first where it is not."""

from __future__ import annotations

from pingone_mcp.commands.words import at_minute, spelt
from pingone_mcp.console import Progress
from pingone_mcp.errors import Problem
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.state import State


class NotCurrent(Problem):
    """The local copy is missing or too old, and could not be brought up to date."""


async def bring_up_to_date(replica: Replica) -> None:
    """Sync a copy that is missing or older than it may be. Raises Problem where that comes to nothing."""
    state = await replica.sound_state()
    if state is not None and state.is_young(replica.max_age):
        return
    with Progress() as progress:
        report = await replica.sync("auto", report=progress.report)
    if not report.taken_over:
        raise NotCurrent(report.reason or "The local copy could not be brought up to date.", code="NOT_CURRENT")


def standing(state: State) -> str:
    """Say what was read, and how old it is."""
    age = f"{spelt(state.age_seconds)} old" if state.age_seconds >= 0 else "which has not come yet: a clock is wrong"
    return f"the local copy of {at_minute(state.synced_at)} ({age})"
