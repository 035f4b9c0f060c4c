"""How the local copy stands, as answers tell it: how old it is, what it holds, and what of it is missing."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pingone_mcp.directory.gaps import listed_as_json
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import plain
from pingone_mcp.errors import Problem
from pingone_mcp.service.backend import Backend

if TYPE_CHECKING:
    from pingone_mcp.replica.asking.snapshot import Snapshot


async def standing_of(backend: Backend) -> JsonObject | None:
    """Return the state of the copy, by environment and with its gaps; None where there is no copy yet.

    What is wrong with the copy is told as its `problem`: it must not hide the rest of an answer.
    """
    try:
        state = await backend.replica.state()
        if state is None:
            return None
        standing, _ = await backend.replica.reading(partial(_standing, now=backend.replica.now()))
    except Problem as problem:
        return {"problem": str(problem)}
    told: JsonObject = plain(state)
    return told | standing


def _standing(copy: Snapshot, now: datetime) -> JsonObject:
    """Return when each environment was really read, and what is missing."""
    return {"places": plain(copy.states(now)), **listed_as_json(copy.gaps(None))}
