"""Application roles that follow from groups and attributes: of a user, of a group, of everybody, and in a roster."""

from __future__ import annotations

from dataclasses import dataclass

from pingone_mcp.directory.gaps import Gap, GroupsOfUserUnread, listed_as_json
from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.replica.asking.conditions import NotHeld
from pingone_mcp.replica.asking.groups import every_group
from pingone_mcp.replica.asking.people import everybody_with_groups, number_of_users
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.state import State
from pingone_mcp.reports.roles import Mapped, RoleDrift, Rules, RulesReview, compare, map_roles, review_rules
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.rosters import Accounts
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.drift import gaps_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRoles:
    """The roles of one user by the rules, and the state of the copy; with `gaps`, there may be others."""

    user: User
    mapped: Mapped
    gaps: tuple[Gap, ...]
    state: State

    def to_json(self) -> JsonObject:
        """Return JSON-ready data; the roles are null where they are not known."""
        return {**roles_json(self.user, self.mapped), **listed_as_json(self.gaps)}


def roles_json(user: User, mapped: Mapped) -> JsonObject:
    """Return roles with their reasons; none by groups that nobody has read is no answer, but null."""
    told = mapped.to_json()
    return told | {"roles": None} if user.groups is None and not mapped.roles else told


async def roles_of_user(backend: Backend, rules: Rules, reference: str) -> UserRoles:
    """Return the roles of the user that a reference means. Raises NoReplica, and what `Directory.user` raises."""
    user = await backend.copy.user(reference)
    mapped = map_roles(rules, user, user.groups or (), backend.replica.now())

    def gaps(copy: Snapshot) -> tuple[Gap, ...]:
        try:
            return tuple(gap for place in user.organizations for gap in copy.gaps(place.id))
        except NotHeld:  # asked live
            return ()

    lacking, state = await backend.replica.reading(gaps)
    unread = () if user.groups is not None else (GroupsOfUserUnread(),)
    return UserRoles(user=user, mapped=mapped, gaps=(*unread, *lacking), state=state)


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

    return await backend.replica.reading(review)


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

    return await backend.replica.reading(comparison)
