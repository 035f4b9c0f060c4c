"""What is compared with the local copy, a roster or the rules for roles: once, for the tools and the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import Gap, GroupsOfUserUnread, OnlyServedPopulations, listed_as_json
from pingone_mcp.directory.identity import IdentityKind
from pingone_mcp.directory.models import Group, GroupMembership, JsonObject, User
from pingone_mcp.replica.asking.conditions import Condition, NotHeld, both
from pingone_mcp.replica.asking.directory import ReplicaDirectory
from pingone_mcp.replica.asking.people import everybody, named, number_of_users, others
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import listed, memberships_of
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.store.rows import group_of
from pingone_mcp.replica.store.schema import GROUP_COLUMNS
from pingone_mcp.replica.tally import Tally
from pingone_mcp.reports.drift import KEPT_UNEXPECTED, MATCH_ON, Comparison, Drift, check
from pingone_mcp.reports.roles import Mapped, RoleDrift, Rules, RulesReview, compare, map_roles, review_rules
from pingone_mcp.reports.roster import Roster

_BATCH = 500
# Up to so many accounts, their users are looked up one by one; beyond, it costs less to pass by everybody.
LOOKED_UP = 1_000


def check_drift(
    copy: Snapshot,
    roster: Roster,
    now: datetime,
    *,
    match_on: Sequence[IdentityKind] = MATCH_ON,
    keep: int = KEPT_UNEXPECTED,
    tally: Tally | None = None,
    looked_up: int = LOOKED_UP,
) -> Drift:
    """Compare a roster with the users of the copy that are served; `keep` bounds the unexpected ones that are kept."""
    tally, gaps = tally or Tally(), _gaps(copy)
    if len(roster.entries) > looked_up:
        tally.expect(number_of_users(copy, removed=True))
        users = tally.of(everybody(copy, removed=True))
        return check(roster, users, now=now, match_on=match_on, keep=keep, gaps=gaps)
    comparison = Comparison(roster, match_on=match_on, keep=keep)
    known = named(copy, comparison.keys())
    for user in tally.of(known):
        comparison.see(user)
    number, expected, first = others(copy, known, keep=keep)
    comparison.see_rest(users=number, expected=expected, first=first)
    return comparison.drift(now, gaps)


def _gaps(copy: Snapshot) -> tuple[Gap, ...]:
    """Return what of the directory was not read, and that whoever is missing may be where nobody looks."""
    narrowed = (OnlyServedPopulations(),) if copy.places.scope.populations else ()
    return (*copy.gaps(None), *narrowed)


def review_roles(copy: Snapshot, rules: Rules, now: datetime, tally: Tally | None = None) -> RulesReview:
    """Review the rules against everybody in the copy. Raises NotHeld where nobody knows who is in which group."""
    copy.need_memberships()
    tally = tally or Tally()
    tally.expect(number_of_users(copy))
    people = tally.of(_with_groups(copy))
    return review_rules(rules, _groups(copy.database), people, now, _gaps(copy))


def compare_roles(copy: Snapshot, rules: Rules, roster: Roster, now: datetime, tally: Tally | None = None) -> RoleDrift:
    """Compare the roles in a roster with those by the rules. Raises NotHeld as `review_roles` does."""
    if any(rule.group is not None for rule in rules.rules):
        copy.need_memberships()
    tally = tally or Tally()
    tally.expect(number_of_users(copy))
    people = tally.of(_with_groups(copy))
    return compare(rules, roster, people, now, gaps=_gaps(copy))


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRoles:
    """The roles of one user by the rules; with `gaps`, there may be others."""

    user: User
    mapped: Mapped
    gaps: tuple[Gap, ...]

    def to_json(self) -> JsonObject:
        """Return JSON-ready data; the roles are null where they are not known."""
        return {**roles_json(self.user, self.mapped), **listed_as_json(self.gaps)}


def roles_json(user: User, mapped: Mapped) -> JsonObject:
    """Return roles with their reasons; none by groups that nobody has read is no answer, but null."""
    told = mapped.to_json()
    return told | {"roles": None} if user.groups is None and not mapped.roles else told


async def roles_of(replica: Replica, directory: ReplicaDirectory, rules: Rules, reference: str) -> UserRoles:
    """Return the roles of the user that a reference means. Raises what `Directory.user` raises."""
    user = await directory.user(reference)
    mapped = map_roles(rules, user, user.groups or (), replica.now())

    def gaps(copy: Snapshot) -> tuple[Gap, ...]:
        try:
            return tuple(gap for place in user.organizations for gap in copy.gaps(place.id))
        except NotHeld:  # asked live
            return ()

    lacking, _ = await replica.reading(gaps)
    unread = () if user.groups is not None else (GroupsOfUserUnread(),)
    return UserRoles(user=user, mapped=mapped, gaps=(*unread, *lacking))


def _groups(database: sqlite3.Connection) -> Iterator[Group]:
    """Give every group of the copy."""
    for row in database.execute(f"SELECT {', '.join(GROUP_COLUMNS)} FROM groups_ ORDER BY name, id"):  # noqa: S608 - our own names
        yield group_of(row)


def _with_groups(copy: Snapshot) -> Iterator[tuple[User, list[GroupMembership]]]:
    """Give every user that is served, with all groups that it is in."""
    where = both(copy.places.served(copy.places.environments(None)), Condition("u.removed_at IS NULL"))
    found = copy.database.execute(f"SELECT u.record FROM users_ u WHERE {where.sql}", where.values)  # noqa: S608 - our own text
    while rows := found.fetchmany(_BATCH):
        users = [listed(copy, record) for (record,) in rows]
        memberships = memberships_of(copy, [user.id for user in users])
        for user in users:
            yield user, memberships[user.id]
