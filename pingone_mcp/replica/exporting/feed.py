"""The changes of the local copy, read in order by whoever passes them on, with the users whom they are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pingone_mcp.directory.changes import Change, ChangeQuestion
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import plain
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.replica.asking.changes import changes_page
from pingone_mcp.replica.asking.conditions import one_of
from pingone_mcp.replica.asking.one_user import manager_of
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import completed
from pingone_mcp.replica.store.feed import feed_of
from pingone_mcp.replica.store.retention import change_ids
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import USER


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """Behind which change of which feed somebody has read so far."""

    feed: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """The next changes of a feed, and `until` where they have been read.

    `users` are plain records by id, with groups and roles: as each is in the copy now, or was when it went.
    """

    until: FeedPlace
    changes: tuple[Change, ...]
    users: Mapping[str, JsonObject]
    has_more: bool


def feed_page(copy: Snapshot, after: FeedPlace | None, *, skip: bool) -> FeedPage | None:
    """Return the changes behind a place, the oldest first, or, to `skip` them, only the place behind all of them.

    Behind a place of another feed, and of a later state of this one, that is from the beginning. What the copy has
    forgotten by now (`retention`) is not there. None before a sync has named the feed.
    """
    named = feed_of(copy.database)
    if named is None:
        return None
    feed, begins = named
    oldest, newest = change_ids(copy.database)
    is_here = after is not None and after.feed == feed and after.number <= newest
    behind = max(after.number if after is not None and is_here else begins, oldest - 1)
    if skip:
        return FeedPage(until=FeedPlace(feed, newest), changes=(), users={}, has_more=False)
    page = changes_page(copy.database, ChangeQuestion(), Position(source="replica", after=str(behind)), None)
    until = page.items[-1].id if page.next is not None else newest
    return FeedPage(
        until=FeedPlace(feed, until),
        changes=page.items,
        users=_users(copy, {change.user.id for change in page.items}),
        has_more=page.next is not None,
    )


def _users(copy: Snapshot, ids: Collection[str]) -> dict[str, JsonObject]:
    which = one_of("u.id", sorted(ids))
    rows = copy.database.execute(
        f"SELECT u.manager_id, u.removed_at, {USER} FROM users_ u WHERE {which.sql}",  # noqa: S608 - our own text
        which.values,
    )
    found = [
        user_of(
            row,
            environments=copy.places.environment_names,
            populations=copy.places.population_names,
            manager=manager_of(copy, UserRow._make(row), manager),
            removed=removed is not None,
        )
        for manager, removed, *row in rows.fetchall()
    ]
    return {user.id: plain(user) for user in completed(copy, found, ("groups", "roles"))}
