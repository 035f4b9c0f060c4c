"""Populations: which there are, who is in which, and how many users the provider counts in each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pingone_mcp.directory.rights import POPULATIONS
from pingone_mcp.replica.evidence import Shortage
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.noted import UNREADABLE
from pingone_mcp.replica.syncing.task import ONE_FAILS, EnvironmentSync, why_unread

UserCounts = Mapping[str, int | None]
"""How many users the provider counts, by population; None where it does not say."""


async def read_populations(here: EnvironmentSync) -> UserCounts:
    """Note the populations, and return their counts; where they cannot be read whole, they stay as they were."""
    try:
        found = await here.source.populations()
    except ONE_FAILS as problem:
        here.found.populations = None
        here.coverage.populations = UNREADABLE
        here.notes.append(f"The populations of {here.id} {why_unread(problem, POPULATIONS)}.")
        return {}
    here.found.populations = found
    return {one.id: one.user_count for one in found}


async def counts_now(here: EnvironmentSync) -> UserCounts:
    """Return how many users the provider counts in each population by now; nothing where it is not to be believed."""
    if not here.task.options.by_counts:
        return {}
    try:
        return {one.id: one.user_count for one in await here.source.populations()}
    except ONE_FAILS:
        return {}


async def compare_counts(here: EnvironmentSync, counted_first: UserCounts) -> None:
    """Note the populations of which the provider counts more users than the copy will hold: some are not seen."""
    if not here.task.options.by_counts or not counted_first:
        return
    held = await here.task.look(looks.held_by_population, here.id, list(here.found.gone))
    short = {place for place, _ in _beyond(counted_first, held)}
    if not short:
        return
    now = await counts_now(here)  # somebody may have been removed since they were counted
    for place, counted in sorted(_beyond(now, held)):
        if place in short:
            # A number that changes is none to begin anew for: of a population that is hidden, it does so all the time.
            before = here.known.populations_short.get(place)
            tries = before.tries + 1 if before is not None else 1
            here.coverage.populations_short[place] = Shortage(counted, held.get(place, 0), tries)


def _beyond(counts: UserCounts, held: Mapping[str | None, int]) -> Iterable[tuple[str, int]]:
    return ((place, count) for place, count in counts.items() if count is not None and count > held.get(place, 0))


def homes(here: EnvironmentSync) -> dict[str, str]:
    """Return where events say that users are, those of earlier syncs who could not be found since included."""
    return here.known.homes | here.found.wanted.homes


async def by_population(here: EnvironmentSync, users: Iterable[str]) -> dict[str | None, set[str]]:
    """Return users by the population in which an event has named them last, or else the copy has them."""
    users = set(users)
    populations = await here.task.look(looks.populations_of, users)
    populations |= homes(here)
    found = defaultdict[str | None, set[str]](set)
    for user in users:
        found[populations.get(user)].add(user)
    return found
