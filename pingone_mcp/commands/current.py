"""The local copy as commands need it: fresh enough to be compared with, or else brought up to date first."""

from __future__ import annotations

from datetime import datetime

from pingone_mcp.commands.words import at_minute, in_words, spelt
from pingone_mcp.console import Progress
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import bring_up_to_date, is_current


async def current_copy(backend: Backend) -> None:
    """Sync a copy that is missing or older than it may be, showing progress. Raises Problem where that fails."""
    if await is_current(backend):
        return
    with Progress() as progress:
        await bring_up_to_date(backend, in_words(progress.report))


def copy_of(synced_at: datetime, age_seconds: int) -> str:
    """Say which copy was read, and how old it is."""
    age = f"{spelt(age_seconds)} old" if age_seconds >= 0 else "which has not come yet: a clock is wrong"
    return f"the local copy of {at_minute(synced_at)} ({age})"
