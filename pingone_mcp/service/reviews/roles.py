"""Application roles that follow from groups and attributes: of a user, of a group, of everybody, and in a roster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import Gap, GroupsOfUserUnread, listed_as_json
from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.directory.rows import is_short, plain, user_row
from pingone_mcp.replica.asking.conditions import NotHeld
from pingone_mcp.replica.asking.groups import every_group
from pingone_mcp.replica.asking.people import everybody_with_groups, number_of_users
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.state import State
from pingone_mcp.reports.role_drift import RoleDrift, compare
from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.reports.roles import Mapped, map_roles
from pingone_mcp.reports.rules_review import RulesReview, review_rules
from pingone_mcp.service.answering import Listed, ListRequest, PageReport, collect, listed
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.freshness import age_of_copy
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.drift import gaps_of

ROLE_HOLDER = ("id", "username", "name", "status")
"""The fields of a user whose roles are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRoles:
    """The roles of one user by the rules, and the state of the copy; with `gaps`, there may be others."""

    user: User
    mapped: Mapped
    gaps: tuple[Gap, ...]
    state: State

    def to_json(self) -> JsonObject:
        """Return JSON-ready data; the roles are null where they are not known."""
        known = self.mapped.to_json()
        if self.user.groups is None and not self.mapped.roles:
            known["roles"] = None  # none by groups that nobody has read is no answer
        return {"user": user_row(self.user, ROLE_HOLDER), **known, **listed_as_json(self.gaps)}


async def roles_of_user(backend: Backend, rules: Rules, reference: str) -> UserRoles:
    """Return the roles of the user that a reference means. Raises NoReplica, and what `Directory.user` raises."""
    user = await backend.copy.user(reference)
    mapped = map_roles(rules, user, user.groups or (), backend.replica.now())

    def gaps(copy: Snapshot) -> tuple[Gap, ...]:
        try:
            return tuple(gap for place in user.organizations for gap in copy.gaps(place.id))
        except NotHeld:  # asked live
            return ()

    lacking, state = await backend.replica.read(gaps)
    unread = () if user.groups is not None else (GroupsOfUserUnread(),)
    return UserRoles(user=user, mapped=mapped, gaps=(*unread, *lacking), state=state)


async def roles_of_group(
    backend: Backend, rules: Rules, wanted: ListRequest, *, limit: int, report: PageReport
) -> tuple[Listed, int | None]:
    """Return one row for each member of the group that is asked for, and how many seconds old the copy is.

    Raises what `Directory.users` raises of the copy.
    """
    question = UserQuestion(group=wanted.question["group"], include=("groups",))
    now = backend.replica.now()

    async def read(at: Position | None) -> Page[User]:
        return await backend.copy.users(question, at, page_size=limit)

    listing = Listing(
        read=read, row=lambda member: _member_row(rules, member, now), identify=lambda member, _: member.id
    )
    gathered = await collect(backend, listing, wanted, limit=limit, report=report)
    return listed(backend, wanted, gathered, lacks=is_short), await age_of_copy(backend)


def _member_row(rules: Rules, member: User, now: datetime) -> JsonObject:
    mapped = map_roles(rules, member, member.groups or (), now)
    reasons = [
        {"role": granted.role, "rule": granted.rule, "groups": [one.name for one in granted.groups]}
        for granted in mapped.granted
    ]
    conflicts = {"conflicts": plain(mapped.conflicts)} if mapped.conflicts else {}
    known = {"roles": reasons} if member.groups is not None else {"roles": reasons or None, "unreadable": ["groups"]}
    return user_row(member, ROLE_HOLDER) | known | conflicts


async def review_roles(
    backend: Backend, rules: Rules, *, progress: JobProgress | None = None
) -> tuple[RulesReview, State]:
    """Review the rules against everybody in the copy, whose state is the second.

    Raises NoReplica where there is none, or nobody knows who is in which group.
    """
    now = backend.replica.now()

    def review(copy: Snapshot) -> RulesReview:
        copy.need_memberships()
        passing = progress or JobProgress()
        passing.expect(number_of_users(copy))
        return review_rules(rules, every_group(copy), passing.of(everybody_with_groups(copy)), now, gaps_of(copy))

    return await backend.replica.read(review)


async def compare_roles(
    backend: Backend, rules: Rules, accounts: Accounts, *, progress: JobProgress | None = None
) -> tuple[RoleDrift, State]:
    """Compare the roles in a roster with those by the rules. Raises what `review_roles` raises, and Refused."""
    now = backend.replica.now()

    def comparison(copy: Snapshot) -> RoleDrift:
        if any(rule.group is not None for rule in rules.rules):
            copy.need_memberships()
        passing = progress or JobProgress()
        passing.expect(number_of_users(copy))
        people = passing.of(everybody_with_groups(copy))
        return compare(rules, accounts.read(), people, now, gaps=gaps_of(copy))

    return await backend.replica.read(comparison)
