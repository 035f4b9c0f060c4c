"""The directory at a glance: what is served, what may be done, and how the local copy stands."""

from __future__ import annotations

from dataclasses import dataclass

from pingone_mcp.directory.models import Description
from pingone_mcp.errors import Problem
from pingone_mcp.service.answering import in_time
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.freshness import CopyState, state_of_copy
from pingone_mcp.tasks import in_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is served, whether writes are allowed, the local copy (None: there is none yet), and the rosters' names.

    What is wrong with the copy stands in its place: it must not hide the rest.
    """

    description: Description
    writes: bool
    copy: CopyState | Problem | None
    rosters: tuple[str, ...]


async def overview(backend: Backend) -> Overview:
    """Return the directory at a glance. Raises Problem where the provider cannot be asked, or not in time."""
    with in_time(backend):
        description = await backend.directory.describe()
    copy: CopyState | Problem | None
    try:
        copy = await state_of_copy(backend)
    except Problem as problem:
        copy = problem
    rosters = await in_thread(backend.rosters.names, pool="disk")
    return Overview(description=description, writes=backend.writes is not None, copy=copy, rosters=rosters)
