"""What a sync says about its connection, whoever ran it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pingone_mcp.errors import NotAuthenticated, Problem

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnection, LinkedConnections
    from pingone_mcp.service.syncing import SyncReport


async def note_outcome(
    connections: LinkedConnections, linked: LinkedConnection, outcome: SyncReport | Problem, ended_at: datetime
) -> None:
    """Note when a copy was brought up to date last, and whether the credentials work; other failures say neither.

    `linked` is the connection as it was when its sync began.
    """
    if isinstance(outcome, Problem):
        if isinstance(outcome, NotAuthenticated):
            await connections.set_status(linked.id, "needs_reauth", str(outcome), epoch=linked.epoch)
        return
    if outcome.taken_over:
        await connections.set_last_sync(linked.id, ended_at)
    await connections.set_status(linked.id, "active", epoch=linked.epoch)
