"""Groups of PingOne: lists of them, one of them whole, and who is in them."""

from __future__ import annotations

import dataclasses
from functools import partial

from pingone_mcp.directory.gaps import Gap, MissingMembers
from pingone_mcp.directory.matching.filters import All, Within, all_of, eq
from pingone_mcp.directory.models import Group, GroupMembership, Member, MembershipType, Named
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.parts import find
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import GroupQuestion, MemberQuestion
from pingone_mcp.directory.text.harmless import unaccented
from pingone_mcp.errors import NotPermitted
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import path_with
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.filters import bounds
from pingone_mcp.pingone.pages import page_or_gap, read_page, whole_list
from pingone_mcp.pingone.parts import ListPart, ListPlace, page_of
from pingone_mcp.pingone.served import Served


class Groups:
    """Answer questions about groups."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._scope = served.connection.scope

    async def page(
        self, question: GroupQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Group]:
        """Return one page of groups. Raises Refused for names that there are not, and for a stale position."""
        parts = await self._parts(question)
        place = find(parts, at, source="live")
        part = place.part
        wanted = str(part.filter) if part.filter is not None else None
        size = part.page_size(page_size, self._served.connection.pace.page_size)
        path = place.position.after or path_with(
            f"/environments/{part.environment}/groups", {"limit": size, "filter": wanted}
        )
        hal, gaps = await page_or_gap(self._served.client, path, "groups", place)
        populations = await self._served.names.population_names(part.environment) if hal.raws else {}
        read = partial(wire.group, populations=populations, remote_data=question.remote_data)
        found, left_out = wire.readable(hal.items, read)
        groups = [await self._placed(group) for group in found]
        kept = (group for group in groups if part.keep is None or part.keep(group))
        gaps = (*await self._served.unserved(question.environment), *gaps)
        return page_of(place, path, hal, kept, left_out=left_out, gaps=gaps)

    async def _parts(self, question: GroupQuestion) -> list[ListPart]:
        """PingOne filters groups by whole names only; a part of a name is looked for here."""
        words = unaccented(question.query or "").split()
        is_every_one = not words and not self._scope.populations
        is_wanted = None if is_every_one else (lambda group: _is_named(group, words) and self._serves(group))
        environments = await self._served.environment_ids(question.environment)
        return [
            ListPart(
                key=home.environment,
                environment=home.environment,
                collection="groups",
                filter=eq("population.id", home.population) if home.population is not None else None,
                keep=is_wanted,
            )
            for home in await self._served.homes(environments, question.population)
        ]

    def _serves(self, group: Group) -> bool:
        return self._scope.has_group_of(group.workspace.id if group.workspace is not None else None)

    async def _placed(self, group: Group) -> Group:
        """Return a group as a list shows it: with its environment named where there are several."""
        group = self._within_scope(group)
        return await self._with_environment(group) if self._scope.has_several_environments else group

    async def _with_environment(self, group: Group) -> Group:
        names = await self._served.names.environment_names()
        place = group.organization.id
        return dataclasses.replace(group, organization=Named(id=place, name=names.get(place)))

    def _within_scope(self, group: Group) -> Group:
        """Return a group without the counts that go beyond the populations served."""
        if not self._scope.populations or group.workspace is not None:
            return group
        return dataclasses.replace(group, member_count=None, group_count=None, total_member_count=None)

    async def get(self, reference: str, *, environment: str | None = None) -> Group:
        """Return one group, by id or name, with the groups that it is nested in.

        Raises Refused for a name or an id that none has, or several have.
        """
        place, identity = await self._served.find_group(environment, reference)
        group = await self._served.names.group(place, identity)
        group = await self._with_environment(self._within_scope(group))
        parents, is_whole = await self._parents(place, identity)
        unreadable = group.unreadable if is_whole else (*group.unreadable, "parents")
        return dataclasses.replace(group, parents=parents, unreadable=unreadable)

    async def _parents(self, environment: str, group: str) -> tuple[tuple[GroupMembership, ...] | None, bool]:
        """Return the groups that one is nested in (None where they may not be read), and whether they are all."""
        path = f"/environments/{environment}/groups/{group}/memberOfGroups"
        try:
            raws, is_whole = await whole_list(self._served.client, path, "groupMemberships", environment)
        except NotPermitted:
            return None, False
        parents, readable = wire.memberships(raws)
        return parents, is_whole and readable

    async def members(
        self, question: MemberQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Member]:
        """Return one page of members, the direct ones first.

        Raises Refused for a group that there is not, and for a stale position.
        """
        environment, group = await self._served.find_group(question.environment, question.group)
        parts = self._member_parts(environment, group, direct_only=question.direct_only)
        place = find(parts, at, source="live")
        part = place.part
        size = part.page_size(page_size, self._served.connection.pace.page_size)
        path = place.position.after or self._served.people.path(part.environment, part.filter, size)
        hal = await read_page(self._served.client, path, "users", place)
        users, left_out = await self._served.people.readable(part.environment, hal)
        kind: MembershipType = "direct" if part.label == "direct" else "indirect"
        gaps = await self._served.unserved(environment)
        if hal.next is None:
            gaps = (*gaps, *await self._uncounted(place, hal, group, kind))
        found = (Member(user=user, type=kind) for user in users)
        page = page_of(place, path, hal, found, left_out=left_out, gaps=gaps)
        if len(parts) == 1 or page.gaps:
            return page
        return dataclasses.replace(page, total=await self._member_total(environment, group))

    async def _uncounted(self, place: ListPlace, hal: HalPage, group: str, kind: MembershipType) -> tuple[Gap, ...]:
        """Return the gap at the end of a part where the group itself counts more members of the kind than came.

        The filter may be narrowed to what the role reaches, while the group's own counts are not. They are read again
        before they contradict, because who is a member changes while the list is read.
        """
        behind = place.position.counted.behind(len(hal.raws), hal.count)
        if self._scope.populations or behind.missing:  # the group counts beyond the populations
            return ()
        read = partial(self._served.names.group, place.part.environment, group)
        said = _counted(await read(), kind)
        if said is not None and said > behind.came:
            said = _counted(await read(fresh=True), kind)
        if said is None or said <= behind.came:
            return ()
        return (MissingMembers(place=place.part.environment, part=kind, counted=said, came=behind.came),)

    def _member_parts(self, environment: str, group: str, *, direct_only: bool) -> list[ListPart]:
        """Direct members come first, then indirect ones; PingOne tells them apart in the filter only."""
        populations = bounds(self._served.connection.scope)
        return [
            ListPart(
                key=f"{kind} {environment} {batch}",
                environment=environment,
                filter=all_of((Within("memberOfGroups", All((eq("id", group), eq("type", kind.upper())))), population)),
                label=kind,
            )
            for kind in (("direct",) if direct_only else ("direct", "indirect"))
            for batch, population in enumerate(populations)
        ]

    async def _member_total(self, environment: str, group: str) -> int | None:
        """Return the group's own total, unless only some populations are served."""
        if self._scope.populations:
            return None
        return (await self._served.names.group(environment, group)).total_member_count


def _counted(group: Group, kind: MembershipType) -> int | None:
    """Return how many users the group counts as members of a kind; who is in it in both ways counts as direct."""
    if kind == "direct" or group.total_member_count is None:
        return group.member_count if kind == "direct" else None
    return group.total_member_count - (group.member_count or 0)


def _is_named(group: Group, words: list[str]) -> bool:
    name = unaccented(group.name or "")
    return all(word in name for word in words)
