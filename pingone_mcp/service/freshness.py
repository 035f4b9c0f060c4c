"""How fresh the local copy is: whether it answers in the place of the provider, how old it is, and what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.provider import Directory
from pingone_mcp.errors import Problem
from pingone_mcp.service.backend import Backend

if TYPE_CHECKING:  # start-up: a server says what it offers before it loads a database
    from pingone_mcp.replica.asking.snapshot import PlaceState, Snapshot
    from pingone_mcp.replica.state import State


class NotCurrent(Problem):
    """The local copy is missing or too old, and could not be brought up to date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyState:
    """How the whole copy stands, each environment of it, and what it lacks."""

    state: State
    places: tuple[PlaceState, ...]
    gaps: tuple[Gap, ...]


async def exact_directory(backend: Backend, *, goes_on: bool) -> Directory:
    """Return the local copy while it is fresh, which knows more than the provider shows live, else the provider.

    What goes on from a cursor goes on where it began: the copy finds that out.
    """
    return backend.copy if goes_on or await copy_is_fresh(backend) else backend.directory


async def copy_is_fresh(backend: Backend) -> bool:
    """Say whether there is a local copy that is young enough to answer beside the provider."""
    try:
        return await backend.copy.fresh(backend.replica.max_age.total_seconds())
    except Problem:  # a copy that cannot be read is none
        return False


async def age_of_copy(backend: Backend) -> int | None:
    """Return how many seconds old the copy is; None where there is none. Raises Problem where it cannot be read."""
    state = await backend.replica.state()
    return state.age_seconds if state is not None else None


async def state_of_copy(backend: Backend) -> CopyState | None:
    """Return how the copy stands; None where there is none yet. Raises Problem where it cannot be read."""
    if await backend.replica.state() is None:
        return None
    now = backend.replica.now()

    def look(copy: Snapshot) -> tuple[tuple[PlaceState, ...], tuple[Gap, ...]]:
        return copy.states(now), copy.gaps(None)

    (places, gaps), state = await backend.replica.read(look)
    return CopyState(state=state, places=places, gaps=gaps)


async def existing_copy(backend: Backend) -> State:
    """Return how the copy stands. Raises NoReplica where there is none yet."""
    _, state = await backend.replica.read(lambda _: None)
    return state


async def version_of_copy(backend: Backend) -> int:
    """Return a number that grows with every sync that is taken over. Raises NoReplica."""
    version, _ = await backend.replica.read(lambda copy: copy.version)
    return version


async def is_current(backend: Backend) -> bool:
    """Say whether the copy is no older than it may be; one that is damaged, and will be made anew, is not."""
    state = await backend.replica.sound_state()
    return state is not None and state.is_young(backend.replica.max_age)


async def bring_up_to_date(backend: Backend, report: Callable[[str, int, int | None], None]) -> None:
    """Sync the copy; `report` is called with the stage, how much of it is done, and of about how much.

    Raises NotCurrent where nothing of the sync was taken over, and Problem where it failed.
    """
    synced = await backend.replica.sync("auto", report=report)
    if not synced.taken_over:
        raise NotCurrent(synced.reason or "The local copy could not be brought up to date.", code="NOT_CURRENT")
