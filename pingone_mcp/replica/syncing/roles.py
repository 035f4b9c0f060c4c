"""Administrator roles of users: of everybody, or of those whom events name."""

from __future__ import annotations

from pingone_mcp.directory.rights import ROLES
from pingone_mcp.errors import FilterRefused, NotPermitted, RequestRefused, UnexpectedAnswer
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.noted import ALL, NAMED, UNREADABLE
from pingone_mcp.replica.syncing.task import EnvironmentSync, why_unread
from pingone_mcp.tasks import each


def are_roles_due(here: EnvironmentSync) -> bool:
    """Say whether a sync of what has changed is to read the roles of everybody: they are wanted, and were not read yet.

    Whom a sync could not read is left to the next full one: each round would ask for everybody again.
    """
    return here.task.options.roles and here.known.roles != ALL and not here.known.roles_missed


async def read_roles(here: EnvironmentSync, *, everybody: bool) -> None:
    """Note the roles of everybody who is there, or of whom events name; of nobody where they may not be read."""
    users = here.found.wanted.roles
    if everybody:
        others = await here.task.look(looks.not_staged, here.id)
        users = (await here.task.staging.user_ids(here.id)).union(others) - here.found.unseen
    users = users - here.found.gone.keys()
    if not users:
        return
    found = here.found
    done = missed = 0

    async def read(user: str) -> None:
        nonlocal done, missed
        try:
            assignments, is_whole = await here.source.role_assignments(user)
        except (FilterRefused, RequestRefused, UnexpectedAnswer):
            missed += 1
            return
        missed += not is_whole
        if assignments or not everybody:
            found.roles[user] = list(assignments)
        done += 1
        here.report("roles", done, len(users))

    try:
        await each(read, sorted(users))
    except NotPermitted as problem:
        here.coverage.roles = UNREADABLE
        found.roles.clear()
        here.notes.append(f"The role assignments of {here.id} {why_unread(problem, ROLES)}.")
        return
    found.all_roles = everybody and not missed
    if found.all_roles or missed:
        here.coverage.roles = ALL if found.all_roles else NAMED
        here.coverage.roles_missed += missed
