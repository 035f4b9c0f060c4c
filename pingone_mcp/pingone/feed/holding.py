"""Filters that ask which users are in which groups, as many at once as fit into a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pingone_mcp.directory.matching.filters import All, Filter, Within, any_of, eq
from pingone_mcp.directory.models import MembershipType
from pingone_mcp.replica.source import Pair

# PingOne takes 6 KB of request line and headers, and a token is one of more than one: so much is left for a filter.
LONGEST_FILTER = 3_600


@dataclass(frozen=True, slots=True)
class MembershipFilter:
    """One filter that shows which of several pairs hold; each user is in one of them only."""

    filter: Filter
    groups: Mapping[str, str]
    """By user: the group that is meant."""

    def pairs(self) -> Iterator[Pair]:
        return (Pair(user, group) for user, group in self.groups.items())


def membership_filters(pairs: Sequence[Pair], kind: MembershipType, *, mixed: bool) -> Iterator[MembershipFilter]:
    """Yield the filters that show which pairs hold: several groups in one (`mixed`), or one group in each.

    An answer names users, not groups. So a user stands once in a filter, and one who comes back is in the group meant.
    """
    waiting = list(pairs)
    while waiting:
        taken: dict[str, str] = {}
        by_group: dict[str, list[str]] = {}
        later: list[Pair] = []
        room = LONGEST_FILTER
        for user, group in waiting:
            cost = _USER_COST + (0 if group in by_group else _GROUP_COST)
            fits = user not in taken and cost <= room and (mixed or group in by_group or not by_group)
            if not fits:
                later.append(Pair(user, group))
                continue
            room -= cost
            taken[user] = group
            by_group.setdefault(group, []).append(user)
        yield MembershipFilter(any_of(_of_group(group, users, kind) for group, users in by_group.items()), taken)
        waiting = later


def in_group(group: str, kind: MembershipType) -> Filter:
    """Return the filter of users for the members of a group of one kind, which only a filter tells apart."""
    return Within("memberOfGroups", All((eq("id", group), eq("type", kind.upper()))))


def _of_group(group: str, users: Sequence[str], kind: MembershipType) -> Filter:
    return All((in_group(group, kind), any_of(eq("id", user) for user in users)))


_SOME_ID = "0" * 36
_USER_COST = len(quote(f'id eq "{_SOME_ID}" or ', safe=""))
_GROUP_COST = len(quote(f"({in_group(_SOME_ID, 'indirect')} and ()) or ", safe=""))
