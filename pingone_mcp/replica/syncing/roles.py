"""Administrator roles of users: of everybody, or of those whom events name."""

from __future__ import annotations

from pingone_mcp.errors import FilterRefused, NotPermitted, RequestRefused, UnexpectedAnswer
from pingone_mcp.replica.store.noted import ALL, NAMED, UNREADABLE
from pingone_mcp.replica.syncing.task import EnvironmentSync
from pingone_mcp.tasks import each


async def read_roles(here: EnvironmentSync, *, everybody: bool) -> None:
    """Note the role assignments of users who are there; where they may not be read, none are taken over."""
    found = here.found
    users = await here.task.staging.user_ids(here.id) if everybody else found.wanted.roles - found.gone.keys()
    if not users:
        return
    done = 0
    unread = False

    async def read(user: str) -> None:
        nonlocal done, unread
        try:
            assignments, is_whole = await here.source.role_assignments(user)
        except (FilterRefused, RequestRefused, UnexpectedAnswer):
            unread = True
            return
        unread = unread or not is_whole
        if assignments or not everybody:
            found.roles[user] = list(assignments)
        done += 1
        here.report("roles", done, len(users))

    try:
        await each(read, sorted(users))
    except NotPermitted:
        here.coverage.roles = UNREADABLE
        found.roles.clear()
        here.notes.append("Role assignments may not be read (403).")
        return
    found.all_roles = everybody and not unread
    if found.all_roles or unread:
        here.coverage.roles = ALL if found.all_roles else NAMED
